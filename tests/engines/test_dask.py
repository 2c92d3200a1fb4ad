"""Jobs on a real Dask cluster: a scheduler and workers as processes, used and killed."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import (
    DaskExecutor,
    InvalidOptionError,
    JobQueue,
    JobStatus,
)
from jobqueue_widget._core import retrying
from jobqueue_widget.errors import MissingExtraError
from jobqueue_widget.executors.cluster.leases import Node
from jobqueue_widget.executors.dask import link as dask_link
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.contract import bodies
from tests.contract.subjects import until_beating
from tests.crash.processes import alive
from tests.engines import work
from tests.engines.dask_processes import DaskProcesses, dask_processes, settle
from tests.own_manager import write_manifests
from tests.sockets import Listeners

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", autouse=True)
def _threads_of_the_library() -> None:
    """One that lives as long as the interpreter."""
    from distributed.utils import offload

    async def once() -> None:
        await offload(bytes)

    asyncio.run(once())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """For tests that leave it as it was."""
    with dask_processes(tmp_path_factory.mktemp("dask")) as processes:
        yield processes


@pytest.fixture(scope="module")
def client(engine: DaskProcesses) -> Iterator[Any]:
    with engine.client() as one:
        settle(one)
        yield one


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[DaskProcesses, Any]]:
    """A cluster to be killed, and its client."""
    (tmp_path / "dask").mkdir()
    with dask_processes(tmp_path / "dask") as processes, processes.client() as one:
        settle(one)
        yield processes, one


def worker_pid(job: Any, client: Any) -> int:
    """The process of the Dask worker that runs a job."""
    pids: dict[str, int] = client.run(os.getpid)
    return next(pid for address, pid in pids.items() if address in job.where)


# -- what a row shows ----------------------------------------------------------------------------


async def test_progress_log_and_place_are_seen_while_it_runs(client: Any, tmp_path: Path) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        await until(lambda: job.progress == 0.5 and "begun" in job.logs())
        assert job.phase is None
        assert job.where is not None
        assert job.where.startswith(f"{platform.node()} (Dask worker tcp://127.0.0.1:")
        bodies.release(tmp_path)
        assert await job == "released"
        assert job.logs() == "begun\n"
        assert job.status_message == "half of it"


async def test_what_is_displayed_comes_with_its_text(client: Any) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.display_html, "<b>")
        await job
    assert [output.data["text/html"] for output in job.outputs] == ["<b>"]
    assert job.logs() == "before\nin text\n"


async def test_bars_and_what_c_prints_are_the_job_s(client: Any) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.count_with_bars, 50)
        assert await asyncio.wait_for(job, 20) == 50
        assert job.logs() == "from C\n"
        assert job.progress == 1.0
        tracked = queue.submit_nowait(work.count_tracked, 3)
        assert await asyncio.wait_for(tracked, 20) == 3
        assert tracked.status_message == "counting: 3/3"


def typed_in_a_cell(secret: int) -> Callable[[int], int]:
    return lambda more: secret + more


async def test_closures_and_values_of_the_user_s_classes_travel(client: Any) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        assert await queue.submit_nowait(typed_in_a_cell(40), 2) == 42
        path = Path("a") / "b"
        assert await queue.submit_nowait(lambda: path) == path


async def test_large_arguments_and_results_travel(client: Any) -> None:
    data = os.urandom(40 * 1024 * 1024)
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.echo_bytes, data)
        assert await asyncio.wait_for(job, 50) == data[::-1]


async def test_env_and_size_limits_hold_there(client: Any) -> None:
    queue = JobQueue(executor=DaskExecutor(client), env={"OURS": "1"}, max_result_bytes=1000)
    async with queue:
        assert await queue.submit_nowait(work.environment, "OURS") == "1"
        large = queue.submit_nowait(work.echo_bytes, bytes(2000))
        await queue.wait_for_job(large, timeout=20)
        assert "more than max_result_bytes=1,000" in large.result.reason


# -- lanes, resources, priorities ----------------------------------------------------------------


async def test_there_are_as_many_lanes_as_threads_and_they_follow(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    processes, client = own
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        jobs = [queue.submit_nowait(work.until_released, str(folder)) for folder in folders]
        await until_beating(folders[0])
        await until_beating(folders[1])
        assert jobs[2].status is JobStatus.pending
        third = processes.start_worker()
        await until_beating(folders[2])
        for folder in folders:
            bodies.release(folder)
        assert [await job for job in jobs] == ["released"] * 3
        third.terminate()
        await until(lambda: inspect(queue).lanes.total == 2)


async def test_a_resource_that_no_worker_offers_is_named_and_others_pass(client: Any) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        waits = queue.options(resources={"GPU": 1}).submit_nowait(pow, 2, 2)
        passes = queue.submit_nowait(pow, 2, 3)
        assert await asyncio.wait_for(passes, 20) == 8
        assert waits.block_reason == "no Dask worker offers GPU=1; offered are: no resources"
        waits.cancel()


async def test_resources_and_priorities_reach_dask(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    processes, client = own
    processes.start_worker("--resources", "GPU=1")
    settle(client, 3)
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        options = queue.options(resources={"GPU": 1}, tags=("night",), priority=7)
        jobs = [options.submit_nowait(work.until_released, str(tmp_path)) for _ in range(2)]
        await until_beating(tmp_path)
        await until(lambda: jobs[1].block_reason)
        assert jobs[1].block_reason == "needs GPU=1, 0 of 1 is free"
        seen = client.run_on_scheduler(tasks_of_ours)
        assert seen == [[[["GPU", 1.0]], 7, ["night"]]]
        bodies.release(tmp_path)
        assert [await job for job in jobs] == ["released"] * 2


def tasks_of_ours(dask_scheduler: Any) -> list[Any]:
    return [
        [
            [list(item) for item in (task.resource_restrictions or {}).items()],
            -task.priority[0],
            list((task.annotations or {}).get("tags", ())),
        ]
        for task in dask_scheduler.tasks.values()
        if str(task.key).startswith("jobqueue-")
    ]


def keys_of_ours(client: Any) -> set[str]:
    """The leases that the scheduler knows."""
    known: list[str] = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return {key for key in known if key.startswith("jobqueue-")}


async def test_a_place_is_given_back_when_the_queue_rests(client: Any) -> None:
    before = keys_of_ours(client)
    executor = DaskExecutor(client, idle_seconds=0.05)
    async with JobQueue(executor=executor) as queue:
        for _ in range(3):
            assert await queue.submit_nowait(pow, 2, 2) == 4
            await until(lambda: keys_of_ours(client) <= before)


async def test_a_place_whose_task_is_over_before_it_is_taken_back_is_forgotten_too(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys_of_ours(client)
    executor = DaskExecutor(client, idle_seconds=0.05)
    async with JobQueue(executor=executor) as queue:
        job = queue.submit_nowait(pow, 2, 2)
        await until(lambda: executor._leases and executor._at_work)
        kept = list(executor._at_work)  # as a cycle keeps what nobody needs, until it is found
        calls = executor._leases._calls  # type: ignore[union-attr]
        quietly = calls.quietly
        released: list[str] = []

        async def until_it_is_over(node: Node, what: str, **details: Any) -> None:
            await quietly(node, what, **details)
            if what == "release":
                while client.futures[details["lease"]].status == "pending":
                    await asyncio.sleep(0.001)
                released.append(details["lease"])

        monkeypatch.setattr(calls, "quietly", until_it_is_over)
        assert await job == 4
        await until(lambda: released)
        await until(lambda: keys_of_ours(client) <= before)
        assert kept[0].lease.key == released[0]


async def test_functions_only(client: Any) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        options = queue.options(executor=DaskExecutor(client))
        with pytest.raises(InvalidOptionError, match="a coroutine runs on the queue's loop"):
            options.submit_nowait(asyncio.sleep, 1)
        assert queue.jobs() == []


# -- ending --------------------------------------------------------------------------------------


async def test_a_c_loop_is_ended_and_its_worker_goes_on(client: Any, tmp_path: Path) -> None:
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.in_a_c_loop, str(tmp_path))
        await until(lambda: bodies.pids(tmp_path) and (tmp_path / "child").exists())
        await until(lambda: (tmp_path / "child").read_text())
        grandchild = int((tmp_path / "child").read_text())
        worker = worker_pid(job, client)
        other = queue.submit_nowait(work.until_released, str(tmp_path))
        neighbour = psutil.Process(worker)
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert not any(alive(pid) for pid in (bodies.pids(tmp_path)[0], grandchild))
        assert neighbour.is_running()
        assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 2), 20) == 4
        bodies.release(tmp_path)
        assert await asyncio.wait_for(other, 20) == "released", "undisturbed"


async def test_a_function_runs_a_plugin_of_that_machine_and_ends_with_it(
    client: Any, tmp_path: Path
) -> None:
    folder = str(write_manifests(tmp_path / "manifests"))
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        told = await queue.submit_nowait(work.in_a_plugin, folder, "value", 1)
        assert told["args"] == [1]
        job = queue.submit_nowait(work.in_a_plugin, folder, "body", "tell", str(tmp_path))
        await until_beating(tmp_path)
        await until(lambda: job.progress == 0.25 and bodies.TOLD[1] in job.logs())
        plugin = bodies.pids(tmp_path)[0]
        assert alive(plugin)
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert not alive(plugin)


async def test_tasks_of_others_on_the_same_worker_are_not_disturbed(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    processes, client = own
    both = processes.start_worker("--nthreads", "2")
    settle(client, 3)
    for worker in processes.workers[:2]:
        worker.terminate()
        worker.wait()
    await until(lambda: len(client.scheduler_info()["workers"]) == 1)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = client.submit(work.until_released, str(tmp_path / "theirs"))
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.in_a_c_loop, str(tmp_path / "ours"))
        await until(lambda: bodies.pids(tmp_path / "ours"))
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        await until_beating(tmp_path / "theirs")
        assert both.poll() is None
        bodies.release(tmp_path / "theirs")
        assert theirs.result(20) == "released"


# -- losing --------------------------------------------------------------------------------------


async def test_a_job_whose_worker_is_killed_fails_by_name_and_runs_once(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    _, client = own
    async with JobQueue(executor=DaskExecutor(client), max_running=1) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        following = queue.submit_nowait(pow, 2, 2)
        await until_beating(tmp_path)
        place, child = job.where, bodies.pids(tmp_path)[0]
        os.kill(worker_pid(job, client), signal.SIGKILL)
        await queue.wait_for_job(job, timeout=20)
        assert str(job.error).startswith(f"WorkerLost: {place} was lost: its process has ended")
        assert await asyncio.wait_for(following, 20) == 4
        await until(lambda: not alive(child))
    assert bodies.times_begun(tmp_path) == 1


async def test_an_idempotent_job_is_sent_again_when_its_worker_is_killed(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    _, client = own
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.options(idempotent=True).submit_nowait(work.until_released, str(tmp_path))
        await until_beating(tmp_path)
        os.kill(worker_pid(job, client), signal.SIGKILL)
        await until(lambda: bodies.times_begun(tmp_path) == 2)
        bodies.release(tmp_path)
        assert await asyncio.wait_for(job, 20) == "released"
        assert job.attempt == 1
        assert "was lost (its process has ended" in job.logs()


def take_back(dask_scheduler: Any) -> None:
    """As when a client is gone, without a word to it."""
    for client, state in dask_scheduler.clients.items():
        ours = [task.key for task in state.wants_what if str(task.key).startswith("jobqueue-")]
        dask_scheduler.client_releases_keys(ours, client)


async def test_a_job_whose_place_is_taken_away_is_lost_and_not_said_to_have_died(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    _, client = own
    (tmp_path / "again").mkdir()
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        twice = queue.options(idempotent=True)
        again = twice.submit_nowait(work.until_released, str(tmp_path / "again"))
        await until_beating(tmp_path)
        await until_beating(tmp_path / "again")
        await asyncio.to_thread(client.run_on_scheduler, take_back)
        await queue.wait_for_job(job, timeout=20)
        assert str(job.error).startswith(f"WorkerLost: {job.where} was lost: "), job.error
        await until(lambda: bodies.times_begun(tmp_path / "again") == 2)
        bodies.release(tmp_path / "again")
        assert await asyncio.wait_for(again, 20) == "released"
    assert not alive(bodies.pids(tmp_path)[0])


async def test_a_retry_after_a_lost_worker_is_another_attempt(
    own: tuple[DaskProcesses, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FIRST_BACKOFF", 0.01)
    _, client = own
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.options(retries=1).submit_nowait(work.until_released, str(tmp_path))
        await until_beating(tmp_path)
        os.kill(worker_pid(job, client), signal.SIGKILL)
        await until(lambda: bodies.times_begun(tmp_path) == 2)
        bodies.release(tmp_path)
        assert await asyncio.wait_for(job, 20) == "released"
        assert job.attempt == 2


async def test_all_workers_lost_is_what_the_next_job_waits_for(
    own: tuple[DaskProcesses, Any],
) -> None:
    processes, client = own
    executor = DaskExecutor(client)
    async with JobQueue(executor=executor) as queue:
        assert await queue.submit_nowait(pow, 2, 2) == 4
        for worker in processes.workers:
            worker.kill()
        await until(lambda: executor.capacity == 0)
        job = queue.submit_nowait(pow, 2, 3)
        await until(lambda: job.block_reason)
        assert job.block_reason == "the Dask cluster has no workers"
        processes.start_worker()
        assert await asyncio.wait_for(job, 30) == 8


async def test_a_lost_scheduler_fails_what_ran_and_another_one_goes_on(
    own: tuple[DaskProcesses, Any], tmp_path: Path
) -> None:
    processes, client = own
    async with JobQueue(executor=DaskExecutor(client), max_running=1) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        following = queue.submit_nowait(pow, 2, 2)
        await until_beating(tmp_path)
        child = bodies.pids(tmp_path)[0]
        processes.scheduler.kill()
        await queue.wait_for_job(job, timeout=30)
        assert str(job.error).startswith("WorkerLost"), job.error
        await until(lambda: not alive(child))
        await until(lambda: "the Dask scheduler" in str(following.block_reason or following.phase))
        for worker in processes.workers:
            worker.wait(30)
        processes.start_scheduler_again()
        processes.start_worker()
        assert await asyncio.wait_for(following, 40) == 4
    assert bodies.times_begun(tmp_path) == 1


KERNEL = """
import asyncio, sys
import distributed
from jobqueue_widget import DaskExecutor, JobQueue
from tests.engines import work


