"""Jobs that need memory: who starts, who waits and why, what is unloaded, what is impossible."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue_widget import (
    BlockReason,
    Holder,
    InvalidOptionError,
    InvalidTargetError,
    Job,
    JobEvent,
    JobQueue,
    JobStatus,
)
from jobqueue_widget._core.machine.resources import ProcessMemory
from jobqueue_widget.testing import FakePlugin, FakePluginHost, inspect, machine_with
from tests.conditions import until
from tests.resources import Machine, MemoryHost


class Gate:
    """Jobs in threads that run until they are let go; counts how many run at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def job(self) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go.wait(20)
        with self._lock:
            self.running -= 1


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go.set()


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    with machine_with(machine):
        yield machine
    machine.hangs.set()


def submit(queue: JobQueue, job: Any, *args: Any, label: str | None = None, **need: float) -> Job:
    return queue.options(executor="thread", resources=need, label=label).submit_nowait(job, *args)


# -- waiting for memory --------------------------------------------------------------------------


async def test_a_job_waits_until_what_it_needs_is_given_back(machine: Machine, gate: Gate) -> None:
    async with JobQueue(max_running=4) as queue:
        first = submit(queue, gate.job, label="first", ram_mib=10_000)
        second = submit(queue, gate.job, ram_mib=10_000)
        await until(lambda: second.block_reason)
        assert first.status is JobStatus.running
        assert not second.started_at
        assert second.block_reason == "needs 10,000 MiB RAM, 6,000 free; first holds 10,000"
        assert first.planned == {"ram_mib": 10_000}
        assert second.planned is None
        gate.go.set()
        await queue.join(timeout=20)
        assert second.status is JobStatus.completed
        assert second.block is None
        assert gate.most == 1


async def test_why_it_waits_is_told_everywhere_and_with_numbers(
    machine: Machine, gate: Gate
) -> None:
    events: list[JobEvent] = []
    async with JobQueue(max_running=4) as queue:
        queue.subscribe(events.append)
        submit(queue, gate.job, label="first", ram_mib=10_000)
        second = submit(queue, gate.job, ram_mib=10_000)
        await until(lambda: second.block)
        holder = Holder("first", "ram_mib", 10_000, idle=False)
        need, have = {"ram_mib": 10_000}, {"ram_mib": 6_000}
        text = "needs 10,000 MiB RAM, 6,000 free; first holds 10,000"
        assert second.block == BlockReason(text, need, have, (holder,))
        row = queue.get_state()["pending"][0]
        assert row["block_reason"] == text
        assert row["block"] == {
            "need": need,
            "have": have,
            "holders": [{"name": "first", "resource": "ram_mib", "amount": 10_000, "idle": False}],
        }
        assert queue.window("pending", 0, 1).rows[0]["block_reason"] == text
        await until(lambda: any(event.type == "blocked" for event in events))
        told = next(event for event in events if event.type == "blocked")
        assert told.job_id == second.id
        assert told.payload == {"reason": text, "need": need, "have": have, "holders": (holder,)}
        gate.go.set()
        await queue.join(timeout=20)


async def test_the_same_reason_is_told_once(machine: Machine, gate: Gate) -> None:
    blocked: list[JobEvent] = []
    async with JobQueue(max_running=4) as queue:
        queue.subscribe(lambda event: blocked.append(event) if event.type == "blocked" else None)
        submit(queue, gate.job, ram_mib=10_000)
        submit(queue, gate.job, ram_mib=10_000)
        looks = machine.looks
        await until(lambda: machine.looks > looks + 2)
        assert len(blocked) == 1
        gate.go.set()
        await queue.join(timeout=20)


async def test_memory_that_other_programs_give_back_is_noticed(machine: Machine) -> None:
    machine.taken = 12_000
    async with JobQueue() as queue:
        job = submit(queue, int, ram_mib=8_000)
        await until(lambda: job.block_reason)
        assert job.block_reason == "needs 8,000 MiB RAM, 4,000 free; other programs use the rest"
        machine.taken = 0
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.completed


async def test_jobs_behind_a_blocked_one_keep_their_place(machine: Machine, gate: Gate) -> None:
    async with JobQueue(max_running=4) as queue:
        submit(queue, gate.job, ram_mib=10_000)
        blocked = submit(queue, gate.job, ram_mib=10_000)
        small = submit(queue, gate.job, ram_mib=1_000)
        free = queue.options(executor="thread").submit_nowait(gate.job)
        await until(lambda: blocked.block_reason)
        assert small.status is free.status is JobStatus.pending
        blocked.cancel()
        await until(lambda: gate.running == 3)
        gate.go.set()
        await queue.join(timeout=20)


