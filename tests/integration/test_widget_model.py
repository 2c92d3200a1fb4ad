"""The widget without a browser: bounded and true state, commands that act once and never raise."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus, current_job
from jobqueue_widget._api.schema import SCHEMA, USUAL
from jobqueue_widget.testing import FakePlugin, inspect, machine_with
from jobqueue_widget.widget.commands import ANSWERS_KEPT, Commands
from jobqueue_widget.widget.display import PROVIDER
from jobqueue_widget.widget.model import QueueSource, State
from jobqueue_widget.widget.sync import CommPort, Sync
from tests.conditions import until
from tests.resources import Machine, MemoryHost

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "\ud800",
    "\x00\x1b[31m",
]


class Page:
    """What a page sends and what it is answered."""

    def __init__(self, queue: JobQueue, widget: Any = None) -> None:
        self.widget = queue.widget if widget is None else widget
        self.answers: list[dict[str, Any]] = []
        self.commands: Commands = self.widget._commands
        self.commands._port._send = self.answers.append
        self._count = 0

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request."""
        self._count += 1
        rid = f"page-{self._count}"
        self.commands.handle({"t": "req", "cid": "page", "rid": rid, "op": op, "a": arguments})
        return next(answer for answer in reversed(self.answers) if answer.get("rid") == rid)

    def code_of(self, op: str, **arguments: Any) -> str:
        """How the request was refused."""
        code: str = self.ask(op, **arguments)["e"]["code"]
        return code


@asynccontextmanager
async def shown(**settings: Any) -> AsyncIterator[tuple[JobQueue, Page]]:
    async with JobQueue(**settings) as queue:
        page = Page(queue)
        try:
            yield queue, page
        finally:
            page.widget.close()


async def noop(*_: object, **__: object) -> None:
    pass


async def test_the_state_follows_the_queue() -> None:
    async with shown(name="mine") as (queue, page):
        job = queue.submit_nowait(noop)
        await job
        await until(lambda: page.widget.summary["counts"]["completed"] == 1)
        assert page.widget.summary["name"] == "mine"
        assert [row["id"] for row in page.widget.history] == [job.id]
        assert page.widget.history[0]["status"] == "completed"


async def test_the_number_of_a_flush_only_grows_and_a_hello_asks_for_one() -> None:
    async with shown() as (_, page):
        before = page.widget.summary["seq"]
        assert page.ask("hello")["v"] == {"epoch": page.widget.summary["epoch"], "away": None}
        await until(lambda: page.widget.summary["seq"] > before)


async def test_a_hello_sends_the_whole_state_though_nothing_has_changed() -> None:
    async with shown() as (_, page):
        sent: list[set[str]] = []
        page.widget.send_state = lambda key=None: sent.append(set(key))
        page.ask("hello")
        await until(lambda: any({"summary", "running", "head", "history"} <= keys for keys in sent))


async def test_a_repeated_hello_asks_again() -> None:
    async with shown() as (_, page):
        hello = {"t": "req", "cid": "page", "rid": "r", "op": "hello", "a": {}}
        whole: list[bool] = []
        page.commands._port._write = lambda state, is_whole: whole.append(is_whole)
        for count in range(3):  # the flush that answered it may have been lost each time
            page.commands.handle(dict(hello))
            await until(lambda: sum(whole) > count)  # noqa: B023 - waits within its turn


async def test_a_hello_in_the_middle_of_a_flush_gets_one_of_its_own() -> None:
    flushes: list[bool] = []
    meanwhile: list[Callable[[], None]] = []

    class Interrupted(QueueSource):
        def state(self) -> State:
            told = super().state()
            while meanwhile:
                meanwhile.pop()()
            return told

    port = CommPort(lambda state, whole: flushes.append(whole), lambda message: None)
    sync = Sync(Interrupted(JobQueue()), port)
    sync.first_state()
    meanwhile.append(sync.resync)
    sync._turn(True)
    sync._turn(True)
    sync._turn(True)
    assert flushes == [False, True, False]


async def test_a_whole_state_is_one_message() -> None:
    async with shown() as (_, page):
        page.widget._follower.close()
        sent: list[set[str]] = []
        page.widget.send_state = lambda key=None: sent.append(set(key))
        state = {"summary": {"seq": 1_000}, "running": [], "head": [], "history": [], "job": {}}
        page.widget._write_state(state, True)
        assert sent == [set(state)]


