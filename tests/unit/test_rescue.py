"""A job that ran out of memory: whether it is tried again, once, and what becomes of it."""

from __future__ import annotations

import itertools

import pytest

from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import JobFailure, JobRecord
from jobqueue_widget._core.jobs import Outcome as Out
from jobqueue_widget._core.machine.rescue import who_makes_room
from jobqueue_widget._core.machine.resources import IdlePlugin, ProcessMemory
from jobqueue_widget._core.retrying import chance_of
from jobqueue_widget._core.spec import JobOptions, JobSpec, TargetKind
from jobqueue_widget._core.texts.causes import Stated
from jobqueue_widget._core.transitions import apply
from tests.unit.test_transitions import Bench

SHORT = Out.of_error(JobFailure("OutOfMemoryError", "CUDA out of memory."))
KILLED = Out.of_error(
    JobFailure("WorkerDied", "ended by SIGKILL (possibly out of memory)", signal_name="SIGKILL")
)
OTHERS = [
    Out.of_error(JobFailure("ValueError", "no")),
    Out.of_error(JobFailure("OSError", "[Errno 28] No space left on device")),
    Out.of_error(JobFailure("ImpossibleRequest", "needs 9")),
    Out.of_error(JobFailure("WorkerDied", "ended by SIGKILL (forced)", signal_name="SIGKILL")),
    Out.of_stop(),
]
IDLE = ("ocr", "tts")


class Short(Bench):
    """A job that runs for the first time."""

    def __init__(self, kind: TargetKind = "plugin", **options: object) -> None:
        self.kind = kind
        super().__init__(**options)  # type: ignore[arg-type]
        self.bring_to("running")

    def make(self, **options: object) -> JobRecord:
        made = JobOptions(**options)  # type: ignore[arg-type]
        self.count += 1
        target = "whisper" if self.kind == "plugin" else len
        spec = JobSpec(f"j-{self.count}", self.kind, target, "whisper", options=made)
        return JobRecord(spec, 0, self.count, 0.0)

    def end(self, outcome: Out, idle: tuple[str, ...] = IDLE) -> list[str]:
        return self.apply(ev.Ended(self.job, self.job.attempt, outcome, idle)) or []

    def make_room(self, *unloaded: str) -> list[str]:
        return self.apply(ev.RoomMade(self.job, self.job.attempt, unloaded)) or []

    def launch(self) -> None:
        self.apply(ev.Launched(self.job, "plugin", True))


RETRYING = ["Wake", "ArmTimer backoff", "MakeRoom", "Publish retrying"]


@pytest.mark.parametrize("outcome", [SHORT, KILLED], ids=["exception", "killed"])
def test_it_waits_for_room_and_runs_once_more(outcome: Out) -> None:
    bench = Short()
    job = bench.job
    assert bench.end(outcome) == RETRYING
    assert (job.status.value, job.attempt, job.startable) == ("pending", 2, False)
    assert str(job.block_reason) == "out of memory: unloading ocr, tts to try again"
    assert bench.make_room("tts") == ["DisarmTimer backoff", "Publish released", "Wake"]
    assert job.startable
    assert job.block_reason is None
    bench.launch()
    assert job.message == "out of memory: unloaded tts, trying again"
    bench.end(Out.of_value(7))
    assert (job.status.value, job.result, job.failure) == ("completed", 7, None)


def test_it_is_tried_again_once_only() -> None:
    bench = Short()
    bench.end(SHORT)
    bench.make_room("ocr")
    bench.launch()
    assert bench.end(SHORT) == ["Wake", "Publish ended", "ReleaseWaiters"]
    assert (bench.job.status.value, bench.job.attempt) == ("failed", 2)


@pytest.mark.parametrize("how", ["nothing was unloaded", "whoever unloads hangs"])
def test_without_room_the_first_attempt_was_the_last(how: str) -> None:
    bench = Short()
    bench.end(SHORT)
    if how == "nothing was unloaded":
        bench.make_room()
    else:
        bench.apply(ev.BackoffOver(bench.job, 2))
    job = bench.job
    assert (job.status.value, job.attempt, job.failure) == ("failed", 1, SHORT.failure)
    assert bench.make_room("ocr") == []