async def test_a_job_that_needs_nothing_never_has_the_machine_looked_at(machine: Machine) -> None:
    async with JobQueue() as queue:
        for _ in range(20):
            await queue.options(executor="thread").submit_nowait(int)
        assert machine.looks == 0
        assert inspect(queue).meters == {}


async def test_fifty_jobs_that_want_the_last_slice_get_it_one_after_the_other(
    gate: Gate,
) -> None:
    machine = Machine(gpus=[10_000])
    machine.gpu_taken = [6_000.0]
    gate.go.set()
    with machine_with(machine):
        async with JobQueue(max_running=50) as queue:
            jobs = [submit(queue, gate.job, gpu_mib=4_000) for _ in range(50)]
            await queue.join(timeout=40)
    assert [job.status for job in jobs] == [JobStatus.completed] * 50
    assert gate.most == 1


async def test_two_queues_share_the_machine(machine: Machine, gate: Gate) -> None:
    async with JobQueue(max_running=20) as one, JobQueue(max_running=20, loop="thread") as two:
        jobs = [submit(queue, gate.job, ram_mib=5_000) for _ in range(10) for queue in (one, two)]
        await until(lambda: gate.running == 3)
        await until(lambda: sum(job.block_reason is not None for job in jobs) == 2)
        gate.go.set()
        await one.join(timeout=20)
        await two.join(timeout=20)
        assert gate.most == 3


async def test_a_cancelled_job_keeps_its_memory_until_its_work_is_gone(machine: Machine) -> None:
    go = threading.Event()
    async with JobQueue(max_running=2, cancel_timeout=0.0) as queue:
        stubborn = submit(queue, go.wait, 20, ram_mib=10_000)
        after = submit(queue, int, ram_mib=10_000)
        await until(lambda: after.block_reason)
        stubborn.cancel()
        looks = machine.looks
        await until(lambda: machine.looks > looks + 1)
        assert after.status is JobStatus.pending
        go.set()
        await queue.wait_for_job(after, timeout=20)


async def test_while_a_cell_blocks_the_loop_functions_still_get_their_memory(
    machine: Machine,
) -> None:
    done: list[float] = []

    def job() -> None:
        time.sleep(0.1)
        done.append(time.monotonic())

    async with JobQueue(max_running=2) as queue:
        jobs = [submit(queue, job, ram_mib=10_000) for _ in range(3)]
        await until(lambda: done)
        deadline = time.monotonic() + 20
        while len(done) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251 - the blocking cell
        assert len(done) == 3
        await queue.join(timeout=20)
        assert all(job.status is JobStatus.completed for job in jobs)


# -- impossible, unknown, wrong ------------------------------------------------------------------


async def test_a_request_above_the_machine_fails_at_once_though_all_lanes_are_taken(
    machine: Machine, gate: Gate
) -> None:
    async with JobQueue() as queue:
        submit(queue, gate.job)
        before = submit(queue, gate.job)
        job = queue.options(executor="thread", resources={"ram_mib": 20_000}, retries=3)
        failed = job.submit_nowait(gate.job)
        await queue.wait_for_job(failed, timeout=20)
        assert failed.status is JobStatus.failed
        assert failed.error == (
            "ImpossibleRequest: needs 20,000 MiB RAM, this machine can give 16,000: "
            "4,000 too much; lower what it asks for (ram_mib)"
        )
        assert failed.started_at is None
        assert before.status is JobStatus.pending
        gate.go.set()
        await queue.join(timeout=20)


async def test_a_job_that_waits_for_a_failed_impossible_one_is_cancelled(machine: Machine) -> None:
    async with JobQueue() as queue:
        failed = submit(queue, int, cpus=9)
        child = queue.options(after=failed).submit_nowait(int)
        await queue.join(timeout=20)
        assert failed.status is JobStatus.failed
        assert child.status is JobStatus.cancelled


async def test_a_gpu_job_without_a_gpu_fails_and_says_why(machine: Machine) -> None:
    async with JobQueue() as queue:
        job = submit(queue, int, gpu_mib=100)
        await queue.wait_for_job(job, timeout=20)
        assert job.error == (
            "ImpossibleRequest: needs 100 MiB GPU, and no GPU is known here (the test has none)"
        )


