"""Makes of a cell what a worker gets: its code and the variables that it reads, or says why not."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

from .._api.sweeps.references import Handle
from .._runtime.storage.places import holds
from .._runtime.storage.sizes import size_of
from ..child import byvalue
from ..child.cell import Cell
from ..errors import InvalidOptionError, UnpicklableJobError
from ..workers.packing import OF_THE_KERNEL, why_not
from .cell_code import CellNames, names_of

LARGE = 100 * 1024 * 1024  # bytes of variables from which on they are named
WORTH_NAMING = 1024 * 1024
TOOLS = (ModuleType, FunctionType, BuiltinFunctionType, type)
OF_THE_SHELL = frozenset({"exit", "quit"})  # a worker has its own


@dataclass
class Source:
    """A cell as it was parsed."""

    name: str  # of its file, under which tracebacks find its lines
    lines: list[str]  # of its text, with that of the magic first
    tree: ast.Module
    flags: int  # for the compiler: `__future__` as in earlier cells, and `await`
    is_silent: bool  # it ends in a semicolon, so that its last value is not shown

    def line(self, number: int) -> str:
        """Return a line as it is shown of an error."""
        text = self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""
        return f"line {number}: {text}"


class Sending:
    """A cell and what goes with it to the worker; the names in `out` are wanted back.

    Raises:
        NameError: it reads a name that is nowhere.
        InvalidOptionError: what it does has no meaning in a job; or `out` names what it has not.
    """

    def __init__(
        self, source: Source, variables: Mapping[str, Any], out: tuple[str, ...], title: str
    ) -> None:
        self._source = source
        code, last = _compiled(source)
        lazy = bool(source.flags & _lazy_annotations())
        self._found = found = names_of(source.tree, lazy_annotations=lazy)
        self._check(out)
        self.values: dict[str, Any] = {}
        left_out: dict[str, str] = {}
        for name in (*found.reads, *_in_texts(code, last, variables)):
            if name in self.values or name in OF_THE_SHELL:
                continue
            if name not in variables:
                if name in found.needed and not hasattr(builtins, name):
                    self._refuse_missing(name)
                continue
            value = variables[name]
            is_sent = name in found.needed or (name in found.reads and _holds_jobs(value))
            why = None if is_sent else why_not(value)
            if why is None:
                self.values[name] = value
            else:
                left_out[name] = why
        tools = {name: value for name, value in self.values.items() if isinstance(value, TOOLS)}
        self.target = Cell(code, last, out, title, tools, left_out)
        self.arguments = {name: self.values[name] for name in self.values if name not in tools}

    def _check(self, out: tuple[str, ...]) -> None:
        found, source = self._found, self._source
        if found.stars:
            raise InvalidOptionError(
                f"`import *` does not tell which names the cell gets ({source.line(found.stars[0])}"
                "); import the module, or the names that you need"
            )
        if "get_ipython" in found.needed:
            line = source.line(found.reads["get_ipython"])
            raise InvalidOptionError(f"{OF_THE_KERNEL} ({line})")
        for name in out:
            if name not in found.sets and name not in found.reads:
                raise InvalidOptionError(f"--out names {name!r}, which the cell does not set")

    def _refuse_missing(self, name: str) -> NoReturn:
        line = self._source.line(self._found.reads[name])
        error = NameError(
            f"name {name!r} is not defined, neither in the notebook nor before in the cell ({line})"
        )
        error.name = name
        raise error

    def large(self) -> str:
        """Name the variables with their sizes if they are large; else ""."""
        sizes = {name: size_of(value) for name, value in self.values.items()}
        if sum(sizes.values()) < LARGE:
            return ""
        named = sorted(sizes, key=lambda name: -sizes[name])
        told = [
            f"{name} ({type(self.values[name]).__name__}, {sizes[name] / 1024**2:,.0f} MiB)"
            for name in named
            if sizes[name] >= WORTH_NAMING
        ]
        return (
            f"{sum(sizes.values()) / 1024**2:,.0f} MiB go to the worker with this cell: "
            f"{', '.join(told)}; what can be read from a file is better read in the cell"
        )

    def refusal(self, error: UnpicklableJobError) -> UnpicklableJobError:
        """Say which of the variables cannot be sent."""
        for name, value in self.values.items():
            why = None if _holds_jobs(value) else why_not(value)
            if why is not None:
                line = self._source.line(self._found.reads.get(name, 0))
                kind = type(value).__name__
                return UnpicklableJobError(f"the cell reads {name!r} ({kind}): {why} ({line})")
        return error

    @property
    def names(self) -> CellNames:
        """What the cell reads and sets."""
        return self._found


def _holds_jobs(value: object) -> bool:
    """True for a job, or a container of some: their results are sent."""
    return bool(holds([value], (Handle,)))


def _compiled(source: Source) -> tuple[CodeType, CodeType | None]:
    """Return the code of all statements but for a last expression, and that of the expression."""
    body = list(source.tree.body)
    last = body.pop() if body and isinstance(body[-1], ast.Expr) and not source.is_silent else None

    def compiled(tree: ast.AST, mode: str) -> CodeType:
        code: CodeType = compile(tree, source.name, mode, source.flags, dont_inherit=True)  # type: ignore[call-overload]
        return code

    code = compiled(ast.Module(body, []), "exec")
    if not isinstance(last, ast.Expr):
        return code, None
    return code, compiled(ast.Expression(last.value), "eval")


def _lazy_annotations() -> int:
    import __future__

    return __future__.annotations.compiler_flag


def _in_texts(code: CodeType, last: CodeType | None, variables: Mapping[str, Any]) -> list[str]:
    """List variables that texts in the code may name, as in `frame.query("a > @limit")`."""
    found: list[str] = []
    for one in (code, last):
        if one is not None:
            function = FunctionType(one, dict(variables))
            found += [name for name in byvalue.names_in_texts(function) if name in variables]
    return found
