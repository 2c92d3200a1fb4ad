"""The table of failures: what an exception, a text or a death is, before anything runs."""

from __future__ import annotations

import builtins
import json
import random

import pytest

from jobqueue_widget._core.jobs import JobFailure
from jobqueue_widget._core.texts.causes import (
    BY_NAME,
    CATEGORIES,
    kinds_from,
    stated_as_plain,
    stated_from,
)
from jobqueue_widget._persistence.codec import failure_as_json, failure_from_json
from jobqueue_widget._runtime.failures import failure_of
from jobqueue_widget.child import wire
from tests.failures import CASES, Case, told


def failed(source: str) -> JobFailure:
    """As what runs in this process fails."""
    try:
        exec(source, {})
    except BaseException as error:
        return failure_of(error)
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_put_into_its_category(name: str) -> None:
    case = CASES[name]
    failure = failed(case.source)
    assert told(failure) == case[1:]


@pytest.mark.parametrize("name", CASES)
def test_a_journal_keeps_what_a_failure_is(name: str) -> None:
    failure = failed(CASES[name].source)
    kept = failure_from_json(failure_as_json(failure))
    assert kept == failure
    assert told(kept) == told(failure)


def test_a_failure_of_an_older_journal_is_known_by_its_type() -> None:
    kept = failure_from_json('{"type_name": "FileNotFoundError", "message": "gone"}')
    assert kept.category == "user_input"
    assert failure_from_json('{"type_name": "Strange"}').category is None
    killed = '{"type_name": "WorkerDied", "message": "x", "signal_name": "SIGSEGV"}'
    assert failure_from_json(killed).category == "fatal"


EVERY = [
    one
    for one in vars(builtins).values()
    if isinstance(one, type) and issubclass(one, Exception) and not issubclass(one, Warning)
]


@pytest.mark.parametrize("base", EVERY, ids=lambda one: one.__name__)
def test_a_subclass_is_what_its_nearest_known_class_is(base: type[Exception]) -> None:
    some: tuple[object, ...] = ()
    if base is ExceptionGroup:
        some = ("some", [ValueError("one")])
    make = {"__new__": lambda cls: base.__new__(cls, *some), "__init__": lambda self: None}
    own = type("Own", (type("Between", (base,), {}),), make)
    known = [one.__name__ for one in base.__mro__ if one.__name__ in BY_NAME]
    expected = BY_NAME[known[0]] if known else None
    assert failure_of(own()).category == expected


def test_no_name_is_in_two_categories() -> None:
    from jobqueue_widget._core.texts import causes

    names = [name for text in causes._NAMES.values() for name in text.split()]
    assert len(names) == len(set(names))
    assert set(causes._NAMES) == set(CATEGORIES)


def odd_value(dice: random.Random, depth: int = 0) -> object:
    scalars = (None, True, 7, -1, 1e400, float("nan"), "resource", "\ud800", "x" * 10_000, b"y")
    if depth > 2 or dice.random() < 0.6:
        return dice.choice(scalars)
    if dice.random() < 0.5:
        return [odd_value(dice, depth + 1) for _ in range(dice.randint(0, 3))]
    keys = ("category", "retriable", "retry_after", "shortfall", "gpu_mib", "disk_mb", 3)
    return {dice.choice(keys): odd_value(dice, depth + 1) for _ in range(dice.randint(0, 4))}


@pytest.mark.parametrize("seed", range(300))
def test_whatever_a_worker_tells_is_read_without_an_error(seed: int) -> None:
    dice = random.Random(seed)
    failure = JobFailure(
        "X", "no", kinds=kinds_from(odd_value(dice)), stated=stated_from(odd_value(dice))
    )
    assert failure.category in (None, *CATEGORIES)
    assert isinstance(failure.retriable, bool)
    amounts = (failure.shortfall or {}).values()
    assert all(0 < amount < float("inf") for amount in amounts)
    assert stated_from(json.loads(json.dumps(stated_as_plain(failure.stated)))) == failure.stated


class Hostile(Exception):
    """Every attribute that is read of it raises, or never ends."""

    def __getattribute__(self, name: str) -> object:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise KeyboardInterrupt(name)


class Meta(type):
    @property
    def __mro__(cls) -> object:  # type: ignore[override]
        raise SystemExit("no")


class Metal(Exception, metaclass=Meta):
    """Its class cannot be asked what it is."""


@pytest.mark.parametrize("error", [Hostile("x"), Metal("x")], ids=["hostile", "metal"])
def test_what_an_exception_is_can_be_asked_of_any(error: BaseException) -> None:
    nature = wire.nature_of(error)
    json.dumps(nature)
    assert "stated" not in nature


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (JobFailure("ImpossibleRequest", "needs 9"), Case("", "resource")),
        (JobFailure("TimeLimitExceeded", "time limit 3 s"), Case("", "transient", True)),
        (JobFailure("KernelDied", "interrupted by kernel exit"), Case("", "transient", True)),
        (JobFailure("WorkerDied", "forced", signal_name="SIGKILL"), Case("", None)),
        (JobFailure("PluginLoadError", "no"), Case("", "fatal")),
        (JobFailure("PluginLoadError", "no", kinds=("OSError",)), Case("", "transient", True)),
        (JobFailure("SomethingElse", "no"), Case("", None)),
    ],
    ids=str,
)
def test_our_own_refusals_have_a_category(failure: JobFailure, expected: Case) -> None:
    assert told(failure) == expected[1:]
