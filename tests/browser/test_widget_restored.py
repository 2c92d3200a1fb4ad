"""What a person sees after a kernel was killed and its queue came back from the journal."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_widget_lifecycle import RESTART
from tests.browser.widget import press, region, row, run_cell, until_status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

OPEN = (
    "import os, time\n"
    "from jobqueue_widget import JobQueue\n"
    "queue = await JobQueue.open('runs.db', name='tests').start()\n"
    "queue"
)
WORK = (
    "await queue.options(label='was done').submit_nowait(pow, 2, 10)\n"
    "queue.options(label='was at work').submit_nowait(time.sleep, 600)\n"
    "for number in range(3):\n"
    "    queue.options(label=f'waits {number}').submit_nowait(pow, 2, number)"
)
IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"


def test_after_the_kernel_was_killed_a_person_reviews_and_resumes(open_notebook: Open) -> None:
    notebook = open_notebook(OPEN, WORK)
    until_status(notebook, "was at work", "running")
    first = notebook.value_of("os.getpid()")
    os.kill(first, signal.SIGKILL)
    notebook.page.get_by_role("dialog").get_by_role("button", name="Ok").click()
    notebook.page.wait_for_function(IDLE)
    run_cell(notebook, 0)
    until_value(notebook, "queue.paused", True)
    assert notebook.value_of("os.getpid()") != first
    banner = region(notebook).locator(".jqw-banner")
    expect(banner).to_contain_text(re.compile(r"3 jobs restored from \d\d:\d\d"))
    expect(banner).to_contain_text("review, then Resume")
    for label in ("waits 0", "waits 1", "waits 2"):
        expect(row(notebook, label)).to_be_visible()
    expect(row(notebook, "was at work")).to_contain_text("interrupted by kernel exit")
    expect(row(notebook, "was done")).to_contain_text("took")
    assert notebook.value_of("queue['was done'].result") == 1024
    press(notebook, "Retry was at work")
    until_value(notebook, "len(queue.find('was at work'))", 2)
    assert notebook.value_of("len(queue.jobs('running'))") == 0
    press(notebook, "Resume queue")
    until_status(notebook, "waits 2", "completed")
    assert notebook.value_of("queue['waits 2'].result") == 4
    until_value(notebook, "[j.title for j in queue.jobs('running')]", ["was at work"])
    press(notebook, "Cancel was at work")
    until_value(notebook, "len(queue.jobs('running'))", 0)


DETACHED = (
    "def counts():\n"
    "    for step in range(6_000):\n"
    "        current_job().report(step / 6_000, f'step {step}')\n"
    "        print('line', step)\n"
    "        time.sleep(0.02)\n"
    "if not queue.jobs():\n"
    "    from jobqueue_widget import current_job\n"
    "    queue.options(label='night', detached=True).submit_nowait(counts)"
)


def test_after_a_restart_a_detached_job_moves_again_and_is_cancelled(open_notebook: Open) -> None:
    notebook = open_notebook(OPEN.replace("runs.db", "night.db"), DETACHED)
    until_value(notebook, "queue['night'].progress > 0", True)
    before = notebook.value_of("os.getpid()")
    assert notebook.value_of("queue.submit_nowait(len, '').status.value") == "pending"
    expect(region(notebook)).to_contain_text("len")
    notebook.page.evaluate(RESTART)
    expect(region(notebook)).to_contain_text(
        "last known state. 1 job goes on without this kernel; 1 pending waits for the next kernel"
    )
    notebook.page.wait_for_function(IDLE)
    run_cell(notebook, 0)
    assert notebook.value_of("os.getpid()") != before
    line = row(notebook, "night")
    expect(line).to_have_attribute("data-status", "running")
    steps = line.locator(".jqw-info")
    expect(steps).to_contain_text("step")
    expect(steps).not_to_have_text(steps.inner_text(), timeout=2_000)
    line.locator(".jqw-what").click()
    region(notebook).get_by_role("tab", name="Log").click()
    expect(region(notebook).get_by_role("log")).to_contain_text("line 1")
    notebook.page.mouse.move(2, 2)
    press(notebook, "Cancel night")
    until_status(notebook, "night", "cancelled")