async def test_the_page_can_start_a_queue_where_the_loop_is_known() -> None:
    queue = JobQueue()
    page = Page(queue)
    refused: list[str] = []
    elsewhere = threading.Thread(target=lambda: refused.append(page.code_of("start")))
    elsewhere.start()
    elsewhere.join()
    assert refused == ["forbidden"]
    assert page.ask("start")["ok"]
    await queue.submit_nowait(noop)
    await queue.stop()
    page.widget.close()


async def test_a_queue_that_stops_says_so_to_who_starts_it() -> None:
    async with shown() as (queue, page):
        go_on = asyncio.Event()

        async def lingers() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await go_on.wait()

        job = queue.submit_nowait(lingers)
        await until(lambda: job.status is JobStatus.running)
        stop = asyncio.create_task(queue.stop())
        await until(lambda: page.widget.summary["phase"] == "stopping")
        refused = page.ask("start")["e"]
        assert refused == {"code": "stale", "msg": "it is stopping: start it when it has stopped"}
        go_on.set()
        await stop
        assert page.ask("start")["ok"]


async def test_the_state_is_bounded_whatever_the_queue_holds() -> None:
    async with shown() as (queue, page):
        queue.pause()
        view = queue.options(label="x" * 1000, tags=["y" * 500] * 50)
        for _ in range(2_000):
            view.submit_nowait(noop, "z" * 10_000)
        await until(lambda: page.widget.summary["counts"]["pending"] == 2_000)
        state = {name: getattr(page.widget, name) for name in ("summary", "running", "head")}
        assert len(page.widget.head) == 25
        assert len(json.dumps(state)) < 32_000
        queue.cancel_all("all")


async def test_a_row_is_sent_without_what_a_page_takes_for_granted() -> None:
    async with shown() as (queue, page):
        queue.pause()
        queue.options(label="named", priority=2).submit_nowait(noop)
        queue.submit_nowait(noop)
        await until(lambda: len(page.widget.head) == 2)
        named, plain = page.widget.head
        assert named.keys() == SCHEMA["row"].keys()
        sent_named, sent_plain = page.widget.get_state("head")["head"]
        assert sent_named.keys() == {"id", "name", "title", "priority", "created_at"}
        assert sent_plain.keys() == {"id", "name", "created_at"}
        for row, sent in ((named, sent_named), (plain, sent_plain)):
            assert {**USUAL, "title": row["name"], **sent} == row
        assert page.ask("rows", list="pending", start=1, end=2)["v"]["rows"] == [
            {**sent_plain, "position": 1}
        ]
        queue.cancel_all("all")


def test_the_page_checks_the_columns_that_the_schema_has() -> None:
    made = (Path(__file__).parents[2] / "js" / "src" / "row.ts").read_text()
    assert re.findall(r"^  (\w+): ", made, re.MULTILINE) == list(SCHEMA["row"])
    assert re.findall(r"^    (\w+): ", made, re.MULTILINE) == list(SCHEMA["row"])


async def test_a_flush_of_three_full_lists_is_less_than_ten_kilobytes() -> None:
    async with shown(max_history=100) as (queue, page):
        files = [f"talk_{number:06}.mp3" for number in range(200)]
        for file in files[:20]:
            queue.submit_nowait(noop, file)
        await queue.join(timeout=10)
        queue.pause()
        for file in files:
            queue.submit_nowait(noop, file)
        await until(lambda: page.widget.summary["counts"]["pending"] == 200)
        state = page.widget.get_state(["summary", "running", "head", "history"])
        assert len(state["head"]) == 25
        assert len(state["history"]) == 20
        assert len(json.dumps(state)) < 10_000
        queue.cancel_all("all")


async def test_the_counts_tell_how_many_ended_jobs_can_be_shown() -> None:
    async with shown(max_history=3) as (queue, page):
        queue.map(noop, range(5))
        await queue.join(timeout=10)
        await until(lambda: page.widget.summary["counts"]["completed"] == 5)
        assert page.widget.summary["counts"]["history"] == 3
        queue.clear_history()
        await until(lambda: page.widget.summary["counts"]["history"] == 0)


