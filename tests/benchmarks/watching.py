"""What watching costs: a kernel that shows four running jobs, and a page that draws curves."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .measure import OURS, REPOSITORY, Effort, Figures, Limit, Probe, Row, Side
from .notebook import opened_lab

JS = REPOSITORY / "js"
STYLES = REPOSITORY / "jobqueue_widget" / "static" / "widget.css"
MADE = """
from jobqueue_widget import JobQueue
from tests.benchmarks.inkernel import measures, used
queue = await JobQueue(max_running=4).start()
jobs = [queue.submit_nowait(measures, number) for number in range(4)]
"""
WARM_UP = 5_000  # ms, in which workers start and the page compiles


def _watch(effort: Effort) -> Figures:
    """Percent of one core that the kernel's process takes, without its workers."""
    with opened_lab() as open_notebook:
        notebook = open_notebook(MADE, "queue")
        notebook.run_all()
        notebook.page.wait_for_selector(".jqw .jqw-row:has-text('step')")
        notebook.page.wait_for_timeout(WARM_UP)
        cpu, at = notebook.value_of("used()")
        notebook.page.wait_for_timeout(effort.times(20, 5) * 1e3)
        cpu_then, then = notebook.value_of("used()")
        assert notebook.value_of("len(queue.jobs('running'))") == 4
        return {"percent": (cpu_then - cpu) / (then - at) * 100}


def _curves(effort: Effort) -> Figures:
    """Of five curves of 1,000 points: how many times uPlot's own time ours takes."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import MISSING, chromium_path, launch

    path = chromium_path()
    if path is None:
        raise FileNotFoundError(MISSING)
    with ExitStack() as stack:
        script = Path(stack.enter_context(tempfile.TemporaryDirectory()), "curves.js")
        entry = JS / "test" / "harness" / "curves.ts"
        build: list[str | Path] = [
            JS / "node_modules" / ".bin" / "esbuild",
            entry,
            "--bundle",
            "--minify",
        ]
        subprocess.run([*build, f"--outfile={script}"], check=True, capture_output=True)
        browser = launch(stack.enter_context(sync_playwright()), path)
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 800, "height": 600})
        page.add_style_tag(path=STYLES)
        page.evaluate("document.body.className = 'jqw'")
        page.add_script_tag(path=script)
        page.evaluate("measure(10)")  # compiles
        spent = page.evaluate("rounds => measure(rounds)", effort.times(40, 5))
        return {
            "first": spent["first"] / spent["alone"],
            "update": spent["update"] / spent["updateAlone"],
        }


PROBES = (
    Probe("watch", {OURS: Side(_watch)}, samples=3),
    Probe("curves", {OURS: Side(_curves)}),
)

ROWS = (
    Row(
        "watch",
        "kernel CPU of watching 4 running jobs: samples, metrics at 10/s each, widget shown; "
        "percent of one core",
        "watch",
        "percent",
        "%",
        must=(Limit(3),),
        want=(Limit(1),),
        analysis=(
            "a third is a flush every 100 ms, which makes four rows anew; a third is reading 40 "
            "reports a second from pipes."
        ),
    ),
    Row(
        "curves",
        "page: 5 curves of 1,000 points, first draw, beside uPlot alone",
        "curves",
        "first",
        "x",
        must=(Limit(1.2),),
        analysis="the rest is our axes, and one look at the colours of the page's theme.",
    ),
    Row(
        "curves-update",
        "the same: update with other points",
        "curves",
        "update",
        "x",
        must=(Limit(1.2),),
        analysis=(
            "the rest compares abscissas, and reads the colours of the page's theme, which may "
            "have changed."
        ),
    ),
)
