"""Finds the line of the user's own code in a traceback: the innermost that is no library's."""

from __future__ import annotations

import re
import site
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.*)$', re.MULTILINE)
_LIBRARIES = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3\.\d+[/\\]")
CODE_LINES = 6
LIMIT = 400  # characters of a line


def users_frame(traceback: str) -> dict[str, Any] | None:
    """Return file, line, function and code of the innermost frame that is the user's.

    None: every line is a library's, or it is no traceback of Python.
    """
    last = None
    for frame in _FRAME.finditer(traceback):
        if not is_library(frame["file"]):
            last = frame
    if last is None:
        return None
    code = list(_code_after(traceback[last.end() + 1 :]))
    return {
        "file": last["file"][-LIMIT:],
        "line": int(last["line"]),
        "name": last["name"][:LIMIT],
        "code": "\n".join(line[:LIMIT] for line in code),
    }


def _code_after(text: str) -> Iterator[str]:
    """Yield the lines of code that stand below the line of a frame, without their indent."""
    for line in text.split("\n", CODE_LINES)[:CODE_LINES]:
        if not line.startswith("    "):
            return
        yield line[4:]


def is_library(file: str) -> bool:
    """True for a file of Python, of an installed package or of this one."""
    return (
        file.startswith("<frozen ")
        or _LIBRARIES.search(file) is not None
        or file.startswith(_folders())
    )


@cache
def _folders() -> tuple[str, ...]:
    """The folders of what is no user's code; the kernel's own, whatever they are called."""
    paths = sysconfig.get_paths()
    here = Path(__file__).parents[2]
    known = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], str(here)]
    if site.ENABLE_USER_SITE:
        known.append(site.getusersitepackages())
    return tuple(f"{one}{mark}" for one in known for mark in "/\\")
