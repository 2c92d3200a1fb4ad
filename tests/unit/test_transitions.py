"""The transition table, cell by cell: what is written here is the specification, not the code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget._core import effects as fx
from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import BlockReason, JobFailure, JobRecord, JobStatus, NotKept
from jobqueue_widget._core.jobs import Outcome as Out
from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._core.state import QueueState
from jobqueue_widget._core.sweeps.group import Group
from jobqueue_widget._core.transitions import TABLE, apply, stage_of
from jobqueue_widget.errors import InvalidTransition

STAGES = ("new", "pending", "running", "asked", "forcing", "ended")
LIMIT = 60.0


class Bench:
    """A state with one job that is brought to any stage by the shortest way."""

    def __init__(self, *, can_kill: bool = True, **options: object) -> None:
        self.state = QueueState(max_history=10, keep_ended=10)
        self.can_kill = can_kill
        self.count = 0
        self.job = self.make(**options)

    def make(self, **options: object) -> JobRecord:
        self.count += 1
        made = JobOptions(**options)  # type: ignore[arg-type]
        spec = JobSpec(f"j-{self.count}", "function", len, "len", options=made)
        return JobRecord(spec, 0, self.count, 0.0)

    def apply(self, event: ev.Event) -> list[str] | None:
        """The names of the effects, timers with their kind, publications with their type."""
        effects = apply(self.state, event, 100.0)
        self.state.validate()
        if effects is None:
            return None
        return [
            type(effect).__name__
            + "".join(
                f" {getattr(effect, detail)}"
                for detail in ("kind", "type")
                if hasattr(effect, detail)  # slots differ by the kind of effect
            )
            for effect in effects
        ]

    def bring_to(self, stage: str) -> None:
        job, path = self.job, STAGES.index(stage)
        if path >= 1:
            self.apply(ev.Submitted(job))
        if path >= 2:
            self.apply(ev.Launched(job, "process", self.can_kill))
        if stage in ("asked", "forcing"):
            self.apply(ev.CancelRequested(job, stage == "forcing", 3.0, "why"))
        if stage == "ended":
            self.apply(ev.Ended(job, 1, Out.of_value(1)))
        assert stage_of(job) == stage


FAILURE = JobFailure("ValueError", "no")
EVENTS: dict[str, Callable[[JobRecord], ev.Event]] = {
    "Submitted": lambda job: ev.Submitted(job),
    "Restored": lambda job: ev.Restored(job, JobStatus.pending),
    "Joined": lambda job: ev.Joined(job, Group("g")),
    "Reprioritized": lambda job: ev.Reprioritized(job, 5),
    "Moved": lambda job: ev.Moved(job, None, "top"),
    "Held": lambda job: ev.Held(job, 8.0, "cancel"),
    "Released": lambda job: ev.Released(job),
    "Resubmitted": lambda job: ev.Resubmitted(job),
    "HoldExpired": lambda job: ev.HoldExpired(job),
    "BackoffOver": lambda job: ev.BackoffOver(job, job.attempt),
    "RoomMade": lambda job: ev.RoomMade(job, job.attempt, ("other",)),
    "Blocked": lambda job: ev.Blocked(job, BlockReason("no room")),
    "Refused": lambda job: ev.Refused(job, FAILURE),
    "Launched": lambda job: ev.Launched(job, "process", True),
    "PhaseChanged": lambda job: ev.PhaseChanged(job, job.attempt, "starting"),
    "Progressed": lambda job: ev.Progressed(job, job.attempt, 0.5, "half"),
    "CancelRequested": lambda job: ev.CancelRequested(job, False, 3.0, "why"),
    "Withdrawn": lambda job: ev.Withdrawn(job, "why"),
    "DeadlinePassed": lambda job: ev.DeadlinePassed(job, 3.0),
    "CancelTimedOut": lambda job: ev.CancelTimedOut(job, job.attempt),
    "TimedOut": lambda job: ev.TimedOut(job, job.attempt, 3.0),
    "Ended": lambda job: ev.Ended(job, job.attempt, Out.of_value(7)),
    "KillFailed": lambda job: ev.KillFailed(job, job.attempt, "too strong"),
    "ResultMoved": lambda job: ev.ResultMoved(job, NotKept(reason="no room")),
}
COMMANDS = {"Reprioritized", "Moved", "Held", "Released", "Resubmitted"} | {
    "CancelRequested",
    "Withdrawn",
}
END = ["Publish ended", "ReleaseWaiters"]
DONE = ["Wake", *END]
ASK = ["Ask", "ArmTimer grace", "Publish cancel_asked"]
NOTHING: list[str] = []
# (stage, event): (stage after, effects). For a job without options, whose work can be killed.
CELLS: dict[tuple[str, str], tuple[str, list[str]]] = {
    ("new", "Submitted"): ("pending", ["Publish submitted", "Wake"]),
    ("new", "Restored"): ("pending", ["Publish restored", "Wake"]),
    ("pending", "Reprioritized"): ("pending", ["Publish moved", "Wake"]),
    ("pending", "Moved"): ("pending", ["Publish moved", "Wake"]),
    ("pending", "Held"): ("pending", ["ArmTimer hold", "Publish held"]),
    ("pending", "Released"): ("pending", NOTHING),
    ("pending", "Resubmitted"): ("pending", NOTHING),
    ("pending", "HoldExpired"): ("pending", NOTHING),
    ("pending", "BackoffOver"): ("pending", NOTHING),
    ("pending", "RoomMade"): ("pending", NOTHING),
    ("pending", "Blocked"): ("pending", ["Publish blocked"]),
    ("pending", "Refused"): ("ended", END),
    ("pending", "Launched"): ("running", ["Launch", "Publish started"]),
    ("pending", "CancelRequested"): ("ended", END),
    ("pending", "Withdrawn"): ("ended", END),
    ("pending", "DeadlinePassed"): ("ended", END),
    ("running", "PhaseChanged"): ("running", ["Publish phase"]),
    ("running", "Progressed"): ("running", ["Publish progress"]),
    ("running", "CancelRequested"): ("asked", ASK),
    ("running", "TimedOut"): ("asked", ASK),
    ("running", "DeadlinePassed"): ("asked", ASK),
    ("running", "Ended"): ("ended", DONE),
    ("running", "KillFailed"): ("ended", END),
    ("asked", "PhaseChanged"): ("asked", ["Publish phase"]),
    ("asked", "Progressed"): ("asked", ["Publish progress"]),
    ("asked", "CancelRequested"): ("asked", ["Ask"]),
    ("asked", "DeadlinePassed"): ("asked", NOTHING),
    ("forcing", "DeadlinePassed"): ("forcing", NOTHING),
    ("asked", "CancelTimedOut"): (
        "forcing",
        ["DisarmTimer grace", "Kill", "Publish cancel_forced"],
    ),
    ("asked", "Ended"): ("ended", ["Wake", "DisarmTimer grace", *END]),
    ("asked", "KillFailed"): ("ended", ["DisarmTimer grace", *END]),
    ("forcing", "PhaseChanged"): ("forcing", ["Publish phase"]),
    ("forcing", "Progressed"): ("forcing", ["Publish progress"]),
    ("forcing", "CancelRequested"): ("forcing", NOTHING),
    ("forcing", "Ended"): ("ended", DONE),
    ("forcing", "KillFailed"): ("ended", END),
    ("ended", "Ended"): ("ended", NOTHING),
    ("ended", "ResultMoved"): ("ended", ["Publish result_let_go"]),
    **{(stage, "Joined"): (stage, NOTHING) for stage in STAGES[1:]},
}
# Timers and reports that crossed the change they were about: nothing happens.
LATE: set[tuple[str, str]] = {
    *itertools.product(["pending"], ["PhaseChanged", "Progressed", "CancelTimedOut"]),
    *itertools.product(["pending"], ["TimedOut", "KillFailed"]),
    *itertools.product(["running"], ["Blocked", "Refused", "CancelTimedOut"]),
    *itertools.product(["running", "asked", "forcing", "ended"], ["HoldExpired", "BackoffOver"]),
    *itertools.product(["asked", "forcing", "ended"], ["TimedOut"]),
    *itertools.product(["forcing", "ended"], ["CancelTimedOut"]),
    ("ended", "DeadlinePassed"),
    *itertools.product(
        ["ended"], ["RoomMade", "Blocked", "Refused", "PhaseChanged", "Progressed", "KillFailed"]
    ),
}
ALL = list(itertools.product(STAGES, EVENTS))


@pytest.mark.parametrize(("stage", "event"), ALL)
def test_a_cell_of_the_table(stage: str, event: str) -> None:
    bench = Bench()
    bench.bring_to(stage)
    history, revision = bench.job.history, bench.state.revision
    made = EVENTS[event](bench.job)
    if (stage, event) in CELLS:
        after, effects = CELLS[stage, event]
        assert bench.apply(made) == effects
        assert stage_of(bench.job) == after
        assert (bench.state.revision > revision) == bool(effects)
    elif (stage, event) in LATE:
        assert bench.apply(made) == []
        assert stage_of(bench.job) == stage
        assert bench.state.revision == revision
    elif event in COMMANDS:
        assert bench.apply(made) is None
        assert stage_of(bench.job) == stage
        assert bench.job.history == history
    else:
        with pytest.raises(InvalidTransition, match=f"{event} does not fit.*{stage}.*{history}"):
            bench.apply(made)
        assert stage_of(bench.job) == stage
        assert bench.state.revision == revision


def test_the_code_has_the_pairs_that_are_written_here_and_no_others() -> None:
    assert {(stage, event.__name__) for stage, event in TABLE} == {*CELLS, *LATE}


def test_the_table_in_the_docs_is_the_table_in_the_code() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| ([a-z, ]+) \| ([^|]+) \|", text, re.MULTILINE)
    told = set()
    for stages, events in rows:
        for stage, event in itertools.product(stages.split(", "), re.findall(r"[A-Z]\w+", events)):
            if stage in STAGES and event in EVENTS:
                told.add((stage, event))
    assert told == set(CELLS)


def told_effects(cell: str) -> tuple[set[str], set[str]]:
    """Of a cell of the docs: which effects always follow, and which may ("if …: …")."""
    always: set[str] = set()
    perhaps: set[str] = set()
    for part in cell.split("; "):
        names = set(re.findall(r"[A-Z]\w+", part))
        assert all(hasattr(fx, name) for name in names), part
        (perhaps if part.startswith("if ") else always).update(names)
    return always, perhaps


def test_the_effects_in_the_docs_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| ([a-z, ]+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    told: dict[tuple[str, str], list[tuple[set[str], set[str]]]] = {cell: [] for cell in CELLS}
    for stages, events, effects in rows:
        names = re.findall(r"[A-Z]\w+", events)
        for pair in itertools.product(stages.split(", "), names):
            if pair in told:
                told[pair].append(told_effects(effects))
    for pair, (_, effects) in CELLS.items():
        seen = {name.split()[0] for name in effects} - {"DisarmTimer"}
        fits = [always <= seen <= always | perhaps for always, perhaps in told[pair]]
        assert any(fits), f"{pair}: {seen} in the code, {told[pair]} in the docs"


# -- what a cell does besides, depending on the job ---------------------------------------------


def test_a_job_that_can_never_start_has_failed_whatever_its_retries() -> None:
    bench = Bench(retries=3)
    bench.bring_to("pending")
    bench.apply(ev.Refused(bench.job, JobFailure("ImpossibleRequest", "too much")))
    assert bench.job.status.value == "failed"
    assert str(bench.job.failure) == "ImpossibleRequest: too much"
    assert bench.job.started_at is None
    assert bench.state.totals.failed == 1


MACHINE = JobFailure("OSError", "too many open files")


def test_a_start_that_failed_through_no_fault_of_the_job_is_made_again_and_uses_no_retry() -> None:
    bench = Bench(retries=1)
    bench.bring_to("running")
    for wait in (1, 2, 4, 8):
        effects = apply(bench.state, ev.Ended(bench.job, 1, Out.of_start(MACHINE)), 100.0)
        bench.state.validate()
        assert [e.seconds for e in effects or [] if isinstance(e, fx.ArmTimer)] == [wait]
        assert bench.job.status.value == "pending"
        assert bench.state.order.position(bench.job) == 0
        assert bench.state.lanes_taken == 1
        assert "too many open files" in str(bench.job.block_reason)
        bench.apply(ev.BackoffOver(bench.job, 1))
        assert bench.state.lanes_taken == 0
        assert bench.job.block_reason is None
        bench.apply(ev.Launched(bench.job, "process", True))
    bench.apply(ev.Ended(bench.job, 1, Out.of_start(MACHINE)))
    assert bench.job.status.value == "failed"
    assert bench.job.attempt == 1
    assert str(bench.job.failure) == "OSError: too many open files (tried 5 times)"
    assert bench.state.pause is None


def fail_to_start(bench: Bench, job: JobRecord) -> list[str]:
    effects: list[str] = []
    bench.apply(ev.Submitted(job))
    while job.status.value == "pending":
        bench.apply(ev.BackoffOver(job, 1))
        bench.apply(ev.Launched(job, "process", True))
        effects = bench.apply(ev.Ended(job, 1, Out.of_start(MACHINE))) or []
    return effects


def test_two_jobs_in_a_row_that_cannot_be_started_pause_the_queue() -> None:
    bench = Bench()
    assert "Paused" not in fail_to_start(bench, bench.job)
    assert fail_to_start(bench, bench.make())[-1] == "Paused"
    assert bench.state.pause is not None
    assert "too many open files" in bench.state.pause.reason
    bench.state.set_pause(None)
    assert "Paused" not in fail_to_start(bench, bench.make()), "counted anew"


def test_jobs_that_cannot_be_started_are_counted_in_a_row_only() -> None:
    bench = Bench()
    fail_to_start(bench, bench.job)
    other = bench.make()
    bench.apply(ev.Submitted(other))
    bench.apply(ev.Launched(other, "process", True))
    bench.apply(ev.Ended(other, 1, Out.of_error(FAILURE)))
    assert "Paused" not in fail_to_start(bench, bench.make())


@pytest.mark.parametrize("stage", ["asked", "forcing"])
def test_a_start_that_failed_after_a_request_to_stop_is_not_made_again(stage: str) -> None:
    bench = Bench()
    bench.bring_to(stage)
    bench.apply(ev.Ended(bench.job, 1, Out.of_start(MACHINE)))
    assert bench.job.status.value == "cancelled"
    assert bench.state.lanes_taken == 0


@pytest.mark.parametrize("how", ["cancel", "hold and cancel"])
def test_a_job_that_waits_for_another_start_gives_its_lane_back_when_it_is_cancelled(
    how: str,
) -> None:
    bench = Bench()
    bench.bring_to("running")
    bench.apply(ev.Ended(bench.job, 1, Out.of_start(MACHINE)))
    if how != "cancel":
        bench.apply(ev.Held(bench.job, None, "release"))
    bench.apply(ev.CancelRequested(bench.job, False, 3.0, "why"))
    assert bench.job.status.value == "cancelled"
    assert bench.state.lanes_taken == 0


@pytest.mark.parametrize("how", ["error", "stop", "stop with an error"])
def test_a_job_that_ends_badly_by_itself_has_failed(how: str) -> None:
    bench = Bench()
    bench.bring_to("running")
    outcome = {
        "error": Out.of_error(FAILURE),
        "stop": Out.of_stop(),
        "stop with an error": Out.of_stop(FAILURE),
    }[how]
    assert bench.apply(ev.Ended(bench.job, 1, outcome)) == DONE
    assert bench.job.status.value == "failed"
    assert str(bench.job.failure)
    assert bench.state.totals.failed == 1


@pytest.mark.parametrize("stage", ["asked", "forcing"])
@pytest.mark.parametrize("outcome", [Out.of_error(FAILURE), Out.of_stop()], ids=["error", "stop"])
def test_a_job_that_was_asked_and_ends_badly_is_cancelled(stage: str, outcome: Out) -> None:
    bench = Bench()
    bench.bring_to(stage)
    bench.apply(ev.Ended(bench.job, 1, outcome))
    assert bench.job.status.value == "cancelled"
    assert bench.job.failure is outcome.failure
    assert bench.job.cancel_reason == "why"
    assert bench.job.cancel_phase is None


@pytest.mark.parametrize("stage", ["asked", "forcing"])
def test_finished_work_is_kept_whatever_was_asked(stage: str) -> None:
    bench = Bench()
    bench.bring_to(stage)
    bench.apply(ev.Ended(bench.job, 1, Out.of_value("kept")))
    assert bench.job.status.value == "completed"
    assert bench.job.result == "kept"
    assert bench.job.finished_before_cancel


@pytest.mark.parametrize("stage", ["asked", "forcing"])
def test_work_that_was_cut_short_knowingly_is_cancelled_and_its_part_kept(stage: str) -> None:
    bench = Bench()
    bench.bring_to(stage)
    bench.apply(ev.Ended(bench.job, 1, Out.of_value("a part", noticed=True)))
    assert bench.job.status.value == "cancelled"
    assert bench.job.result == "a part"
    assert not bench.job.finished_before_cancel


def test_a_time_limit_that_was_noticed_fails_its_job_and_keeps_the_part() -> None:
    bench = Bench(timeout=LIMIT)
    bench.bring_to("running")
    bench.apply(ev.TimedOut(bench.job, 1, 3.0))
    bench.apply(ev.Ended(bench.job, 1, Out.of_value("a part", noticed=True)))
    assert bench.job.status.value == "failed"
    assert str(bench.job.failure) == "TimeLimitExceeded: time limit 60 s"
    assert bench.job.result == "a part"


def test_a_time_limit_fails_its_job_and_a_value_in_time_is_kept() -> None:
    late, punctual = Bench(timeout=LIMIT), Bench(timeout=LIMIT)
    for bench, outcome in ((late, Out.of_stop()), (punctual, Out.of_value(1))):
        bench.bring_to("running")
        assert "ArmTimer limit" not in (bench.apply(ev.TimedOut(bench.job, 1, 3.0)) or [])
        bench.apply(ev.Ended(bench.job, 1, outcome))
    assert str(late.job.failure) == "TimeLimitExceeded: time limit 60 s"
    assert late.job.status.value == "failed"
    assert punctual.job.status.value == "completed"
    assert not punctual.job.finished_before_cancel


def test_a_user_who_cancels_after_the_time_limit_has_the_last_word() -> None:
    bench = Bench(timeout=LIMIT)
    bench.bring_to("running")
    bench.apply(ev.TimedOut(bench.job, 1, 3.0))
    bench.apply(ev.CancelRequested(bench.job, False, 3.0, "mine"))
    bench.apply(ev.Ended(bench.job, 1, Out.of_stop()))
    assert bench.job.status.value == "cancelled"
    assert bench.job.cancel_reason == "mine"


def test_a_time_limit_counts_from_when_the_body_runs() -> None:
    bench = Bench(timeout=LIMIT)
    bench.bring_to("pending")
    assert "ArmTimer limit" in (bench.apply(ev.Launched(bench.job, "process", True)) or [])
    assert bench.apply(ev.PhaseChanged(bench.job, 1, "starting")) == [
        "DisarmTimer limit",
        "Publish phase",
    ]
    assert bench.apply(ev.PhaseChanged(bench.job, 1, None)) == ["ArmTimer limit", "Publish phase"]


@pytest.mark.parametrize(("force", "timeout"), [(True, 3.0), (False, 0.0)])
def test_a_cancel_may_force_at_once(force: bool, timeout: float) -> None:
    bench = Bench()
    bench.bring_to("running")
    assert bench.apply(ev.CancelRequested(bench.job, force, timeout, "")) == [
        "Kill",
        "Publish cancel_forced",
    ]
    assert stage_of(bench.job) == "forcing"


@pytest.mark.parametrize(("force", "timeout"), [(True, 3.0), (False, 0.0)])
def test_a_second_cancel_may_force_at_once_too(force: bool, timeout: float) -> None:
    bench = Bench()
    bench.bring_to("asked")
    assert bench.apply(ev.CancelRequested(bench.job, force, timeout, "")) == [
        "DisarmTimer grace",
        "Kill",
        "Publish cancel_forced",
    ]
    assert stage_of(bench.job) == "forcing"


@pytest.mark.parametrize("force", [True, False])
def test_what_cannot_be_killed_is_asked_and_no_timer_is_armed(force: bool) -> None:
    bench = Bench(can_kill=False)
    bench.bring_to("running")
    for _ in range(2):
        effects = bench.apply(ev.CancelRequested(bench.job, force, 0.0, "")) or []
        assert "Ask" in effects
        assert not any(name.startswith(("Kill", "ArmTimer")) for name in effects)
        assert stage_of(bench.job) == "asked"


def test_work_that_could_not_be_ended_keeps_its_lane_until_it_is_gone() -> None:
    bench = Bench()
    bench.bring_to("forcing")
    bench.apply(ev.KillFailed(bench.job, 1, "too strong"))
    assert bench.job.status.value == "failed"
    assert "could not be ended: too strong" in str(bench.job.failure)
    assert bench.state.lanes_taken == 1
    assert bench.apply(ev.Ended(bench.job, 1, Out.of_value(1))) == ["Wake"]
    assert bench.state.lanes_taken == 0
    assert bench.job.status.value == "failed"
    assert bench.job.result is None


def test_a_retry_keeps_the_id_waits_and_then_starts_clean() -> None:
    bench = Bench(retries=1, timeout=LIMIT)
    bench.bring_to("running")
    bench.apply(ev.Progressed(bench.job, 1, 0.9, "nearly"))
    effects = bench.apply(ev.Ended(bench.job, 1, Out.of_error(FAILURE))) or []
    assert "ArmTimer backoff" in effects
    assert "DisarmTimer limit" in effects
    assert not {"ReleaseWaiters", "Publish ended"} & set(effects)
    assert stage_of(bench.job) == "pending"
    assert not bench.job.startable
    assert bench.apply(ev.BackoffOver(bench.job, 2)) == ["Publish released", "Wake"]
    bench.apply(ev.Launched(bench.job, "process", True))
    assert (bench.job.attempt, bench.job.progress, bench.job.message) == (2, 0.0, "")
    assert bench.apply(ev.Ended(bench.job, 1, Out.of_value("stale"))) == []
    assert bench.apply(ev.Progressed(bench.job, 1, 0.1, "stale")) == []
    bench.apply(ev.Ended(bench.job, 2, Out.of_error(FAILURE)))
    assert bench.job.status.value == "failed"


def test_news_of_an_earlier_attempt_leaves_the_timers_of_this_one_alone() -> None:
    bench = Bench(retries=1, timeout=LIMIT)
    bench.bring_to("running")
    bench.apply(ev.Ended(bench.job, 1, Out.of_error(FAILURE)))
    assert bench.apply(ev.BackoffOver(bench.job, 1)) == []
    effects = bench.apply(ev.CancelRequested(bench.job, False, 3.0, ""))
    assert effects == ["DisarmTimer backoff", *END]

    bench = Bench(timeout=LIMIT)
    bench.bring_to("running")
    assert bench.apply(ev.TimedOut(bench.job, 0, 3.0)) == []
    assert bench.apply(ev.Ended(bench.job, 1, Out.of_value(1))) == [
        "Wake",
        "DisarmTimer limit",
        *END,
    ]


def test_a_job_that_was_asked_to_stop_is_not_retried() -> None:
    bench = Bench(retries=5)
    bench.bring_to("asked")
    bench.apply(ev.Ended(bench.job, 1, Out.of_error(FAILURE)))
    assert bench.job.status.value == "cancelled"


@pytest.mark.parametrize(("then", "after"), [("release", "pending"), ("cancel", "ended")])
def test_a_hold_that_expires_does_what_it_said(then: str, after: str) -> None:
    bench = Bench()
    bench.bring_to("pending")
    bench.apply(ev.Held(bench.job, 8.0, then))  # type: ignore[arg-type]
    assert not bench.job.startable
    bench.apply(ev.HoldExpired(bench.job))
    assert stage_of(bench.job) == after
    assert not bench.job.timers


def test_holding_again_replaces_the_first_hold_and_releasing_ends_both() -> None:
    bench = Bench()
    bench.bring_to("pending")
    bench.apply(ev.Held(bench.job, 8.0, "cancel"))
    assert bench.apply(ev.Held(bench.job, None, "release")) == ["DisarmTimer hold", "Publish held"]
    assert bench.apply(ev.Released(bench.job)) == ["Publish released", "Wake"]
    assert bench.job.startable


@pytest.mark.parametrize("away", ["cancel", "hold"])
def test_whatever_takes_a_blocked_job_away_wakes_the_dispatcher(away: str) -> None:
    bench = Bench()
    bench.bring_to("pending")
    bench.apply(ev.Blocked(bench.job, BlockReason("no room")))
    assert bench.apply(ev.Blocked(bench.job, BlockReason("no room"))) == []  # said once
    event = EVENTS["CancelRequested" if away == "cancel" else "Held"](bench.job)
    assert "Wake" in (bench.apply(event) or [])


def test_why_a_job_is_blocked_is_no_news_once_it_is_held() -> None:
    """The dispatcher had looked at it just before; what is held and blocked cannot run at all."""
    bench = Bench()
    bench.bring_to("pending")
    bench.apply(ev.Held(bench.job, None, "release"))
    assert bench.apply(ev.Blocked(bench.job, BlockReason("no room"))) == []
    assert bench.job.block_reason is None


def test_a_move_beside_a_job_that_is_gone_is_refused() -> None:
    bench = Bench()
    bench.bring_to("pending")
    other = bench.make()
    bench.apply(ev.Submitted(other))
    bench.apply(ev.CancelRequested(other, False, 3.0, ""))
    assert bench.apply(ev.Moved(bench.job, other, "before")) is None


# -- what a journal brings back --------------------------------------------------------------------


def restored(was: str, *, asked: bool = False, **options: Any) -> tuple[Bench, list[str]]:
    bench = Bench(**options)
    bench.job.started_at = 50.0
    event = ev.Restored(bench.job, JobStatus(was), asked=asked, seen_at=60.0)
    return bench, bench.apply(event) or []


@pytest.mark.parametrize("was", ["completed", "failed", "cancelled"])
def test_an_ended_job_is_restored_as_it_was_and_counted_once(was: str) -> None:
    bench, effects = restored(was)
    assert effects == []
    assert bench.job.status.value == was
    assert getattr(bench.state.totals, was) == bench.state.totals.accepted == 1
    assert list(bench.state.history()) == [bench.job]


def test_a_job_that_ran_when_its_kernel_went_has_failed_and_says_why() -> None:
    bench, effects = restored("running")
    assert effects == END
    assert bench.job.status.value == "failed"
    assert str(bench.job.failure) == "KernelDied: interrupted by kernel exit"
    assert bench.job.completed_at == 60.0  # the last sign of life, not the time of the restore


def test_a_job_that_was_asked_to_stop_when_its_kernel_went_is_cancelled() -> None:
    bench, _ = restored("running", asked=True, retries=3, idempotent=True)
    assert bench.job.status.value == "cancelled"


@pytest.mark.parametrize("asked", [False, True])
def test_a_job_that_needs_no_kernel_has_its_lane_again_and_its_end_comes_as_ever(
    asked: bool,
) -> None:
    bench = Bench()
    bench.job.started_at = 50.0
    event = ev.Restored(bench.job, JobStatus.running, asked=asked, deadline_left=7.0, grace=2.0)
    event.goes_on = True
    effects = bench.apply(event)
    grace = ["ArmTimer grace"] if asked else []
    assert effects == ["ArmTimer deadline", *grace, "Publish restored"]
    assert (bench.job.status.value, bench.job.started_at) == ("running", 50.0)
    assert stage_of(bench.job) == ("asked" if asked else "running")
    assert bench.state.lanes_taken == 1
    bench.state.validate()
    bench.apply(ev.Ended(bench.job, 1, Out.of_stop()))
    assert bench.job.status.value == ("cancelled" if asked else "failed")
    assert bench.state.lanes_taken == 0
    bench.state.validate()


@pytest.mark.parametrize(
    ("options", "status", "attempt"),
    [
        ({"retries": 1, "idempotent": True}, "pending", 2),
        ({"retries": 1}, "failed", 1),
        ({"idempotent": True}, "failed", 1),
    ],
)
def test_only_an_idempotent_job_with_retries_left_runs_again(
    options: dict[str, Any], status: str, attempt: int
) -> None:
    bench, effects = restored("running", **options)
    assert (bench.job.status.value, bench.job.attempt) == (status, attempt)
    assert ("Publish restored" in effects) == (status == "pending")


def test_a_restored_hold_goes_on_for_what_was_left_of_it() -> None:
    bench = Bench()
    bench.job.held, bench.job.hold_then = True, "cancel"
    event = ev.Restored(bench.job, JobStatus.pending, hold_left=3.0)
    assert bench.apply(event) == ["Publish restored", "Wake", "ArmTimer hold"]
    assert not bench.job.startable
    bench.apply(ev.HoldExpired(bench.job))
    assert bench.job.status.value == "cancelled"


def test_a_restored_job_waits_for_its_restored_parents() -> None:
    bench = Bench()
    parent, child, other = bench.job, bench.make(), bench.make()
    bench.apply(ev.Restored(parent, JobStatus.running, seen_at=60.0))
    bench.apply(ev.Restored(child, JobStatus.pending, (parent,)))
    assert child.status.value == "cancelled"
    assert child.cancel_reason == "dependency failed: len"
    waiting = bench.make()
    bench.apply(ev.Restored(other, JobStatus.pending))
    bench.apply(ev.Restored(waiting, JobStatus.pending, (other,)))
    assert not waiting.startable


def test_counters_go_on_from_what_a_journal_has_forgotten() -> None:
    bench = Bench()
    bench.state.count_forgotten(5, 2, 1, 1)
    bench.bring_to("ended")
    totals = bench.state.totals
    assert (totals.accepted, totals.completed, totals.failed, totals.cancelled) == (9, 6, 2, 1)
    assert totals.retried == 1


def test_whose_rank_changed_to_make_room_for_another_is_told() -> None:
    bench = Bench()
    jobs = [bench.job, *(bench.make() for _ in range(20))]
    for job in jobs:
        bench.apply(ev.Submitted(job))
    before = {job.id: job.rank for job in jobs}
    told: set[str] = set()
    for step in range(200):  # always between the same two: there will be no room
        job = jobs[2 + step % 10]
        effects = apply(bench.state, ev.Moved(job, jobs[0], "after"), 0.0) or []
        told |= {effect.job.id for effect in effects}
        bench.state.validate()
        changed = {job.id for job in jobs if job.rank != before[job.id]}
        assert changed <= told
        before, told = {job.id: job.rank for job in jobs}, set()
