"""Digests of calls: the same in each kernel for the same call, and others for any other one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget._api.sweeps.digest import Digester, NotDigestibleError

REPOSITORY = Path(__file__).parents[2]

VALUES = '''
import collections, dataclasses, datetime, decimal, enum, fractions, functools, operator, pathlib
import re, statistics, types, typing, uuid
import numpy as np
import pandas as pd

class Colour(enum.Enum):
    RED = 1
    GREEN = "g"
    def shout(self): return self.name.upper()

class Mode(enum.Flag):
    A = 1
    B = 2

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 2.5
    tags: frozenset = frozenset({"left", "right", "middle"})
    more: list = dataclasses.field(default_factory=list)

class Net:
    """Has slots, a property and a method that calls the one above."""
    __slots__ = ("size", "names")
    sizes = {"small", "large", "huge"}
    def __init__(self, size): self.size, self.names = size, {"a", "b", "c"}
    @property
    def double(self): return self.size * 2
    @staticmethod
    def twice(x): return x + x
    @classmethod
    def make(cls): return cls(3)

class Deep(Net):
    def __init__(self): super().__init__(9)

class Row(typing.NamedTuple):
    name: str
    count: int = 0

RATE = 0.5
NAMES = {"one": 1, "two": {3, 4, 5}}
def helper(x): return x in {"alpha", "beta", "gamma"} and RATE
def work(path, *, mode=Colour.RED, among=frozenset({"x", "y", "z"})):
    """Says what it does."""
    return helper(path), NAMES, [Point(n) for n in range(3)], Net, mode, statistics.mean([1])
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
@functools.lru_cache(maxsize=4)
def kept(n): return helper(n)
@functools.wraps(work)
def wrapped(*a): return work(*a)
def closing(k):
    seen = {"p", "q", k}
    def inner(n): return n in seen
    return inner
def looks(): return eval("RATE + 1")
async def later(n): return n
module = types.ModuleType("made_here"); module.value = {"u", "v"}
loop = [1, 2]; loop.append(loop)
shared = [1, {"k": "v"}]
rows = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.Categorical(["u", "v", "u"]),
                     "d": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
                     "e": pd.array([1, None, 3], dtype="Int64")}, index=["r", "s", "t"])

VALUES = {
    "none": None, "text": "äöü\\udc80", "bytes": b"xyz", "many": list(range(100)),
    "big": 10**6000, "bigs": [1, 10**6000], "float": [0.1, float("nan"), -0.0], "complex": 1j,
    "set": {"a", "b", "c", "d"}, "sets": {frozenset({"a", "b"}), frozenset({"c"})},
    "dict": {"b": 1, "a": {"z", "y", "x"}}, "ordered": collections.OrderedDict(b=1, a=2),
    "counter": collections.Counter("hello"), "deque": collections.deque([1, {"a", "b"}], 3),
    "default": collections.defaultdict(set, {"a": {"x", "y"}}),
    "path": pathlib.Path("a/b.wav"), "date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "decimal": decimal.Decimal("1.10"), "fraction": fractions.Fraction(1, 3),
    "uuid": uuid.UUID(int=7), "regex": re.compile("a+", re.I), "range": range(3), "slice": slice(2),
    "colour": Colour.GREEN, "mode": Mode.A | Mode.B, "point": Point(1, more=[{"a", "b"}]),
    "net": Net(4), "deep": Deep(), "row": Row("n", 2), "Row": Row, "Net": Net, "Deep": Deep,
    "Point": Point, "Colour": Colour, "work": work, "fact": fact, "even": even, "odd": odd,
    "kept": kept, "wrapped": wrapped, "closing": closing("r"), "looks": looks, "later": later,
    "lambda": lambda x: {"s", "t"}, "partial": functools.partial(work, "p", among={"m", "n"}),
    "method": Net(4).make, "getter": operator.itemgetter(1, 2), "builtin": len,
    "append": [1].append, "mean": statistics.mean, "module": module, "np": np, "loop": loop,
    "shared": [shared, shared], "array": np.arange(12).reshape(3, 4), "float32": np.float32(1.5),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "dtype": np.dtype("i4"),
    "objects": np.array([{"a", "b"}, None, "x"], dtype=object), "empty": np.zeros((0, 3)),
    "records": np.array([(1, "a")], dtype=[("n", "i4"), ("t", "U3")]),
    "times": np.array(["2020-01-01"], dtype="M8[s]"), "masked": np.ma.array([1, 2], mask=[0, 1]),
    "generator": np.random.default_rng(3), "ufunc": np.sin, "strided": np.arange(10)[::2],
    "rows": rows, "column": rows["b"], "categories": rows["c"], "index": rows.index,
    "multi": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", "q"]),
    "stamp": pd.Timestamp("2020-01-01", tz="UTC"), "interval": pd.interval_range(0, 2),
    "zone": pd.Series(pd.date_range("2020-01-01", periods=2, tz="UTC")), "NA": pd.NA,
    "generic": list[int], "union": int | None, "error": ValueError("no", {"a", "b"}),
}
'''

PRINT = """
import json, sys
from jobqueue_widget._api.sweeps.digest import Digester
print(json.dumps({name: Digester().digest(value).hex() for name, value in VALUES.items()}))
"""


def printed(hash_seed: int) -> dict[str, str]:
    paths = [path for path in (os.environ.get("PYTHONPATH"), str(REPOSITORY)) if path]
    found_at = {"PYTHONPATH": os.pathsep.join(paths)}  # another copy of the package may be tested
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), **found_at}
    told = subprocess.run(
        [sys.executable, "-c", VALUES + PRINT], env=env, capture_output=True, check=True
    )
    found: dict[str, str] = json.loads(told.stdout)
    return found


def test_another_kernel_with_another_hash_seed_agrees(seed: int) -> None:
    dice = random.Random(f"{seed} digests")
    first, second = (printed(dice.randrange(1, 2**32 - 1)) for _ in range(2))
    assert first == second
    others = {name: digest for name, digest in first.items() if name not in ("loop",)}
    assert len(set(others.values())) == len(others), "two values that differ have one digest"


def defined(source: str, **variables: object) -> Callable[..., object]:
    """The `f` that a cell defines."""
    namespace: dict[str, Any] = {"__name__": "__main__", **variables}
    exec(compile(source, "cell 1", "exec"), namespace)
    found: Callable[..., object] = namespace["f"]
    return found


def digest(value: object) -> bytes:
    return Digester().digest(value)


BASE = "def f(x, y=1):\n    return x + y + K + g(x)\ndef g(x):\n    return x * 2\nK = 3\n"
SAME = {
    "a comment": "# says nothing\n" + BASE,
    "a line": BASE.replace("    return x + y", "\n\n    return x + y"),
    "what help says": BASE.replace("y=1):\n", "y=1):\n    '''Adds.'''\n"),
    "what help says of what it calls": BASE.replace("g(x):\n", "g(x):\n    '''Doubles.'''\n"),
    "a variable that it does not read": BASE + "L = 5\n",
    "an annotation": BASE.replace("(x, y=1)", "(x: int, y: int = 1) -> int"),
}
CLOSED = BASE.replace("K = 3\n", "").replace("\n", "\n    ")
OTHERS = {
    "its code": BASE.replace("x + y", "x - y"),
    "a constant": BASE.replace("x * 2", "x * 3"),
    "a default": BASE.replace("y=1", "y=2"),
    "a default by name": BASE.replace("(x, y=1)", "(x, *, y=1)"),
    "a global": BASE.replace("K = 3", "K = 4"),
    "the type of a global": BASE.replace("K = 3", "K = 3.0"),
    "what it calls": BASE.replace("x * 2", "x * 2 * 1"),
    "a global that is missing": BASE.replace("K = 3\n", ""),
    "an attribute": BASE + "f.kind = 1\n",
    "what it captures": "def h(K):\n    " + CLOSED + "return f\nf = h(2)\n",
    "a closure": "def h(K):\n    " + CLOSED + "return f\nf = h(1)\n",
}


@pytest.mark.parametrize("what", SAME)
def test_what_changes_nothing_changes_no_digest(what: str) -> None:
    assert digest(defined(SAME[what])) == digest(defined(BASE))


def test_a_docstring_moves_no_constant() -> None:
    """It is the first constant of its function, and bytecode names constants by their numbers."""
    source = "def f(x):\n {}\n def g(x):\n  {}\n  return x * 2.5, 'one'\n return g(x) + 1.5, 'two'"
    plain = digest(defined(source.format("", "")))
    assert digest(defined(source.format("'Computes.'", ""))) == plain
    assert digest(defined(source.format("", "'Doubles it.'"))) == plain


def test_a_docstring_that_is_also_a_value_counts() -> None:
    source = "def f(): '{0}'; return '{0}'"
    assert digest(defined(source.format("one"))) != digest(defined(source.format("two")))


def test_whatever_changes_code_changes_its_digest() -> None:
    digests = {what: digest(defined(source)) for what, source in OTHERS.items()}
    assert digest(defined(BASE)) not in digests.values()
    assert len(set(digests.values())) == len(digests)


CLASS = """
class Base:
    factor = 2
