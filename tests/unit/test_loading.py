"""What is read never changes a class that lives here, and a job gets what it brought."""

from __future__ import annotations

import dataclasses
import functools
import gc
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from jobqueue_widget.child import byvalue, loading

SOURCE = """
import abc, dataclasses, enum, functools, typing
born = []
class Base:
    def __init_subclass__(cls): born.append(cls.__name__)
class Plain(Base):
    rate, seen = 1, []
    def told(self): return "then"
class Meta(type):
    def __setattr__(cls, name, value): raise AttributeError("it is closed")
class Closed(metaclass=Meta): rate = 1
class Abstract(abc.ABC):
    rate = 1
    @abc.abstractmethod
    def told(self): ...
class Color(enum.Enum): RED = 1; GREEN = 2
class Flag(enum.Flag): A = 1; B = 2
@dataclasses.dataclass
class Data:
    x: int = 1
    y: list = dataclasses.field(default_factory=list)
    _: dataclasses.KW_ONLY
    z: int = 3
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen: x: int = 1
class Named(typing.NamedTuple): x: int = 1
class Failure(Exception):
    rate = 1
    def __init__(self, code=1, *, why="?"):
        super().__init__(f"failed with {code}")
        self.code, self.why = code, why
class Outer:
    class Inner: rate = 1
class Sub(Plain): pass
T = typing.TypeVar("T")
class Generic(typing.Generic[T]): rate = 1
"""
KINDS = ["Plain", "Closed", "Abstract", "Data", "Frozen", "Named", "Failure", "Outer"]
KINDS += ["Sub", "Generic"]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of `__main__`, in which a cell has run."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    run(vars(module), SOURCE)
    yield vars(module)
    gc.collect()


def run(names: dict[str, Any], source: str, cell: str = "cell") -> None:
    exec(compile(source, cell, "exec"), names)


def state_of(kind: type) -> dict[str, object]:
    return {name: one for name, one in vars(kind).items() if not name.startswith("_abc")}


@pytest.mark.parametrize("name", KINDS)
def test_a_living_class_is_as_it_was_whatever_is_read(name: str, notebook: dict[str, Any]) -> None:
    kind = notebook[name]
    data = byvalue.dumps([kind, Exception()])
    if name != "Closed":
        kind.rate, kind.late = 99, 1
        kind.told = lambda self: "now"
    before, born = state_of(kind), list(notebook["born"])
    assert loading.load(data)[0] is kind
    assert state_of(kind) == before
    assert notebook["born"] == born


def test_members_of_a_living_enum_are_the_very_ones(notebook: dict[str, Any]) -> None:
    color, flag = notebook["Color"], notebook["Flag"]
    color.RED.note = "kept"
    data = byvalue.dumps((color.RED, flag.A | flag.B, color))
    assert loading.load(data) == (color.RED, flag.A | flag.B, color)
    assert loading.load(data)[0] is color.RED
    assert color.RED.note == "kept"


def test_what_stands_for_nothing_is_itself_on_both_sides(notebook: dict[str, Any]) -> None:
    values = [dataclasses.MISSING, dataclasses.KW_ONLY, vars(dataclasses)["_HAS_DEFAULT_FACTORY"]]
    values += [vars(functools)["_initial_missing"]]
    assert all(a is b for a, b in zip(loading.load(byvalue.dumps(values)), values, strict=True))
    loading.load(byvalue.dumps(notebook["Data"]))
    run(notebook, "@dataclasses.dataclass\nclass More(Data): w: int = 5\nmore = repr(More(1))")
    assert notebook["more"] == "More(x=1, y=[], z=3, w=5)"


IN_A_WORKER = """
import sys; sys.path[:0] = {path!r}
from jobqueue_widget.child import byvalue, loading
for place in range(2):
    with loading.Main() as main:
        job = loading.Loading(main)
        f, args, _ = loading.load_call(*{jobs!r}[place], {{}}, job)
        print(f(*args))
"""


def test_each_job_gets_classes_of_its_own_as_they_were_submitted(notebook: dict[str, Any]) -> None:
    run(
        notebook,
        """
def f(plain):
    old = (Plain.rate, hasattr(Plain, "extra"), hasattr(Plain, "left"), type(plain) is Plain)
    Plain.left, Plain.rate = 1, -1
    return old
""",
    )
    kind = notebook["Plain"]
    kind.extra = 1
    jobs = [(byvalue.pack_function(notebook["f"])[0], byvalue.pack_call((kind(),), {}).getvalue())]
    del kind.extra
    kind.rate = 99
    jobs += [(byvalue.pack_function(notebook["f"])[0], byvalue.pack_call((kind(),), {}).getvalue())]
    code = IN_A_WORKER.format(path=sys.path, jobs=jobs)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, True, False, True)\n(99, False, False, True)\n", done.stderr