async def test_a_window_beyond_the_head_is_there_on_request() -> None:
    async with shown() as (queue, page):
        queue.pause()
        jobs = [queue.submit_nowait(noop, n) for n in range(300)]
        part = page.ask("rows", list="pending", start=100, end=103)["v"]
        assert part["total"] == 300
        assert [row["id"] for row in part["rows"]] == [job.id for job in jobs[100:103]]
        queue.cancel_all("all")


async def test_a_watched_window_is_pushed_when_it_changes() -> None:
    async with shown() as (queue, page):
        queue.pause()
        jobs = [queue.submit_nowait(noop, n) for n in range(60)]
        page.ask("watch", list="pending", start=30, end=40)

        def pushes() -> list[dict[str, Any]]:
            return [answer for answer in page.answers if answer["t"] == "rows"]

        await until(pushes)
        queue.move(jobs[50], before=jobs[30])
        await until(lambda: pushes()[-1]["rows"][0]["id"] == jobs[50].id)
        page.ask("unwatch", list="pending")
        queue.cancel_all("all")


async def test_commands_reach_the_queue() -> None:
    async with shown() as (queue, page):
        queue.pause()
        first, second, third = queue.map(noop, range(3))
        assert page.ask("move", job=third.id, before=first.id)["ok"]
        assert page.ask("priority", job=second.id, value=5)["ok"]
        assert [job.id for job in queue.jobs("pending")] == [second.id, third.id, first.id]
        assert page.ask("hold", job=first.id, seconds=60, then="cancel")["ok"]
        assert first.held
        assert page.ask("release", job=first.id)["ok"]
        assert page.ask("cancel", job=first.id)["ok"]
        assert first.status is JobStatus.cancelled
        assert first.cancel_reason == "cancelled in the widget"
        again = page.ask("retry", job=first.id)["v"]["job"]
        assert queue[again].retry_of == first.id
        assert page.ask("resume")["ok"]
        await queue.join(timeout=10)
        assert page.ask("pause", reason="lunch")["ok"]
        assert queue.paused
        assert page.ask("clear_history")["v"]["count"] == 4
        await until(lambda: (page.widget.summary["cleared"] or {}).get("count") == 4)
        assert page.ask("undo_clear")["v"]["count"] == 4
        await until(lambda: page.widget.summary["cleared"] is None)
        assert page.code_of("undo_clear") == "stale"
        assert page.ask("cancel_many", scope="all")["v"]["count"] == 0


def first(number: int) -> str:
    return f"first {number}"


def second(number: int) -> str:
    return f"second {number}"


async def test_a_page_asks_for_a_retry_with_the_function_of_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shown(executor="thread") as (queue, page):

        def differs() -> list[bool]:
            return [row["differs"] for row in page.widget.history]

        job = queue.submit_nowait(first, 1)
        await job
        await until(lambda: page.widget.history)
        assert differs() == [False]
        assert not page.widget._follower._source.is_outdated()
        monkeypatch.setattr(sys.modules[__name__], "first", second)
        page.widget.flush()
        assert differs() == [True]
        results = []
        for latest in ({}, {"latest": False}, {"latest": True}):
            again = page.ask("retry", job=job.id, **latest)["v"]["job"]
            results.append(await queue[again])
        assert results == ["first 1", "first 1", "second 1"]
        assert page.code_of("retry", job=job.id, latest="yes") == "bad_request"
        monkeypatch.delattr(sys.modules[__name__], "first")
        assert page.code_of("retry", job=job.id, latest=True) == "gone"


async def test_of_several_functions_only_the_redefined_one_is_told_to_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shown(executor="thread") as (queue, page):
        for kind in (first, second, first, second):
            await queue.submit_nowait(kind, 1)
        await until(lambda: len(page.widget.history) == 4)
        for name, other in (("first", second), ("second", first)):
            with monkeypatch.context() as patch:
                patch.setattr(sys.modules[__name__], name, other)
                page.widget.flush()
                told = [(row["name"], row["differs"]) for row in page.widget.history]
            assert told == [(one, one == name) for one in ("second", "first") * 2]


def run(plugin: FakePlugin) -> str:
    return "done"


