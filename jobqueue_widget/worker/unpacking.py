"""Reads how a job ended, as its worker packed it: a value, an error or a stop."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._core.jobs import JobFailure, Outcome
from . import wire

logger = logging.getLogger(__name__)


def decode(meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
    """The outcome that an end frame tells of. Any thread; never raises."""
    kind = meta["kind"]
    if kind != "value":
        exception = None
        if parts:
            try:
                loaded = wire.load(parts)
                exception = loaded if isinstance(loaded, BaseException) else None
            except BaseException as error:
                logger.debug("the exception of a job could not be loaded: %r", error)
        failure = JobFailure(meta["type"], meta["message"], meta["traceback"], exception=exception)
        return Outcome.of_stop(failure) if kind == "cancelled" else Outcome.of_error(failure)
    try:
        if "file" in meta:
            parts = read_spooled(meta["file"])
        if meta["plain"]:
            return Outcome.of_value(wire.load_plain(parts))
        return Outcome.of_value(wire.load(parts))
    except BaseException as error:
        name, message, text = wire.describe(error)
        reason = f"the result came back but cannot be read here: {name}: {message}"
        return Outcome.of_error(JobFailure("UnreadableResult", wire.clean(reason), text))


def read_spooled(path: str) -> list[memoryview]:
    """The parts of a large result, mapped and not read; its file has no name any more."""
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    finally:
        Path(path).unlink(missing_ok=True)
    return wire.split_parts(memoryview(data))