async def test_a_machine_that_cannot_be_read_blocks_only_who_needs_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobqueue_widget._machine.admission.PATIENCE", 0.2)
    machine.hangs.clear()
    async with JobQueue(max_running=2) as queue:
        plain = queue.options(executor="thread").submit_nowait(int)
        await queue.wait_for_job(plain, timeout=20)
        job = submit(queue, int, ram_mib=100)
        await until(lambda: job.block_reason)
        assert job.block_reason == "the machine's memory cannot be read: no answer"
        machine.hangs.set()
        await queue.wait_for_job(job, timeout=20)


async def test_an_error_of_the_source_is_told_and_it_is_asked_again(machine: Machine) -> None:
    machine.error = OSError("no /proc")
    async with JobQueue() as queue:
        job = submit(queue, int, ram_mib=100)
        await until(lambda: job.block_reason)
        assert job.block_reason == "the machine's memory cannot be read: OSError: no /proc"
        machine.error = None
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.completed


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ({"gpu": 1}, "unknown resource 'gpu'; known are: ram_mib, gpu_mib, cpus, gpus"),
        ({"ram_mib": -1}, "resources\\['ram_mib'\\] must be a number of 0 or more, not -1"),
        ({"ram_mib": float("nan")}, "must be a number of 0 or more, not nan"),
        ({"ram_mib": True}, "must be a number of 0 or more, not True"),
        ({"gpus": 0.5}, "must be a whole number of 0 or more, not 0.5"),
        ("4 GB", 'resources must be "learned" or a mapping'),
    ],
)
def test_a_wrong_request_is_refused_when_it_is_written(resources: object, text: str) -> None:
    with pytest.raises(InvalidOptionError, match=text):
        JobQueue().options(resources=resources)


# -- backfill ------------------------------------------------------------------------------------


async def test_with_backfill_a_small_job_passes_a_blocked_one(machine: Machine, gate: Gate) -> None:
    async with JobQueue(max_running=4, backfill=True) as queue:
        submit(queue, gate.job, ram_mib=10_000)
        blocked = submit(queue, gate.job, ram_mib=10_000)
        small = submit(queue, gate.job, ram_mib=6_000)
        await until(lambda: gate.running == 2)
        assert small.status is JobStatus.running
        assert blocked.status is JobStatus.pending
        gate.go.set()
        await queue.join(timeout=20)


async def test_one_that_was_passed_long_enough_is_passed_only_by_what_leaves_it_its_memory(
    machine: Machine, gate: Gate
) -> None:
    async with JobQueue(max_running=5, backfill=True, max_bypass=0.0) as queue:
        submit(queue, gate.job, ram_mib=10_000)
        blocked = submit(queue, gate.job, ram_mib=10_000)
        takes_its = submit(queue, gate.job, ram_mib=1_000)
        other = submit(queue, gate.job, cpus=1)
        nothing = queue.options(executor="thread").submit_nowait(gate.job)
        await until(lambda: gate.running == 3)
        await until(lambda: takes_its.block_reason)
        assert other.status is nothing.status is JobStatus.running
        assert blocked.status is takes_its.status is JobStatus.pending
        gate.go.set()
        await queue.join(timeout=20)


async def test_a_lane_is_left_for_one_that_was_passed_long_enough(
    machine: Machine, gate: Gate
) -> None:
    async with JobQueue(max_running=3, backfill=True, max_bypass=0.0) as queue:
        first = submit(queue, gate.job, ram_mib=10_000)
        blocked = submit(queue, gate.job, ram_mib=10_000)
        others = [submit(queue, gate.job, cpus=1) for _ in range(3)]
        await until(lambda: gate.running == 2)
        looks = machine.looks
        await until(lambda: machine.looks > looks + 1)
        assert [job.status.value for job in others] == ["running", "pending", "pending"]
        assert first.status is JobStatus.running
        assert blocked.block_reason
        gate.go.set()
        await queue.join(timeout=20)


# -- plugins -------------------------------------------------------------------------------------


def wait(plugin: FakePlugin, gate: Gate) -> str:
    gate.job()
    return "waited"


def answer(plugin: FakePlugin) -> str:
    return "done"


def host_on(machine: Machine, **needs: float) -> MemoryHost:
    """Plugins that hold so many MiB of GPU memory once they are loaded."""
    return MemoryHost(
        machine,
        {name: {"gpu_mib": need} for name, need in needs.items()},
        **dict.fromkeys(needs, answer),
    )