async def test_an_idle_plugin_is_unloaded_and_the_state_shows_it() -> None:
    machine = Machine(gpus=[8_192])
    host = MemoryHost(machine, {"whisper": {"gpu_mib": 3_072}}, whisper=run)
    with machine_with(machine):
        async with shown(manager=host) as (queue, page):
            assert page.code_of("unload", plugin="whisper") == "stale"
            job = queue.submit_nowait("whisper")
            await job
            whisper = {"plugin": "whisper", "holds": 3.0, "unit": "GB GPU"}
            await until(lambda: page.widget.resources.get("idle") == [whisper])
            assert page.ask("job", job=job.id)["v"]["memory"] == "planned 3.0 GB GPU"
            assert page.ask("unload", plugin="whisper")["ok"]
            await until(lambda: page.widget.resources["idle"] == [])
            assert host.evicted == ["whisper"]


async def test_what_a_running_job_asks_for_and_nobody_could_check_is_shown() -> None:
    go = threading.Event()
    host = MemoryHost(machine := Machine(), {"whisper": {"gpu_mib": 3_072}}, whisper=waits(go))
    with machine_with(machine):
        async with shown(manager=host) as (queue, page):
            job = queue.submit_nowait("whisper")
            await until(lambda: page.widget.running)
            (row,) = page.widget.running
            assert row["note"] == "GPU memory not checked"
            assert page.ask("job", job=job.id)["v"]["memory"] == (
                "GPU memory not checked: needs 3,072 MiB GPU, and no GPU is known here "
                "(the test has none)"
            )
            go.set()
            await job
            await until(lambda: page.widget.history)
            assert page.widget.history[0]["note"] == "GPU memory not checked"


def waits(go: threading.Event) -> Callable[[FakePlugin], bool]:
    return lambda plugin: go.wait(20)


def _fails(text: str) -> None:
    raise ValueError(text)


async def test_all_that_a_filter_finds_is_reached_in_windows() -> None:
    async with shown() as (queue, page):

        def window(name: str, start: int, end: int, **view: str) -> list[str]:
            given = {"list": name, "start": start, "end": end, "view": view}
            return [row["title"] for row in page.ask("rows", **given)["v"]["rows"]]

        bad = [queue.options(label=f"bad {n}").submit_nowait(_fails, "no") for n in range(150)]
        good = [queue.options(label=f"good {n}").submit_nowait(noop) for n in range(3)]
        await queue.join()
        queue.pause()
        many = [queue.options(label=f"import {n}").submit_nowait(noop) for n in range(300)]
        found = page.ask("list", view={"status": "failed"})["v"]
        assert found["listed"] == {"singles": [0, 0, 150], "groups": [0, 0, 0], "jobs": [0, 0, 150]}
        labels = [job.label for job in reversed(bad)]
        assert [row["title"] for row in found["history"]] == labels[:25]
        assert found["running"] == found["pending"] == found["groups"] == []
        assert window("history", 100, 300, status="failed") == labels[100:]
        found = page.ask("list", view={"text": "o"})["v"]  # of "import", "good" and "no"
        assert found["listed"]["jobs"] == [0, 300, 153]
        assert window("pending", 250, 400, text="o") == [job.label for job in many[250:]]
        positions = [row["position"] for row in found["pending"][1:]]
        assert positions == list(range(1, 25))
        assert window("history", 0, 9, text="o", status="completed") == [
            job.label for job in reversed(good)
        ]
        await queue.cancel(many[0])
        assert page.ask("list", view={"text": "o"})["v"]["listed"]["jobs"] == [0, 299, 154]


async def test_a_search_looks_at_arguments_tags_and_errors_and_never_at_secrets() -> None:
    async with shown() as (queue, page):
        queue.options(tags=["nightly"]).submit_nowait(_fails, "the Wal is full")
        queue.submit_nowait(noop, path="talk_07.wav", password="hunter2")
        await queue.join()

        def count(text: str) -> int:
            return sum(page.ask("list", view={"text": text})["v"]["listed"]["jobs"])

        told = {"nightly": 1, "WAL IS": 1, "talk_07": 1, "path='talk": 1, "hunter2": 0, "": 2}
        assert {text: count(text) for text in told} == told


