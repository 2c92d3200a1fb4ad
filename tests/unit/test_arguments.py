"""What is shown of a job's arguments: little, on one line, and nothing secret."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._core.texts.hiding import HIDDEN
from jobqueue_widget._secrets.arguments import describe_arguments, shown_arguments
from jobqueue_widget.testing import inspect


def login(user: str, password: str = "", *rest: str, **more: Any) -> None:
    """Takes what must not be shown."""


def spec(*args: Any, secret: bool | frozenset[str] | None = None, **kwargs: Any) -> JobSpec:
    return JobSpec("j-1", "function", login, "login", args, kwargs, JobOptions(secret=secret))


def test_arguments_are_shown_as_they_would_be_typed() -> None:
    assert describe_arguments(spec("ada", "x", lr=0.1)) == f"'ada', {HIDDEN}, lr=0.1"


@pytest.mark.parametrize("make", [bytes, bytearray, lambda data: [data], lambda data: {"a": data}])
def test_a_line_of_large_bytes_shows_both_ends_and_makes_no_text_of_all(make: Any) -> None:
    value = make(b"begin" + bytes(8 << 20) + b"end")
    tracemalloc.start()
    try:
        line = describe_arguments(spec(value))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "b'begin" in line
    assert "end'" in line
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "name", ["password", "api_key", "apikey", "HF_TOKEN", "aws_secret", "Authorization", "passwd"]
)
def test_a_name_that_sounds_secret_hides_its_value(name: str) -> None:
    more: dict[str, Any] = {name: "hunter2"}
    told = describe_arguments(spec("ada", **more))
    assert "hunter2" not in told
    assert f"{name}={HIDDEN}" in told


def test_a_positional_secret_is_known_by_its_parameter() -> None:
    assert shown_arguments(spec("ada", "hunter2"))[0] == ("ada", HIDDEN)


def test_what_was_named_secret_is_hidden_and_the_rest_is_not() -> None:
    args, kwargs = shown_arguments(spec("ada", secret=frozenset({"user", "pin"}), pin=1, lr=2))
    assert args == (HIDDEN,)
    assert kwargs == {"pin": HIDDEN, "lr": 2}


def test_secret_hides_all() -> None:
    assert describe_arguments(spec("ada", 1, pin=2, secret=True)) == (
        f"{HIDDEN}, {HIDDEN}, pin={HIDDEN}"
    )


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_any_value_can_be_shown() -> None:
    told = describe_arguments(spec(Hostile(), rest="a\nb\ud800", more=list(range(10**6))))
    assert "Hostile" in told
    assert "\n" not in told
    told.encode("utf-8")


def test_the_line_is_short_whatever_is_in_it() -> None:
    assert len(describe_arguments(spec(*["x" * 1000] * 1000), limit=80)) <= 80


@pytest.mark.parametrize("length", range(74, 81))
def test_a_line_that_leaves_arguments_out_says_so(length: int) -> None:
    given: dict[str, Any] = {"a" * (length - 2): 1}
    first = describe_arguments(spec(**given), limit=80)
    assert len(first) == length
    whole = f"{first}, b=2"
    told = describe_arguments(spec(**given, b=2), limit=80)
    if len(whole) <= 80:
        assert told == whole
    else:
        start, end = told.split("…")
        assert whole.startswith(start)
        assert whole.endswith(end)
        assert end.endswith("=1, b=2")
        assert len(told) == 80


async def test_the_repr_of_an_argument_is_called_once_and_may_ask_the_queue() -> None:
    calls: list[str] = []

    class Nosy:
        def __repr__(self) -> str:
            calls.append(repr(queue.get_state()["stats"]["total_pending"]))
            return "nosy"

    async with JobQueue() as queue:
        queue.pause()
        job = queue.submit_nowait(anything, Nosy())
        for _ in range(2):
            assert queue.window("pending", 0, 5).rows[0]["args"] == "nosy"
            assert inspect(queue).snapshot()["pending"][0]["args"] == "nosy"
            assert job.as_row()["args"] == "nosy"
        queue.cancel_all("all")
    assert calls == ["1"]


async def anything(*_: object) -> None:
    """Never run here."""


def test_a_table_shows_no_secret() -> None:
    queue = JobQueue()
    with pytest.warns(UserWarning, match="not started"):
        job = queue.submit_nowait(login, "ada", "hunter2", api_key="k")
    assert "hunter2" not in repr(job.as_dict())
    assert "hunter2" not in queue.to_pandas().to_string()
    assert job.args == ("ada", "hunter2")  # the handle is the user's own
