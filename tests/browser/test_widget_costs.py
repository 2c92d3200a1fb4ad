"""What the widget costs a page: when nothing happens, and when the next job runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SECONDS_OF_SIXTY_FRAMES = """() => new Promise((end) => {
  const begin = performance.now();
  let left = 60;
  const next = () => {
    if (left === 0) return end((performance.now() - begin) / 1000);
    left -= 1;
    requestAnimationFrame(next);
  };
  next();
})"""

# So many times the running job ends and the next one runs; names of `letters` letters.
TURNS = """async ([turns, letters]) => {
  const next = (number) => makeRow(`t${number}`, { args: "x".repeat(letters) });
  kernel.running = [];
  kernel.pending = [...Array(1000).keys()].map(next);
  for (let turn = 0; turn < turns; turn += 1) {
    const started_at = Date.now() / 1000;
    const ended = { status: "completed", completed_at: started_at };
    kernel.history.unshift(...kernel.running.map((row) => Object.assign(row, ended)));
    kernel.running = [Object.assign(kernel.pending.shift(), { status: "running", started_at })];
    kernel.flush();
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  }
}"""


def test_a_bar_of_unknown_amount_moves_without_a_layout_per_frame(opened: Opener) -> None:
    page = opened()
    expect(page.locator(".jqw-unknown").first).to_be_visible()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def layouts() -> int:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return int(next(one["value"] for one in metrics if one["name"] == "LayoutCount"))

    before = layouts()
    seconds = page.evaluate(SECONDS_OF_SIXTY_FRAMES)
    assert layouts() - before < 20 + 4 * seconds  # what elapses is drawn once a second


def test_the_next_job_leaves_the_layers_of_the_page_as_they_are(opened: Opener) -> None:
    page = opened("many", width=1200)
    session = page.context.new_cdp_session(page)
    events: list[str] = []
    ended: list[object] = []
    session.on(
        "Tracing.dataCollected", lambda data: events.extend(e["name"] for e in data["value"])
    )
    session.on("Tracing.tracingComplete", lambda data: ended.append(data))

    def made_anew(turns: int, letters: int) -> int:
        """How often, while the next job ran so many times."""
        events.clear()
        ended.clear()
        session.send("Tracing.start", {"categories": "blink", "transferMode": "ReportEvents"})
        page.evaluate(TURNS, [turns, letters])
        session.send("Tracing.end")
        while not ended:
            page.wait_for_timeout(10)
        return events.count("PaintArtifactCompositor::Update")

    assert made_anew(20, letters=100) >= 20  # what may be cut is clipped
    assert made_anew(20, letters=30) < 10