async def test_failures_are_counted_and_found_by_kind() -> None:
    async with shown() as (queue, page):
        for text in ("a", "b"):
            queue.submit_nowait(_fails, text)
        queue.submit_nowait(_breaks)
        await queue.join()
        assert page.ask("kinds")["v"]["kinds"] == [["ValueError", 2], ["KeyError", 1]]
        found = page.ask("list", view={"status": "failed", "kind": "KeyError"})["v"]
        assert [row["error"] for row in found["history"]] == ["KeyError: 'x'"]
        assert page.ask("list", view={"kind": "ValueError"})["v"]["listed"]["jobs"] == [0, 0, 2]
        await until(lambda: page.widget.summary["listed"]["kept"] == [0, 3, 0, 0])


async def test_jobs_are_sorted_by_what_they_took_and_measured() -> None:
    def measures(loss: float | None) -> None:
        if loss is not None:
            current_job().report(loss=loss)

    async with shown() as (queue, page):

        def titles(**view: object) -> str:
            page.ask("list", view=view)
            rows = page.ask("rows", list="history", start=0, end=9, view=view)["v"]["rows"]
            return "".join(row["title"] for row in rows)

        for name, loss in (("a", 0.3), ("b", 0.1), ("c", None), ("d", 0.2)):
            await queue.options(label=name).submit_nowait(measures, loss)
        assert page.ask("measured")["v"]["names"] == ["loss"]
        told = {
            ("metric:loss", False): "bdac",  # what has none comes last
            ("metric:loss", True): "adbc",
            ("metric:unknown", True): "dcba",
            ("start", False): "abcd",
            ("start", True): "dcba",
            ("memory", True): titles(),
        }
        assert {(by, down): titles(sort=by, down=down) for by, down in told} == told
        found = titles(sort="duration", down=True)
        took = {job.label: job.completed_at - job.started_at for job in queue.jobs()}  # type: ignore[operator]
        assert [took[name] for name in found] == sorted(took.values(), reverse=True)
        assert titles(text="b", sort="start", down=True).count("b") == 1


@pytest.mark.parametrize(
    "view",
    [
        {"sort": 7}, {"sort": "x" * 101}, {"down": 1},
        {"text": 7}, {"text": "x" * 201}, {"status": "gone"}, {"kind": None}, {"kind": "x" * 81},
        [], "", None,
    ],
)  # fmt: skip
async def test_a_filter_that_does_not_fit_is_refused(view: object) -> None:
    async with shown() as (_, page):
        assert page.code_of("list", view=view) == "bad_request"
        assert page.code_of("rows", list="pending", start=0, end=5, view=view) == "bad_request"


def _breaks() -> None:
    raise KeyError("x")


async def test_an_act_that_an_interrupt_has_met_is_carried_out_when_asked_again() -> None:
    async with shown() as (queue, page):
        request = {"t": "req", "cid": "page", "rid": "r", "op": "pause", "a": {}}
        pause = page.commands._ops["pause"]

        def interrupted(a: dict[str, Any], cid: str) -> dict[str, Any]:
            raise KeyboardInterrupt

        page.commands._ops["pause"] = interrupted
        with pytest.raises(KeyboardInterrupt):
            page.commands.handle(request)
        page.commands._ops["pause"] = pause
        page.commands.handle(request)
        assert queue.paused
        assert [answer["ok"] for answer in page.answers if answer.get("rid") == "r"] == [True]


async def test_what_was_meant_for_the_queue_of_another_kernel_is_refused() -> None:
    async with shown() as (queue, page):
        request = {"t": "req", "cid": "page", "op": "pause", "a": {}}
        before = {**request, "epoch": "of the kernel before"}
        page.commands.handle({**before, "rid": "1"})
        error = {"code": "gone", "msg": "the kernel was restarted"}
        assert page.answers[-1] == {"t": "res", "cid": "page", "rid": "1", "ok": False, "e": error}
        assert not queue.paused
        page.commands.handle({**before, "rid": "2", "op": "hello"})
        epoch = page.answers[-1]["v"]["epoch"]
        page.commands.handle({**request, "rid": "3", "epoch": epoch})
        assert page.answers[-1]["ok"]
        assert queue.paused


