"""Shows a plugin's log records in its log, from INFO on, unless the plugin shows them itself.

Loaded by path in the worker of a plugin; standard library only. The lines are those of the
reference system's workers: `2026-11-29 12:00:00,000 [INFO] text`.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import Any

FORMAT = "%(asctime)s [%(levelname)s] %(message)s"


class ToLog(logging.Handler):
    """The root logger's handler. Writes to whatever sys.stderr is now."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """One record, unless a handler of the plugin shows it at the same place."""
        if self._is_shown(record):
            return
        try:
            text = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except Exception:  # it is None, or closed
            os.write(2, text.encode("utf-8", "backslashreplace"))

    def _is_shown(self, record: logging.LogRecord) -> bool:
        logger: Any = logging.getLogger()
        if record.name != logger.name:
            logger = logger.manager.loggerDict.get(record.name, logger)
        while isinstance(logger, logging.Logger):
            for handler in logger.handlers:
                if handler is not self and record.levelno >= handler.level and _shows(handler):
                    return True
            logger = logger.parent if logger.propagate else None
        return False


def _shows(handler: Any) -> bool:
    """True if it writes to a standard stream; `console` is that of rich."""
    stream = getattr(handler, "stream", None) or getattr(
        getattr(handler, "console", None), "file", None
    )
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return stream is not None and any(stream is one for one in streams)


def show() -> None:
    """Show records from now on, until a plugin configures logging itself."""
    root, handler = logging.getLogger(), ToLog()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    configure = logging.basicConfig

    @functools.wraps(configure)
    def basic_config(**wanted: Any) -> None:
        """It does nothing where the root logger has a handler, but ours is not the plugin's."""
        was_alone = root.handlers == [handler]
        if was_alone:
            root.removeHandler(handler)
        try:
            configure(**wanted)
        finally:
            if was_alone and not root.handlers:
                root.addHandler(handler)

    logging.basicConfig = basic_config
