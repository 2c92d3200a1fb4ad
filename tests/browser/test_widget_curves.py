"""Curves in a real browser: drawn, live, zoomed, compared; and the same facts as a table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.browser.payloads import GUARD, PAYLOADS, VERDICT
from tests.browser.test_widget_views import row, sent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# The share of the picture's points that have ink, and how much of that is coloured.
INK = """() => {
  const canvas = document.querySelector('.jqw-plot canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [r, g, b, alpha] = data.slice(at, at + 4);
    if (alpha > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 40) coloured += 1;
  }
  return coloured;
}"""


def falling(count: int = 100, first: float = 1.0) -> list[list[float | None]]:
    return [[step, first / (1 + step / 10)] for step in range(count)]


def measure(page: Page, job: str = "r1", **metrics: Any) -> None:
    """Let a job have measured something, and open its curves."""
    page.evaluate("([job, metrics]) => { kernel.metrics[job] = metrics; }", [job, metrics])
    row(page, job).locator(".jqw-what").click()
    page.get_by_role("tab", name="Curves").click()
    expect(page.locator(".jqw-plot canvas")).to_be_visible()


def span(page: Page) -> str:
    """What stands along the abscissa, as it is asked for: the first and last step in view."""
    canvas = page.locator(".jqw-plot .u-over")
    box = canvas.bounding_box()
    assert box is not None
    told = []
    for share in (0.001, 0.999):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        page.wait_for_timeout(80)
        told.append(page.locator(".jqw-of-metrics .jqw-plot-hover").inner_text().split(" · ")[0])
    return " to ".join(told)


def test_curves_are_drawn_and_their_values_stand_in_a_table(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling(), gap=[[0, 1], [1, None], [2, 3]], none=[[0, None]])
    expect(page.get_by_role("img", name="Curves of loss, gap")).to_be_visible()
    assert page.evaluate(INK) > 100
    rows = page.get_by_role("table", name="Metrics").get_by_role("row")
    told = [rows.nth(at).inner_text().split() for at in range(4)]
    assert told == [
        ["Metric", "Last", "Least", "Greatest"],
        ["loss", "0.091743", "0.091743", "1"],
        ["gap", "3", "1", "3"],
        ["none", *["\u2013"] * 3],
    ]
    right_edges = rows.evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map((cell) => {"
        "  const range = document.createRange(); range.selectNodeContents(cell);"
        "  return Math.round(range.getBoundingClientRect().right); }))"
    )
    assert len({tuple(edges) for edges in right_edges}) == 1  # values stand below their heads


def test_the_values_under_the_pointer_are_told(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling(), accuracy=[[step, step / 100] for step in range(0, 100, 10)])
    box = page.locator(".jqw-plot .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 50 / 99, box["y"] + 20)
    hover = page.locator(".jqw-of-metrics .jqw-plot-hover")
    expect(hover).to_have_text("50 · loss 0.16667 · accuracy 0.5")
    page.mouse.move(5, 5)
    expect(hover).to_have_text("")


def test_curves_are_zoomed_by_buttons_and_by_dragging(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling(101))
    assert span(page) == "0 to 100"
    page.get_by_role("button", name="Zoom in").click()
    assert span(page) == "25 to 75"
    expect(page.get_by_role("button", name="Show all")).to_be_enabled()
    page.evaluate("kernel.metrics.r1.loss.push([101, 0.05])")  # what comes does not end a zoom
    expect(page.get_by_role("table", name="Metrics")).to_contain_text("0.05")
    assert span(page) == "25 to 75"
    page.get_by_role("button", name="Show all").click()
    assert span(page) == "0 to 101"
    box = page.locator(".jqw-plot .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30, steps=5)
    page.mouse.up()
    assert span(page) in ("25 to 50", "25 to 51", "26 to 50")
    page.get_by_role("button", name="Zoom out").click()
    assert span(page) in ("13 to 63", "13 to 62", "12 to 63")


def test_a_scale_of_powers_of_ten_leaves_out_what_it_cannot_show(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=[[0, 1000], [1, -5], [2, 0], [3, 0.001]])
    log = page.get_by_role("button", name="Log scale")
    before = page.evaluate(INK)
    log.click()
    expect(log).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"({INK})() !== {before}")
    log.click()
    page.wait_for_function(f"({INK})() === {before}")


def test_which_curves_are_drawn_is_chosen_and_stays_chosen(opened: Opener) -> None:
    page = opened(width=1200)
    many: dict[str, Any] = {f"m{at}": falling(20) for at in range(8)}
    measure(page, **many, far=[[0, 10_000], [1, 20_000]])
    picture = page.locator(".jqw-of-metrics .jqw-plot-canvas")
    expect(picture).to_have_attribute("aria-label", "Curves of m0, m1, m2")
    page.get_by_role("button", name="m1", exact=True).click()
    page.get_by_role("button", name="far", exact=True).click()
    expect(picture).to_have_attribute("aria-label", "Curves of m0, m2, far")
    assert {a["at"] for a in sent(page, "curve")} == {0, 1, 2, 8}  # no more than is drawn
    measure(page, "r2", **many)
    expect(picture).to_have_attribute("aria-label", "Curves of m0, m2")


def test_curves_grow_while_they_are_looked_at_only(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling(10))
    page.evaluate("kernel.metrics.r1.loss.push([10, 0.25])")
    expect(page.get_by_role("table", name="Metrics")).to_contain_text("0.25")
    page.get_by_role("tab", name="Overview").click()
    asked = len(sent(page, "metrics"))
    has = len(sent(page, "has"))
    page.wait_for_function(f"kernel.sent.filter((m) => m.op === 'has').length > {has + 1}")
    assert len(sent(page, "metrics")) == asked
    page.evaluate(
        "kernel.history.unshift(Object.assign(kernel.running.shift(),"
        " {status: 'completed', completed_at: Date.now() / 1000})); kernel.flush()"
    )
    page.get_by_role("tab", name="Curves").click()
    page.wait_for_function(f"kernel.sent.filter((m) => m.op === 'metrics').length > {asked}")
    asked = len(sent(page, "metrics"))
    page.wait_for_timeout(2_500)
    assert len(sent(page, "metrics")) == asked  # it has ended


def test_curves_are_drawn_again_only_when_they_have_changed(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling(10), accuracy=falling(10, 0.5))
    page.wait_for_timeout(100)  # a draw is done in the same task
    page.evaluate(
        """() => {
          window.draws = 0;
          const { prototype } = CanvasRenderingContext2D;
          const { clearRect } = prototype;
          prototype.clearRect = function (...given) { draws += 1; clearRect.apply(this, given); };
        }"""
    )
    asked = len(sent(page, "metrics"))
    for step in range(5):
        page.evaluate(
            "step => { kernel.running[0].message = `step ${step}`; kernel.flush(); }", step
        )
        expect(row(page, "r1")).to_contain_text(f"step {step}")
    page.wait_for_function(f"kernel.sent.filter((m) => m.op === 'metrics').length > {asked}")
    assert page.evaluate("draws") == 0
    page.evaluate("kernel.metrics.r1.loss.push([10, 0.25])")
    page.wait_for_function("draws === 1")


def test_curves_follow_the_theme_and_the_width(opened: Opener) -> None:
    page = opened(width=1200)
    measure(page, loss=falling())
    letters = "() => getComputedStyle(document.querySelector('.jqw-curve-0')).backgroundColor"
    light = page.evaluate(letters)
    picture = page.evaluate("document.querySelector('.jqw-plot canvas').toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.body.className = document.body.dataset.theme = 'dark'")
    assert page.evaluate(letters) != light
    page.wait_for_function(
        "(before) => document.querySelector('.jqw-plot canvas').toDataURL() !== before",
        arg=picture,
    )
    for width in (1000, 600, 320):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            """() => {
              const plot = document.querySelector('.jqw-plot .uplot');
              const room = document.querySelector('.jqw-plot-canvas');
              return plot && Math.abs(plot.clientWidth - room.clientWidth) < 2;
            }"""
        )


def test_names_of_metrics_are_text(opened: Opener) -> None:
    page = opened(width=1200)
    page.evaluate(GUARD)
    for at in range(0, len(PAYLOADS), 40):
        names = PAYLOADS[at : at + 40]
        page.evaluate("document.querySelector('[aria-label=\"Close details\"]')?.click()")
        measure(page, "r1" if at else "r2", **{name: falling(5) for name in names})
        buttons = page.locator(".jqw-metric:visible")
        expect(buttons).to_have_count(len({*names} - {"__proto__"}))
        for button in buttons.all():
            button.click()
        page.locator(".jqw-of-metrics .jqw-plot-canvas").hover()
        expect(page.locator(".jqw-of-metrics .jqw-plot-hover")).not_to_be_empty()
    assert page.evaluate(VERDICT) == {"hacked": 0, "made": []}


def test_a_plot_that_is_not_shown_holds_nothing(opened: Opener) -> None:
    page = opened(width=1200)
    page.evaluate(
        """() => {
          window.listening = 0;
          for (const target of [window, document]) {
            const { addEventListener: add, removeEventListener: remove } = target;
            target.addEventListener = (...given) => { listening += 1; add.apply(target, given); };
            target.removeEventListener = (...given) => {
              listening -= 1;
              remove.apply(target, given);
            };
          }
        }"""
    )
    measure(page, loss=falling())
    during = page.evaluate("listening")
    page.get_by_role("tab", name="Overview").click()
    after = page.evaluate("listening")
    assert after < during
    page.get_by_role("tab", name="Curves").click()
    expect(page.locator(".jqw-plot canvas")).to_be_visible()
    assert page.evaluate("listening") == during
    page.evaluate("stop()")
    assert page.evaluate("listening") == after


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_curves_and_outputs(opened: Opener, theme: str) -> None:
    page = opened(width=1200)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.evaluate(f"document.body.className = document.body.dataset.theme = '{theme}'")
    told = "r.violations.map((v) => [v.id, v.nodes[0].html])"
    found = f"axe.run('.jqw').then((r) => {told})"
    measure(page, loss=falling(), accuracy=falling())
    assert page.evaluate(found) == []
    forms = [["html", "<p>a</p>"], ["json", json.dumps({"a": [1]})], ["text", "a"]]
    page.evaluate("(forms) => { kernel.outputs.r1 = [{forms}]; }", forms)
    page.get_by_role("tab", name="Output").click()
    for name in ("Page", "Tree", "Text"):
        page.get_by_role("button", name=f"{name}: Output of whisper").click()
        assert page.evaluate(found) == []
    page.get_by_role("tab", name="Log").click()
    page.get_by_role("checkbox", name="Times").check()
    assert page.evaluate(found) == []


def test_what_a_job_uses_stands_below_what_it_measures(opened: Opener) -> None:
    page = opened(width=1000)
    page.evaluate(
        "kernel.metrics.r1 = { loss: [[0, 1], [1, 0.5]] };"
        " kernel.usage.r1 = { ram_mib: [[1, 180.5], [2, 210]], cpus: [[2, 1.9]] };"
        " kernel.usage.r2 = { ram_mib: [[1, 90]] };"
    )
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Curves").click()
    panel = page.get_by_role("tabpanel")
    expect(panel.get_by_role("img", name="Curves of loss")).to_be_visible()
    below = panel.get_by_role("table", name="Memory and processors")
    expect(below.get_by_role("row", name="RAM (MiB)")).to_have_text("RAM (MiB)210180.5210")
    expect(below.get_by_role("row", name="Processors")).to_contain_text("1.9")
    tops = [panel.locator(f".jqw-of-{of}").bounding_box() for of in ("metrics", "usage")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert tops[1]["y"] >= tops[0]["y"] + tops[0]["height"] - 1
    row(page, "r2").locator(".jqw-what").click()
    expect(panel.get_by_role("img", name="Curves of RAM (MiB)")).to_be_visible()
    expect(panel.locator(".jqw-of-metrics")).to_be_hidden()
