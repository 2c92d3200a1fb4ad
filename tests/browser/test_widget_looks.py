"""The views at any width, size of letters and writing direction: nothing outside, nothing cut."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ALL_TABS = ("Overview", "Curves", "Log", "Output", "Error", "Result")
WIDTHS = (200, 240, 280, 320, 340, 380, 420, 500, 560, 640, 720, 800, 960, 1200)
SETTLED = (
    "new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 60))"
)
# A row may have two lines: so cells are looked at with their tops and bottoms.
OVERLAP = """
  const shown = (node) => node.offsetWidth > 0 && node.checkVisibility({visibilityProperty: true});
  const overlap = (row) => {
    const boxes = [...row.children].filter(shown).map((cell) => cell.getBoundingClientRect());
    return boxes.some((one, at) => boxes.slice(at + 1).some((other) => (
      Math.min(one.right, other.right) - Math.max(one.left, other.left) > 0.5
      && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 0.5
    )));
  };
"""
WRONG = (
    f"() => {{{OVERLAP}"
    """
  const root = document.querySelector('.jqw');
  const {left, right} = root.getBoundingClientRect();
  const wrong = [];
  for (const node of root.querySelectorAll('button, input')) {
    const box = node.getBoundingClientRect();
    const outside = box.left < left || box.right > right;
    if (shown(node) && outside) wrong.push(['outside', node.ariaLabel || node.textContent]);
  }
  const letters = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getBoundingClientRect().width;
  };
  const room = (node) => shown(node) ? Math.max(0, node.clientWidth - letters(node)) : 0;
  for (const row of root.querySelectorAll('.jqw-row[data-job-id]')) {
    const id = row.dataset.jobId;
    const part = (kind) => row.querySelector('.jqw-' + kind);
    if (overlap(row)) wrong.push(['one over the other', id]);
    const cut = [...row.querySelectorAll('.jqw-title, .jqw-same, .jqw-args, .jqw-info')]
      .filter((node) => shown(node) && node.scrollWidth > node.clientWidth + 1);
    const [what, info, time] = [part('what'), part('info'), part('time')];
    if (letters(time) > time.clientWidth + 1) wrong.push(['time is cut', id]);
    const taken = [...what.querySelectorAll('.jqw-name > *, .jqw-where, .jqw-priority')];
    let free = what.clientWidth - taken.reduce((sum, node) => sum + node.offsetWidth, 0) - 12;
    // The columns of those that wait, "3 ahead" and "~07:12", are the same for all of them.
    const isNext = info.classList.contains('jqw-next');
    if (root.classList.contains('jqw-two')) {
      // Each of its lines has room of its own: the name on the first, the words on the second.
      if (!cut.some((node) => what.contains(node))) free = 0;
      if (cut.includes(info)) free = Math.max(free, room(time));
    } else if (!isNext) free = Math.max(0, free) + room(info) + room(time);
    if (cut.length > 0 && free > 12) wrong.push(['cut beside room', id, Math.round(free)]);
  }
  return wrong;
}"""
)


def set_host(page: Page, size: int, direction: str) -> None:
    page.evaluate(
        "([size, dir]) => { document.documentElement.dir = dir;"
        " document.body.style.setProperty('--jp-content-font-size1', `${size}px`); }",
        [size, direction],
    )


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("size", [14, 18, 24])
@pytest.mark.parametrize("selected", [None, "h1", "q0"])
def test_rows_are_within_the_view_and_use_their_room(
    opened: Opener, size: int, direction: str, selected: str | None
) -> None:
    page = opened("long", width=1200)
    page.set_viewport_size({"width": 1200, "height": 1400})
    set_host(page, size, direction)
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    if selected is not None:
        page.locator(f"[data-job-id={selected}]").locator(".jqw-what").click()
    found: dict[int, Any] = {}
    for width in WIDTHS:
        page.evaluate(f"document.querySelector('main').style.width = '{width}px'")
        page.evaluate(SETTLED)
        if wrong := page.evaluate(WRONG):
            found[width] = wrong
    assert found == {}


OVERLAPS = (
    f"() => {{{OVERLAP}"
    """
  const wrong = [];
  const {left, right} = document.querySelector('.jqw').getBoundingClientRect();
  for (const row of document.querySelectorAll('.jqw-group-row')) {
    if (overlap(row)) wrong.push(['one over the other', row.textContent]);
    for (const node of [...row.querySelectorAll('button')].filter(shown)) {
      const box = node.getBoundingClientRect();
      if (box.left < left || box.right > right) wrong.push(['outside', node.ariaLabel]);
    }
    const name = row.querySelector('.jqw-title');
    if (name.clientWidth < 20) wrong.push(['no name', row.textContent]);
  }
  return wrong;
}"""
)


@pytest.mark.parametrize("size", [14, 24])
def test_groups_are_within_the_view(opened: Opener, size: int) -> None:
    page = opened("sweeps", width=1200)
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    set_host(page, size, "ltr")
    found: dict[int, Any] = {}
    for width in WIDTHS:
        page.evaluate(f"document.querySelector('main').style.width = '{width}px'")
        page.evaluate(SETTLED)
        if wrong := page.evaluate(OVERLAPS):
            found[width] = wrong
    assert found == {}
    assert page.locator(".jqw-group-row").count() == 7


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.parametrize("view", ["queue", "job"])
def test_details_have_one_height(opened: Opener, width: int, view: str) -> None:
    page = opened("everyday", view, width=width)
    page.evaluate(
        "Object.assign(kernel, {pending: [], history: [], log: 'line\\n'.repeat(99)});"
        " kernel.running.length = 1;"
        " kernel.contents = () => ({curves: 1, log: true, output: 1, error: true, result: true});"
        " kernel.flush()"
    )
    if view == "job":
        page.get_by_role("button", name="Log").click()
    else:
        page.locator("[data-job-id=r1] .jqw-what").click()
    details = page.locator(".jqw-details")
    heights = set()
    expect(details.get_by_role("tab")).to_have_count(len(ALL_TABS))
    for name in ALL_TABS:
        details.get_by_role("tab", name=name).click()
        page.evaluate(SETTLED)
        both = [details, page.locator(".jqw")]
        heights.add(tuple(node.evaluate("(node) => node.offsetHeight") for node in both))
    assert len(heights) == 1


def test_letters_are_as_large_as_the_host_has_them(opened: Opener) -> None:
    page = opened("many")
    heights = []
    for size in (14, 20, 14):
        set_host(page, size, "ltr")
        page.evaluate(SETTLED)
        row = page.locator("[data-job-id=p2]")
        heights.append(row.evaluate("(node) => node.offsetHeight"))
        letters = row.locator(".jqw-title").evaluate("(node) => getComputedStyle(node).fontSize")
        assert abs(float(letters[:-2]) - size * 13 / 14) < 0.1
        tops = [
            page.locator(f"[data-job-id={job}]").evaluate("(node) => node.offsetTop")
            for job in ("p1", "p2")
        ]
        assert tops[1] - tops[0] == heights[-1]
    assert heights == [28, 41, 28]


def test_numbers_keep_their_places_in_a_page_from_right_to_left(opened: Opener) -> None:
    page = opened("long")
    set_host(page, 14, "rtl")
    info = page.locator("[data-job-id=r1] .jqw-time")
    expect(info).to_have_text(re.compile("[0-9:]+ of about 2 min"))
    order = """(node) => {
      const {firstChild} = node;
      return [...firstChild.data].map((_, at) => {
        const range = document.createRange();
        range.setStart(firstChild, at);
        range.setEnd(firstChild, at + 1);
        return range.getBoundingClientRect().left;
      });
    }"""
    places = info.evaluate(order)
    assert places == sorted(places)


def test_what_differs_is_in_view_where_a_row_has_little_room(opened: Opener) -> None:
    page = opened("long", width=420)
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    for at in range(6):
        rest = page.locator(f"[data-job-id=q{at}] .jqw-args")
        expect(rest).to_have_text(f"talk_{at}.wav', lr=0.1")
        seen = rest.evaluate(
            """(node) => {
              const range = document.createRange();
              range.setStart(node.firstChild, 0);
              range.setEnd(node.firstChild, 6);
              return range.getBoundingClientRect().right <= node.getBoundingClientRect().right;
            }"""
        )
        assert seen, at


def test_details_have_the_whole_arguments_to_copy(opened: Opener) -> None:
    page = opened("long")
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-job-id=q0] .jqw-what").click()
    parameters = page.get_by_role("table", name="Parameters")
    expect(parameters.get_by_role("row")).to_have_count(2)
    for name, whole in page.evaluate("kernel.details.q0.parameters.map((one) => one.slice(0, 2))"):
        told = parameters.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
        expect(told.get_by_role("cell", name=whole, exact=True)).to_be_attached()
        copy = page.get_by_role("button", name=f"Copy {name}", exact=True)
        copy.click()
        expect(copy).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == whole


def test_the_end_of_a_log_stays_in_view_whatever_becomes_of_the_width(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.running.length = 1; kernel.log = 'words and more words\\n'.repeat(300)")
    page.locator("[data-job-id=r1] .jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("words")
    left = "node => node.scrollHeight - node.clientHeight - node.scrollTop"
    for width in (1000, 400, 700, 1000):
        page.evaluate(f"document.querySelector('main').style.width = '{width}px'")
        page.evaluate(SETTLED)
        page.evaluate(SETTLED)
        assert log.evaluate(left) < 4, width
        expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")


def test_a_closed_queue_is_not_called_paused(opened: Opener) -> None:
    page = opened()
    page.evaluate(
        "kernel.phase = 'closed'; kernel.paused = {reason: 'the queue is closed', since: 1};"
        " kernel.flush()"
    )
    expect(page.locator(".jqw-banner")).to_have_text("Closed")
    expect(page.get_by_role("button", name="Resume queue")).to_have_count(0)


def test_code_to_copy_is_cut_nowhere_in_a_word(opened: Opener) -> None:
    page = opened("empty", width=320)
    page.add_style_tag(content="main pre { white-space: pre-wrap; word-break: break-all }")
    code = page.locator(".jqw-first pre")
    lines = "node => node.clientHeight / parseFloat(getComputedStyle(node).lineHeight)"
    assert round(code.evaluate(lines)) == len(code.inner_text().splitlines())


def test_kinds_of_failure_have_one_frame(opened: Opener) -> None:
    page = opened("tree")
    page.get_by_role("button", name="Kinds of failure").click()
    menu = page.get_by_role("menu")
    expect(menu.locator(".jqw-menu-item").first).to_be_visible()
    framed = menu.evaluate("""menu => [menu, ...menu.querySelectorAll('.jqw-menu-item')]
      .map((node) => getComputedStyle(node))
      .map((one) => one.borderTopStyle !== 'none' && one.borderTopColor !== 'rgba(0, 0, 0, 0)')""")
    assert framed == [False, *[True] * (len(framed) - 1)]


COLUMNS = """kinds => kinds.map(([kind, side]) => [...document.querySelectorAll(kind)]
  .filter((node) => node.offsetWidth > 0 && !node.closest('.jqw-says, .jqw-places'))
  .map((node) => Math.round(node.getBoundingClientRect()[side])))"""


@pytest.mark.parametrize("width", [1200, 800, 620])
def test_groups_and_jobs_have_the_same_columns(opened: Opener, width: int) -> None:
    page = opened("tree", width=width)
    page.set_viewport_size({"width": width, "height": 1400})
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    kinds = [
        (".jqw-row > .jqw-bar", "left"),
        (".jqw-row > .jqw-bar + .jqw-info", "left"),
        (".jqw-row .jqw-act, .jqw-group-acts > :nth-last-child(1 of :not([hidden]))", "right"),
    ]
    for places in page.evaluate(COLUMNS, kinds):
        assert len(places) >= 2
        assert len(set(places)) == 1


def test_the_place_of_a_job_of_a_group_stands_beside_its_icon(opened: Opener) -> None:
    page = opened("everyday", width=420)
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')")
    page.evaluate(
        "kernel.groups = [{id: 9, name: 'few', pending: 3}];"
        " for (const row of kernel.pending) if (row.title === 'sweep') row.group = 9;"
        " kernel.flush()"
    )
    expect(page.locator(".jqw-row[aria-level='3']")).to_have_count(3)
    places = page.locator(".jqw-places > .jqw-lead")
    expect(places).to_have_text(re.compile(r"^(\s*\d){5}\s*$"))  # also of rows that are new
    wrong = page.evaluate("""() => {
      const icons = [...document.querySelectorAll('.jqw-row[draggable] .jqw-icon')]
        .map((node) => node.getBoundingClientRect());
      const texts = document.querySelector('.jqw-places > .jqw-lead').firstChild;
      const digits = [...texts.data].map((letter, at) => {
        const range = document.createRange();
        range.setStart(texts, at);
        range.setEnd(texts, at + 1);
        return [letter, range.getBoundingClientRect()];
      }).filter(([letter]) => letter.trim() !== '');
      return [digits.length, digits.filter(([, one]) => icons.some((other) => (
        one.left < other.right && other.left < one.right
        && one.top < other.bottom && other.top < one.bottom
      ))).length];
    }""")
    assert wrong == [5, 0]


@pytest.mark.parametrize("width", [1200, 1000, 800, 620])
def test_names_of_any_length_are_not_cut_beside_free_room(opened: Opener, width: int) -> None:
    page = opened("tree", width=width)
    page.set_viewport_size({"width": width, "height": 2400})
    page.evaluate("document.querySelector('.jqw').style.setProperty('--jqw-most', '2200px')")
    page.evaluate(
        "kernel.history.forEach((row, at) => { row.title = 'rate=0.03 depth=1 seed=12345678 '"
        ".repeat(2).slice(0, at + 3).trim(); row.note = 'brief'; row.group = -1; });"
        " kernel.flush()"
    )
    page.locator("[data-job-id=r1] .jqw-what").click()
    page.evaluate(SETTLED)
    expect(page.get_by_role("tab", name="Overview")).to_be_visible()
    assert page.evaluate(WRONG) == []
