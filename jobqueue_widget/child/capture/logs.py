"""Carries how a notebook logs into the workers of its functions: levels, and handlers of streams.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Python 3.9 cannot evaluate these
    Stream = logging.StreamHandler[Any]
    Told = tuple[int, list[tuple[str, int, bool, list[tuple[int, str, str | None, str]]]]]
    # The level of `logging.disable`, and of each logger that is not as new: name, level, whether
    # it propagates, and of each handler of a standard stream: level, format, dates, style.
else:
    Stream = logging.StreamHandler

STYLES = {"PercentStyle": "%", "StrFormatStyle": "{", "StringTemplateStyle": "$"}


def as_configured() -> Told:
    """What of this process's logging is not as it was at its start. Files stay here."""
    root = logging.getLogger()
    told = []
    for name, logger in [("", root), *list(root.manager.loggerDict.items())]:
        if isinstance(logger, logging.Logger) and (
            logger.level or logger.handlers or not logger.propagate
        ):
            own = [] if _sets_itself_up(name) else map(_told, logger.handlers)
            handlers = [one for one in own if one is not None]
            told.append((name, logger.level, logger.propagate, handlers))
    return root.manager.disable, told


def _sets_itself_up(name: str) -> bool:
    """True of a module's logger: what the module does when it is imported, it does in a worker."""
    return name.partition(".")[0] in sys.modules and name != "__main__"


def _told(handler: logging.Handler) -> tuple[int, str, str | None, str] | None:
    stream = getattr(handler, "stream", None)
    if stream is None or all(
        stream is not one for one in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    ):
        return None
    formatter: Any = handler.formatter or logging.Formatter()
    style = STYLES.get(type(getattr(formatter, "_style", None)).__name__, "%")
    words = getattr(formatter, "_fmt", None)
    return handler.level, str(words or "%(message)s"), formatter.datefmt, style


class Configuration:
    """The logging of a worker, which each job finds as the notebook has it."""

    def __init__(self) -> None:
        self._changed: list[tuple[logging.Logger, int, bool, list[logging.Handler]]] = []

    def take_over(self, told: Told) -> None:
        """Undo what the last job has found, and set up what this one shall find."""
        for logger, level, propagates, handlers in self._changed:
            logger.setLevel(level)
            logger.propagate = propagates
            for handler in handlers:
                logger.removeHandler(handler)
        self._changed.clear()
        disabled, loggers = told
        logging.disable(disabled)
        for name, level, propagates, formats in loggers:
            logger = logging.getLogger(name)
            made = [_handler(*one) for one in formats]
            self._changed.append((logger, logger.level, logger.propagate, made))
            logger.setLevel(level)
            logger.propagate = propagates
            for handler in made:
                logger.addHandler(handler)


def _handler(level: int, words: str, dates: str | None, style: Any) -> logging.Handler:
    handler = _ToStderr(level)
    handler.setFormatter(logging.Formatter(words, dates, style))
    return handler


class _ToStderr(Stream):
    """Writes to whatever sys.stderr is now: a job may have closed the one of before."""

    def __init__(self, level: int) -> None:
        logging.Handler.__init__(self, level)

    @property
    def stream(self) -> Any:
        return sys.stderr