class Model(Base):
    rate: float = 0.5
    def run(self, x): return x * self.factor
    @property
    def size(self): return 1
    @staticmethod
    def of(x): return x
def f(x): return Model().run(x)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("factor = 2", "factor = 3"),
        ("rate: float = 0.5", "rate: float = 0.25"),
        ("rate: float", "rate: int"),
        ("return x * self", "return x + self"),
        ("return 1", "return 2"),
        ("def of(x): return x", "def of(x): return -x"),
        ("class Model(Base)", "class Model"),
    ],
)
def test_a_class_that_goes_along_counts(old: str, new: str) -> None:
    assert digest(defined(CLASS)) != digest(defined(CLASS.replace(old, new)))
    model = digest(defined(CLASS + "f = Model()"))
    assert model != digest(defined(CLASS.replace(old, new) + "f = Model()"))


def changed_once(value: Any, dice: random.Random) -> Any:
    """The same value with one change somewhere inside."""
    if isinstance(value, list):
        place = dice.randrange(len(value) + 1)
        if place == len(value):
            return [*value, 0]
        return [*value[:place], changed_once(value[place], dice), *value[place + 1 :]]
    if isinstance(value, dict):
        name = dice.choice(list(value))
        return {**value, name: changed_once(value[name], dice)}
    if isinstance(value, set):
        return value ^ {dice.choice([1, 2, "a", "b"])}
    if isinstance(value, bool):
        return int(value)
    return value + 1 if isinstance(value, int) else value + "x"


