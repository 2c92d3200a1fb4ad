"""What a job uses over time: a sample a second, of its own processes, thinned."""

from __future__ import annotations

import math
from typing import NamedTuple

from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._core.machine.resources import MachineStats, ProcessMemory
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._runtime.storage.told.samples import Sampler, peak_of, samples_of, usage_of

PID = 4_000
WALL = 1.7e9


class Attempt:
    """An attempt of a job that began at 0."""

    def __init__(self, job: JobRecord | None = None, attempt: int = 1, began: float = 0.0) -> None:
        spec = JobSpec("a", "function", "f", "", (), {})
        self.job = job or JobRecord(spec, 0, 1, 0.0)
        self.job_id = self.job.id
        self.attempt = attempt
        self.job.started_at = WALL + began
        self.over = False


class Seen(NamedTuple):
    ram: float = 100.0
    cpu: float = 0.0
    gpu: dict[int, float] = {}  # noqa: RUF012 - never changed

    def stats(self, pid: int) -> MachineStats:
        held = ProcessMemory(self.ram, self.gpu)
        return MachineStats(1e6, 1e6, 8, processes={pid: held}, cpu_seconds={pid: self.cpu})


def look(sampler: Sampler, run: Attempt, at: float, seen: Seen, pid: int = PID) -> None:
    sampler.note([(run, pid)], seen.stats(pid), at, WALL + at)


def test_nothing_is_kept_of_the_first_second_but_the_peak() -> None:
    sampler, run = Sampler(), Attempt()
    look(sampler, run, 0.4, Seen(900, 1.0))
    assert samples_of(run.job) is None
    assert peak_of(run.job) == {"ram_mib": 900}
    look(sampler, run, 1.4, Seen(100, 1.5))
    assert usage_of(run.job) == {"ram_mib": [(1.4, 100.0)], "cpus": [(1.4, 0.5)]}


def test_looks_that_follow_one_another_quickly_make_one_sample_a_second() -> None:
    sampler, run = Sampler(), Attempt()
    for tenth in range(10, 101):
        look(sampler, run, tenth / 10, Seen(tenth, tenth / 5))
    told = usage_of(run.job)
    assert len(told["ram_mib"]) == 10
    gaps = [b - a for (a, _), (b, _) in zip(told["cpus"], told["cpus"][1:], strict=False)]
    assert all(0.89 <= gap <= 1.1 for gap in gaps)
    assert {value for _, value in told["cpus"]} == {2.0}


def test_processors_are_those_since_the_sample_before() -> None:
    sampler, run = Sampler(), Attempt()
    for at, used in ((1, 50.0), (2, 51.0), (4, 55.0), (5, 55.0), (6, 54.0)):
        look(sampler, run, at, Seen(cpu=used))
    assert usage_of(run.job)["cpus"] == [(2, 1.0), (4, 2.0), (5, 0.0), (6, 0.0)]


def test_another_worker_of_the_same_job_begins_anew() -> None:
    sampler, run = Sampler(), Attempt()
    look(sampler, run, 1, Seen(cpu=70.0))
    look(sampler, run, 2, Seen(cpu=1.0), PID + 1)
    look(sampler, run, 3, Seen(cpu=2.0), PID + 1)
    assert usage_of(run.job)["cpus"] == [(3, 1.0)]
    assert len(usage_of(run.job)["ram_mib"]) == 3


def test_memory_of_gpus_is_there_once_it_is_held_and_falls_to_nothing() -> None:
    sampler, run = Sampler(), Attempt()
    for at, held in ((1, {}), (2, {0: 10.0, 1: 5.0}), (3, {})):
        look(sampler, run, at, Seen(gpu=held))
    assert usage_of(run.job)["gpu_mib"] == [(2, 15.0), (3, 0.0)]


def test_another_attempt_takes_the_place_of_the_one_before() -> None:
    sampler, run = Sampler(), Attempt()
    look(sampler, run, 1, Seen(300))
    second = Attempt(run.job, 2, began=5.0)
    look(sampler, second, 5.5, Seen(10))
    assert len(usage_of(run.job)["ram_mib"]) == 1, "of a try of half a second nothing is kept"
    look(sampler, second, 6.5, Seen(20))
    assert usage_of(run.job)["ram_mib"] == [(1.5, 20.0)]
    assert peak_of(run.job) == {"ram_mib": 300}, "the most of all attempts"


def test_a_run_that_is_over_and_one_that_was_not_seen_get_nothing() -> None:
    sampler, run = Sampler(), Attempt()
    sampler.note([(run, PID)], Seen().stats(PID + 1), 3.0, WALL)
    run.over = True
    look(sampler, run, 4.0, Seen())
    assert run.job.usage is None
    assert usage_of(run.job) == {}
    assert peak_of(run.job) is None
    assert sampler._last == {}


def test_a_day_is_thinned_and_keeps_its_extremes() -> None:
    sampler, run = Sampler(), Attempt()
    for second in range(1, 86_401):
        ram = 9_000.0 if second == 40_321 else 1.0 if second == 51 else 500 + math.sin(second)
        look(sampler, run, second, Seen(ram))
    points = usage_of(run.job)["ram_mib"]
    assert len(points) <= 1_000
    assert {(40_321, 9_000.0), (51, 1.0)} <= set(points)
    assert (points[0][0], points[-1][0]) == (1, 86_400)
