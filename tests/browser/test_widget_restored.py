"""What a person sees after a kernel was killed and its queue came back from the journal."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
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
