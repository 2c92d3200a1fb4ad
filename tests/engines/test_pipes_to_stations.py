"""A kernel and a station on one machine: real pipes, real worker processes, no engine."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget.executors.piped_kernel import PipedKernel, open_ends
from jobqueue_widget.executors.piped_station import PipedStation
from jobqueue_widget.worker import wire
from jobqueue_widget.worker.packing import Packer
from jobqueue_widget.worker.unpacking import decode
from tests.conditions import until
from tests.contract import bodies
from tests.contract.subjects import is_alive
from tests.engines import work

SETTINGS: dict[str, Any] = {"env": None, "max_result_bytes": None, "recycle_after": None}
MIB = 1024 * 1024


def make_job(target: Callable[..., object], *args: object) -> dict[str, Any]:
    function, call = Packer().pack(target, args, {})
    told = {"id": "job", "attempt": 1, "name": "job", "fresh": False}
    return {**told, "function": function.data, "source": function.source, "call": call}


class Line:
    """Both ends, as a kernel and a place of an engine make them."""

    def __init__(self) -> None:
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self.ended = False
        self.kernel = PipedKernel(self._hear, self._end)
        names = self.kernel.offer()
        assert names is not None
        self.names = names
        ends = open_ends(names)
        assert ends is not None
        self.station = PipedStation("test", 1, SETTINGS, ends, lambda token: None)

    def _hear(self, news: dict[str, Any]) -> None:
        for token, told in news.items():
            self.heard.setdefault(token, []).append(told)

    def _end(self) -> None:
        self.ended = True

    def end_of(self, token: str) -> dict[str, Any] | None:
        return next((told["end"] for told in self.heard.get(token, []) if "end" in told), None)

    def log_of(self, token: str) -> bytes:
        return b"".join(told.get("log", b"") for told in self.heard.get(token, []))

    async def value_of(self, token: str) -> object:
        await until(lambda: self.end_of(token) or self.ended)
        end = self.end_of(token)
        assert end is not None
        return decode(end["meta"], [memoryview(part) for part in end["parts"]]).value


@asynccontextmanager
async def connected(after: Callable[[Line], None] | None = None) -> AsyncIterator[Line]:
    one = Line()
    if after is not None:
        after(one)
    one.kernel.connect()
    try:
        yield one
    finally:
        one.kernel.close()
        await asyncio.to_thread(one.station.close)


async def test_what_a_job_tells_comes_in_its_order(tmp_path: Path) -> None:
    async with connected() as line:
        line.kernel.send("t", make_job(work.until_released, str(tmp_path)))
        await until(lambda: line.log_of("t") == b"begun\n" and bodies.beats(tmp_path))
        assert line.end_of("t") is None
        bodies.release(tmp_path)
        assert await line.value_of("t") == "released"
        told = [key for news in line.heard["t"] for key in news if key != "phase"]
        assert told[-1] == "end"
        assert {"log", "progress"} <= set(told[:-1])


async def test_one_job_follows_the_other() -> None:
    async with connected() as line:
        for number in range(200):
            line.kernel.send(str(number), make_job(pow, number, 2))
            assert await line.value_of(str(number)) == number**2


async def test_a_job_that_takes_its_time_is_said_to_have_begun(tmp_path: Path) -> None:
    async with connected() as line:
        line.kernel.send("first", make_job(pow, 2, 2))  # the worker is there
        await line.value_of("first")
        line.kernel.send("t", make_job(work.until_quietly_released, str(tmp_path)))
        await until(lambda: line.heard.get("t"))
        assert line.heard["t"] == [{}]
        bodies.release(tmp_path)
        assert await line.value_of("t") is None


async def test_large_arguments_and_results_fit_through() -> None:
    async with connected() as line:
        data = os.urandom(8 * MIB)
        line.kernel.send("t", make_job(work.echo_bytes, data))
        assert await line.value_of("t") == data[::-1]


def block_until_there(path: Path) -> None:
    """With the loop."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_nothing_is_lost_while_the_kernel_does_not_read(tmp_path: Path) -> None:
    async with connected() as line:
        line.kernel.send("t", make_job(work.say_much, str(tmp_path), 3 * MIB))
        block_until_there(tmp_path / "said")
        assert not line.heard
        assert await line.value_of("t") == 3 * MIB
        assert len(line.log_of("t")) == 3 * MIB


async def test_the_end_of_the_kernel_is_the_end_of_its_jobs(tmp_path: Path) -> None:
    async with connected() as line:
        line.kernel.send("t", make_job(work.in_a_c_loop, str(tmp_path)))
        await until(lambda: bodies.pids(tmp_path))
        line.kernel.close()
        await until(lambda: not is_alive(bodies.pids(tmp_path)[0]))


async def test_the_end_of_the_station_is_heard_after_all_that_it_told(tmp_path: Path) -> None:
    async with connected() as line:
        line.kernel.send("t", make_job(work.say_much, str(tmp_path), 10))
        await until(lambda: (tmp_path / "said").exists() and line.heard)
        await line.value_of("t")
        await asyncio.to_thread(line.station.close)
        await until(lambda: line.ended)
        assert not line.kernel.send("late", make_job(pow, 2, 2))


async def test_a_job_that_cannot_be_begun_fails_and_the_next_one_runs() -> None:
    async with connected() as line:
        line.kernel.send("t", {"id": "job", "attempt": 1, "name": "job", "fresh": False})
        await until(lambda: line.end_of("t"))
        end = line.end_of("t")
        assert end is not None
        assert end["meta"][:2] == ["StationFailed", "it could not be begun: KeyError: 'source'"]
        line.kernel.send("next", make_job(pow, 2, 2))
        assert await line.value_of("next") == 4


NO_PICKLE = wire.HEADER.pack(wire.JOB, 0, 9) + b"no pickle"


@pytest.mark.parametrize("garbage", [b"x" * 100, NO_PICKLE], ids=["no-frame", "no-pickle"])
@pytest.mark.parametrize("end", ["news", "jobs"])
async def test_what_is_no_message_ends_the_pipes(end: str, garbage: bytes) -> None:
    async with connected(after=lambda one: inject(one.names[end == "jobs"], garbage)) as line:
        await until(lambda: line.ended)
        assert not line.heard


def inject(name: str, garbage: bytes) -> None:
    """As the other end would, before it is there."""
    fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, garbage)
    os.close(fd)


async def test_the_names_are_of_this_user_only_and_for_a_moment() -> None:
    one = Line()
    folder = Path(one.names[0]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(os.stat(name).st_mode) == 0o600 for name in one.names)
    one.kernel.connect()
    assert not folder.exists()
    one.kernel.close()
    await asyncio.to_thread(one.station.close)


async def test_a_station_elsewhere_opens_nothing(tmp_path: Path) -> None:
    kernel = PipedKernel(lambda news: None, lambda: None)
    names = kernel.offer()
    assert names is not None
    assert open_ends((str(tmp_path / "news"), str(tmp_path / "jobs"))) is None
    elsewhere = str(tmp_path / "nobody reads it")
    os.mkfifo(elsewhere)
    assert open_ends((elsewhere, names[1])) is None
    assert open_ends((names[0], str(tmp_path / "jobs"))) is None
    kernel.close()
    assert not Path(names[0]).parent.exists()