async def main():
    with distributed.Client(scheduler_file=sys.argv[1]) as client:
        async with JobQueue(executor=DaskExecutor(client)) as queue:
            await queue.submit_nowait(work.until_released, sys.argv[2])


asyncio.run(main())
"""


async def test_when_the_kernel_is_killed_its_jobs_end_and_their_places_are_free(
    engine: DaskProcesses, client: Any, tmp_path: Path
) -> None:
    before = keys_of_ours(client)
    file = str(engine.file)
    kernel = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KERNEL, file, str(tmp_path), cwd=Path(__file__).parents[2]
    )
    try:
        await until_beating(tmp_path)
    finally:
        kernel.kill()
        await kernel.wait()
    child = bodies.pids(tmp_path)[0]
    await until(lambda: not alive(child))
    await until(lambda: keys_of_ours(client) <= before)
    assert client.submit(pow, 2, 2, pure=False).result(20) == 4
    assert bodies.times_begun(tmp_path) == 1


async def test_a_closed_client_is_what_jobs_wait_for(engine: DaskProcesses, tmp_path: Path) -> None:
    one = engine.client()
    async with JobQueue(executor=DaskExecutor(one), max_running=1) as queue:
        running = queue.submit_nowait(work.until_released, str(tmp_path))
        await until_beating(tmp_path)
        one.close()
        job = queue.submit_nowait(pow, 2, 3)
        await until(lambda: running.done and job.block_reason)
        assert "the Dask client was closed" in str(running.error)
        assert job.block_reason == dask_link.CLOSED
        await until(lambda: not alive(bodies.pids(tmp_path)[0]))
        job.cancel()


# -- kinds of clients and workers ----------------------------------------------------------------


async def test_an_asynchronous_client_on_the_queue_s_loop(engine: DaskProcesses) -> None:
    async with (
        await engine.client(asynchronous=True) as one,
        JobQueue(executor=DaskExecutor(one)) as queue,
    ):
        jobs = queue.map(pow, range(20), [2] * 20)
        assert [await job for job in jobs] == [number**2 for number in range(20)]


async def test_a_cluster_whose_workers_cannot_be_reached_from_here(
    engine: DaskProcesses, tmp_path: Path
) -> None:
    with engine.client(direct_to_workers=False) as one:
        async with JobQueue(executor=DaskExecutor(one)) as queue:
            job = queue.submit_nowait(work.until_released, str(tmp_path))
            await until(lambda: job.progress == 0.5)
            job.cancel()
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            assert await queue.submit_nowait(pow, 2, 2) == 4


async def test_two_queues_share_a_client(engine: DaskProcesses) -> None:
    with engine.client() as one:  # its own: it keeps as many connections as it needed at a time
        a, b = JobQueue(executor=DaskExecutor(one)), JobQueue(executor=DaskExecutor(one))
        async with a, b:
            jobs = [*a.map(pow, range(10), [2] * 10), *b.map(pow, range(10), [3] * 10)]
            results = [await asyncio.wait_for(job, 30) for job in jobs]
    assert results == [*(n**2 for n in range(10)), *(n**3 for n in range(10))]


WITHOUT_US = """
import runpy, sys

