"""Completes options of the magics, and the names that stand behind `--queue` and `--out`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from .cell_code import names_of

OPTIONS = ("--queue", "--priority", "--gpus", "--out", "--timeout")
_MAGIC = re.compile(r"\s*(%%job|%job|%jobs)\s")
_VALUE = re.compile(r"--(queue|out)(?:\s*=\s*|\s+)(?:[^\s,]*,)*\s*(?P<word>[^\s,]*)$")


class Completion:
    """The completion of one shell."""

    def __init__(self, shell: Any, queue_type: type) -> None:
        self._shell = shell
        self._queue_type = queue_type

        @context_matcher()  # type: ignore[untyped-decorator]
        def jobqueue_matcher(context: Any) -> Any:
            found = self.complete(context.full_text, context.cursor_line, context.cursor_position)
            return {"completions": list(map(SimpleCompletion, found)), "suppress": bool(found)}

        self._matcher = jobqueue_matcher

    def open(self) -> None:
        """Begin to complete."""
        self._shell.Completer.custom_matchers.append(self._matcher)

    def close(self) -> None:
        """Complete nothing any more."""
        if self._matcher in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self._matcher)

    def complete(self, text: str, row: int, column: int) -> list[str]:
        """Return what may stand at a place of a cell, for the word before it."""
        lines = text.split("\n")
        line = lines[row][:column]
        magic = _MAGIC.match(line)
        if magic is None:
            return []
        value = _VALUE.search(line)
        word = line.rpartition(" ")[2] if value is None else value["word"]
        if value is None:
            known: Iterable[str] = OPTIONS if word.startswith("-") else ()
            if magic[1] == "%job":
                known = [one for one in known if one != "--out"]
            elif magic[1] == "%jobs":
                known = self._queues()
        elif value[1] == "queue":
            known = self._queues()
        else:
            known = _set_in("\n".join(lines[row + 1 :]))
        return [one for one in known if one.startswith(word)]

    def _queues(self) -> list[str]:
        return [
            name
            for name, value in list(self._shell.user_ns.items())
            if isinstance(value, self._queue_type) and not name.startswith("_")
        ]


def _set_in(cell: str) -> list[str]:
    """Return the names that a cell sets; those of the lines before one that is not finished."""
    lines = cell.split("\n")
    for end in range(len(lines), 0, -1):
        try:
            tree = ast.parse("\n".join(lines[:end]))
        except SyntaxError:
            continue
        return sorted(names_of(tree).sets)
    return []