@pytest.fixture
def foreign(notebook: dict[str, Any]) -> Callable[[str], bytes]:
    """Pickles an expression as the notebook had it in a kernel that is gone."""

    def pickled(expression: str) -> bytes:
        data = byvalue.dumps(eval(expression, notebook))
        for name in ["Base", *KINDS, "Color", "Flag"]:
            notebook.pop(name, None)
        cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
        return data

    return pickled


def test_what_fails_while_it_is_read_leaves_no_class_behind(
    foreign: Callable[[str], bytes],
) -> None:
    data = foreign("Plain()")
    for end in range(10, len(data), 7):
        with pytest.raises(Exception, match=r"."):
            loading.load(data[:end])
    assert loading.load(data).told() == "then"
    assert type(loading.load(data)) is type(loading.load(data))


entered, finished = threading.Event(), threading.Event()


class Meeting:
    """Reading the first one takes until the second one is read, if that goes on meanwhile."""

    def __reduce__(self) -> tuple[object, ...]:
        return meet, ()


def meet() -> None:
    if not entered.is_set():
        entered.set()
        finished.wait(0.3)


def test_threads_that_read_the_same_new_class_get_one(
    foreign: Callable[[str], bytes], notebook: dict[str, Any]
) -> None:
    notebook["meeting"] = Meeting()
    data, found = foreign("[Plain(), meeting]"), []

    def read() -> None:
        found.append(loading.load(data)[0])

    first = threading.Thread(target=read)
    first.start()
    assert entered.wait(10)
    read()
    finished.set()
    first.join()
    assert len({type(one) for one in found}) == 1
    assert [one.told() for one in found] == ["then", "then"]


@pytest.mark.parametrize("name", [*KINDS[:1], *KINDS[2:], "Color", "Flag"])
def test_a_class_of_a_kernel_that_is_gone_is_the_notebooks_own(
    name: str, foreign: Callable[[str], bytes], notebook: dict[str, Any]
) -> None:
    data = foreign(name)
    before = loading.read(data)
    assert before.value.__name__ == name
    assert not before.is_outdated()
    run(notebook, SOURCE)
    assert before.is_outdated()
    after = loading.read(data)
    assert after.value is notebook[name]
    assert not after.differences
    assert not after.is_outdated()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("Color", "class Color(enum.Enum): RED = 1; GREEN = 3"),
        ("Color", "class Color: pass"),
        ("Data", "@dataclasses.dataclass\nclass Data: x: int = 1"),
        ("Named", "class Named(typing.NamedTuple): x: int = 1; y: int = 2"),
        ("Frozen", "@dataclasses.dataclass\nclass Frozen: x: str = 1"),
        ("Plain", "class Plain: pass"),
    ],
)
def test_a_class_that_differs_is_not_taken_and_that_is_said(
    name: str, changed: str, foreign: Callable[[str], bytes], notebook: dict[str, Any]
) -> None:
    data = foreign(name)
    run(notebook, changed)
    found = loading.read(data)
    assert found.value is not notebook[name]
    [told] = found.differences
    assert told.startswith(f"{name} had the ")


def test_a_pickle_of_ours_is_read_by_others_too(notebook: dict[str, Any]) -> None:
    data = byvalue.pack_function(notebook["Plain"].told)[0]
    assert pickle.loads(data)(None) == "then"


@pytest.mark.parametrize(
    "expression",
    [
        "Failure(7, why='w')",
        "ValueError(1, 2)",
        "UnicodeDecodeError('utf8', b'x', 0, 1, 'r')",
        "FileNotFoundError(2, 'no', 'f')",
        "ImportError('a', name='n')",
        "ExceptionGroup('g', [ValueError(1), Failure(2)])",
        "SystemExit(4)",
    ],
)
def test_an_exception_keeps_what_it_says_and_its_cause(
    expression: str, notebook: dict[str, Any]
) -> None:
    error = eval(expression, notebook)
    error.__cause__ = notebook["Failure"](3)
    error.add_note("noted")
    found = loading.load(byvalue.dumps(error))
    assert (type(found), str(found), repr(found)) == (type(error), str(error), repr(error))
    assert vars(found) == vars(error)
    assert type(found.__cause__) is notebook["Failure"]
    assert found.__cause__.code == 3


def test_a_cause_that_cannot_travel_costs_the_cause_only(notebook: dict[str, Any]) -> None:
    error = notebook["Failure"](7)
    error.__cause__ = ValueError(threading.Lock())
    assert loading.load(byvalue.dumps(error)).__cause__ is None