sys.path = [entry for entry in sys.path if entry not in ("", {root!r})]
sys.argv = ["dask-worker", *sys.argv[1:]]
runpy.run_module("distributed.cli.dask_worker", run_name="__main__")
"""


async def test_workers_that_do_not_have_the_package_get_it(tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()
    root = str(Path(__file__).parents[2])
    with dask_processes(tmp_path / "dask", workers=0) as processes:
        processes.start_worker(code=WITHOUT_US.format(root=root))
        with processes.client() as one:
            settle(one, 1)
            assert "cannot" in one.submit(can_import_us).result()
            async with JobQueue(executor=DaskExecutor(one)) as queue:
                job = queue.submit_nowait(tracks_and_tells_where_from)
                assert "jobqueue-shipped" in await asyncio.wait_for(job, 30)
                assert job.progress == 1.0


def can_import_us() -> str:
    import importlib.util

    found = importlib.util.find_spec("jobqueue_widget")
    return "cannot" if found is None else str(found.origin)


can_import_us.__module__ = "__main__"  # by value: this file cannot be imported there


def tracks_and_tells_where_from() -> str:
    import jobqueue_widget

    for _ in jobqueue_widget.track([1, 2]):
        continue
    return str(jobqueue_widget.__file__)


tracks_and_tells_where_from.__module__ = "__main__"


async def test_nothing_of_ours_listens(client: Any, tmp_path: Path) -> None:
    listeners = Listeners()
    async with JobQueue(executor=DaskExecutor(client)) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        await until_beating(tmp_path)
        worker = psutil.Process(worker_pid(job, client))
        assert listeners.new(*worker.children(recursive=True)) == {}
        bodies.release(tmp_path)
        await job


def test_without_distributed_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"jobqueue_widget\[dask\]"):
        DaskExecutor(object())  # type: ignore[arg-type]


def test_what_is_no_client_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"distributed\.Client, not str"):
        DaskExecutor("tcp://scheduler:8786")  # type: ignore[arg-type]
