"""A notebook that a program ran tells how its jobs ended, without any front end."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

MAKE = """
from jobqueue_widget import JobQueue
queue = await JobQueue(name="alone").start()
queue.pause()
def double(number):
    return 2 * number
def fails(text):
    raise ValueError(text)
good = queue.options(label="good").submit_nowait(double, 2)
bad = queue.options(label="bad").submit_nowait(fails, "<script>alert(1)</script>")
"""


VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def notebook_after(*cells: str, client: type[NotebookClient] = NotebookClient) -> Any:
    """The notebook as it is saved when all cells have run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    asyncio.run(client(notebook, timeout=60, kernel_name="python3").async_execute())
    return notebook


def outputs_after(*cells: str, **how: Any) -> list[dict[str, Any]]:
    """The first output of each cell, by mime type, when all have run."""
    return [
        cell.outputs[0]["data"] if cell.outputs else {}
        for cell in notebook_after(*cells, **how).cells
    ]


RUN = "queue.resume(); await queue.join(); await queue.stop()"


@pytest.mark.parametrize("shown", ["queue", "display(queue)"])
def test_the_output_of_an_earlier_cell_tells_how_it_ended(shown: str) -> None:
    output = outputs_after(MAKE, shown, RUN)[1]
    assert VIEW not in output
    assert "0 running, 0 queued, 1 completed, 1 failed, 0 cancelled" in output["text/plain"]
    assert "1 completed, 1 failed" in output["text/html"]
    assert "<script>" not in output["text/html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in output["text/html"]


DISPLAYS = """%%job displays
class Rich:
    def __init__(self, name): self.name = name
    def __repr__(self): return f"Rich {self.name}"
    def _repr_html_(self): return f"<b>{self.name}</b>"
    def _repr_mimebundle_(self, **_): return {OWN: 1}, {OWN: {"a": 1}}
display(Rich("one"))
if COUNT == 2:
    display(Rich("two <&>"))"""
OWN = "application/x-own+json"


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_cell_as_a_job_displays_is_in_its_output(count: int) -> None:
    cells = [
        f"%load_ext jobqueue_widget\nCOUNT, OWN = {count}, {OWN!r}",
        DISPLAYS,
        "queue = %jobs\nawait queue.join()",
        "queue['displays']",
    ]
    notebook = notebook_after(*cells)
    data, about = (notebook.cells[1].outputs[-1][name] for name in ("data", "metadata"))
    if count == 1:  # as it is
        assert data["text/html"] == "<b>one</b>"
        assert data[OWN] == 1
        assert about[OWN] == {"a": 1}
    else:
        assert re.findall("<b>.*?</b>", data["text/html"]) == ["<b>one</b>", "<b>two <&></b>"]
        assert data["text/plain"] == "Rich one\nRich two <&>"
    again = [one["data"].get("text/html", "") for one in notebook.cells[3].outputs][1:]
    assert again == ["<b>one</b>", "<b>two <&></b>"][:count], "each an output of its own"
    exported, _ = HTMLExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    assert "<b>one</b>" in exported


def test_every_output_of_the_queue_follows_it_and_so_does_a_job() -> None:
    first, second, job = outputs_after(MAKE, "queue", "queue", "bad", RUN)[1:4]
    assert "1 failed" in first["text/html"]
    assert "1 failed" in second["text/html"]
    assert "failed" in job["text/plain"]
    assert ">failed<" in job["text/html"]


def test_an_output_shows_the_end_of_the_last_cell_while_jobs_run() -> None:
    waits = "import time; queue.submit_nowait(time.sleep, 600)"
    output = outputs_after(MAKE, waits, "queue.resume(); queue", "await queue.wait_for_job(bad);")[
        2
    ]
    assert "1 running, 0 queued, 1 completed, 1 failed" in output["text/html"]


def test_the_page_that_is_made_of_it_has_the_table() -> None:
    notebook = notebook_after(MAKE, "queue", "good", RUN)
    exporter: Any = HTMLExporter
    page, _ = exporter().from_notebook_node(notebook)
    assert page.count("jqw-static") == 2
    assert "1 completed, 1 failed" in page
    models = notebook.metadata["widgets"][STATE]["state"].values()
    counts = [one["state"]["summary"]["counts"] for one in models if "summary" in one["state"]]
    assert counts[0]["completed"] == counts[0]["failed"] == 1, "the state as it was at the end"


HELLO = """
hello = {"t": "req", "cid": "page", "rid": "1", "op": "hello", "a": {}}
queue.widget._on_message(None, hello, [])
"""


def test_a_page_that_comes_after_all_gets_the_view_and_keeps_it() -> None:
    first, second = outputs_after(MAKE, "queue", "queue", HELLO, RUN)[1:3]
    assert VIEW in first
    assert VIEW in second
    assert outputs_after(MAKE, "queue", HELLO, "queue", RUN)[3][VIEW]["model_id"]


class SomebodyTypes(NotebookClient):
    """As JupyterLab runs a cell: whoever sits there may be asked for input."""

    async def async_start_new_kernel_client(self) -> Any:
        """As the others do it."""
        client = await super().async_start_new_kernel_client()
        client.allow_stdin = True
        return client


BACK = "Run the first cell to bring the queue back."


def beside(*cells: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The view and the table beside it that the second cell shows, when somebody sits there."""
    view, table = notebook_after(*cells, client=SomebodyTypes).cells[1].outputs
    assert table["output_type"] == "display_data", "an output of its own"
    return view["data"], table["data"]


@pytest.mark.parametrize("shown", ["queue", "bad"])
def test_where_somebody_sits_a_table_stands_beside_the_view(shown: str) -> None:
    view, table = beside(MAKE, shown, RUN)
    assert {name for name, value in view.items() if value} == {VIEW}, "shown or not, nothing twice"
    assert set(table) == {"text/html", "text/plain"}
    assert "jqw-beside" in table["text/html"]
    assert "<script" not in table["text/html"]
    assert ("1 completed, 1 failed" if shown == "queue" else ">failed<") in table["text/html"]


@pytest.mark.parametrize("shown", ["queue", "bad"])
@pytest.mark.parametrize("journal", [True, False])
def test_the_table_says_when_it_was_true_and_what_to_do(
    journal: bool, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    made = MAKE
    if journal:
        made = MAKE.replace("JobQueue(", f"JobQueue(journal={str(tmp_path / 'runs.db')!r}, ")
    html = beside(made, shown)[1]["text/html"]
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d UTC\+05:30", html)
    named = "queue" if shown == "queue" else "job"
    assert f"reload the page to control the {named}" in html
    assert "this is the last known state" in html
    assert (BACK in html) is journal


BOXES = "from ipywidgets import HTML, Label, Tab, VBox\n"
SHOWN_BY_OTHERS = [
    "VBox([Label('above'), queue.widget])",
    "display(VBox([queue.widget]))",
    "Tab([HTML('first'), VBox([queue.widget, queue.widget])], titles=('a', 'b'))",
    "VBox([queue.new_widget()])",
    "queue.widget",
    "queue.new_widget()",
]


@pytest.mark.parametrize("client", [NotebookClient, SomebodyTypes])
@pytest.mark.parametrize("shown", SHOWN_BY_OTHERS)
def test_a_queue_that_was_only_shown_by_others_has_a_table(
    shown: str, client: type[NotebookClient]
) -> None:
    outputs = notebook_after(MAKE, BOXES + shown, RUN, client=client).cells[1].outputs
    tables = [one["data"]["text/html"] for one in outputs if "text/html" in one["data"]]
    assert len(tables) == 1
    assert "1 completed, 1 failed" in tables[0], "it follows"
    views = [one["data"] for one in outputs if VIEW in one["data"]]
    alone = client is NotebookClient and "(" not in shown.replace("()", "")
    assert len(views) == (0 if alone else 1)
    assert all(view["text/plain"] == "" for view in views), "nothing is shown twice"


OWN_WAY = """
class OwnWay(Label):
    def _ipython_display_(self):
        print("in its own way")
queue.widget
"""


def test_widgets_of_others_are_displayed_as_ever() -> None:
    cells = ("Label('alone')", "VBox([Label('alone')])", "OwnWay()", "VBox([OwnWay()])")
    shown = [cell.outputs for cell in notebook_after(MAKE, BOXES + OWN_WAY, *cells).cells[2:]]
    for (one,) in (shown[0], shown[1], shown[3]):
        assert one["output_type"] == "execute_result"
        assert VIEW in one["data"]
    assert shown[2][0]["text"] == "in its own way\n"


def test_what_a_page_makes_by_itself_says_nothing_of_pages_and_kernels() -> None:
    printed = notebook_after(MAKE, "print(queue.to_html())").cells[1].outputs[0]["text"]
    assert "as of" in printed
    assert "Not live" not in printed
    assert "jqw-beside" not in printed


def test_of_a_saved_notebook_a_page_shows_the_table_once() -> None:
    notebook = notebook_after(MAKE, "queue", "good", RUN, client=SomebodyTypes)
    del notebook.metadata["widgets"]  # JupyterLab saves no state unless it is told to
    exporter: Any = HTMLExporter
    page, _ = exporter().from_notebook_node(notebook)
    assert page.count('class="jqw-static') == 2
    assert "widget-view" not in page


def test_where_voila_runs_the_cells_a_page_is_about_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    assert VIEW in outputs_after(MAKE, "queue", RUN)[1]


GROUP = """
def fails_at(number):
    if number == 2:
        raise ValueError("<script>alert(2)</script>")
runs = queue.options(group="<b>sweep</b>").map(fails_at, range(3))
"""


@pytest.mark.parametrize("shown", ["runs", "display(runs)"])
def test_a_group_is_drawn_as_it_stands_and_follows_its_jobs(shown: str) -> None:
    cells = ("from jobqueue_widget import JobQueue; queue = await JobQueue().start()", GROUP, shown)
    output = outputs_after(*cells, "await queue.join()")[2]
    assert VIEW not in output
    assert "2 completed, 1 failed" in output["text/plain"]
    html = output["text/html"]
    assert "100% of 3, 2 completed, 1 failed" in html
    assert "1 of ValueError" in html
    assert "<script>" not in html
    assert "<b>sweep" not in html
    assert "width:66.67%" in html


ENDS_WHILE_IT_IS_DRAWN = """
import threading, time
import jobqueue_widget.widget.display as cells
from jobqueue_widget import JobQueue
queue = await JobQueue(loop="thread").start()
go = threading.Event()
runs = queue.options(executor="thread", group="late").map(lambda _: go.wait(20), range(2))
as_html = cells.group_html
def ends_meanwhile(group, *how):
    html = as_html(group, *how)
    go.set()
    while not group.done:
        time.sleep(0.01)
    return html
cells.group_html = ends_meanwhile
"""
ENDS_BETWEEN_CELLS = """
import time
from jobqueue_widget import JobQueue
queue = await JobQueue(loop="thread").start()
runs = queue.options(executor="thread", group="late").map(time.sleep, [0.5, 0.5])
"""


class TakesItsTime(NotebookClient):
    """A program that does something else between two cells."""

    async def async_execute_cell(self, cell: Any, cell_index: int, *how: Any, **named: Any) -> Any:
        """As the others do it, the third one later."""
        if cell_index == 2:
            await asyncio.sleep(3.0)
        return await super().async_execute_cell(cell, cell_index, *how, **named)


@pytest.mark.parametrize("moment", [ENDS_WHILE_IT_IS_DRAWN, ENDS_BETWEEN_CELLS])
def test_a_group_is_drawn_as_it_ended_whenever_that_is(moment: str) -> None:
    output = outputs_after(moment, "runs", "1", client=TakesItsTime)[1]
    assert "100% of 2, 2 completed" in output["text/html"]


def test_a_job_that_was_tried_again_says_so_in_the_table() -> None:
    cells = ("from jobqueue_widget import JobQueue; queue = await JobQueue().start()", GROUP)
    again = "await queue.join(); again = runs.retry_failed(); await queue.join()"
    output = outputs_after(*cells, again, "queue")[3]
    assert output["text/html"].count("retried → ") == 1
    assert "ValueError" in output["text/html"]


LONG = """
import time
runs = queue.options(group="long").map(time.sleep, [0.3] * 1_000)
await runs[0]
"""


def test_a_group_that_takes_long_says_when_it_is_done() -> None:
    start = "from jobqueue_widget import JobQueue; queue = await JobQueue().start()"
    html = outputs_after(start, LONG, "runs")[2]["text/html"]
    assert re.search(r"% of 1,000, .* queued; done about \d\d:\d\d<", html), html


def test_a_group_that_has_ended_is_not_said_to_end_later() -> None:
    start = "from jobqueue_widget import JobQueue; queue = await JobQueue().start()"
    html = outputs_after(start, LONG, "runs", "runs.cancel(); await queue.join()")[2]["text/html"]
    assert "100% of 1,000" in html
    assert "done about" not in html


def test_the_table_of_a_queue_has_its_groups_and_what_they_fail_of() -> None:
    make = "from jobqueue_widget import JobQueue; queue = await JobQueue().start()"
    more = "[queue.options(group=f'g{n}').submit_nowait(sum, [n]) for n in range(9)]"
    html = outputs_after(make, more, GROUP, "queue", "await queue.join()")[3]["text/html"]
    assert "100% of 3, 2 completed, 1 failed" in html
    assert "1 of ValueError" in html
    assert html.count("jqw-group") == 8
    assert "and 2 more groups" in html
    assert "<script>" not in html
    assert "<b>sweep" not in html
