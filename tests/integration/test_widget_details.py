"""What a page may ask about one job: which tabs there are, its parameters, tries, log and error."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, current_job
from jobqueue_widget._persistence.lazy_spec import restored_log
from jobqueue_widget._runtime.storage.told.logs import MOST_TIMES, JobLog, no_file
from jobqueue_widget.widget.details.frames import is_library, users_frame
from jobqueue_widget.widget.details.pieces import Piece, piece_of_output, piece_of_result
from tests.conditions import until
from tests.integration.test_widget_model import shown


def train(lr: float, *files: str, depth: int = 3, **more: object) -> int:
    return depth


async def test_parameters_have_names_and_say_which_can_be_typed() -> None:
    async with shown() as (queue, page):
        queue.pause()
        job = queue.submit_nowait(train, 0.1, "a", "b", model=object(), far=float("inf"))
        told = page.ask("job", job=job.id)["v"]["parameters"]
        assert [one[0] for one in told] == ["lr", "files", "argument 2", "model", "far"]
        assert told[0] == ["lr", "0.1", True, True]
        assert told[1] == ["files", "'a'", False, True]
        assert told[3][1].startswith("<object object")
        assert [one[3] for one in told] == [True, True, True, False, False]


async def test_a_secret_parameter_is_neither_shown_nor_editable() -> None:
    def reads(user: str, password: str) -> None: ...

    async with shown() as (queue, page):
        queue.pause()
        job = queue.submit_nowait(reads, "ada", "hunter2 of ada")
        told = page.ask("job", job=job.id)["v"]["parameters"]
        assert told == [["user", "'ada'", True, True], ["password", "•••", True, False]]


async def test_a_long_parameter_is_cut_and_cannot_be_typed() -> None:
    async with shown() as (queue, page):
        queue.pause()
        job = queue.submit_nowait(train, 0.1, "x" * 50_000)
        _, text, _, is_literal = page.ask("job", job=job.id)["v"]["parameters"][1]
        assert len(text) <= 4_000
        assert not is_literal


async def test_a_page_hears_which_tabs_have_content() -> None:
    def tells() -> None:
        print("a line")
        current_job().report(loss=0.5)

    async with shown() as (queue, page):
        nothing = {
            "log": False,
            "curves": 0,
            "output": 0,
            "output_revision": 0,
            "error": False,
            "result": False,
        }
        job = queue.submit_nowait(tells)
        assert page.ask("has", job=job.id)["v"] == nothing
        await job
        told = page.ask("has", job=job.id)["v"]
        assert told == {**nothing, "log": True, "curves": 1}
        assert page.ask("job", job=job.id)["v"]["has"] == told
        value = queue.submit_nowait(pow, 2, 3)
        await value
        assert page.ask("has", job=value.id)["v"] == {**nothing, "result": True}
        bad = queue.submit_nowait(int, "x")
        await queue.wait_for_job(bad)
        assert page.ask("has", job=bad.id)["v"] == {**nothing, "error": True}
        assert page.code_of("has", job="unknown") == "not_found"


async def test_the_tries_of_a_job_are_listed_in_order() -> None:
    async with shown() as (queue, page):
        first = queue.submit_nowait(int, "x")
        await queue.wait_for_job(first)
        assert page.ask("job", job=first.id)["v"]["tries"] == []
        second = first.retry()
        await queue.wait_for_job(second)
        queue.pause()
        third = second.retry()
        expected = [
            {"id": first.id, "status": "failed"},
            {"id": second.id, "status": "failed"},
            {"id": third.id, "status": "pending"},
        ]
        for job in (first, second, third):
            assert page.ask("job", job=job.id)["v"]["tries"] == expected


async def test_the_users_own_line_is_found_below_what_a_library_raised() -> None:
    def reads(text: str) -> object:
        import json

        return json.loads(text)

    async with shown() as (queue, page):
        for executor in ("process", "thread"):
            job = queue.options(executor=executor).submit_nowait(reads, "{")
            await queue.wait_for_job(job)
            frame = page.ask("job", job=job.id)["v"]["frame"]
            assert Path(frame["file"]) == Path(__file__)
            assert frame["name"] == "reads"
            assert frame["code"].startswith("return json.loads(text)")


def test_what_is_a_library() -> None:
    ours = str(Path(JobQueue.__module__.replace(".", "/")))
    assert not is_library(ours)
    assert not is_library("/tmp/ipykernel_1/123.py")
    assert not is_library("C:\\Users\\me\\train.py")
    for file in (
        "<frozen importlib._bootstrap>",
        "/opt/x/lib/python3.12/json/decoder.py",
        "C:\\x\\Lib\\site-packages\\torch\\nn.py",
        "/usr/lib/python3/dist-packages/numpy/core.py",
    ):
        assert is_library(file)
    assert users_frame("no traceback") is None
    assert users_frame('  File "<frozen x>", line 1, in f\n    code') is None


def test_a_log_knows_when_its_parts_came(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    log = JobLog(no_file)
    for at, text in ((0, "one\n"), (0.5, "two\n"), (5, "three\n"), (9, "four\n")):
        now[0] = 1_000 + at
        log.write(text)
    assert log.times(0, 99) == [(0, 1_000.0), (8, 1_005.0), (14, 1_009.0)]
    assert log.times(2, 10) == [(2, 1_000.0), (8, 1_005.0)]
    assert log.times(8, 14) == [(8, 1_005.0)]
    for second in range(10 * MOST_TIMES):
        now[0] = 2_000.0 + 10 * second
        log.write("x")
    times = log.times(0, log.size)
    assert MOST_TIMES / 2 <= len(times) <= MOST_TIMES
    assert times[0] == (0, 1_000.0)


def test_nobody_knows_when_a_restored_log_was_written() -> None:
    log = restored_log(lambda: b"long ago\n")
    assert log.size == 9
    assert log.times(0, 9) == []
    log.write("now\n")
    assert [at for at, _ in log.times(0, 99)] == [9]


async def test_no_character_of_a_log_is_cut_in_two() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(print, "äöü€😀" * 50)
        await job
        seen, at, end = "", 0, False
        while not end:
            part = page.ask("log", job=job.id, **{"from": at, "max": 7})["v"]
            seen, at, end = seen + part["text"], part["next"], part["end"]
        assert seen == "äöü€😀" * 50 + "\n"


class Rich:
    """Shows itself in several forms."""

    def _repr_html_(self) -> str:
        return "<b>rich</b>"

    def _repr_png_(self) -> bytes:
        return b"\x89PNG"

    def _repr_svg_(self) -> str:
        raise RuntimeError("no drawing today")

    def __repr__(self) -> str:
        return "Rich()"


def kinds(piece: Piece) -> list[str]:
    return [form.kind for form in piece.forms]


def test_a_result_has_the_forms_that_its_class_makes() -> None:
    piece = piece_of_result(Rich())
    assert kinds(piece) == ["html", "image", "text"]
    assert piece.forms[1].body == base64.b64encode(b"\x89PNG").decode()
    assert piece.forms[2].body == piece.said == "Rich()"
    assert kinds(piece_of_result(Rich)) == ["text"]


def test_containers_are_a_tree_where_a_page_shows_the_same() -> None:
    assert kinds(piece_of_result({"a": 1})) == ["text", "json"]
    assert kinds(piece_of_result({f"name {n}": n for n in range(40)})) == ["json", "text"]
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    for other in ({1: 2}, [2**60], [float("nan")], (1, 2), [{1}], [b"x"], {}, [], deep):
        assert kinds(piece_of_result(other)) == ["text"], other


def test_what_fails_or_is_too_much_is_told() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError("never")

    assert "cannot be shown: ValueError: never" in piece_of_result(Bad()).forms[0].body
    long = piece_of_result("x" * 100_000).forms[0].body
    assert long.endswith("[... 34,466 characters more ...]")
    large = piece_of_output({"text/html": "x" * (3 << 20), "text/plain": "small"})
    assert kinds(large) == ["text"]
    assert large.too_large == ["html of 3.1 MB"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"text/html": "<b>", "image/png": "aGk=", "text/plain": "t"}, ["html", "image", "text"]),
        ({"image/png": "aG\nk=\n", "image/jpeg": "aGk="}, ["image"]),
        ({"image/png": 'x" onerror="run()'}, ["text"]),
        ({"image/svg+xml": ["<svg>", "</svg>"]}, ["svg"]),
        ({"application/json": {"a": [1]}}, ["json"]),
        ({"application/json": [float("inf")]}, ["text"]),
        ({"application/javascript": "run()", "application/vnd.x": {}}, ["text"]),
        ({"text/latex": "$x$", "text/plain": "x"}, ["text"]),
        ({}, ["text"]),
    ],
)
def test_an_output_has_the_forms_that_are_shown(data: dict[str, object], expected: object) -> None:
    assert kinds(piece_of_output(data)) == expected


async def test_outputs_are_told_on_request_and_large_ones_in_parts() -> None:
    def shows() -> None:
        from IPython.display import display

        display({"text/html": "<p>" + "x" * 300_000, "text/plain": "large"}, raw=True)  # type: ignore[no-untyped-call]
        display({"text/plain": "small", "image/png": "aGk="}, raw=True)  # type: ignore[no-untyped-call]

    async with shown() as (queue, page):
        job = queue.submit_nowait(shows)
        await job
        told = page.ask("outputs", job=job.id)["v"]
        assert told["lost"] == 0
        large, small = told["items"]
        assert [form[0] for form in large["forms"]] == ["html", "text"]
        assert "body" not in large
        assert small["body"] == "aGk="
        where = {"job": job.id, "of": "output", "at": 0, "form": "html"}
        first = page.ask("form", **where, **{"from": 0})["v"]
        rest = page.ask("form", **where, **{"from": first["next"]})["v"]
        assert first["body"] + rest["body"] == "<p>" + "x" * 300_000
        assert rest["next"] == rest["size"] == 300_003
        assert page.code_of("form", **{**where, "at": 9, "from": 0}) == "not_found"
        assert page.code_of("form", **{**where, "form": "svg", "from": 0}) == "not_found"
        assert page.code_of("form", **{**where, "form": "script", "from": 0}) == "bad_request"


async def test_a_result_with_a_secret_is_not_shown() -> None:
    def gives(password: str) -> dict[str, str]:
        return {"token": password}

    async with shown() as (queue, page):
        job = queue.options(executor="thread").submit_nowait(gives, "hunter2 is long")
        await job
        assert "hunter2" not in repr(page.ask("result", job=job.id))


async def test_what_a_job_measures_is_told_as_a_table_and_curve_by_curve() -> None:
    def trains() -> None:
        for step in range(5):
            current_job().report(step=step, loss=1 / (1 + step), odd=float("nan"))
        current_job().report(step=5, loss=float("inf"), big=10**400)

    async with shown() as (queue, page):
        job = queue.submit_nowait(trains)
        await job
        told = page.ask("metrics", job=job.id)["v"]
        assert told["by"] == "step"
        loss, odd = told["series"][:2]
        assert loss[:5] == ["loss", 0.2, 0.2, 1.0, 6]
        assert odd[1:4] == [None, None, None]
        curve = page.ask("curve", job=job.id, at=0)["v"]
        assert curve["x"] == [0, 1, 2, 3, 4, 5]
        assert curve["y"] == [1.0, 0.5, 0.3333333, 0.25, 0.2, None]
        assert page.code_of("curve", job=job.id, at=50) == "not_found"
        json.dumps(page.answers, allow_nan=False)


async def test_many_long_curves_make_small_answers() -> None:
    def trains() -> None:
        for step in range(5_000):
            current_job().report(step=step, **{f"m{n}": step * 1.1 + n for n in range(50)})

    async with shown() as (queue, page):
        job = queue.options(executor="thread").submit_nowait(trains)
        await job
        assert len(json.dumps(page.ask("metrics", job=job.id))) < 8_000
        assert len(json.dumps(page.ask("curve", job=job.id, at=49))) < 24_000


async def test_without_steps_a_curve_is_over_seconds() -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(lambda: current_job().report(loss=0.5))
        await job
        assert page.ask("metrics", job=job.id)["v"]["by"] == "seconds"


async def test_where_a_job_is_is_asked_off_the_loop() -> None:
    import threading

    def waits() -> None:
        import time

        current_job().report(0.5)
        time.sleep(600)  # here

    async with shown() as (queue, page):
        job = queue.submit_nowait(waits)
        await until(lambda: job.progress == 0.5)
        asking: list[str] = []
        ask = page.commands._ops["stack"]

        def noted(a: dict[str, object], cid: str) -> dict[str, object]:
            asking.append(threading.current_thread().name)
            return ask(a, cid)

        page.commands._ops["stack"] = noted
        request = {"t": "req", "cid": "page", "rid": "where", "op": "stack", "a": {"job": job.id}}
        page.commands.handle(request)
        await until(lambda: any(one.get("rid") == "where" for one in page.answers))
        (answer,) = [one for one in page.answers if one.get("rid") == "where"]
        assert "time.sleep(600)  # here" in answer["v"]["text"]
        assert asking == ["jobqueue-aside"]
        job.cancel(force=True)
        await queue.wait_for_job(job)
        page.answers.clear()
        page.commands.handle({**request, "rid": "late"})
        await until(lambda: any(one.get("rid") == "late" for one in page.answers))
        (answer,) = [one for one in page.answers if one.get("rid") == "late"]
        assert "has no stack now" in answer["e"]["msg"]


async def test_a_job_is_tried_again_with_other_parameters() -> None:
    async with shown() as (queue, page):
        first = queue.options(label="lr=0.1", tags=["t"], key="k").submit_nowait(
            train, 0.1, "a", "b", depth=3
        )
        await first
        queue.pause()
        changes = {"lr": "0.01", "argument 2": "'c'", "depth": "[1, {'x': None}]"}
        told = page.ask("retry_with", job=first.id, changes=changes)["v"]
        again = queue[told["job"]]
        assert again.args == (0.01, "a", "c")
        assert again.kwargs == {"depth": [1, {"x": None}]}
        assert again.retry_of == first.id
        assert again.tags == ("t",)
        assert again.label is None  # it named the other value
        assert (first.args, first.kwargs) == ((0.1, "a", "b"), {"depth": 3})
        queue.resume()
        assert await again == [1, {"x": None}]


async def test_a_label_that_names_no_changed_value_stays() -> None:
    async with shown() as (queue, page):
        first = queue.options(label="nightly").submit_nowait(train, 0.1)
        await first
        told = page.ask("retry_with", job=first.id, changes={"lr": "5"})["v"]
        assert queue[told["job"]].label == "nightly"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train",
        "__import__('os')",
        "f(1)",
        "1 if x else 2",
        "[x for x in y]",
        "f'{1}'",
        "(" * 900,
        "1;2",
        "lambda: 1",
        "'a' + 'b'",
        "\0",
        "-" * 5_000 + "1",
    ],
)
async def test_a_change_that_is_no_literal_is_refused_by_name(text: str) -> None:
    async with shown() as (queue, page):
        job = queue.submit_nowait(train, 0.1)
        await job
        answer = page.ask("retry_with", job=job.id, changes={"lr": text})
        assert answer["e"]["code"] == "bad_request"
        assert answer["e"]["msg"].startswith("lr: ")
        assert len(queue.jobs()) == 1


async def test_changes_that_do_not_fit_are_refused() -> None:
    async with shown() as (queue, page):
        parent = queue.submit_nowait(pow, 2, 3)
        child = queue.submit_nowait(pow, parent, 2)
        await child
        for changes in ({"lr": 1}, {"x" * 30_000: "1"}, {str(n): "1" for n in range(200)}):
            assert page.code_of("retry_with", job=child.id, changes=changes) == "bad_request"
        assert page.code_of("retry_with", job=child.id, changes=[]) == "bad_request"
        unknown = page.ask("retry_with", job=parent.id, changes={"nothing": "1"})["e"]["msg"]
        assert "was not given 'nothing'" in unknown
        takes = page.ask("retry_with", job=child.id, changes={"exp": "1"})["e"]["msg"]
        assert "takes results of other jobs" in takes
        assert len(queue.jobs()) == 2


async def test_the_function_is_that_of_its_submit() -> None:
    factor = 2

    def times(x: int) -> int:
        return x * factor

    async with shown() as (queue, page):
        first = queue.submit_nowait(times, 10)
        assert await first == 20
        factor = 3
        told = page.ask("retry_with", job=first.id, changes={"x": "11"})["v"]
        assert await queue[told["job"]] == 22


async def test_another_value_of_a_secret_stays_secret() -> None:
    def reads(user: str, password: str) -> str:
        return user

    async with shown() as (queue, page):
        first = queue.submit_nowait(reads, "ada", "hunter2 of ada")
        await first
        told = page.ask("retry_with", job=first.id, changes={"user": "'eve'"})["v"]
        again = queue[told["job"]]
        assert await again == "eve"
        assert again.args[1] == "hunter2 of ada"
        assert "hunter2" not in json.dumps(page.ask("job", job=again.id))


class Drawn:
    def _repr_svg_(self) -> str:
        return "<svg/>"


def test_an_object_that_says_nothing_of_itself_has_no_words_for_its_picture() -> None:
    assert piece_of_result(Drawn()).said == ""
    assert piece_of_result(2).said == "2"


async def test_rows_without_a_curve_have_as_many_cells_as_those_with_one() -> None:
    def tells() -> None:
        current_job().report(loss=0.5)

    async with shown() as (queue, _):
        for function, cells in ((len, 4), (tells, 5), (len, 5)):
            queue.submit_nowait(function, *([] if function is tells else ["word"]))
            await queue.join()
            rows = queue.to_html().partition("<tbody>")[2].split("</tr>")[:-1]
            assert {row.count("<td") for row in rows} == {cells}
