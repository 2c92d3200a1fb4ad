"""A queue as the backend of joblib: its calls are jobs, and can be cancelled."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend

from jobqueue_widget import (
    InvalidOptionError,
    Job,
    JobCancelledError,
    JobQueue,
    QueueIdleError,
    QueueStoppedError,
    current_job,
)
from jobqueue_widget.testing import inspect

HERE = os.getpid()


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fail_at(number: int, bad: int) -> int:
    if number == bad:
        raise ValueError(f"no {number}")
    time.sleep(60)
    return number


def backend_here(_: int) -> str:
    return type(get_active_backend()[0]).__name__


def nested(number: int) -> tuple[int, int, set[int], str]:
    found = Parallel(n_jobs=2)(delayed(where)(one) for one in range(number))
    names = Parallel(n_jobs=2)(delayed(backend_here)(one) for one in range(4))
    return os.getpid(), sum(one for one, _ in found), {pid for _, pid in found}, names[0]


def total(numbers: np.ndarray, factor: int) -> float:
    return float(numbers.sum()) * factor


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    with JobQueue(loop="thread", max_running=2) as queue:
        yield queue


def in_a_moment(act: Callable[[], object], condition: Callable[[], object]) -> threading.Thread:
    """Do it in another thread as soon as that is true: this one is in joblib."""

    def run() -> None:
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def all_are_gone(queue: JobQueue) -> None:
    deadline = time.monotonic() + 20
    while queue.jobs("running") or queue.jobs("pending") or inspect(queue).alive.executions:
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- calls are jobs ------------------------------------------------------------------------------


def test_calls_run_as_jobs_in_workers_in_order(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        found = Parallel()(delayed(where)(number) for number in range(60))
        assert [number for number, _ in found] == list(range(60))
        assert HERE not in {pid for _, pid in found}
        jobs = queue.jobs("completed")
        assert 2 <= len(jobs) <= 60
        assert "where 1" in {job.title for job in jobs}
        assert Parallel(n_jobs=-1)([delayed(where)(7)])[0][0] == 7
        assert queue.jobs()[0].title == "where 1 of 1"
    assert type(get_active_backend()[0]).__name__ == "LokyBackend"


def test_lanes_are_its_n_jobs_but_for_one(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        assert effective_n_jobs(-1) == effective_n_jobs(16) == effective_n_jobs() == 2
        assert Parallel(n_jobs=1)(delayed(where)(one) for one in range(3))[0] == (0, HERE)
        with pytest.raises(ValueError, match="n_jobs == 0"):
            Parallel(n_jobs=0)(delayed(where)(one) for one in range(3))


def running_with(_: int, folder: Path, most: int) -> int:
    """Return how many of these run at a time; the first ones wait until that many do."""
    mark, reached = folder / f"run-{os.getpid()}-{time.monotonic_ns()}", folder / "reached"
    mark.touch()
    seen = 0
    deadline = time.monotonic() + 20
    while not reached.exists() and time.monotonic() < deadline:
        seen = max(seen, len(list(folder.glob("run-*"))))
        if seen >= most:
            reached.touch()
        time.sleep(0.005)
    for _ in range(10):  # there may be more yet
        seen = max(seen, len(list(folder.glob("run-*"))))
        time.sleep(0.005)
    mark.unlink()
    return seen


@pytest.mark.parametrize(
    ("n_jobs", "most"), [(2, 2), (3, 3), (-1, 4), (None, 4), (-3, 2), (-4, 1), (-9, 1), (9, 4)]
)
@pytest.mark.parametrize("dispatched", ["2 * n_jobs", "all"])
def test_no_more_run_at_a_time_than_n_jobs_says(
    n_jobs: int | None, most: int, dispatched: str, tmp_path: Path
) -> None:
    with (
        JobQueue(loop="thread", max_running=4) as queue,
        parallel_config(backend="jobqueue", queue=queue),
    ):
        parallel = Parallel(n_jobs=n_jobs, batch_size=1, pre_dispatch=dispatched)
        found = parallel(delayed(running_with)(one, tmp_path, most) for one in range(12))
        assert len(found) == len(queue.jobs("completed")) == 12
        assert max(found) == most


def test_a_queue_of_one_lane_runs_them_as_jobs_too() -> None:
    with (
        JobQueue(loop="thread") as one_lane,
        parallel_config(backend="jobqueue", queue=one_lane),
    ):
        found = Parallel(n_jobs=-1)(delayed(where)(number) for number in range(5))
    assert [number for number, _ in found] == list(range(5))
    assert HERE not in {pid for _, pid in found}


def test_options_are_those_of_its_jobs(queue: JobQueue) -> None:
    given = {"queue": queue, "label": "search", "tags": ["grid"], "priority": 4}
    with parallel_config(backend="jobqueue", **given):
        Parallel(batch_size=2)([delayed(where)(number) for number in range(4)])
    with parallel_config(backend=queue.joblib_backend(label="other")):
        Parallel()([delayed(where)(number) for number in range(2)])
    (first,) = (job for job in queue.jobs() if job.label == "search 1-2 of 4")
    assert (first.tags, first.priority) == (("grid",), 4)
    assert {job.label for job in queue.jobs()} >= {"other 1 of 2", "other 2 of 2"}


def test_the_jobs_of_a_call_are_one_group(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        for _ in range(2):
            Parallel(batch_size=1)(delayed(where)(number) for number in range(3))
    with parallel_config(backend="jobqueue", queue=queue, group="mine"):
        Parallel(batch_size=1)(delayed(where)(number) for number in range(2))
    assert [one.name for one in queue.groups()] == ["where", "where (2)", "mine"]
    assert [len(one) for one in queue.groups()] == [3, 3, 2]
    assert queue.group("where").progress == 1.0


def test_results_come_as_they_end_where_a_generator_is_wanted(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        some = Parallel(return_as="generator")(delayed(where)(one) for one in range(20))
        assert [number for number, _ in some] == list(range(20))
        some = Parallel(return_as="generator_unordered")(delayed(where)(one) for one in range(20))
        assert sorted(number for number, _ in some) == list(range(20))
        with Parallel(n_jobs=2) as parallel:  # one for several calls
            for _ in range(3):
                assert [n for n, _ in parallel(delayed(where)(one) for one in range(4))] == [
                    *range(4)
                ]


def test_large_arrays_are_kept_once(queue: JobQueue) -> None:
    numbers = np.ones(2_000_000)
    with parallel_config(backend="jobqueue", queue=queue):
        queue.pause()
        thread = in_a_moment(queue.resume, lambda: len(queue.jobs("pending")) >= 4)
        found = Parallel(batch_size=1)(delayed(total)(numbers, one) for one in range(8))
        thread.join()
    assert found == [2e6 * one for one in range(8)]


def test_a_nested_call_runs_in_threads_of_its_worker_then_in_one(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        for pid, added, pids, backend in Parallel()(delayed(nested)(one) for one in (3, 4)):
            assert (pid != HERE, added in (3, 6), pids) == (True, True, {pid})
            assert backend == "SequentialBackend"


def test_a_call_in_a_job_of_the_queue_does_not_wait_for_its_own_lane() -> None:
    with JobQueue(loop="thread", executor="thread") as queue:

        def search() -> list[tuple[int, int]]:
            with parallel_config(backend="jobqueue", queue=queue):
                return list(Parallel()(delayed(where)(one) for one in range(3)))

        job = queue.submit_nowait(search)
        queue.wait(job, timeout=20)
        assert job.result == [(one, HERE) for one in range(3)]


# -- and end --------------------------------------------------------------------------------------


def test_what_a_call_raises_comes_with_its_place_and_ends_the_others(queue: JobQueue) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        with pytest.raises(ValueError, match="no 1") as raised:
            Parallel(batch_size=1)(delayed(fail_at)(number, 1) for number in range(6))
        assert "in fail_at" in "".join(raised.value.__notes__)
        all_are_gone(queue)
        assert {job.status.value for job in queue.jobs()} == {"failed", "cancelled"}
        assert Parallel()(delayed(where)(one) for one in range(2))[1][0] == 1, "it goes on"


@pytest.mark.parametrize("which", ["running", "pending"])
def test_cancelling_a_job_ends_the_call_and_leaves_nothing(queue: JobQueue, which: str) -> None:
    def cancel() -> None:
        queue.jobs(which)[0].cancel(reason="seen enough")

    thread = in_a_moment(cancel, lambda: len(queue.jobs("running")) == 2 and queue.jobs("pending"))
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(JobCancelledError, match="seen enough"),
    ):
        Parallel(batch_size=1)(delayed(time.sleep)(60) for _ in range(40))
    thread.join()
    all_are_gone(queue)
    jobs = queue.jobs()
    assert {job.status.value for job in jobs} == {"cancelled"}
    assert len(jobs) <= 5, "and begins no more"


def test_a_time_limit_of_joblib_ends_it_too(queue: JobQueue) -> None:
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(multiprocessing.TimeoutError),
    ):
        Parallel(timeout=0.2)(delayed(time.sleep)(60) for _ in range(4))
    all_are_gone(queue)


def test_a_queue_that_is_stopped_meanwhile_ends_the_call(queue: JobQueue) -> None:
    queue.pause()
    ends = in_a_moment(lambda: asyncio.run(queue.stop()), lambda: queue.jobs("pending"))
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(QueueStoppedError),
    ):
        Parallel(n_jobs=2)(delayed(where)(number) for number in range(4))
    ends.join()
    assert not queue.jobs("pending")


@pytest.mark.parametrize("kind", ["generator", "generator_unordered"])
def test_a_queue_that_is_stopped_meanwhile_ends_a_generator(queue: JobQueue, kind: str) -> None:
    with parallel_config(backend="jobqueue", queue=queue):
        queue.pause()
        some = Parallel(n_jobs=2, return_as=kind)(delayed(where)(number) for number in range(4))
        assert queue.jobs("pending")
        asyncio.run(queue.stop())
        with pytest.raises(QueueStoppedError):
            next(some)
    assert not queue.jobs("pending")


def test_a_batch_that_comes_when_the_queue_is_stopped_ends_the_call(queue: JobQueue) -> None:
    """It is asked for in a thread of the queue, as one before it has ended."""

    def calls() -> Iterator[object]:
        yield delayed(where)(1)
        yield delayed(where)(2)
        asyncio.run(queue.stop())
        yield delayed(where)(3)

    with parallel_config(backend="jobqueue", queue=queue):
        some = Parallel(n_jobs=2, batch_size=1, pre_dispatch=1, return_as="generator")(calls())
        with pytest.raises((QueueStoppedError, JobCancelledError)):
            list(some)


@pytest.mark.parametrize("return_as", ["list", "generator"])
def test_a_later_batch_that_cannot_be_a_job_ends_the_call(queue: JobQueue, return_as: str) -> None:
    lock = threading.Lock()
    calls = (delayed(where)(lock if one == 5 else one) for one in range(8))
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(TypeError, match="lock"),
    ):
        list(Parallel(n_jobs=2, batch_size=1, return_as=return_as)(calls))
    all_are_gone(queue)


def test_a_queue_that_does_not_run_is_told_at_once() -> None:
    queue = JobQueue()
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(QueueIdleError, match="not started"),
    ):
        Parallel()(delayed(where)(number) for number in range(4))


@pytest.mark.parametrize("wrong", [None, "queue", 3])
def test_without_a_queue_it_says_what_it_needs(wrong: object) -> None:
    JobQueue()
    with pytest.raises(InvalidOptionError, match=r"needs a queue.*queue=queue"):
        parallel_config(backend="jobqueue", queue=wrong)
    with pytest.raises(InvalidOptionError, match="needs a queue"):
        Parallel(backend="jobqueue")


def test_a_wrong_option_is_named(queue: JobQueue) -> None:
    with pytest.raises(InvalidOptionError, match="retires"):
        parallel_config(backend="jobqueue", queue=queue, retires=3)


def test_importing_the_package_imports_no_joblib(tmp_path: Path) -> None:
    program = """