@pytest.fixture
def gpu() -> Iterator[Machine]:
    machine = Machine(gpus=[12_000])
    with machine_with(machine):
        yield machine


async def test_an_idle_plugin_is_unloaded_for_the_job_that_waits(gpu: Machine) -> None:
    host = host_on(gpu, whisper=9_000, demucs=6_000, whisper2=1_000)
    async with JobQueue(host) as queue:
        for name in ("whisper2", "whisper"):
            assert await queue.submit_nowait(name) == "done"
        host.let_evict.clear()
        job = queue.submit_nowait("demucs")
        await until(lambda: job.block_reason)
        assert job.block_reason == "unloading idle whisper to free 9,000 MiB"
        host.let_evict.set()
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.completed
        assert host.evicted == ["whisper"]  # the other was used before, and would not have done
        assert await queue.submit_nowait("whisper") == "done"  # it is loaded again
        assert host.evicted_busy == []


async def test_a_plugin_that_executes_is_never_unloaded(gpu: Machine, gate: Gate) -> None:
    host = host_on(gpu, busy=9_000, wants=6_000)
    host._functions["busy"] = lambda plugin: wait(plugin, gate)
    host.reload_plugin("busy")
    async with JobQueue(host, max_running=2) as queue:
        at_work = queue.submit_nowait("busy")
        await until(lambda: gate.running)
        job = queue.submit_nowait("wants")
        await until(lambda: job.block_reason)
        assert job.block_reason == "needs 6,000 MiB GPU, 3,000 free; busy holds 9,000"
        looks = gpu.looks
        await until(lambda: gpu.looks > looks + 1)
        assert host.evicted == host.evicted_busy == []
        gate.go.set()
        await queue.join(timeout=20)
        assert at_work.status is job.status is JobStatus.completed
        assert host.evicted == ["busy"]


async def test_a_plugin_of_another_queues_manager_is_unloaded_too(gpu: Machine) -> None:
    theirs, ours = host_on(gpu, whisper=9_000), host_on(gpu, demucs=6_000)
    ours.pids = {"demucs": 2_000_000}
    async with JobQueue(theirs) as other, JobQueue(ours) as queue:
        await other.submit_nowait("whisper")
        assert await queue.submit_nowait("demucs") == "done"
        assert theirs.evicted == ["whisper"]


async def test_a_plugin_that_does_not_go_is_told_and_the_job_waits(gpu: Machine) -> None:
    host = host_on(gpu, whisper=9_000, demucs=6_000)
    async with JobQueue(host) as queue:
        await queue.submit_nowait("whisper")
        host.busy["whisper"] += 0
        refusals = iter(["it will not", None])
        evict = host.evict
        host.evict = lambda name: next(refusals) or evict(name)  # type: ignore[method-assign]
        job = queue.submit_nowait("demucs")
        text = "needs 6,000 MiB GPU, 3,000 free; whisper holds 9,000, idle"
        await until(lambda: job.block_reason == text)
        assert queue.unload("whisper")
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.completed


async def test_unload_frees_an_idle_plugin_and_says_whether_it_did(gpu: Machine) -> None:
    host = host_on(gpu, whisper=9_000)
    async with JobQueue(host) as queue:
        assert not queue.unload("whisper")
        await queue.submit_nowait("whisper")
        assert queue.unload("whisper")
        assert not queue.unload("whisper")
        assert host.evicted == ["whisper"]
    with pytest.raises(InvalidTargetError, match="its manager has no evict"):
        JobQueue(FakePluginHost(whisper=answer)).unload("whisper")


async def test_an_impossible_plugin_job_fails_and_its_submit_does_not(gpu: Machine) -> None:
    host = host_on(gpu, huge=30_100)
    async with JobQueue(host) as queue:
        job = queue.get_job(await queue.submit("huge"))
        assert job is not None
        await queue.wait_for_job(job, timeout=20)
        assert job.error is not None
        assert "needs 30,100 MiB GPU, this machine can give 12,000: 18,100 too much" in job.error