async def test_a_request_repeated_on_another_thread_meanwhile_acts_once() -> None:
    async with shown() as (_, page):
        request = {"t": "req", "cid": "page", "rid": "r", "op": "pause", "a": {}}
        at_work, go_on = threading.Event(), threading.Event()
        times = []

        def slowly(a: dict[str, Any], cid: str) -> dict[str, Any]:
            times.append(cid)
            at_work.set()
            assert go_on.wait(5)
            return {}

        page.commands._ops["pause"] = slowly
        first = threading.Thread(target=page.commands.handle, args=(request,))
        first.start()
        assert at_work.wait(5)
        page.commands.handle(request)
        go_on.set()
        first.join()
        page.commands.handle(request)
        assert times == ["page"]
        answers = [answer for answer in page.answers if answer.get("rid") == "r"]
        assert len(answers) == 2  # of the first and of the one after


async def test_a_repeated_request_acts_once_and_is_answered_the_same() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(noop)
        await job
        request = {"t": "req", "cid": "page", "rid": "r", "op": "retry", "a": {"job": job.id}}
        for _ in range(3):
            page.commands.handle(dict(request))
        answers = [answer for answer in page.answers if answer.get("rid") == "r"]
        assert len(answers) == 3
        assert answers[0] == answers[1] == answers[2]
        await queue.join(timeout=10)
        assert len(queue.jobs()) == 2


async def test_an_act_is_remembered_however_much_is_read_meanwhile() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(noop)
        await job
        request = {"t": "req", "cid": "page", "rid": "r", "op": "retry", "a": {"job": job.id}}
        page.commands.handle(dict(request))
        for start in range(2 * ANSWERS_KEPT):
            page.ask("watch", list="pending", start=start, end=start + 10)
        page.commands.handle(dict(request))
        await queue.join(timeout=10)
        assert len(queue.jobs()) == 2


async def test_the_log_is_read_by_byte_offset_from_its_tail_on() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(lambda: print("one\ntwo\n" * 100))
        await job
        tail = page.ask("log", job=job.id, **{"from": -1, "max": 8})["v"]
        ((at, when),) = tail.pop("times")
        assert at == 0
        assert job.started_at is not None
        assert -1 < when - job.started_at < 60
        assert tail == {"from": 793, "next": 801, "text": "one\ntwo\n"[1:] + "\n", "end": True}
        assert page.ask("log", job=job.id, **{"from": 0, "max": 4})["v"]["text"] == "one\n"


async def test_details_hold_the_traceback_and_no_secret() -> None:
    def fails(password: str) -> None:
        raise ValueError("no luck")

    async with shown() as (queue, page):
        job = queue.submit_nowait(fails, "hunter2")
        await queue.wait_for_job(job)
        details = page.ask("job", job=job.id)["v"]
        assert "no luck" in details["traceback"]
        assert details["failure"]["type"] == "ValueError"
        assert "hunter2" not in details["kwargs_text"]
        await until(lambda: page.widget.history)
        assert "hunter2" not in json.dumps(page.widget.history)
        assert "hunter2" not in queue.to_html()


async def test_a_result_is_shown_on_request_only() -> None:
    import pandas

    async with shown() as (queue, page):
        text = queue.options(executor="thread").submit_nowait(lambda: {"a": 1})
        table = queue.options(executor="thread").submit_nowait(
            lambda: pandas.DataFrame({"a": range(100)})
        )
        await queue.join(timeout=10)
        (shown_text,) = page.ask("result", job=text.id)["v"]["items"]
        assert shown_text["forms"][0][0] == "text"
        assert shown_text["body"] == "{'a': 1}"
        (shown_table,) = page.ask("result", job=table.id)["v"]["items"]
        assert shown_table["forms"][0][0] == "table"
        told = json.loads(shown_table["body"])
        assert told["columns"] == ["", "a"]
        assert len(told["rows"]) == 50


