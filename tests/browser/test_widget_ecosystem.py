"""The author's real plugins in a real JupyterLab: their monitor's GPU, ffmpeg's log and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Fresh
from tests.browser.lab import Notebook
from tests.browser.test_widget_resources import ROOT, look
from tests.browser.widget import press, region, row, until_status, until_value
from tests.ecosystem.test_outcomes import need_environments

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SETUP = f"""
import os, sys, tempfile
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.ecosystem import gpu, outcomes
from tests.ecosystem.subjects import FFMPEG, MONITOR, WHISPER, converters
folder = Path(tempfile.mkdtemp())
outcomes.prepare(folder)
gpu.prepare(folder / "project")
os.chdir(folder / "project")
from jobqueue_widget import JobQueue, PluginManager, QueueScheduler
manager = PluginManager(scheduler=QueueScheduler())
manager.discover_manifests()
for name, config in ((MONITOR.package, None), (FFMPEG.package, None), (gpu.LARGE, gpu.MODEL)):
    assert manager.load_plugin(manager.get_discovered_meta(name), config), name
manager.register_system_monitor(MONITOR.package)
slow = {{**FFMPEG.slow, "input_path": str(folder / "inputs" / "long.wav")}}
queue = await JobQueue(manager, name="studio", max_running=2, cancel_timeout=20).start()
queue
"""
JOBS = """
speech = str(folder / "inputs" / "speech.wav")
queue.options(label="words").submit_nowait(gpu.LARGE, audio=speech)
queue.options(label="podcast").submit_nowait(FFMPEG.package, **slow)
queue.options(label="next").submit_nowait(
    FFMPEG.package, action="convert", input_path=speech, output_format="mp3"
)
"""


@pytest.fixture
def notebook(fresh: Fresh) -> Iterator[Notebook]:
    need_environments()
    notebook = fresh(JOBS, setup=SETUP)
    yield notebook
    notebook.replace("await queue.close()\nmanager.unload_all()")


def test_real_plugins_are_seen_and_cancelled(notebook: Notebook) -> None:
    until_status(notebook, "words", "completed")
    line = region(notebook).get_by_role("group", name="Resources")
    expect(line).to_contain_text(re.compile(r"GPU [\d.]+ of 12 GB"))
    until_status(notebook, "podcast", "running")
    until_value(notebook, "bool(converters(folder / 'inputs' / 'long.wav'))", True)
    look(notebook, "real-running")
    row(notebook, "words").locator(".jqw-what").click()
    details = region(notebook).get_by_role("tabpanel")
    details_tab(notebook, "Result")
    details.get_by_role("button", name="Text: Result of words").click()
    expect(details).to_contain_text("'text':")
    look(notebook, "real-result")
    details_tab(notebook, "Log")
    expect(details).to_contain_text(re.compile(r"\d\d:\d\d:\d\d,\d\d\d \[INFO\]"))
    look(notebook, "real-log")
    press(notebook, "Cancel podcast")
    until_status(notebook, "podcast", "cancelled")
    assert notebook.value_of("converters(folder / 'inputs' / 'long.wav')") == []
    until_status(notebook, "next", "completed")
    look(notebook, "real-cancelled")


def details_tab(notebook: Notebook, name: str) -> None:
    region(notebook).get_by_role("tab", name=name).click()
