"""What every journal promises, and what a queue makes of it: one suite, every journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JournalError, JournalInUseError, JournalWarning, SqliteJournal
from jobqueue_widget._core.stored import (
    Changes,
    Contents,
    KeptFunction,
    KeptResult,
    KeptTold,
    Session,
    StoredRequest,
    StoredState,
)
from jobqueue_widget.protocols import Journal
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.journals import let_go, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

Again = Callable[[], Journal]
"""The same journal, as another kernel would have it."""

METRICS = '{"loss": [[0, 1.0]]}'


@pytest.fixture(params=["full", "normal", "network", "memory"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Again:
    if request.param == "memory":
        journal = MemoryJournal()
        return lambda: journal
    path = tmp_path / "runs.db"
    if request.param == "network":
        return lambda: SqliteJournal(path, allow_network=True)
    return lambda: SqliteJournal(path, sync=request.param)


def session(run_id: str = "run") -> Session:
    return Session(run_id, 1, "host", "title", 1.0, 1.0, None)


def request(number: int, run_id: str = "run") -> StoredRequest:
    return StoredRequest(
        number,
        f"{run_id}-{number}",
        "function",
        "f",
        "{}",
        "1, 2",
        None,
        b"digest",
        b"call",
        b"seal",
        None,
        2.0,
    )


def state(number: int, status: str = "pending", run_id: str = "run") -> StoredState:
    return StoredState(
        number,
        f"{run_id}-{number}",
        status,
        1,
        5,
        number << 32,
        False,
        True,
        "cancel",
        9.5,
        None,
        None,
        "message",
        "process",
        "",
        False,
        None,
        None,
        None,
    )


def changes(*numbers: int, **more: object) -> Changes:
    made = Changes("run", 3.0, max(numbers, default=0))
    made.requests = [request(number) for number in numbers]
    made.standings = [state(number) for number in numbers]
    for name, value in more.items():
        setattr(made, name, value)
    return made


def kept(again: Again, *written: Changes, run_id: str = "run") -> Contents:
    """What another kernel finds."""
    journal = again()
    journal.open(session(run_id))
    for one in written:
        one.run_id = run_id
        journal.write(one)
    journal.close()
    other = again()
    contents = other.open(session(f"after {run_id}"))
    other.close()
    return contents


# -- the journal alone -----------------------------------------------------------------------------


def test_a_new_journal_is_empty(again: Again) -> None:
    journal = again()
    contents = journal.open(session())
    assert contents.jobs == []
    assert contents.sessions == []
    assert contents.complete
    assert contents.owned
    journal.close()


def test_what_was_written_comes_back_in_the_order_of_submission(again: Again) -> None:
    contents = kept(again, changes(2, 3), changes(1, numbers_given=7))
    assert [found for found, _ in contents.jobs] == [request(1), request(2), request(3)]
    assert [found for _, found in contents.jobs] == [state(1), state(2), state(3)]
    assert contents.numbers_given == 7
    assert contents.sessions == [session()._replace(seen_at=3.0)]


def test_a_change_replaces_only_where_the_job_stands(again: Again) -> None:
    later = changes()
    later.standings = [state(1, "running")]
    later.numbers_given = 1
    contents = kept(again, changes(1), later)
    assert contents.jobs == [(request(1), state(1, "running"))]


def test_results_logs_and_functions_are_read_one_by_one(again: Again) -> None:
    large = KeptResult("pickle", b"x" * 3_000_000, "<bytes>", b"seal")
    text = KeptResult("text", b"why not", "<Odd>", None)
    function = KeptFunction(b"digest", b"pickle", '["file", []]')
    contents = kept(
        again,
        changes(
            1,
            2,
            functions=[function],
            results=[("run-1", large), ("run-2", text)],
            logs=[("run-1", b"printed \xff")],
            told=[
                ("run-1", KeptTold('{"loss": [[0, 1.0]]}', None, "{}")),
                ("run-2", KeptTold(None, "")),
            ],
        ),
    )
    assert contents.with_result == {"run-1", "run-2"}
    assert contents.with_log == {"run-1"}
    assert contents.with_told == {"run-1", "run-2"}
    journal = again()
    journal.open(session("more"))
    assert journal.result("run-1") == large
    assert journal.result("run-2") == text
    assert journal.result("run-3") is None
    assert journal.log("run-1") == b"printed \xff"
    assert journal.log("run-2") == b""
    assert journal.told("run-1") == KeptTold(METRICS, None, "{}")
    assert journal.told("run-2") == KeptTold(None, "")
    assert journal.told("run-3") == KeptTold(None, None)
    assert journal.request(1) == request(1)
    assert journal.request(3) is None
    assert journal.function(b"digest") == function
    assert journal.function(b"other") is None
    journal.close()


def test_what_is_forgotten_is_counted_and_gone(again: Again) -> None:
    result = KeptResult("pickle", b"x" * 3_000_000, "", b"seal")
    first = changes(1, 2, results=[("run-1", result)], logs=[("run-1", b"log")])
    first.told = [("run-1", KeptTold("{}", "{}"))]
    contents = kept(
        again,
        first,
        changes(forgotten=[(1, "run-1")], counted={"completed": 2, "failed": 1}, numbers_given=2),
        changes(counted={"failed": 1}, numbers_given=2),
    )
    assert [found.id for found, _ in contents.jobs] == ["run-2"]
    assert contents.forgotten == {"completed": 2, "failed": 2}
    assert not contents.with_result
    assert not contents.with_log
    assert not contents.with_told


def test_a_job_that_left_no_log_and_no_result_is_forgotten_by_its_number_alone(
    again: Again,
) -> None:
    contents = kept(
        again,
        changes(1, 2, 3),
        changes(forgotten=[(1, ""), (3, "")], counted={"failed": 2}, numbers_given=3),
    )
    assert [found.id for found, _ in contents.jobs] == ["run-2"]
    assert contents.forgotten == {"failed": 2}


def test_a_pause_is_kept_until_it_is_over(again: Again) -> None:
    assert kept(again, changes(pause=("why", 4.0), pause_changed=True)).pause == ("why", 4.0)
    assert kept(again, changes(), run_id="second").pause == ("why", 4.0)
    over = changes(pause=None, pause_changed=True)
    assert kept(again, over, run_id="third").pause is None


def test_who_says_goodbye_is_known_to_have_done_so(again: Again) -> None:
    contents = kept(again, changes(1, ended=True))
    assert contents.sessions[0].ended_at == 3.0


def test_one_at_a_time_has_it(again: Again) -> None:
    journal = again()
    journal.open(session())
    with pytest.raises(JournalInUseError):
        again().open(session("other"))
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.write(changes(1))
    other = again()
    other.open(session("other"))
    other.close()


def test_a_mark_that_something_is_missing_is_there_for_the_next_one(again: Again) -> None:
    journal = again()
    journal.open(session())
    journal.mark_incomplete()
    journal.close()
    journal = again()
    assert not journal.open(session("second")).complete
    journal.mark_incomplete()
    journal.mark_complete()
    journal.close()
    journal = again()
    assert journal.open(session("third")).complete
    journal.close()


# -- in a queue ------------------------------------------------------------------------------------


async def double(number: int) -> int:
    return 2 * number


async def test_a_queue_comes_back(again: Again) -> None:
    async with running(again()) as queue:
        done = queue.submit_nowait(double, 4)
        assert await done == 8
        queue.pause()
        waits = queue.map(double, range(3))
        queue.move(waits[2], to="top")
    async with running(again(), on_restore="run") as queue:
        assert queue[done.id].result == 8
        assert [job.id for job in queue.jobs("completed")] == [done.id]
        assert not queue.paused  # whoever says "run" means it
        queue.resume()
        await queue.join()
        assert [queue[job.id].result for job in waits] == [0, 2, 4]


async def test_many_threads_submit_at_once_and_all_of_it_is_kept(again: Again) -> None:
    with opened(again()) as queue:
        await asyncio.gather(
            *(asyncio.to_thread(queue.map, double, range(25)) for _ in range(8)),
            *(asyncio.to_thread(queue.submit_nowait, double, n) for n in range(40)),
        )
        ids = {job.id for job in queue.jobs()}
    with opened(again()) as queue:
        assert {job.id for job in queue.jobs("pending")} == ids
        assert len(ids) == 240


async def test_no_text_and_no_number_of_a_user_stops_a_journal(again: Again) -> None:
    bad = "\ud800\x00\u202e'; DROP TABLE jobs; --"

    async def odd() -> None:
        raise ValueError(bad)

    odd.__qualname__ = bad
    async with running(again()) as queue:
        view = queue.options(label=bad, tags=[bad], priority=10**30)
        await queue.wait_for_job(view.submit_nowait(odd))
        queue.submit_nowait(double, bad)
        queue.pause(bad)
        view.submit_nowait(odd).cancel(reason=bad)
        held = queue.options(priority=-(10**30)).submit_nowait(double, 1)
        queue.hold(held, seconds=1e300)
        assert inspect(queue).notice == ""
        ids = [job.id for job in queue.jobs()]
    with opened(again()) as queue:
        assert [job.id for job in queue.jobs()] == ids
        assert queue.find("DROP TABLE")
        assert queue[held.id].priority == -(2**63 - 1)


async def test_doubt_about_what_is_pending_lasts_until_somebody_has_looked(again: Again) -> None:
    with opened(again()) as queue:
        queue.submit_nowait(double, 1)
        journal = inspect(queue).journal
        assert journal is not None
        journal.mark_incomplete()
    for _ in range(2):  # nobody has looked at the first
        with opened(again(), on_restore="run") as queue:
            assert queue.paused
    with opened(again(), on_restore="run") as queue:
        queue.resume()
    with opened(again(), on_restore="run") as queue:
        assert not queue.paused


async def test_the_journal_of_tests_can_fail_like_a_disk() -> None:
    journal = MemoryJournal()
    queue = JobQueue(journal=journal)
    journal.fail_next(1)
    with pytest.warns(JournalWarning, match="No space left"):
        job = queue.submit_nowait(double, 1)
    let_go(queue)
    with opened(journal) as later:
        assert [one.id for one in later.jobs()] == [job.id]
