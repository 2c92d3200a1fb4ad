"""Detached jobs while clocks are set: what they took and what limits them is told truly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jobqueue_widget import JobStatus, read_journal
from jobqueue_widget._runtime.settings import Clock
from tests.conditions import until
from tests.crash.detached import Beats, killed
from tests.crash.processes import alive, pids_in, wait_until
from tests.journals import running

pytestmark = pytest.mark.timeout(120)
HOUR = 3600.0

SITE = """
import time
now = time.time
def stepped():
    try:
        with open({path!r}) as file:
            return now() + float(file.read() or 0)
    except OSError:
        return now()
time.time = stepped
"""


@pytest.fixture
def set_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock by so many seconds, here and in every process that is started here."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SITE.format(path=str(tmp_path / "step")))
    monkeypatch.setenv("PYTHONPATH", str(place))
    by = [0.0]
    clock = partial(Clock, wall=lambda: time.time() + by[0])
    monkeypatch.setattr("jobqueue_widget._runtime.engine.Clock", clock)

    def set_it(seconds: float) -> None:
        by[0] = seconds
        (tmp_path / "step").write_text(str(seconds))

    return set_it


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_limits_and_what_it_took_while_the_clock_is_set(
    tmp_path: Path, set_clock: Callable[[float], None], step: float
) -> None:
    """Set with no kernel there; the next one finds one job running, one ended and two limited."""
    journal = tmp_path / "runs.db"
    beats = [tmp_path / f"beats {number}" for number in range(4)]
    begun = time.monotonic()
    ids = killed(
        journal,
        ("beat", [str(beats[0]), 600], {"deadline": 600.0, "timeout": 600.0}),
        ("beat", [str(beats[1]), 1.0], {"deadline": 600.0}),
        ("beat", [str(beats[2]), 600], {"deadline": 4.0}),
        ("beat", [str(beats[3]), 600], {"timeout": 3.0}),
        after=lambda: all(path.exists() for path in beats),
    )
    set_clock(step)
    pids = [pid for path in beats[1:] for pid in Beats(path).pids]
    wait_until(lambda: not any(map(alive, pids)), 20)
    waited = time.monotonic() - begun
    told = read_journal(journal)
    assert [one.status for one in told] == ["running", "completed", "failed", "failed"]
    async with running(journal) as queue:
        runs, ended, late, limited = (queue[job_id] for job_id in ids)
        await until(lambda: (runs.progress or 0) > 0)
        assert runs.started_at is not None
        assert 0 < time.time() + step - runs.started_at < waited + 5
        await until(lambda: all(one.status.ended for one in (ended, late, limited)))
        assert ended.status is JobStatus.completed
        assert late.error == "DeadlineExceeded: deadline, 4 s after the submit"
        assert limited.error == "TimeLimitExceeded: time limit 3 s"
        for job, least in ((ended, 1.0), (late, 2.0), (limited, 3.0)):
            assert job.started_at is not None
            assert job.completed_at is not None
            assert least <= job.completed_at - job.started_at < waited
        runs.cancel()
        await until(lambda: runs.status.ended)
        assert runs.status is JobStatus.cancelled


async def test_one_that_ended_without_a_kernel_took_as_long_as_it_ran(tmp_path: Path) -> None:
    """And not until the next kernel, also if its process told nothing of its end."""
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    how = ("return", "raise", "die")
    ids = killed(
        journal,
        *[("end_at", [str(go), one], {}) for one in how],
        after=lambda: all((tmp_path / f"go.{one}").exists() for one in how),
    )
    pids = [pid for one in how for pid in pids_in(tmp_path / f"go.{one}")]
    go.touch()
    wait_until(lambda: not any(map(alive, pids)), 20)
    ended = time.time()
    await asyncio.sleep(2.0)  # which is not theirs
    async with running(journal) as queue:
        await queue.join(timeout=20)
        for job_id in ids:
            job = queue[job_id]
            assert job.started_at is not None
            assert job.completed_at is not None
            assert job.started_at <= job.completed_at <= ended + 0.1
