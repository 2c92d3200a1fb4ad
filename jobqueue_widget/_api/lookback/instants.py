"""Reads the instants that users give."""

from __future__ import annotations

import contextlib
import math
from datetime import datetime

from ...errors import InvalidOptionError
from ..options import as_number


def instant(name: str, given: object) -> float:
    """Return an instant as epoch seconds.

    Raises:
        InvalidOptionError: it is none.
    """
    seconds = math.nan
    with contextlib.suppress(ValueError, OverflowError, OSError):
        seconds = given.timestamp() if isinstance(given, datetime) else as_number(given)
    if not math.isfinite(seconds) or abs(seconds) >= 2**60:
        raise InvalidOptionError(
            f"{name} must be epoch seconds or a datetime, not {type(given).__name__}; "
            f"a day ago: {name}=time.time() - 86_400"
        )
    return seconds
