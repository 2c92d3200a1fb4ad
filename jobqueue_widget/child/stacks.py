"""Reads where the threads of a job are right now, as plain values; standard library only."""

from __future__ import annotations

import json
import os
import sys
import threading
from types import FrameType
from typing import Any

from .wire import ANSWER, join_parts

OUTER, INNER = 20, 180  # frames that are told of a deeper stack, from its two ends
HERE = os.path.dirname(os.path.abspath(__file__))

Frame = tuple[str, int, str]
"""File or cell, line, and function."""


def frames_of(innermost: FrameType | None) -> list[Frame]:
    """List the frames of a stack, the outermost first."""
    found: list[Frame] = []
    while innermost is not None:
        code = innermost.f_code
        name = getattr(code, "co_qualname", code.co_name)
        found.append((code.co_filename, innermost.f_lineno or 0, name))
        innermost = innermost.f_back
    found.reverse()
    return found


def of_the_job(frames: list[Frame], ours: str = HERE) -> list[Frame]:
    """Leave out what called the job's code: our files, and how a thread begins."""
    begin = 0
    while begin < len(frames) and is_machinery(frames[begin][0], ours):
        begin += 1
    kept = frames[begin:]
    return kept if len(kept) <= OUTER + INNER else kept[:OUTER] + kept[-INNER:]


def is_machinery(file: str, ours: str) -> bool:
    """True for files in our folder and the one in which threads begin."""
    return file == threading.__file__ or file.startswith(ours)


def answer(worker: Any, number: int, question: str) -> None:
    """Answer `stack <number of the job>`. In a thread: what is looked at may be let go here."""
    args = (worker, number, question.partition(" ")[2])
    name = "jobqueue-stack"
    try:
        threading.Thread(target=_answer, args=args, daemon=True, name=name).start()
    except RuntimeError as error:
        _send(worker, number, {"error": f"its worker has no room for a thread ({error})"}, [])


def _answer(worker: Any, number: int, job: str) -> None:
    context = worker.body.context
    if context is None or str(context.number) != job:
        _send(worker, number, {"error": "it has just ended"}, [])
        return
    main = threading.main_thread()
    own = {*worker.threads, threading.current_thread()}
    threads = [main, *(one for one in threading.enumerate() if one not in own)]
    places = sys._current_frames()
    told = [(one.name, of_the_job(frames_of(places.get(one.ident or 0)))) for one in threads]
    del places
    if worker.body.context is not context:  # it may be the next job that was seen
        _send(worker, number, {"error": "it has just ended"}, [])
        return
    _send(worker, number, {}, told)


def _send(worker: Any, number: int, meta: dict[str, str], told: list[Any]) -> None:
    parts = [json.dumps(one).encode("utf-8", "backslashreplace") for one in (meta, told)]
    worker.pipes.send(ANSWER, number, join_parts(parts))
