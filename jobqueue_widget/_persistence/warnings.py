"""Warns about a journal, at the line of the user's that called us."""

from __future__ import annotations

import logging
import sys
import warnings

from ..errors import JournalWarning

logger = logging.getLogger(__name__)
_PACKAGE = f"{__name__.partition('.')[0]}."


def warn(text: str) -> None:
    """Warn at the line that called us; where warnings are errors, write a line to the log.

    It is called on any thread and in the middle of a transition, so it must not raise.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(text, JournalWarning, stacklevel=level)
    except JournalWarning:
        logger.warning("%s", text)
