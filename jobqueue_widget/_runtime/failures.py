"""Puts any exception, however broken, into a JobFailure."""

from __future__ import annotations

from pathlib import Path

from .._core.jobs import JobFailure
from ..worker.wire import describe, nature_of

_OURS = str(Path(__file__).parent.parent)


def failure_of(error: BaseException) -> JobFailure:
    """Type, message and traceback text; the exception itself is kept without its frames.

    Frames hold every local variable of the job: kept, they would keep its memory.
    """
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    hidden = tuple({name for name in frames if name.startswith(_OURS)})
    name, message, text = describe(error, hidden)
    error.__traceback__ = None
    del traceback
    told = {"type": name, "message": message, "traceback": text, **nature_of(error)}
    return JobFailure.of_end(told, error)


__all__ = ["failure_of"]
