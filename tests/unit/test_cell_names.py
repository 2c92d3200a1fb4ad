"""Which names a cell reads before it sets them, and which it sets, told by its code alone."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
import sysconfig
from pathlib import Path

import pytest

from jobqueue_widget._notebook.cell_code import OF_EVERY_MODULE, names_of

# What stands first is read and must be there; what follows "?" is sent if it is there.
CASES = {
    "plain": ("y = x + 1\nx = y", "x"),
    "set before": ("x = 1\nprint(x)", ""),
    "augmented": ("x += 1", "x"),
    "augmented item": ("d['a'] += step", "d step"),
    "attribute": ("obj.field = value", "obj value"),
    "tuple": ("a, (b, *c) = pair\na, b, c", "pair"),
    "chain": ("a = b = c\na, b", "c"),
    "del": ("del x", "x"),
    "deleted and read": ("x = 1\ndel x\nx", "? x"),
    "if, one way": ("if flag:\n    x = 1\nx", "flag ? x"),
    "if, both ways": ("if flag:\n    x = 1\nelse:\n    x = 2\nx", "flag"),
    "if, or it ends": ("if flag:\n    x = 1\nelse:\n    raise E\nx", "flag E"),
    "in a branch, set nowhere": ("if flag:\n    x", "flag x"),
    "loop": ("for i in rows:\n    total = i\ntotal, i", "rows ? total i"),
    "loop reads first": ("for i in rows:\n    print(seen)\n    seen = i", "rows ? seen"),
    "while": ("while n:\n    n -= 1", "n"),
    "while with walrus": ("while (line := read()):\n    line\nline", "read"),
    "try": ("try:\n    x = f()\nexcept E as e:\n    e\nx", "f E ? x"),
    "try, every way": ("try:\n    import a\nexcept E:\n    a = None\na", "E"),
    "finally": ("try:\n    f()\nfinally:\n    x = 1\nx", "f"),
    "name of an error": ("try:\n    f()\nexcept E as e:\n    pass\ne", "f E ? e"),
    "except*": ("try:\n    f()\nexcept* E as e:\n    e", "f E"),
    "with": ("with open_it(path) as file:\n    file", "open_it path"),
    "async": ("async with pool as p:\n    async for x in p:\n        await x", "pool"),
    "import": ("import a.b, c as d\nfrom e import f as g\na, d, g", ""),
    "comprehension": ("[x * k for x in rows if x]", "rows k"),
    "comprehensions keep their names": ("[x for x in rows]\nx", "rows x"),
    "nested comprehension": ("[[f(a, b) for a in b] for b in rows]", "f rows"),
    "two loops": ("[a for b in rows for a in b]", "rows"),
    "dict comprehension": ("{k: v for k, v in pairs}", "pairs"),
    "generator": ("sum_of(x for x in rows)", "sum_of rows"),
    "walrus": ("if (n := size()) > 1:\n    n", "size"),
    "walrus in a comprehension": ("[y for x in rows if (y := x)]\ny", "rows ? y"),
    "function": ("def f(a):\n    b = a\n    return b + c", "c"),
    "function, set before": ("c = 1\ndef f():\n    return c", ""),
    "function, set behind": ("def f():\n    return c\nc = 1\nf()", "? c"),
    "function, local below": ("def f():\n    print(x)\n    x = 1", ""),
    "recursion": ("def f(n):\n    return f(n - 1)", "? f"),
    "defaults": ("def f(a=x, *, b=y, c: int = z): pass", "x y z"),
    "decorator": ("@register(key)\ndef f(): pass", "register key"),
    "annotations": (
        "def f(a: A, *b: B) -> C: pass",
        "A B C" if sys.version_info < (3, 14) else "? A B C",
    ),
    "annotations in texts": ("from __future__ import annotations\ndef f(a: A): pass", "? A"),
    "annotated": ("x: A = v", "v A" if sys.version_info < (3, 14) else "v ? A"),
    "annotated only": ("x: int\nx", "x"),
    "annotated in a function": ("def f():\n    x: A = 1", ""),
    "lambda": ("f = lambda a, b=x: a + b + c", "x c"),
    "closure": ("def f():\n    a = 1\n    def g():\n        return a + b\n    return g", "b"),
    "nonlocal": ("def f():\n    a = 1\n    def g():\n        nonlocal a\n        a += b", "b"),
    "global read": ("def f():\n    global n\n    n += 1", "? n"),
    "global set": ("def f():\n    global n\n    n = 1\nf()\nn", "? n"),
    "global past a closure": (
        "def f():\n    n = 1\n    def g():\n        global n\n        n",
        "n",
    ),
    "class": (
        "class A(Base, metaclass=Meta):\n    size = width\n    def f(self):\n        return size",
        "Base Meta width size",
    ),
    "class reads its own": ("class A:\n    a = 1\n    b = a", ""),
    "class, same name": ("class A:\n    a = a", "a"),
    "class, comprehension": ("class A:\n    n = 2\n    b = [n for _ in rows]", "rows n"),
    "class, its names": ("class A:\n    def f(self): return __class__\n    q = __qualname__", ""),
    "class, private": ("class A:\n    def f(self): return __x", "_A__x"),
    "class in a function": ("def f(a):\n    class B:\n        b = a + c", "c"),
    "f-string": ("f'{a!r:>{width}} {b=}'", "a width b"),
    "match": (
        "match value:\n    case Point(x=0, y=limit): limit\n    case [a, *b]: a, b\n"
        "    case {'k': k, **rest}: k, rest\n    case Kind.A: pass",
        "value Point Kind",
    ),
    "match, any": ("match v:\n    case 1: x = 1\n    case _: x = 2\nx", "v"),
    "match, not any": ("match v:\n    case 1: x = 1\nx", "v ? x"),
    "star": ("print(*rows, **options)", "rows options"),
    "slices": ("a[i:j] = b", "a i j b"),
    "await": ("x = await job\nx", "job"),
    "names of a module": ("__name__, __doc__", ""),
}
if sys.version_info >= (3, 12):
    CASES |= {
        "type parameters": ("def f[T: Bound](x: T) -> T: return x", "Bound"),
        "type parameters of a class": ("class A[T](Base[T]):\n    x: list[T]", "Base"),
        "type alias": ("type Pair[T] = tuple[T, Other]\nPair", "Other"),
    }
SETS = {
    "a = 1\nb: int = 2\nc: int": "a b",
    "import a.b\nfrom c import d as e": "a e",
    "for i in rows:\n    j = i": "i j",
    "[k for k in rows if (w := k)]": "w",
    "def f():\n    global g\n    g = 1\n    h = 2": "f g",
    "class A:\n    b = 1": "A",
    "class A:\n    global b\n    b = 1": "A b",
    "with a as (b, c): pass": "b c",
    "match a:\n    case [b, *c] as d: pass": "b c d",
    "try:\n    pass\nexcept E as e:\n    pass": "e",
    "del a": "a",
    "a.b = c[d] = 1": "",
}


@pytest.mark.parametrize(("cell", "told"), CASES.values(), ids=CASES)
def test_what_is_read_before_it_is_set_is_told(cell: str, told: str) -> None:
    needed, _, wanted = told.partition("?")
    found = names_of(ast.parse(cell))
    own = {name for name in found.reads if not hasattr(builtins, name)}
    assert found.needed & own == set(needed.split())
    assert own - found.needed == set(wanted.split())


@pytest.mark.parametrize(("cell", "told"), SETS.items(), ids=SETS)
def test_what_is_set_is_told(cell: str, told: str) -> None:
    assert names_of(ast.parse(cell)).sets == set(told.split())


def test_the_line_is_that_of_the_first_read() -> None:
    assert names_of(ast.parse("\ndef f():\n    return x\nx\n")).reads == {"x": 3}


def test_star_imports_are_told_with_their_lines() -> None:
    assert names_of(ast.parse("import a\nfrom b import *")).stars == [2]


def by_the_compiler(text: str) -> tuple[set[str], set[str]]:
    """Names of the module that any code in it reads, and that any sets, as `symtable` tells."""
    reads: set[str] = set()
    sets: set[str] = set()
    left = [symtable.symtable(text, "a cell", "exec")]
    while left:
        table = left.pop()
        left += table.get_children()
        for symbol in table.get_symbols():
            if sys.version_info >= (3, 14) and symbol.is_comp_iter():
                continue  # of a comprehension that is compiled into the block around it
            is_set = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
            if table.get_type() == "module" or symbol.is_declared_global():
                sets |= {symbol.get_name()} if is_set else set()
            if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
                reads.add(symbol.get_name())
    return reads, sets


LIBRARY = Path(sysconfig.get_path("stdlib"))
MODULES = sorted(
    path
    for name in ("asyncio", "concurrent", "email", "json")
    for path in (LIBRARY / name).rglob("*.py")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_compiler_tells_the_same_of_real_code(path: Path) -> None:
    """But what the module has set before is not read of the notebook."""
    text = path.read_text(encoding="utf-8")
    found = names_of(ast.parse(text))
    reads, sets = by_the_compiler(text)
    assert found.sets == sets
    assert set(found.reads) <= reads | {"__class__"}
    assert reads - set(found.reads) <= sets | OF_EVERY_MODULE
