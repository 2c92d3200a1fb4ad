"""Asks an execution where its code is right now, and puts it as Python puts tracebacks."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ..._core.jobs import JobRecord
from ...errors import JobNotRunningError, NotSupportedError, WaitTimeoutError
from ...protocols import Stack, TellsStack

if TYPE_CHECKING:
    from ..._runtime.engine import Engine

PATIENCE = 2.0  # seconds for an answer, which usually takes a millisecond
NOTHING = "(no Python code of it: it runs code in C, is about to begin, or has just returned)\n"


def stack_of(engine: Engine, record: JobRecord) -> str:
    """Return where a job is, as in a traceback.

    Raises:
        JobNotRunningError: it has not begun, or has ended.
        NotSupportedError: it runs where nobody can be asked.
        WaitTimeoutError: there is no answer.
    """
    title = record.spec.title
    run = engine.runs.get(record.id)  # also of one that has failed, and whose work goes on
    if run is None:
        raise JobNotRunningError(f"job {title!r} is {record.status.value}: it has no stack now")
    execution = run.execution
    if execution is None:
        raise JobNotRunningError(f"job {title!r} has no stack yet: it is being started")
    if not isinstance(execution, TellsStack):
        executor = getattr(record.spec.executor, "name", "its executor")
        raise NotSupportedError(
            f"where job {title!r} is cannot be asked: {executor!r} does not tell; jobs in this "
            "kernel's own workers, threads, coroutines and plugins do"
        )
    answers: SimpleQueue[tuple[Sequence[Stack] | None, str]] = SimpleQueue()
    execution.ask_stack(lambda found, why: answers.put((found, why)))
    try:
        found, why = answers.get(timeout=PATIENCE)
    except Empty:
        raise WaitTimeoutError(
            f"job {title!r} does not answer: for {PATIENCE:g} s its code has let no other thread "
            "of its process run, as C code does that holds the GIL; or the process is stopped"
        ) from None
    if found is None:
        raise JobNotRunningError(f"job {title!r} has no stack now: {why}")
    secrets = record.spec.secrets
    text = text_of(found)
    return text if secrets is None else secrets.hide(text)


def text_of(stacks: Sequence[Stack]) -> str:
    """Put stacks as Python does: the innermost call last, with its line where that is known."""
    parts: list[str] = []
    for one in stacks:
        if len(stacks) > 1:
            parts.append(f"{one.name}:\n")
        for file in {file for file, _, _ in one.frames}:
            linecache.checkcache(file)
        frames = [traceback.FrameSummary(*frame) for frame in one.frames]
        parts += traceback.StackSummary.from_list(frames).format() or [f"  {NOTHING}"]
    return "".join(parts) or NOTHING
