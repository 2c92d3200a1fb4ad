"""Reads where threads and tasks of this process are, for jobs that run in them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from types import FrameType
from typing import Any

from ..child.stacks import Frame, frames_of, is_machinery, of_the_job
from ..protocols import Stack

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MOST_TASKS = 20  # that are looked at, of those that one task waits for
_PLACES = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def of_thread(thread: threading.Thread) -> Stack:
    """Return where a thread is."""
    frames = of_the_job(frames_of(sys._current_frames().get(thread.ident or 0)), OURS)
    return _stack(thread.name, frames, asks_itself=thread is threading.current_thread())


def of_task(task: asyncio.Task[Any]) -> list[Stack]:
    """Return where a task is, and the tasks that it waits for."""
    left, found = [task], list[Stack]()
    seen = set[asyncio.Task[Any]]()
    while left and len(found) < MOST_TASKS:
        one = left.pop(0)
        if one in seen or one.done():
            continue
        seen.add(one)
        frames, is_running = _frames_of_coroutine(one.get_coro())
        found.append(_stack(one.get_name(), of_the_job(frames, OURS), asks_itself=is_running))
        left += _awaited_by(one)
    return found


def _stack(name: str, frames: list[Frame], *, asks_itself: bool) -> Stack:
    """Make the value; without the frames of whoever asks, if that is the job itself."""
    while asks_itself and frames and is_machinery(frames[-1][0], OURS):
        frames = frames[:-1]
    return Stack(name, tuple(frames))


def _frames_of_coroutine(awaited: Any) -> tuple[list[Frame], bool]:
    """List the frames of a coroutine and of what it awaits; whether it runs right now."""
    found: list[Frame] = []
    while awaited is not None:
        names = _names_of(awaited)
        if names is None:  # a step of an asynchronous generator, which names it nowhere
            held = gc.get_referents(awaited)
            awaited = next((one for one in held if _names_of(one) is not None), None)
            names = _names_of(awaited)
        frame: FrameType | None = None if names is None else getattr(awaited, names[0])
        if names is None or frame is None:
            break
        inner = getattr(awaited, names[1])
        if inner is None and (running := _running_from(frame)):
            return found + running, True
        found.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname))
        awaited = inner
    return found, False


def _names_of(awaited: object) -> tuple[str, str] | None:
    return next((both for both in _PLACES if hasattr(awaited, both[0])), None)


def _running_from(frame: FrameType) -> list[Frame]:
    """List the frames from this one on in the thread that executes it; none if no thread does."""
    for innermost in sys._current_frames().values():
        above: FrameType | None = innermost
        inner = 1
        while above is not None and above is not frame:
            above, inner = above.f_back, inner + 1
        if above is frame:
            return frames_of(innermost)[-inner:]
    return []


def _awaited_by(task: asyncio.Task[Any]) -> list[asyncio.Task[Any]]:
    """List the tasks that it waits for, itself or with `gather`."""
    waiter = getattr(task, "_fut_waiter", None)
    waiters = [waiter, *(getattr(waiter, "_children", None) or ())]
    return [one for one in waiters if isinstance(one, asyncio.Task)]
