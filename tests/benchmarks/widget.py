"""The widget in a real JupyterLab: what a flush costs, and how soon each side hears the other."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles
from typing import TYPE_CHECKING

from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side
from .notebook import (
    PAINT,
    QUEUED_IN_VIEW,
    TaskMeter,
    click_each,
    delays_of,
    end_cell,
    opened_lab,
    start_cell,
)

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

PENDING = 100_000
GROUPED = 5_000  # jobs in
GROUPS = 20
ROOT = ".jqw"
# ms of flushes before the page is measured, on both sides: in the first seconds it compiles what it
# runs often and collects what JupyterLab left of its start, which a queue of hours pays once.
WARM_UP = 10_000
BARE = ".bare"
MADE = """
from jobqueue_widget import JobQueue
from tests.benchmarks.inkernel import FlushMeter, Heard, fill, fill_groups, reporter
queue = await JobQueue().start()
"""


PLAIN = "from tests.benchmarks.bare import AllJobs, Bare, ReadyRows"


def filled(jobs: int) -> str:
    """The cell that makes the queue."""
    return f"{MADE}\nawait fill(queue, {jobs});"


def grouped(jobs: int) -> str:
    """The same with all jobs in groups."""
    return f"{MADE}\nawait fill_groups(queue, {jobs}, {GROUPS});"


# -- flush -----------------------------------------------------------------------------------------


def _flush(made: Callable[[int], str]) -> Measure:
    """Of a queue that this cell makes."""

    def measure(effort: Effort) -> Figures:
        seconds = effort.times(6, 2)
        with opened_lab() as open_notebook:
            notebook = open_notebook(made(effort.size), "queue", "meter = FlushMeter(queue)")
            notebook.run_all()
            page = notebook.page
            page.wait_for_selector(f"{ROOT} .jqw-row")
            meter = TaskMeter(page, seconds)
            notebook.value_of("queue.resume()")
            return _page_and(notebook, meter, "meter", seconds)

    return measure


def _ready_rows(effort: Effort) -> Figures:
    seconds = effort.times(6, 2)
    with opened_lab() as open_notebook:
        made = f"{PLAIN}\nready = ReadyRows(queue)\nready"
        notebook = open_notebook(filled(100), made)
        notebook.run_all()
        page = notebook.page
        page.wait_for_selector("ol li")
        meter = TaskMeter(page, seconds)
        notebook.value_of(f"ready.turn({seconds + 2 * WARM_UP / 1e3})")
        return _page_and(notebook, meter, "ready", seconds)


def _page_and(notebook: Notebook, meter: TaskMeter, teller: str, seconds: int) -> Figures:
    """What `teller` of the kernel says of its flushes, and what one costs the page."""
    notebook.page.wait_for_timeout(WARM_UP)
    before = notebook.value_of(f"{teller}.figures()")["count"]
    meter.start()
    notebook.page.wait_for_timeout(seconds * 1e3)
    worked = meter.stop()
    figures: Figures = notebook.value_of(f"{teller}.figures()")
    return {**figures, "page": worked / (figures["count"] - before) * 1e3}


def _all_jobs(effort: Effort) -> Figures:
    updates = effort.times(5, 1)
    with opened_lab() as open_notebook:
        notebook = open_notebook(filled(effort.size), f"{PLAIN}\nlisted = AllJobs(queue)\nlisted")
        notebook.run_all()
        page = notebook.page
        page.wait_for_selector("ol li")
        meter = TaskMeter(page, 2)
        seconds = []
        for number in range(updates):
            seconds.append(notebook.value_of(f"listed.update('update {number}')"))
            page.wait_for_selector(f"ol li:has-text('update {number}')")
        worked = meter.stop()
        return {
            "cpu": median(seconds) * 1e3,
            "bytes": notebook.value_of("listed.size()"),
            "page": worked / updates * 1e3,
        }


# -- report() → bar --------------------------------------------------------------------------------


def _p95(delays: list[float]) -> Figures:
    return {"ms": quantiles(delays, n=20)[-1], "median": median(delays)}


def _report(effort: Effort) -> Figures:
    with opened_lab() as open_notebook:
        notebook = open_notebook(
            filled(effort.size),
            "queue.options(priority=1, label='tells').submit_nowait(reporter)\nqueue.resume()",
            "queue",
        )
        notebook.run_all()
        notebook.page.wait_for_selector(f"{ROOT} .jqw-row:has-text('tells'):has-text(' at ')")
        return _p95(delays_of(notebook, ROOT, effort.times(40, 10)))


def _trait(effort: Effort) -> Figures:
    count = effort.times(40, 10)
    with opened_lab() as open_notebook:
        notebook = open_notebook(
            f"{MADE}{PLAIN}\nbare = Bare(Heard())\nbare.tell({count + 1})\nbare"
        )
        notebook.run_all()
        return _p95(delays_of(notebook, BARE, count))


# -- click → handler -------------------------------------------------------------------------------


def _remove_buttons(notebook: Notebook, count: int) -> list[str]:
    """Those of queued rows in view, once those that were removed before have gone."""
    notebook.value_of("[job.cancel() for job in queue.jobs('pending')[:50] if job.held]")
    notebook.page.wait_for_function(QUEUED_IN_VIEW, arg=count)
    ids = notebook.page.evaluate(QUEUED_IN_VIEW, count)
    return [f"{ROOT} .jqw-row[data-job-id='{job}'] .jqw-act" for job in ids]


def _tell_buttons(notebook: Notebook, count: int) -> list[str]:
    return [f"{BARE} button"] * count


def _delay(notebook: Notebook, buttons: list[str]) -> float:
    """Median milliseconds until Python heard a click on each of these buttons."""
    clicks = click_each(notebook.page, buttons)
    heard: list[float] = []
    for _ in range(100):
        heard = notebook.value_of("heard.times")
        if len(heard) == len(clicks):
            notebook.value_of("heard.times.clear()")
            return median(at - click for at, click in zip(heard, clicks, strict=True)) * 1e3
        notebook.page.wait_for_timeout(100)
    raise AssertionError(f"of {len(clicks)} clicks {len(heard)} were heard")


def _clicks(made: str, buttons: Callable[[Notebook, int], list[str]]) -> Measure:
    """While the kernel is idle, then while a cell awaits. `made`: the cell that shows the buttons.

    The first click of all, for which the page has code to compile, is left out.
    """

    def measure(effort: Effort) -> Figures:
        count = effort.times(8, 4)
        with opened_lab() as open_notebook:
            cells = (made.format(jobs=effort.size), f"await heard.wait_for({count})")
            notebook = open_notebook(*cells)
            start_cell(notebook, 0)
            end_cell(notebook, 0)
            notebook.page.wait_for_selector(buttons(notebook, 1)[0])
            figures = {}
            for kind in ("first", "idle", "awaiting"):
                wanted = buttons(notebook, 1 if kind == "first" else count)
                if kind == "awaiting":
                    start_cell(notebook, 1)
                figures[kind] = _delay(notebook, wanted)
            return figures

    return measure


QUEUE_AND_BUTTONS = f"{MADE}\nawait fill(queue, {{jobs}})\nheard = Heard(queue)\nqueue"
BARE_AND_BUTTON = f"{MADE}{PLAIN}\nheard = Heard()\nbare = Bare(heard)\nbare"


# -- first paint -----------------------------------------------------------------------------------


def _paint(effort: Effort) -> Figures:
    """Of the first display in a kernel, which imports the widget."""
    paints, again = [], []
    with opened_lab() as open_notebook:
        for _ in range(effort.times(3, 1)):
            notebook = open_notebook(filled(effort.size), "queue", "queue")
            start_cell(notebook, 0)
            end_cell(notebook, 0)
            paints.append(notebook.page.evaluate(PAINT, 1))
            again.append(notebook.page.evaluate(PAINT, 2))
            notebook.close()
    return {"ms": median(paints), "again": median(again)}


READY = "trait of ready rows"
LIST_TRAIT = "list trait of all jobs"
TRAIT = "trait → browser"
MESSAGE = "message → handler"

PROBES = (
    Probe(
        "flush",
        {
            OURS: Side(_flush(filled)),
            READY: Side(_ready_rows, is_floor=True),
            LIST_TRAIT: Side(_all_jobs),
        },
        size=PENDING,
        quick_size=PENDING,
        samples=3,
    ),
    Probe(
        "flush-groups",
        {OURS: Side(_flush(grouped))},
        size=GROUPED,
        quick_size=GROUPED,
        samples=3,
    ),
    Probe(
        "report",
        {OURS: Side(_report), TRAIT: Side(_trait, is_floor=True)},
        size=PENDING,
        quick_size=PENDING,
        samples=3,
    ),
    Probe(
        "click",
        {
            OURS: Side(_clicks(QUEUE_AND_BUTTONS, _remove_buttons)),
            MESSAGE: Side(_clicks(BARE_AND_BUTTON, _tell_buttons), is_floor=True),
        },
        size=PENDING,
        quick_size=PENDING,
        samples=3,
    ),
    Probe("paint", {OURS: Side(_paint)}, size=PENDING, quick_size=PENDING, samples=3),
)

ROWS = (
    Row(
        "flush",
        "widget, 100,000 pending: kernel CPU of a flush in which every list changes, 10 a second",
        "flush",
        "cpu",
        "ms",
        must=(Limit(1),),
        analysis=(
            "three quarters are ipywidgets' and the kernel's own work with ready rows (the "
            "floor), the rest looking which of 46 rows have changed and making those anew. "
            "Where a machine is slow after 100 ms of sleep, all of it is."
        ),
    ),
    Row(
        "flush-bytes",
        "the same: JSON that is sent",
        "flush",
        "bytes",
        "B",
        must=(Limit(10_000),),
        analysis="46 rows of 150 to 230 bytes: what is usual in a row is left out.",
    ),
    Row(
        "flush-page",
        "the same: processor time of the page's main thread",
        "flush",
        "page",
        "ms",
        must=(Limit(6),),
        analysis=(
            "every row in view moves up, one is made and one goes to another list; what would "
            "change in all of them is drawn over them. In a trace two fifths are our code, a third "
            "painting and its preparation, a sixth styles, the rest layout and the browser's own; "
            "with 12 plain lines it is the floor."
        ),
    ),
    Row(
        "flush-groups",
        "widget, 5,000 jobs in 20 groups: kernel CPU of a flush in which every list changes",
        "flush-groups",
        "cpu",
        "ms",
        must=(Limit(1),),
        analysis=(
            "a group's counts are kept by the queue: 20 rows add 0.1 ms, whatever they hold. "
            "Forecasts are not part of it: one takes 20 ms here, and a hundredth of the time."
        ),
    ),
    Row(
        "flush-groups-bytes",
        "the same: JSON that is sent",
        "flush-groups",
        "bytes",
        "B",
        must=(Limit(10_000),),
    ),
    Row(
        "flush-groups-page",
        "the same: processor time of the page's main thread",
        "flush-groups",
        "page",
        "ms",
        must=(Limit(6),),
        analysis=(
            "rows of groups that stand still are not touched, and one that changes paints no other "
            "box than before, so that the page's layers stay. The rest is as without groups."
        ),
    ),
    Row(
        "report",
        "report() in a worker → bar moved in the browser, 100,000 pending, p95",
        "report",
        "ms",
        "ms",
        must=(Limit(150),),
        want=(Limit(60),),
        analysis=(
            "a report that comes within 100 ms of a flush waits for the next; the rest is five "
            "processes in a row (worker, kernel, server, browser, page) and one animation frame."
        ),
    ),
    Row(
        "click",
        "click on Remove → Python handler, kernel idle, p50",
        "click",
        "idle",
        "ms",
        must=(Limit(20),),
        analysis="the page's websocket, the server, the kernel's shell channel: as any widget.",
    ),
    Row(
        "click-awaiting",
        "the same while a cell awaits, p50",
        "click",
        "awaiting",
        "ms",
        must=(Limit(20),),
        analysis="the same way; the kernel's loop turns for it while the cell sleeps.",
    ),
    Row(
        "paint",
        "display(queue), 100,000 pending: first row painted, first display in a kernel",
        "paint",
        "ms",
        "ms",
        must=(Limit(500),),
        want=(Limit(250),),
        analysis=(
            "a second display takes a quarter of it: the rest comes once in a kernel, importing "
            "ipywidgets and anywidget (70 ms), sending the front end and loading it."
        ),
    ),
)
