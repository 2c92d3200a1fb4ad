"""Warns, with the cure, where a call of an `async def` method was not awaited."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Call(Coroutine[Any, Any, Result]):
    """A coroutine whose repr, and whose warning when it is lost, name the cure."""

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, Result], cure: str) -> None:
        self._name = name
        self._coroutine = coroutine
        self._cure = cure
        self._begun = self._told = False

    def __repr__(self) -> str:
        return f"<{self._name}(…) has done nothing yet: {self._cure}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Warn if a cell ends in the call: the shell keeps outputs, so `__del__` would not run."""
        printer.text(repr(self))
        self._warn()

    def __del__(self) -> None:
        if not self._begun:
            self._warn()
            self._coroutine.close()  # else Python says once more that it was never awaited

    def _warn(self) -> None:
        if not self._begun and not self._told:
            self._told = True
            text = f"{self._name}(…) did nothing, since it was not awaited: {self._cure}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    def __await__(self) -> Generator[Any, Any, Result]:
        self._begun = True
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Resume the coroutine, for the task that awaits it."""
        self._begun = True
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception in the coroutine."""
        self._begun = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End the coroutine without a warning: somebody knows of it."""
        self._begun = True
        self._coroutine.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)  # `cr_frame` and others, for debuggers


def to_be_awaited(
    cure: str,
) -> Callable[
    [Callable[Given, Coroutine[Any, Any, Result]]], Callable[Given, Coroutine[Any, Any, Result]]
]:
    """Let calls of an `async def` say `cure` where they are not awaited."""

    def decorate(
        function: Callable[Given, Coroutine[Any, Any, Result]],
    ) -> Callable[Given, Coroutine[Any, Any, Result]]:
        @functools.wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Coroutine[Any, Any, Result]:
            return Call(function.__name__, function(*args, **kwargs), cure)

        return call

    return decorate