async def test_a_host_that_cannot_say_what_it_needs_runs_its_plugins(
    gpu: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(MemoryHost):
        def requirements(self, name: str) -> Any:
            raise RuntimeError("no idea")

    async with JobQueue(Silent(gpu, {}, plugin=answer)) as queue:
        assert await queue.submit_nowait("plugin") == "done"
    assert "cannot say what 'plugin' needs" in caplog.text


async def test_a_host_that_says_nonsense_runs_its_plugins(
    gpu: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MemoryHost):
        def requirements(self, name: str) -> Any:
            return {"ram_mib": "much", "gpu_mib": float("inf"), "soul": 1}

        def loaded(self) -> Any:
            raise RuntimeError("no idea")

        def on_change(self, callback: Any) -> Any:
            raise RuntimeError("no")

    async with JobQueue(Odd(gpu, {}, plugin=answer)) as queue:
        assert await queue.submit_nowait("plugin") == "done"
        job = queue.options(resources={"ram_mib": 100}).submit_nowait("plugin")
        assert await job == "done"
    assert "does not tell of changes" in caplog.text


async def test_options_override_what_a_plugin_declares(gpu: Machine) -> None:
    async with JobQueue(host_on(gpu, huge=30_100)) as queue:
        job = queue.options(resources={"gpu_mib": 1_000}).submit_nowait("huge")
        assert await job == "done"
        assert job.planned == {"gpu_mib": 1_000}


# -- what is learned -----------------------------------------------------------------------------


def hold(mib: int, path: str) -> int:
    """Until the file is gone."""
    held = bytearray(mib << 20)
    while os.path.exists(path):
        time.sleep(0.02)
    return len(held)


async def test_what_a_function_uses_is_seen_while_it_runs_and_can_be_asked_for_next_time(
    tmp_path: Any,
) -> None:
    """The real machine and a real worker."""
    file = tmp_path / "go on"
    file.touch()
    async with JobQueue() as queue:
        job = queue.submit_nowait(hold, 64, str(file))
        await until(lambda: (job.used_peak or {}).get("ram_mib", 0) > 64)
        assert job.planned is None
        file.unlink()
        assert await job == 64 << 20
        peak = job.used_peak
        assert peak is not None
        again = queue.options(resources="learned").submit_nowait(hold, 64, str(file))
        await again
        assert again.planned is not None
        assert peak["ram_mib"] <= again.planned["ram_mib"] <= 1.1 * peak["ram_mib"] + 1
        unknown = queue.options(resources="learned").submit_nowait(int)
        assert await unknown == 0
        assert unknown.planned is None


# -- for front ends ------------------------------------------------------------------------------


async def test_the_resource_line_shows_what_is_used_reserved_and_idle(
    gpu: Machine, gate: Gate
) -> None:
    gpu.taken = 4_096
    host = host_on(gpu, whisper=3_072)
    async with JobQueue(host, max_running=2) as queue:
        await queue.submit_nowait("whisper")
        submit(queue, gate.job, ram_mib=2_048, cpus=2)
        await until(lambda: gate.running)

        def shown() -> dict[str, Any]:
            return inspect(queue).meters

        await until(lambda: shown()["idle"] and shown()["items"][-1]["used"])  # of the GPU
        items = {item["name"]: item for item in shown()["items"]}
        gpu_now = {"used": 3.0, "reserved": 0.0, "unused": 0.0, "total": 11.7, "unit": "GB"}
        ram_now = {"used": 4.0, "reserved": 2.0, "unused": 2.0, "total": 15.6, "unit": "GB"}
        cpu_now = {"used": 0.0, "reserved": 2.0, "unused": 0.0, "total": 8.0, "unit": "cores"}
        assert items["GPU"] == {"name": "GPU", **gpu_now}
        assert items["RAM"] == {"name": "RAM", **ram_now}
        assert items["CPU"] == {"name": "CPU", **cpu_now}
        assert shown()["idle"] == [{"plugin": "whisper", "holds": 3.0, "unit": "GB GPU"}]
        gate.go.set()
        await queue.join(timeout=20)


async def test_a_held_process_memory_counts_once(machine: Machine, gate: Gate) -> None:
    """A plugin that runs has used what it was promised: the rest is free for others."""
    host = MemoryHost(machine, {"big": {"ram_mib": 10_000}}, big=lambda plugin: wait(plugin, gate))

    class Process:
        pid = 1_000_000

        def poll(self) -> None:
            return None

    host._plugins["big"].process = Process()  # type: ignore[attr-defined]
    async with JobQueue(host, max_running=2) as queue:
        queue.submit_nowait("big")
        await until(lambda: gate.running)
        assert machine.holds[1_000_000] == ProcessMemory(10_000)
        other = submit(queue, int, ram_mib=6_000)
        await queue.wait_for_job(other, timeout=20)
        gate.go.set()
        await asyncio.wait_for(queue.join(), 20)
