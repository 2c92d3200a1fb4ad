"""Runs a cell of a notebook in a worker, with the names that it brought. Standard library only."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any

from .byvalue import MAIN
from .displays.display import show_what_is_left
from .loading import is_of_a_job


class Cell:
    """The code of a cell: called with the names that it reads, it returns those that are wanted.

    Args:
        code: of all its statements but for the last one, if that is to be shown.
        last: of the expression whose value is shown; None where there is none.
        out: the names that are returned.
        name: what the job is called.
        tools: modules, functions and classes that it uses, by their names; what it works on are
            arguments of the call.
        left_out: names of the notebook that the cell may read and that could not be sent, with
            the reason.
    """

    def __init__(
        self,
        code: CodeType,
        last: CodeType | None,
        out: Sequence[str],
        name: str,
        tools: Mapping[str, object],
        left_out: Mapping[str, str],
    ) -> None:
        # As functions without variables, by which their source finds its way to the worker.
        own = {"__name__": MAIN}
        self._parts = [FunctionType(one, own, "cell") for one in (code, last) if one is not None]
        self._shows_last = last is not None
        self._out = tuple(out)
        self._tools = dict(tools)
        self._left_out = dict(left_out)
        self.__qualname__ = name

    def __call__(self, /, **names: Any) -> Any:
        """Run it; a coroutine if it awaits anything."""
        there = _variables()
        there.update(self._tools)
        there.update(names)
        codes = [part.__code__ for part in self._parts]
        if any(code.co_flags & inspect.CO_COROUTINE for code in codes):
            return self._run_awaiting(codes, there)
        value = None
        try:
            for code in codes:
                value = eval(code, there)
        except Exception as error:
            self._failed(error)
            raise
        return self._end(value, there)

    async def _run_awaiting(self, codes: Sequence[CodeType], there: dict[str, Any]) -> Any:
        value = None
        try:
            for code in codes:
                value = eval(code, there)
                if code.co_flags & inspect.CO_COROUTINE:
                    value = await value
        except Exception as error:
            self._failed(error)
            if type(error) is TypeError and "await" in str(error) and hasattr(error, "add_note"):
                error.add_note("a job of the notebook is its result here, and is not awaited")
            raise
        return self._end(value, there)

    def _end(self, value: object, there: Mapping[str, Any]) -> dict[str, Any]:
        if self._shows_last and value is not None:
            vars(builtins).get("display", print)(value)
        if is_of_a_job(sys.modules.get(MAIN)):
            show_what_is_left()
        missing = [name for name in self._out if name not in there]
        if missing:
            raise NameError(
                f"the cell has ended without {', '.join(map(repr, missing))}, which --out names"
            )
        return {name: there[name] for name in self._out}

    def _failed(self, error: Exception) -> None:
        """Show what there is, and say of a name that is missing why it is."""
        if is_of_a_job(sys.modules.get(MAIN)):
            show_what_is_left()
        if not isinstance(error, NameError):
            return
        why = self._left_out.get(getattr(error, "name", None) or "")
        if why is not None and hasattr(error, "add_note"):
            error.add_note(f"the notebook has one, which was not sent: {why}")


def _variables() -> dict[str, Any]:
    """Return the variables of the job's `__main__`; new ones where that is the kernel's own."""
    main = sys.modules.get(MAIN)
    if is_of_a_job(main):
        return vars(main)
    return {"__name__": MAIN, "__builtins__": builtins}