@pytest.mark.parametrize(
    ("op", "arguments", "code"),
    [
        ("nonsense", {}, "unknown_op"),
        ("__init__", {}, "unknown_op"),
        ("cancel", {}, "bad_request"),
        ("cancel", {"job": 7}, "bad_request"),
        ("cancel", {"job": "x" * 1000}, "bad_request"),
        ("cancel", {"job": "unknown"}, "not_found"),
        ("rows", {"list": "all", "start": 0, "end": 1}, "bad_request"),
        ("rows", {"list": "pending", "start": 5, "end": 1}, "bad_request"),
        ("rows", {"list": "pending", "start": 0, "end": 100_000}, "bad_request"),
        ("rows", {"list": "pending", "start": True, "end": 1}, "bad_request"),
        ("move", {"job": "a", "before": "b", "after": "c"}, "bad_request"),
        ("hold", {"job": "a", "seconds": -1}, "bad_request"),
        ("hold", {"job": "a", "seconds": float("nan")}, "bad_request"),
        ("cancel_many", {"scope": "everything"}, "bad_request"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_code(
    op: str, arguments: dict[str, Any], code: str
) -> None:
    async with shown() as (_, page):
        assert page.code_of(op, **arguments) == code


async def test_garbage_never_raises_in_the_kernel(seed: int) -> None:
    dice = random.Random(f"{seed} garbage")
    values: list[Any] = [None, True, -1, 0, 2**70, 1.5, float("inf"), "", "x" * 10**5, [], {}]
    values += [*HOSTILE, {"__proto__": 1}, [[[]]]]

    def rubbish(depth: int = 0) -> Any:
        if depth > 2 or dice.random() < 0.5:
            return dice.choice(values)
        keys = ["t", "cid", "rid", "op", "a", "job", "start", "end", "list", "from", "__class__"]
        return {dice.choice(keys): rubbish(depth + 1) for _ in range(dice.randint(0, 5))}

    async with shown() as (queue, page):
        queue.submit_nowait(noop)
        for number in range(3_000):
            op = dice.choice([*SCHEMA["ops"], "nonsense"])
            message = rubbish()
            if dice.random() < 0.7:
                message = {"t": "req", "cid": "c", "rid": str(number), "op": op, "a": message}
            page.commands.handle(message)
        assert not [a for a in page.answers if a.get("e", {}).get("code") == "internal"]
        assert inspect(queue).faults.bugs == 0
        queue.resume()


async def test_commands_from_many_threads_are_all_answered() -> None:
    async with shown() as (queue, page):
        queue.pause()
        jobs = queue.map(noop, range(200))

        def part(place: int) -> None:
            for number in range(place, 200, 8):
                request = {"t": "req", "cid": str(place), "rid": f"{place}-{number}"}
                page.commands.handle({**request, "op": "cancel", "a": {"job": jobs[number].id}})

        threads = [threading.Thread(target=part, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(job.status is JobStatus.cancelled for job in jobs)
        assert sum(answer["ok"] for answer in page.answers if answer["t"] == "res") == 200


@pytest.mark.parametrize("text", HOSTILE)
async def test_the_static_table_holds_no_markup_of_a_job(text: str) -> None:
    async with shown() as (queue, _):
        queue.pause()
        queue.options(label=text).submit_nowait(noop, text, **{"key": text})
        html = queue.to_html()
        html.encode("utf-8")
        assert "<script" not in html
        assert "<img" not in html
        assert "<svg" not in html
        queue.cancel_all("all")


async def test_display_gives_the_live_view_and_static_fallbacks() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(noop)
        await job
        for subject in (queue, job):
            data, _ = subject._repr_mimebundle_()
            live = "application/vnd.jupyter.widget-view+json"
            assert data.keys() == {live, "text/html", "text/plain"}
        assert queue.widget is page.widget
        PROVIDER._jobs[job].widget.close()


def changes_of(widget: Any) -> tuple[list[str], Callable[[], None]]:
    seen: list[str] = []

    def note(change: dict[str, Any]) -> None:
        seen.append(change["name"])

    widget.observe(note)
    return seen, lambda: widget.unobserve(note)


async def test_an_idle_queue_is_quiet() -> None:
    async with shown() as (queue, page):
        await queue.submit_nowait(noop)
        await until(lambda: page.widget.summary["counts"]["completed"] == 1)
        await until(lambda: page.widget._follower._say_again_at is None, seconds=10)
        seen, stop = changes_of(page.widget)
        patience = page.widget._follower._patience()
        stop()
        assert patience is None
        assert seen == []
