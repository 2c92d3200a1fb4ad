"""The line of the machine on the harness page: curves, questions, and narrow views."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Fresh, Opener
from tests.browser.test_widget_accessibility import FOUND
from tests.browser.test_widget_views import sent
from tests.browser.widget import press, region, submit, until_status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PICTURES = os.environ.get("PICTURES")  # a folder, for who wants to look
READINGS = """async ([count, gpus]) => {
  const {items, idle} = kernel.resources;
  const [gpu, ram, cpu] = ['GPU', 'RAM', 'CPU'].map((name) => items.find((i) => i.name === name));
  const more = Array.from({length: gpus - 1}, (_, n) => ({...gpu, name: `GPU ${n + 1}`}));
  for (let look = 0; look < count; look += 1) {
    cpu.used = 8 + Math.round(70 * Math.sin(look / 5)) / 10;
    ram.used = 21 + look / 2;
    gpu.used = look % 12 < 6 ? 6.1 : 1.9;
    kernel.resources = {items: [cpu, ram, gpu, ...more], idle, at: Date.now() / 1000 + look};
    kernel.flush();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  }
}"""


def line(page: Page) -> Locator:
    return page.get_by_role("group", name="Resources")


def read(page: Page, count: int, gpus: int = 1) -> None:
    page.evaluate(READINGS, [count, gpus])


def look(page: Page, name: str) -> None:
    if PICTURES is not None:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def paths(page: Page) -> list[str]:
    found: list[str] = (
        line(page)
        .locator(".jqw-stroke")
        .evaluate_all("nodes => nodes.map(node => node.getAttribute('d') ?? '')")
    )
    return found


def test_each_meter_has_a_curve_of_its_last_readings(opened: Opener) -> None:
    page = opened()
    assert all(not path for path in paths(page)), "one reading is no curve"
    read(page, 5)
    assert [path.count("L") for path in paths(page)] == [4] * 3
    page.evaluate("kernel.flush()")
    page.wait_for_timeout(100)
    assert [path.count("L") for path in paths(page)] == [4] * 3, "that was no reading"
    read(page, 60)
    assert [path.count("L") for path in paths(page)] == [39] * 3
    expect(line(page)).to_contain_text("CPU")
    look(page, "wide")


def test_the_kernel_is_asked_to_look_only_while_jobs_are_there(opened: Opener) -> None:
    page = opened()
    assert len(sent(page, "machine")) == 1
    idle = opened("empty")
    page.wait_for_timeout(1_500)
    assert sent(idle, "machine") == []
    idle.evaluate("kernel.pending = [makeRow('p1')]; kernel.flush()")
    idle.wait_for_function("kernel.sent.some(({op}) => op === 'machine')")
    assert len(sent(page, "machine")) == 1, "it is asked again after ten seconds"


def test_it_is_asked_again_and_not_while_the_kernel_has_not_answered(opened: Opener) -> None:
    page = opened()
    page.evaluate("window.skip = 0; const now = Date.now; Date.now = () => now() + skip * 1000")
    asked = "new Set(kernel.sent.filter(({op}) => op === 'machine').map(({rid}) => rid)).size"
    page.evaluate("skip = 11; kernel.flush()")
    page.wait_for_function(f"{asked} === 2")
    page.wait_for_timeout(100)  # until that is answered
    page.evaluate("kernel.deaf = true; skip = 22; kernel.flush()")
    page.wait_for_function(f"{asked} === 3")
    page.evaluate("skip = 44; kernel.flush()")
    page.wait_for_timeout(500)
    assert page.evaluate(asked) == 3


def test_a_button_keeps_the_focus_while_figures_change(opened: Opener) -> None:
    page = opened()
    unload = page.get_by_role("button", name="Unload gemini")
    unload.focus()
    read(page, 3)
    expect(unload).to_be_focused()
    page.evaluate("kernel.resources.idle = []; kernel.flush()")
    expect(unload).to_have_count(0)


def test_figures_of_a_queue_that_has_ended_say_as_of_when(opened: Opener) -> None:
    page = opened()
    read(page, 2)
    expect(line(page)).not_to_contain_text("as of")
    page.evaluate(
        "kernel.history.unshift(...kernel.running.splice(0), ...kernel.pending.splice(0));"
        "kernel.history.forEach((row) => { row.status = 'completed' }); kernel.flush()"
    )
    expect(line(page)).to_contain_text("as of ")
    look(page, "ended")


@pytest.mark.parametrize(("width", "gpus"), [(320, 1), (320, 8), (500, 8), (280, 2), (1000, 8)])
def test_it_has_two_lines_at_most(opened: Opener, width: int, gpus: int) -> None:
    page = opened(width=width)
    read(page, 45, gpus)
    lines: Any = line(page).evaluate(
        "node => [node.offsetHeight, node.scrollHeight > node.clientHeight, node.tabIndex]"
    )
    height, scrolls, tab = lines
    assert height <= 2 * 24 + (13 if width == 1000 else 5)
    assert (tab == 0) is scrolls, "what is scrolled is reached by keys"
    look(page, f"lines-{width}-{gpus}")
    if scrolls:
        line(page).focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_function("document.activeElement.scrollTop > 0")


def test_it_is_there_with_any_jobs_in_jupyterlab(fresh: Fresh) -> None:
    notebook = fresh(submit("waits", "sleeper"))
    until_status(notebook, "waits", "running")
    shown = region(notebook).get_by_role("group", name="Resources")
    expect(shown).to_contain_text(re.compile(r"CPU [\d.]+ of [\d.]+ cores.*RAM [\d.]+ of"))
    curve = shown.locator(".jqw-stroke").first
    expect(curve).to_have_attribute("d", re.compile("^M.*L.*L"), timeout=15_000)
    look(notebook.page, "jupyterlab")
    press(notebook, "Cancel waits")
    expect(shown).to_contain_text("as of ")


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_axe_finds_no_violation_in_a_morning(opened: Opener, theme: str) -> None:
    for width in (1000, 320):
        page = opened("morning", width=width)
        page.emulate_media(
            color_scheme="dark" if theme == "dark" else "light",
            forced_colors="active" if theme == "contrast" else "none",
        )
        page.evaluate(f"document.body.className = document.body.dataset.theme = '{theme}'")
        expect(page.get_by_role("note", name="While you were away")).to_be_visible()
        read(page, 45, 8)
        look(page, f"morning-{width}-{theme}")
        assert page.evaluate(FOUND) == []
