"""Carries how a notebook logs into the workers of its functions: levels, and handlers of streams.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import logging
import operator
import sys
from collections.abc import Callable
from logging import Logger
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Python 3.9 cannot evaluate these
    Stream = logging.StreamHandler[Any]
    Told = tuple[int, list[tuple[str, int, bool, list[tuple[int, str, str | None, str]]]]]
    # The level of `logging.disable`, and of each logger that is not as new: name, level, whether
    # it propagates, and of each handler of a standard stream: level, format, dates, style.
else:
    Stream = logging.StreamHandler

State = tuple[int, bool, bool, list[Any], list[Any]]
READ = operator.attrgetter("level", "propagate", "disabled", "handlers", "filters")
UNTOUCHED: State = (logging.NOTSET, True, False, [], [])
STYLES = {"PercentStyle": "%", "StrFormatStyle": "{", "StringTemplateStyle": "$"}


class Loggers:
    """The loggers of this process. Any thread; looking again is quick while there are no others."""

    def __init__(self) -> None:
        self._known: tuple[list[Any], list[Logger]] = ([], [])  # the tree, and what is one in it

    def as_configured(self) -> Told:
        """What of this process's logging is not as it was at its start. Files stay here."""
        root = logging.root
        tree: list[Any] = [root, *root.manager.loggerDict.values()]
        known, loggers = self._known
        if tree != known:
            loggers = [one for one in tree if isinstance(one, Logger)]
            self._known = tree, loggers
        changed = [one for one in loggers if one.level or one.handlers or not one.propagate]
        return root.manager.disable, [_configuration(one) for one in changed]


def _configuration(logger: Logger) -> tuple[str, int, bool, list[tuple[int, str, str | None, str]]]:
    name = "" if logger is logging.root else logger.name
    own = [] if _sets_itself_up(name) else map(_told, logger.handlers)
    return name, logger.level, logger.propagate, [one for one in own if one is not None]


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
        self._known: dict[logging.Logger, State] = {}
        self._size = 0
        self._loggers: list[logging.Logger] = []
        self._states: list[State] = []
        self._holes: list[str] = []  # names in the tree that have no logger yet

    def note(self) -> None:
        """Note how the loggers are that are there at the start."""
        self._look(lambda _: True)

    def take_back(self, imported: bool) -> None:
        """Undo what a job has found, and what it has done to loggers.

        A new logger of a module that it has imported stays as it is: the module has set it up.
        """
        if self._changed:
            self._undo()
        tree = logging.root.manager.loggerDict
        if len(tree) != self._size or any(isinstance(tree.get(h), Logger) for h in self._holes):
            self._look(lambda name: imported and _sets_itself_up(name))
        if [*map(READ, self._loggers)] != self._states:
            for one, state in self._known.items():
                if READ(one) != state:
                    level, one.propagate, one.disabled, handlers, filters = state
                    one.handlers, one.filters = list(handlers), list(filters)
                    one.setLevel(level)

    def _look(self, stays: Callable[[str], bool]) -> None:
        """Note the loggers that are new, as they are if they stay so."""
        tree = logging.root.manager.loggerDict
        self._size = len(tree)
        self._holes = [name for name, one in tree.items() if not isinstance(one, Logger)]
        for one in (logging.root, *tree.values()):
            if isinstance(one, Logger) and one not in self._known:
                self._known[one] = _copied(READ(one)) if stays(one.name) else UNTOUCHED
        self._loggers, self._states = list(self._known), list(self._known.values())

    def _undo(self) -> None:
        for logger, level, propagates, handlers in self._changed:
            _set_level(logger, level)
            logger.propagate = propagates
            for handler in handlers:
                logger.removeHandler(handler)
        self._changed.clear()

    def take_over(self, told: Told) -> None:
        """Set up what this job shall find."""
        self._undo()
        disabled, loggers = told
        if logging.root.manager.disable != disabled:
            logging.disable(disabled)
        for name, level, propagates, formats in loggers:
            logger = logging.getLogger(name)
            made = [_handler(*one) for one in formats]
            self._changed.append((logger, logger.level, logger.propagate, made))
            _set_level(logger, level)
            logger.propagate = propagates
            for handler in made:
                logger.addHandler(handler)


def _set_level(logger: Logger, level: int) -> None:
    if logger.level != level:  # else all loggers would forget which levels are enabled
        logger.setLevel(level)


def _copied(state: State) -> State:
    level, propagates, disabled, handlers, filters = state
    return level, propagates, disabled, list(handlers), list(filters)


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
