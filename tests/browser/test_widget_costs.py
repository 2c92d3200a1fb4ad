"""What the widget costs a page in which nothing happens."""

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
