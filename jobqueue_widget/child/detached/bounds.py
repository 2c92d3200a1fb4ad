"""Bounds what a detached job has told and printed while nobody may be there to take it.

Of the log the newest part is kept: what lies before it is freed in the file, which stays as long
as it is, so that no reader has to begin anew. Frames are written anew, each with what later ones
have left of it. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..capture.series import Metrics, readable
from ..displays.account import Account
from ..wire import DISPLAY, HEADER, METRICS, READY, RETURNED, frame, join_parts, split_parts

LOG_KEPT = 32 << 20  # bytes of the newest output that stay; at most twice that is on the disk
BLOCK = 1 << 20  # bytes; parts of this size are freed, whatever the file system's own blocks are
FRAMES_MORE = 8 << 20  # bytes by which frames grow before they are written anew
FREE = 3  # as `fallocate` of Linux is told: free this part, and keep the size


def free_log(fd: int, freed: int) -> int:
    """Free what a log has too much, of which so much was freed; return how much that is now.

    Raises:
        OSError: the file system cannot.
    """
    too_much = (os.fstat(fd).st_size - LOG_KEPT) // BLOCK * BLOCK
    if too_much - freed < LOG_KEPT:
        return freed
    if sys.platform != "linux":
        raise OSError("parts of a file cannot be freed here")
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    part = ctypes.c_int64(freed), ctypes.c_int64(too_much - freed)
    if system.fallocate64(fd, FREE, *part):
        raise OSError(ctypes.get_errno(), "the file system cannot free a part of a file")
    return too_much


def first_kept(fd: int, start: int) -> int:
    """Return where a log goes on at or behind a place in it, if what lies there was freed."""
    if os.fstat(fd).st_size <= LOG_KEPT or not hasattr(os, "SEEK_DATA"):
        return start
    try:
        return os.lseek(fd, start, os.SEEK_DATA)
    except OSError:  # nothing is behind it
        return start


def written_anew(data: bytes, number: int) -> list[Any]:
    """Make frames that tell what these do, as far as later ones have left that.

    Raises:
        ValueError, TypeError, ProtocolError: these are no frames of ours.
    """
    metrics, outputs, found = Metrics(), Account(), []
    for kind, body in _split(data):
        if kind == METRICS:
            metrics.add(readable(json.loads(body)))
        elif kind == DISPLAY:
            told, shown = split_parts(memoryview(body))
            outputs.hear(json.loads(bytes(told)), bytes(shown))
        elif kind in (READY, RETURNED):
            found += frame(kind, 0 if kind == READY else number, [body])
    if metrics.series:
        found += frame(METRICS, number, [json.dumps(metrics.points()).encode()])
    for words, output in outputs.words():
        found += frame(DISPLAY, number, join_parts([json.dumps(words).encode(), output]))
    return found


def _split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + HEADER.size <= len(data):
        kind, _, length = HEADER.unpack_from(data, at)
        at += HEADER.size + length
        if at <= len(data):
            yield kind, data[at - length : at]