def made(dice: random.Random, depth: int = 3) -> Any:
    kind = dice.randrange(7 if depth else 3)
    if kind == 0:
        return dice.randrange(-5, 5)
    if kind == 1:
        return "".join(dice.choices("abc", k=dice.randrange(4)))
    if kind == 2:
        return dice.random() < 0.5
    if kind == 3:
        return set(dice.sample([1, 2, 3, "a", "b", "c"], 3))
    if kind == 4:
        return {dice.choice("abcdef"): made(dice, depth - 1) for _ in range(3)}
    return [made(dice, depth - 1) for _ in range(dice.randrange(4))]


def test_one_change_anywhere_changes_the_digest(seed: int) -> None:
    for number in range(300):
        dice = random.Random(f"{seed} {number}")
        value = made(dice)
        again = made(random.Random(f"{seed} {number}"))
        assert digest(value) == digest(again)
        assert digest(value) != digest(changed_once(value, dice)), value


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def iter_nothing() -> Iterator[None]:
    yield from ()


def test_equal_mappings_are_equal_in_whatever_order() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    part = [1]
    assert digest([part, part]) == digest([[1], [1]])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (threading.Lock(), "cannot pickle"),
        (iter_nothing(), "cannot pickle"),
        (object(), "a bare object"),
        (nested(4000), "nested too deeply"),
        (defined("def f(): return lock", lock=threading.Lock()), "global variable 'lock' of f"),
    ],
)
def test_what_has_no_stable_digest_is_refused(value: object, why: str) -> None:
    with pytest.raises(NotDigestibleError, match=why):
        digest(value)
