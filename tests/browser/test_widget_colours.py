"""The views where contrast is high: in the host's themes for it, and in the system's colours."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener
from tests.browser.test_widget_list import opened_high
from tests.browser.test_widget_views import row

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# As JupyterLab's themes have them; where contrast is high, lines are as bright as texts.
THEMES = {
    "light": {"layout-color1": "#fff", "ui-font-color1": "#000000de", "border-color2": "#e0e0e0"},
    "dark": {"layout-color1": "#212121", "ui-font-color1": "#fff", "border-color2": "#424242"},
    "high contrast": {
        "layout-color1": "#111",
        "ui-font-color1": "#fff",
        "border-color2": "#e0e0e0",
    },
}
BRAND = {"light": "#1976d2", "dark": "#2196f3", "high contrast": "#2e8ee6"}
PAINTED = """node => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d');
  canvas.fillStyle = 'white'; // below JupyterLab's texts, and what is mixed with them
  canvas.fillRect(0, 0, 1, 1);
  canvas.fillStyle = getComputedStyle(node).backgroundColor;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def luminance(node: Locator) -> float:
    red, green, blue = (
        part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in node.evaluate(PAINTED)
    )
    found: float = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return found


def contrast(one: Locator, other: Locator) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_an_empty_bar_does_not_look_full(opened: Opener, theme: str) -> None:
    page = opened()
    for name, colour in {**THEMES[theme], "brand-color1": BRAND[theme]}.items():
        page.evaluate(
            "([name, to]) => document.body.style.setProperty(`--jp-${name}`, to)", [name, colour]
        )
    dark = "dark" if theme != "light" else "light"
    page.evaluate("scheme => void (document.body.style.colorScheme = scheme)", dark)
    track = row(page, "r1").locator(".jqw-track")
    assert contrast(track.locator(".jqw-fill-bar"), track) >= 3
    assert contrast(track, page.locator(".jqw")) < 1.7


def in_system_colours(page: Page) -> Page:
    page.emulate_media(forced_colors="active")
    return page


@pytest.mark.parametrize("width", [1000, 420])
def test_places_drawn_over_rows_hide_nothing_in_forced_colours(opened: Opener, width: int) -> None:
    page = in_system_colours(opened_high(opened, "many", width))
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    for job in ("p2", "p5", "n0", "n1"):
        name = row(page, job).locator(".jqw-what")
        with_places = name.screenshot()
        page.evaluate("document.querySelector('.jqw-places').style.visibility = 'hidden'")
        assert name.screenshot() == with_places, job
        page.evaluate("document.querySelector('.jqw-places').style.visibility = ''")


def test_what_is_chosen_is_seen_in_forced_colours(opened: Opener) -> None:
    page = in_system_colours(opened("tree"))
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    background = "node => getComputedStyle(node).backgroundColor"
    chosen = {
        page.get_by_role("radio", checked=True): page.get_by_role("radio", checked=False).first,
        page.get_by_role("tab", name="Log"): page.get_by_role("tab", name="Overview"),
        page.get_by_role("tab", name="List"): page.get_by_role("tab", name="Timeline"),
        page.get_by_role("button", name="Follow"): page.get_by_role("button", name="Download"),
    }
    for one, other in chosen.items():
        expect(one).to_be_visible()
        assert one.evaluate(background) != other.evaluate(background), one


def test_acts_that_cannot_be_done_have_no_frames(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.closed = true")
    page.get_by_role("button", name="Pause queue").click()
    rows = page.locator(".jqw-row:is([data-status=running], [data-status=queued])")
    acts = rows.locator(".jqw-act[aria-disabled=true]")
    expect(page.locator(".jqw-banner")).to_contain_text(re.compile("^Kernel gone"))
    frames = "nodes => nodes.map(node => getComputedStyle(node).borderTopColor)"
    expect(acts).not_to_have_count(0)
    page.mouse.move(1, 1)
    assert set(acts.evaluate_all(frames)) == {"rgba(0, 0, 0, 0)"}