import sys
from jobqueue_widget import JobQueue, Job, current_job
queue = JobQueue()
finders = [one for one in sys.meta_path if "jobqueue" in type(one).__module__]
assert "joblib" not in sys.modules
assert len(finders) == 1
JobQueue()
import json.tool, joblib.memory
assert not set(finders) & set(sys.meta_path), "it stays no longer than it must"
with joblib.parallel_config(backend="jobqueue", queue=queue):
    pass
with joblib.parallel_config(backend=queue.joblib_backend()):
    pass
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


# -- scikit-learn ---------------------------------------------------------------------------------


def test_a_grid_search_becomes_jobs(queue: JobQueue) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    x, y = load_iris(return_X_y=True)
    grid = {"C": [0.01, 1.0], "fit_intercept": [True, False]}
    here = GridSearchCV(LogisticRegression(max_iter=200), grid, cv=3).fit(x, y)
    with parallel_config(backend="jobqueue", queue=queue):
        there = GridSearchCV(LogisticRegression(max_iter=200), grid, cv=3).fit(x, y)
    assert there.best_params_ == here.best_params_
    assert (
        there.cv_results_["mean_test_score"].tolist()
        == here.cv_results_["mean_test_score"].tolist()
    )
    jobs: list[Job] = queue.jobs("completed")
    assert jobs
    assert all(job.title.startswith("_fit_and_score ") for job in jobs)


def test_a_grid_search_that_is_cancelled_ends(queue: JobQueue) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import GridSearchCV

    class Slow(BaseEstimator):  # type: ignore[misc]
        def __init__(self, rate: float = 0.0) -> None:
            self.rate = rate

        def fit(self, x: object, y: object) -> Slow:
            current_job().report(0.5, "fitting")
            time.sleep(60)
            return self

        def score(self, x: object, y: object) -> float:
            return self.rate

    thread = in_a_moment(
        lambda: queue.cancel_all("all"), lambda: any(job.progress == 0.5 for job in queue.jobs())
    )
    with (
        parallel_config(backend="jobqueue", queue=queue),
        pytest.raises(JobCancelledError),
    ):
        GridSearchCV(Slow(), {"rate": [0.1, 0.2, 0.3]}, cv=2).fit(np.ones((8, 1)), [0, 1] * 4)
    thread.join()
    all_are_gone(queue)
