"""Warnings about a journal, said at the line of whoever called us."""

from __future__ import annotations

import logging
import sys
import warnings

from ..errors import JournalWarning

logger = logging.getLogger(__name__)
_PACKAGE = f"{__name__.partition('.')[0]}."


def warn(text: str) -> None:
    """One Python warning, at the line that called us; where warnings are errors, a line in the log.

    It may be said on any thread, in the middle of a transition.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(text, JournalWarning, stacklevel=level)
    except JournalWarning:
        logger.warning("%s", text)