def test_without_room_what_is_left_of_its_retries_is_tried_after_the_pause() -> None:
    bench = Short(retries=1)
    bench.end(SHORT)
    assert bench.make_room() == ["DisarmTimer backoff", "ArmTimer backoff", "Publish retrying"]
    assert (bench.job.attempt, bench.job.startable) == (2, False)
    bench.apply(ev.BackoffOver(bench.job, 2))
    bench.launch()
    assert bench.job.message == ""
    assert bench.end(SHORT) == ["Wake", "Publish ended", "ReleaseWaiters"]


def test_a_rescue_takes_the_place_of_a_retry() -> None:
    bench = Short(retries=2)
    attempts = []
    bench.end(SHORT)
    bench.make_room("ocr")
    while bench.job.status.value == "pending":
        bench.apply(ev.BackoffOver(bench.job, bench.job.attempt))
        attempts.append(bench.job.attempt)
        bench.launch()
        bench.end(SHORT)
    assert attempts == [2, 3]


MAY = {
    ("plugin", None): True,
    ("plugin", True): True,
    ("plugin", False): False,
    ("function", None): False,
    ("function", True): True,
    ("function", False): False,
    ("coroutine", None): False,
    ("coroutine", True): True,
    ("coroutine", False): False,
}


@pytest.mark.parametrize(("kind", "idempotent"), MAY)
def test_who_is_tried_again_without_having_asked(kind: TargetKind, idempotent: bool | None) -> None:
    bench = Short(kind, idempotent=idempotent)
    assert (bench.end(SHORT) == RETRYING) is MAY[kind, idempotent]
    asked = Short(kind, idempotent=idempotent, retries=1)
    assert asked.end(SHORT) == RETRYING


@pytest.mark.parametrize(
    ("outcome", "idle"),
    [*itertools.product(OTHERS, [IDLE]), (SHORT, ()), (KILLED, ())],
    ids=str,
)
def test_what_is_no_lack_of_memory_or_cannot_be_helped_fails(
    outcome: Out, idle: tuple[str, ...]
) -> None:
    bench = Short()
    bench.end(outcome, idle)
    assert bench.job.status.value == "failed"


@pytest.mark.parametrize("act", ["cancel", "hold"])
def test_while_others_are_unloaded_its_user_has_the_last_word(act: str) -> None:
    bench = Short()
    bench.end(SHORT)
    job = bench.job
    if act == "cancel":
        bench.apply(ev.CancelRequested(job, False, 3.0, "mine"))
        assert bench.make_room("ocr") == []
        assert job.status.value == "cancelled"
    else:
        bench.apply(ev.Held(job, None, "release"))
        bench.make_room("ocr")
        assert not job.startable
        bench.apply(ev.Released(job))
        assert job.startable


def test_a_failure_that_names_a_time_is_tried_again_no_earlier() -> None:
    for asked, seconds in ((None, None), (0.1, None), (20.0, 20.0), (1e12, 3600.0)):
        bench = Short(retries=1)
        seconds = seconds or chance_of(bench.job, 1)
        failure = JobFailure("Busy", "later", stated=Stated(retry_after=asked))
        effects = apply(bench.state, ev.Ended(bench.job, 1, Out.of_error(failure)), 100.0)
        assert [f"ArmTimer(j-1, kind='backoff', seconds={seconds})"] == [
            repr(effect) for effect in effects or [] if type(effect).__name__ == "ArmTimer"
        ]


def idle(name: str, last_used: float, ram: float, gpu: float = 0.0) -> IdlePlugin:
    on_gpu = {0: gpu} if gpu else {}
    return IdlePlugin((1, name), name, ProcessMemory(ram, on_gpu), last_used)


PLUGINS = [idle("new", 9, 500), idle("old", 1, 100, 2_000), idle("mid", 5, 300, 1_000)]


@pytest.mark.parametrize(
    ("own", "short", "names"),
    [
        (None, None, ["old", "mid", "new"]),
        ("old", None, ["mid", "new"]),
        (None, {"gpu_mib": 1_500.0}, ["old"]),
        (None, {"gpu_mib": 2_500.0}, ["old", "mid"]),
        (None, {"ram_mib": 350.0}, ["old", "mid"]),
        ("old", {"gpu_mib": 90_000.0}, ["mid", "new"]),
        (None, {"gpu_mib": 10.0, "ram_mib": 150.0}, ["old", "mid"]),
    ],
)
def test_the_least_recently_used_go_first_and_no_more_than_is_known_to_be_needed(
    own: str | None, short: dict[str, float] | None, names: list[str]
) -> None:
    key = None if own is None else (1, own)
    assert [plugin.name for plugin in who_makes_room(PLUGINS, key, short)] == names
