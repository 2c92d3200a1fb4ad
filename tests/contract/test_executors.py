"""Any executor, driven by itself: one end per launch, asks, kills, reports, open and close."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobqueue_widget._core.jobs import Outcome
from tests.conditions import until
from tests.contract import bodies
from tests.contract.conftest import Promise
from tests.contract.direct import Recorder, opened
from tests.contract.subjects import Subject, until_beating
from tests.crash.processes import alive
from tests.leaks import Resources


def stopped(outcome: Outcome) -> bool:
    """A body may answer a request to stop with its own error."""
    failure = outcome.failure
    return outcome.kind == "cancelled" or (failure is not None and failure.type_name == "Stopped")


async def test_a_value_is_told_as_the_one_end(subject: Subject, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.call("echo", [1, "two", None]))
        outcome = await recorder.end()
        assert (outcome.kind, outcome.value) == ("value", [1, "two", None])
    assert len(recorder.ends) == 1


async def test_an_error_is_told_with_its_words(subject: Subject, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.call("fail", "ValueError"))
        outcome = await recorder.end()
        assert outcome.kind == "error"
        assert "as it was told" in str(outcome.failure)
    assert len(recorder.ends) == 1


async def test_what_cannot_run_tells_an_error_and_raises_nothing(
    subject: Subject, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.wrong)
        assert (await recorder.end()).kind == "error"
        _, after = bench.launch(subject.call("echo", 1))
        assert (await after.end()).value == 1
    assert len(recorder.ends) == 1


async def test_an_ask_ends_what_listens(subject: Subject, promise: Promise, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        execution, recorder = bench.launch(subject.call("listen", str(tmp_path)))
        await until_beating(tmp_path)
        execution.ask_to_stop()
        if not subject.listens:
            await until_beating(tmp_path)
            bodies.release(tmp_path)
        outcome = await recorder.end()
        assert stopped(outcome) is subject.listens, outcome
    assert len(recorder.ends) == 1
    promise("a body that listens ends when asked", subject.listens)


async def test_an_ask_changes_nothing_for_what_does_not_listen(
    subject: Subject, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        execution, recorder = bench.launch(subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        execution.ask_to_stop()
        execution.ask_to_stop()
        await until_beating(tmp_path)
        assert not recorder.ends
        bodies.release(tmp_path)
        assert (await recorder.end()).value == "released"
    assert len(recorder.ends) == 1


async def test_a_kill_ends_what_does_not_listen_and_the_work_is_gone(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        execution, recorder = bench.launch(subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        assert execution.can_be_killed is subject.can_kill
        execution.kill()
        if subject.can_kill:
            assert (await recorder.end()).kind != "value"
            (pid,) = bodies.pids(tmp_path)
            assert subject.name == "plugin of a fake host" or not alive(pid)
            assert not recorder.kills_failed
            count = bodies.beats(tmp_path)
            _, after = bench.launch(subject.call("echo", "next"))
            assert (await after.end()).value == "next"
            assert bodies.beats(tmp_path) == count
        else:
            await until(lambda: recorder.kills_failed)
            await until_beating(tmp_path)
            bodies.release(tmp_path)
            assert (await recorder.end()).value == "released"
    assert len(recorder.ends) == 1
    promise("a body that does not listen can be forced", subject.can_kill)


@pytest.mark.parametrize("how", ["ask", "kill"])
async def test_a_request_in_the_turn_of_the_launch_gives_one_end(
    subject: Subject, how: str, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        if how == "kill" and not subject.can_kill:
            return
        for _ in range(3):
            execution, recorder = bench.launch(subject.call("echo", 1))
            execution.ask_to_stop() if how == "ask" else execution.kill()
            await recorder.end()
            assert len(recorder.ends) == 1
        _, after = bench.launch(subject.call("echo", "next"))
        assert (await after.end()).value == "next"
    assert len(recorder.ends) == 1


async def test_an_ask_in_the_turn_of_the_launch_is_not_lost(
    subject: Subject, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        for _ in range(10):  # the worker of the first one starts, those of the others are warm
            execution, recorder = bench.launch(subject.call("listen", str(tmp_path)))
            execution.ask_to_stop()
            assert stopped(await recorder.end())
            assert len(recorder.ends) == 1
            _, warming = bench.launch(subject.call("echo", 1))
            await warming.end()


async def test_asks_and_kills_after_the_end_are_harmless(subject: Subject, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        for number in range(3):
            execution, recorder = bench.launch(subject.call("echo", number))
            assert (await recorder.end()).value == number
            execution.ask_to_stop()
            if subject.can_kill:
                execution.kill()
            execution.ask_to_stop()
        assert len(recorder.ends) == 1
        assert not recorder.kills_failed
        _, after = bench.launch(subject.call("echo", "unharmed"))
        assert (await after.end()).value == "unharmed"


async def test_two_places_work_at_the_same_time(subject: Subject, tmp_path: Path) -> None:
    folders = [tmp_path / "0", tmp_path / "1"]
    async with opened(subject.make(), tmp_path) as bench:
        recorders: list[Recorder] = []
        for place, folder in enumerate(folders):
            folder.mkdir()
            recorders.append(bench.launch(subject.call("ignore", str(folder), place=place))[1])
        for folder in folders:
            await until_beating(folder)
        for folder in folders:
            bodies.release(folder)
        for recorder in recorders:
            assert (await recorder.end()).value == "released"


async def test_the_end_is_told_while_the_loop_is_blocked(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        bodies.release(tmp_path)
        told = recorder.told.wait(20 if subject.free_of_the_loop else 0.2)  # blocks this loop
        assert told is subject.free_of_the_loop
        assert (await recorder.end()).value == "released"
    promise("its end is told while the loop is blocked", subject.free_of_the_loop)


async def test_a_kill_works_while_the_loop_is_blocked(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    works = subject.can_kill and subject.free_of_the_loop
    promise("it can be forced while the loop is blocked", works)
    if not works:
        return
    async with opened(subject.make(), tmp_path) as bench:
        execution, recorder = bench.launch(subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        execution.kill()
        assert recorder.told.wait(20)  # blocks this loop
    assert len(recorder.ends) == 1


async def test_a_log_is_the_job_s_own(subject: Subject, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        texts = []
        for words in ("said by the first", "said by the second"):
            _, recorder = bench.launch(subject.call("say", words))
            await recorder.end()
            texts.append(recorder.text)
        assert "said by the first" in texts[0]
        assert "second" not in texts[0]
        assert "said by the second" in texts[1]
        assert "first" not in texts[1]


async def test_the_last_report_comes_before_the_end(subject: Subject, tmp_path: Path) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.call("report_and_fail", "fine"))
        await recorder.end()
        assert recorder.reports[-1] == (0.25, "said fine")
        count = len(recorder.reports)
        _, after = bench.launch(subject.call("echo", 1))
        await after.end()
        assert after.reports == [], "nothing of the job before"
        assert len(recorder.reports) == count


async def test_what_it_says_is_heard_while_it_runs(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    async with opened(subject.make(), tmp_path) as bench:
        _, recorder = bench.launch(subject.call("tell", str(tmp_path)))
        await until_beating(tmp_path)
        if subject.heard:
            await until(lambda: bodies.TOLD in recorder.reports)
            await until(lambda: bodies.TOLD[1] in recorder.text)
        assert not recorder.ends
        bodies.release(tmp_path)
        assert (await recorder.end()).value == "released"
    promise("progress and log while it runs", subject.heard)


async def test_it_opens_and_closes_again_and_leaves_nothing(
    subject: Subject, tmp_path: Path
) -> None:
    executor = subject.make()
    before = Resources.now()
    async with opened(executor, tmp_path) as bench:
        for number in range(2):
            _, recorder = bench.launch(subject.call("echo", number))
            assert (await recorder.end()).value == number
    await executor.close()
    await asyncio.get_running_loop().shutdown_default_executor()  # the loop's own idle threads
    assert before.wait_for_what_is_new_to_go() == []


def test_it_opens_again_on_another_loop(subject: Subject, tmp_path: Path) -> None:
    executor = subject.make()

    async def once(value: str) -> object:
        async with opened(executor, tmp_path) as bench:
            _, recorder = bench.launch(subject.call("echo", value))
            return (await recorder.end()).value

    for value in ("one", "two", "three"):
        assert asyncio.run(once(value)) == value


async def test_closing_it_before_it_was_opened_does_nothing(subject: Subject) -> None:
    await subject.make().close()
