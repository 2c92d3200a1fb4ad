"""A plugin that logs in every way, at import, too, and configures logging in every way."""

from __future__ import annotations

import contextlib
import io
import logging
import logging.config
import os
import sys
import warnings
from typing import Any

logger = logging.getLogger("talker")
logger.info("imported")


class Talker:
    """`configure` of its configuration is done in `initialize`; `execute` says and does things."""

    name = "talker"
    version = "1"

    def __init__(self) -> None:
        logger.info("made")

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        logger.info("configured")
        if name := (config or {}).get("configure"):
            getattr(self, f"configure_{name}")()

    def execute(self, act: str, *args: Any) -> Any:
        return getattr(self, f"do_{act}")(*args)

    # -- what a call does ------------------------------------------------------------------------

    def do_say(self, text: str, level: int = logging.INFO, name: str = "talker") -> None:
        logging.getLogger(name or None).log(level, "%s", text)

    def do_configure(self, name: str) -> None:
        getattr(self, f"configure_{name}")()

    def do_module_functions(self) -> None:
        logging.info("by the module")
        logging.warning("of the module")

    def do_fail(self) -> None:
        try:
            raise LookupError("on purpose")
        except LookupError:
            logger.exception("it went wrong")

    def do_warn(self) -> None:
        warnings.warn("take care", UserWarning, stacklevel=1)

    def do_badly_formatted(self) -> None:
        logger.info("%d of %d", "x")

    def do_odd_text(self) -> None:
        logger.info("\udcff\0 ü")

    def do_redirected(self) -> str:
        with contextlib.redirect_stderr(io.StringIO()) as text:
            logger.info("elsewhere")
        logger.info("here")
        return text.getvalue()

    def do_without_a_stream(self, how: str) -> None:
        if how == "none":
            sys.stderr = None
        elif how == "closed":
            sys.stderr.close()
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        logger.info("said anyway")

    def do_bar(self) -> None:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        for number in tqdm(range(2), desc="bar"):
            logger.info("in the bar %d", number)
        with logging_redirect_tqdm():
            logger.info("beside the bar")

    # -- ways to configure logging ---------------------------------------------------------------

    def configure_basic(self) -> None:
        logging.basicConfig(format="mine: %(message)s")

    def configure_debug(self) -> None:
        logging.basicConfig(level=logging.DEBUG, format="mine: %(message)s")

    def configure_force(self) -> None:
        logging.basicConfig(level=logging.INFO, format="mine: %(message)s", force=True)

    def configure_twice(self) -> None:
        self.configure_basic()
        logging.basicConfig(format="not taken: %(message)s")

    def configure_wrongly(self) -> None:
        both: Any = {"stream": sys.stderr, "handlers": []}
        with contextlib.suppress(ValueError):
            logging.basicConfig(**both)

    def configure_quiet(self) -> None:
        logging.getLogger().setLevel(logging.ERROR)

    def configure_root_handler(self) -> None:
        self._handle(logging.getLogger(), sys.stdout)

    def configure_own_handler(self) -> None:
        self._handle(logger, sys.stderr)

    def configure_strict_handler(self) -> None:
        self._handle(logger, sys.stderr).setLevel(logging.ERROR)

    def configure_no_propagation(self) -> None:
        self._handle(logger, sys.stderr)
        logger.propagate = False

    def configure_null(self) -> None:
        logger.addHandler(logging.NullHandler())

    def configure_file(self) -> None:
        logger.addHandler(logging.FileHandler(os.devnull))

    def configure_dictionary(self) -> None:
        handler = {"class": "logging.StreamHandler", "formatter": "mine"}
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"mine": {"format": "mine: %(message)s"}},
                "handlers": {"one": handler},
                "root": {"level": "INFO", "handlers": ["one"]},
            }
        )

    def configure_dictionary_of_its_own(self) -> None:
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"one": {"class": "logging.StreamHandler"}},
                "loggers": {"other": {"handlers": ["one"]}},
            }
        )

    @staticmethod
    def _handle(one: logging.Logger, stream: Any) -> logging.Handler:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("mine: %(message)s"))
        one.addHandler(handler)
        return handler
