"""Tells by its code which names a cell reads before it sets them, and which it sets."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

OF_EVERY_MODULE = frozenset(
    {
        *("__name__", "__doc__", "__builtins__", "__package__", "__loader__", "__spec__"),
        *("__annotations__", "__debug__"),
    }
)
OF_EVERY_CLASS = frozenset({"__module__", "__qualname__"})
LAZY_ANNOTATIONS = sys.version_info >= (3, 14)
ENDINGS = (ast.Raise, ast.Return, ast.Continue, ast.Break)
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass
class CellNames:
    """What a cell reads and sets of the names of the notebook."""

    reads: dict[str, int]  # names that it may read before it sets them, and the first line
    needed: set[str]  # those of them without which it fails, as far as its code tells
    sets: set[str]  # the names that it may set
    stars: list[int]  # the lines with `from … import *`


def names_of(tree: ast.Module, *, lazy_annotations: bool = False) -> CellNames:
    """Return what a cell reads and sets.

    `lazy_annotations`: an earlier cell has `from __future__ import annotations`.
    """
    root = _Root(lazy_annotations or LAZY_ANNOTATIONS)
    block = _Block(root, "module")
    block.run(tree.body)
    sets = block.stores | root.stores
    found = CellNames({}, set(), sets, root.stars)
    for read in block.reads:
        line = found.reads.get(read.name, read.line)
        found.reads[read.name] = min(line, read.line)
        certain = read.certain and read.name not in root.stores
        if not read.optional and (certain or read.name not in sets):
            found.needed.add(read.name)
    return found


class _Read(NamedTuple):
    name: str
    line: int
    certain: bool  # nothing that comes before it in the cell may have set it, and it is reached
    optional: bool = False  # in an annotation that nobody may ever evaluate
    of_globals: bool = False  # `global` says so, whatever the blocks around have


@dataclass
class _Root:
    lazy_annotations: bool
    stars: list[int] = field(default_factory=list)
    stores: set[str] = field(default_factory=set)  # by `global` in functions and classes


class _Block(ast.NodeVisitor):
    """One block of code: the cell, or a class, function or comprehension in it."""

    def __init__(self, root: _Root, kind: str, parent: _Block | None = None, cls: str = "") -> None:
        self.root = root
        self.kind = kind
        self.parent = parent
        self.cls = cls  # the class whose private names are meant
        self.reads: list[_Read] = []
        self.stores: set[str] = set()  # that it may set, anywhere
        self.bound: set[str] = set()  # that are set for certain where it is now
        self.maybe: set[str] = set()  # that may be set where it is now
        self.outer: set[str] = set()  # `nonlocal`
        self.of_globals: set[str] = set()  # `global`
        self.depth = 0  # of branches that may be left out
        if kind != "function":
            self.bound |= OF_EVERY_MODULE if kind == "module" else OF_EVERY_CLASS

    # -- reading and setting -------------------------------------------------------------------

    def run(self, body: Iterable[ast.AST]) -> None:
        for node in body:
            self.visit(node)

    def _mangled(self, name: str) -> str:
        if self.cls and name.startswith("__") and not name.endswith("__"):
            return f"_{self.cls.lstrip('_')}{name}"
        return name

    def read(self, name: str, line: int) -> None:
        name = self._mangled(name)
        if name in self.of_globals:
            self.reads.append(_Read(name, line, self.depth == 0, of_globals=True))
        elif self.kind == "function" or name not in self.bound:
            self.reads.append(_Read(name, line, self._is_certain(name)))

    def _is_certain(self, name: str) -> bool:
        return self.depth == 0 and name not in self.maybe

    def bind(self, name: str) -> None:
        name = self._mangled(name)
        if name in self.of_globals:
            self.root.stores.add(name)
            return
        self.stores.add(name)
        self.bound.add(name)
        self.maybe.add(name)

    def take(self, reads: Iterable[_Read], *, now: bool, inside: bool) -> None:
        """Take what an inner block reads of those around it.

        `now`: the block runs where it stands; else it may run later. `inside`: it is inside a class
        if this one is: names of the class are not seen there.
        """
        for read in reads:
            if self.kind == "class" and inside:
                found = read.of_globals or read.name != "__class__"
            elif self.kind == "function":
                found = True
            else:
                found = read.of_globals or read.name not in self.bound
            if found:
                certain = now and read.certain and self._is_certain(read.name)
                self.reads.append(read._replace(certain=certain))

    def free(self) -> list[_Read]:
        """Return what the whole block reads of those around it."""
        if self.kind != "function":
            return self.reads
        own = self.stores - self.of_globals - self.outer
        return [one for one in self.reads if one.of_globals or one.name not in own]

    def _inner(self, kind: str, cls: str | None = None) -> _Block:
        return _Block(self.root, kind, self, self.cls if cls is None else cls)

    # -- names ---------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bind(node.id)
            return
        self.read(node.id, node.lineno)
        if isinstance(node.ctx, ast.Del):
            self.stores.add(self._mangled(node.id))
            self.bound.discard(self._mangled(node.id))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.read(node.target.id, node.lineno)
        self.visit(node.value)
        self.visit(node.target)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.run([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        if self.kind != "function":
            self._annotation(node.annotation)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)
        elif self.kind == "function":
            self.stores.add(self._mangled(node.target.id))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        home: _Block = self
        while isinstance(home, _Comprehension):
            home = home.home
        bound = set(home.bound)
        home.bind(node.target.id)
        if home is not self:  # it may have nothing to go through
            home.bound = bound

    def visit_Global(self, node: ast.Global) -> None:
        if self.kind != "module":
            self.of_globals.update(map(self._mangled, node.names))

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.outer.update(map(self._mangled, node.names))

    def visit_Import(self, node: ast.Import) -> None:
        for one in node.names:
            self.bind(one.asname or one.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for one in node.names:
            if one.name == "*":
                self.root.stars.append(node.lineno)
                continue
            if node.module == "__future__" and one.name == "annotations":
                self.root.lazy_annotations = True
            self.bind(one.asname or one.name)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._capture(node, node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._capture(node, node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._capture(node, node.rest)

    def _capture(self, node: ast.AST, name: str | None) -> None:
        self.generic_visit(node)
        if name is not None:
            self.bind(name)

    def _annotation(self, node: ast.expr | None) -> None:
        if node is None:
            return
        if not self.root.lazy_annotations:
            self.visit(node)
            return
        inner = self._inner("function")
        inner.visit(node)
        found = (one._replace(optional=True) for one in inner.free())
        self.take(found, now=False, inside=False)

    # -- branches ------------------------------------------------------------------------------

    def _branches(self, *bodies: Sequence[ast.AST], all_of_them: bool) -> None:
        """Run bodies of which one is gone through; or none, unless these are `all_of_them`."""
        before, ways = self.bound, []
        self.depth += 1
        for body in bodies:
            self.bound = set(before)
            self.run(body)
            if not (body and isinstance(body[-1], ENDINGS)):
                ways.append(self.bound)
        self.depth -= 1
        if not all_of_them or not ways:
            ways.append(before)
        self.bound = set.intersection(*ways)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse, all_of_them=True)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branches([*node.body, *node.orelse], all_of_them=False)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._branches([node.target, *node.body], node.orelse, all_of_them=False)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.visit(item.optional_vars)
        self.run(node.body)

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        self._branches(
            [*node.body, *node.orelse], *([one] for one in node.handlers), all_of_them=True
        )
        self.run(node.finalbody)

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name is not None:
            self.bind(node.name)
        self.run(node.body)
        if node.name is not None:
            self.bound.discard(self._mangled(node.name))

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        cases: list[list[ast.AST]] = []
        for case in node.cases:
            guard = [case.guard] if case.guard is not None else []
            cases.append([case.pattern, *guard, *case.body])
        last = node.cases[-1]
        is_any = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        self._branches(*cases, all_of_them=is_any and last.guard is None)

    # -- blocks in it --------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.run(node.decorator_list)
        self._defaults(node.args)
        around = self._type_parameters(node)
        for one in _arguments(node.args):
            around._annotation(one.annotation)
        around._annotation(node.returns)
        around._function(node.args, node.body)
        self._end(around)
        self.bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self._function(node.args, [node.body])

    def _defaults(self, args: ast.arguments) -> None:
        self.run(args.defaults)
        self.run(one for one in args.kw_defaults if one is not None)

    def _function(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        inner = self._inner("function")
        for one in _arguments(args):
            inner.bind(one.arg)
        inner.run(body)
        self.take(inner.free(), now=False, inside=True)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.run(node.decorator_list)
        around = self._type_parameters(node)
        around.run([*node.bases, *node.keywords])
        inner = around._inner("class", node.name)
        inner.run(node.body)
        around.take(inner.free(), now=True, inside=True)
        self._end(around)
        self.bind(node.name)

    def visit_TypeAlias(self, node: ast.AST) -> None:
        """Visit `type X = …` of Python 3.12: its value is evaluated when somebody asks for it."""
        name: ast.Name = node.name  # type: ignore[attr-defined]
        around = self._type_parameters(node)
        inner = around._inner("function")
        inner.visit(node.value)  # type: ignore[attr-defined]
        around.take(inner.free(), now=False, inside=False)
        self._end(around)
        self.bind(name.id)

    def _type_parameters(self, node: ast.AST) -> _Block:
        """Return the block that has the type parameters of a definition, or this one."""
        parameters = getattr(node, "type_params", [])
        if not parameters:
            return self
        around = self._inner("function")
        for one in parameters:
            around.bind(one.name)
        for one in parameters:
            around.generic_visit(one)
        return around

    def _end(self, around: _Block) -> None:
        if around is not self:
            self.take(around.free(), now=True, inside=False)

    def _comprehension(self, node: Comprehension) -> None:
        first = node.generators[0]
        self.visit(first.iter)
        inner = _Comprehension(self)
        inner.visit(first.target)
        inner.run(first.ifs)
        for one in node.generators[1:]:
            inner.run([one.iter, one.target, *one.ifs])
        inner.run([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.take(inner.free(), now=True, inside=True)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


class _Comprehension(_Block):
    """The block of a comprehension: what `:=` sets in it belongs to the block around."""

    def __init__(self, home: _Block) -> None:
        super().__init__(home.root, "function", home, home.cls)
        self.home = home


def _arguments(args: ast.arguments) -> list[ast.arg]:
    more = [one for one in (args.vararg, args.kwarg) if one is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *more]
