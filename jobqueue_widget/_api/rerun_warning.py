"""Warns where a cell that is run again leaves a busy queue, or asks the living one for others."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
import sys
import warnings
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .journaled import Journaled


class QueueReplacedWarning(UserWarning):
    """A name is about to be given to a new queue while the old one still has work."""


def warn_if_replaced(kind: type[Journaled]) -> None:
    """Warn, once per queue, if the cell that makes a queue assigns it to the name of a busy one.

    Only in IPython, and only if the name holds a queue with pending or running jobs: a cell that
    is run again warns, and nothing else does.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    names = shell.user_ns
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is not names:
        frame = frame.f_back
    if frame is None:
        return
    for name in _assigned(frame):
        old = names.get(name)
        if isinstance(old, kind) and _still_works(old):
            state = old._engine.state
            warnings.warn(
                f"the queue that `{name}` held still has {len(state.running)} running and "
                f"{len(state.order)} pending jobs, which go on without a name; end them first with "
                f'`await {name}.stop()`, or keep one queue with JobQueue.open("runs.db")',
                QueueReplacedWarning,
                stacklevel=4,
            )


def warn_of_unused(given: inspect.BoundArguments, queue: Any) -> None:
    """Warn of arguments of `JobQueue.open` that differ from those the living queue was made with.

    Only names are said, as an environment may hold keys.
    """
    made = dataclasses.asdict(queue._engine.settings)
    made |= {"manager": queue.manager, "executor": queue._submission.default}
    unused = [
        name
        for name, value in given.arguments.items()
        if name in made and value is not None and value != made[name]
    ]
    if unused:
        warnings.warn(
            "the queue of this journal lives already and stays as it was made, so these options "
            f"are not used: {', '.join(sorted(unused))}; to change them restart the kernel, or "
            "close the queue (which cancels what is pending), and open it again",
            stacklevel=3,
        )


_told: set[str] = set()


def _still_works(queue: Journaled) -> bool:
    engine = queue._engine
    if engine.life.phase == "closed" or not engine.state.open_count or engine.run_id in _told:
        return False
    _told.add(engine.run_id)
    return True


def _assigned(frame: FrameType) -> list[str]:
    """Return the plain names to which the statement that a frame runs assigns."""
    source = "".join(linecache.getlines(frame.f_code.co_filename))
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    for statement in body:
        if not statement.lineno <= frame.f_lineno <= (statement.end_lineno or statement.lineno):
            continue
        if isinstance(statement, ast.Assign):
            return [target.id for target in statement.targets if isinstance(target, ast.Name)]
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            return [statement.target.id]
    return []
