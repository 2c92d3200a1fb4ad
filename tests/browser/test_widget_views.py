"""The views in a real browser against the kernel of the harness page: acts, keys, drag, size."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def sent(page: Page, op: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = page.evaluate(
        f"kernel.sent.filter((m) => m.op === '{op}').map((m) => m.a)"
    )
    return found


def row(page: Page, job: str) -> Locator:
    return page.locator(f"[data-job-id={job}]")


def section(page: Page, name: str) -> Locator:
    """The rows of a section, without its header."""
    return page.get_by_role("rowgroup", name=name)


def head(page: Page, name: str) -> Locator:
    """The header of a section: its name and how many jobs it has."""
    return page.get_by_role("row", name=name, exact=True)


def of(rows: Locator, name: str) -> list[str]:
    """The values that rows have of an attribute."""
    found: list[str] = rows.evaluate_all(
        "(nodes, name) => nodes.map((node) => node.getAttribute(name))", name
    )
    return found


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search jobs")


def chip(page: Page, name: str) -> Locator:
    return page.get_by_role("radio", name=re.compile(f"^{name} "))


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement?.dataset.jobId ?? ''")
    return found


def test_names_are_those_of_the_contract(opened: Opener) -> None:
    page = opened()
    expect(page.get_by_role("region", name="Job queue")).to_be_visible()
    tree = page.get_by_role("treegrid", name="Jobs")
    expect(tree).to_have_attribute("aria-rowcount", "16")  # the sections are rows, too
    for name, total in (("Running", 4), ("Queued", 5), ("Finished", 4)):
        expect(tree.get_by_role("row", name=name, exact=True)).to_have_attribute("aria-level", "1")
        expect(head(page, name)).to_have_text(f"{name} {total}")
        rows = section(page, name).get_by_role("row", level=2)
        assert set(of(rows, "aria-setsize")) <= {str(total)}
    counts = {"All": 13, "Running": 4, "Queued": 5, "Done": 2, "Failed": 1, "Cancelled": 1}
    radios = page.get_by_role("radiogroup", name="Show").get_by_role("radio")
    expect(radios).to_have_text([f"{name} {count}" for name, count in counts.items()])
    for name, count in counts.items():
        expect(page.get_by_role("radio", name=f"{name} {count}", exact=True)).to_be_visible()
    expect(search(page)).to_be_visible()
    expect(page.get_by_role("button", name="Kinds of failure")).to_be_visible()
    expect(page.get_by_role("progressbar", name="whisper")).to_have_attribute("aria-valuenow", "71")
    unknown = page.get_by_role("progressbar", name="embed")
    assert unknown.get_attribute("aria-valuenow") is None
    for name in ("Cancel whisper", "Remove gemini", "Retry whisper", "Undo"):
        expect(page.get_by_role("button", name=name).first).to_be_visible()
    for name in ("Pause queue", "Cancel all…", "Clear history…"):
        expect(page.get_by_role("button", name=name)).to_be_visible()


def test_a_long_run_is_asked_about_in_place(opened: Opener) -> None:
    page = opened()
    button = row(page, "r1").get_by_role("button")
    before = button.bounding_box()
    button.click()
    expect(button).to_have_text("Stop?")
    assert button.bounding_box() == before
    page.keyboard.press("Escape")
    expect(button).to_have_text("✕")
    assert sent(page, "cancel") == []
    button.click()
    page.keyboard.press("Enter")
    expect(row(page, "r1")).to_contain_text("asked to stop")
    assert sent(page, "cancel") == [{"job": "r1"}]


def test_blur_takes_the_question_back(opened: Opener) -> None:
    page = opened()
    button = row(page, "r1").get_by_role("button")
    button.click()
    search(page).focus()
    expect(button).to_have_text("✕")
    assert sent(page, "cancel") == []


def test_a_short_run_is_cancelled_at_once_and_then_forced(opened: Opener) -> None:
    page = opened()
    button = row(page, "r3").get_by_role("button")
    button.click()
    expect(row(page, "r3")).to_contain_text("asked to stop")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    expect(row(page, "r3")).to_contain_text("forcing in")
    page.get_by_role("button", name="Force embed").click()
    expect(row(page, "r3")).to_contain_text("ending process")
    assert sent(page, "cancel") == [{"job": "r3"}, {"job": "r3", "force": True}]


def test_remove_can_be_undone(opened: Opener) -> None:
    page = opened()
    page.get_by_role("button", name="Remove gemini").click()
    expect(row(page, "p1")).to_contain_text("removed, undo 8 s")
    expect(row(page, "p1")).to_contain_text("removed, undo 7 s")
    row(page, "p1").get_by_role("button", name="Undo").click()
    expect(row(page, "p1")).to_contain_text("needs 4.0 GB")
    assert sent(page, "hold") == [{"job": "p1", "seconds": 8, "then": "cancel"}]
    assert sent(page, "release") == [{"job": "p1"}]


def test_delete_removes_and_ctrl_z_brings_back(opened: Opener) -> None:
    page = opened()
    row(page, "p2").focus()
    page.keyboard.press("Delete")
    expect(row(page, "p2")).to_contain_text("removed, undo")
    page.keyboard.press("Control+z")
    expect(row(page, "p2").get_by_role("gridcell", name="1 ahead")).to_be_attached()
    assert focused(page) == "p2"


def test_keys_move_over_all_rows_of_a_long_queue(opened: Opener) -> None:
    page = opened("many")
    row(page, "r1").focus()
    page.keyboard.press("End")
    expect(row(page, "o499")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page.locator("[data-job-id=o499]")).not_to_be_attached()
    page.keyboard.press("Home")
    expect(row(page, "r1")).to_be_focused()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    expect(row(page, "n0")).to_be_focused()
    assert page.locator(".jqw-row").count() <= 60


def test_a_long_list_has_one_height_from_far_and_ends_where_its_rows_end(opened: Opener) -> None:
    page = opened("many")
    scroller = page.locator(".jqw-scroller")
    expect(row(page, "p1")).to_be_visible()
    page.evaluate("kernel.pending.shift(); kernel.flush()")
    expect(row(page, "p1")).not_to_be_attached()
    before = scroller.evaluate("(node) => node.scrollHeight")
    page.evaluate("kernel.pending.shift(); kernel.flush()")
    expect(row(page, "p2")).not_to_be_attached()
    assert scroller.evaluate("(node) => node.scrollHeight") == before
    scroller.evaluate("(node) => void (node.scrollTop = node.scrollHeight)")
    expect(row(page, "o499")).to_be_visible()
    gap = "(node) => node.scrollHeight - node.scrollTop - node.clientHeight"
    assert abs(scroller.evaluate(gap)) <= 1
    ends = [row(page, "o499").bounding_box(), scroller.bounding_box()]
    bottoms = [box["y"] + box["height"] for box in ends if box is not None]
    assert abs(bottoms[0] - bottoms[1]) <= 1
    row(page, "o499").focus()
    page.keyboard.press("Home")
    page.keyboard.press("End")
    expect(row(page, "o499")).to_be_in_viewport(ratio=1)


def test_a_job_far_down_is_moved_by_one_place(opened: Opener) -> None:
    page = opened("many")
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = 1_400_000)")
    rows = [
        page.locator(f".jqw-row[aria-posinset='{at}']:not(.jqw-empty)") for at in (50005, 50006)
    ]
    rows[0].click()
    first, second = [one.get_attribute("data-job-id") for one in rows]
    page.get_by_role("button", name="Move sweep down").click()
    page.get_by_role("button", name="Move sweep up").click()
    moves = sent(page, "move")
    assert moves[0] == {"job": first, "after": second}
    assert list(moves[1]) == ["job", "before"]


HIGH = "document.querySelector('.jqw').style.setProperty('--jqw-most', '1200px')"
DRAWN = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
WRONG_PLACES = """() => {
  const middle = ({top, bottom}) => (top + bottom) / 2;
  const linesOf = (cell) => {
    const text = cell.firstChild;
    let at = 0;
    return text === null ? [] : text.data.split('\\n').map((words) => {
      const range = document.createRange();
      range.setStart(text, at);
      range.setEnd(text, at += words.length);
      at += 1;
      return {words, box: range.getBoundingClientRect()};
    }).filter(({words}) => words !== '');
  };
  const grid = document.querySelector('[role=rowgroup][aria-label=Queued]');
  const places = linesOf(grid.parentElement.querySelector('.jqw-places > .jqw-lead'));
  const ahead = linesOf(grid.parentElement.querySelector('.jqw-places > .jqw-info'));
  const view = grid.closest('.jqw-scroller').getBoundingClientRect();
  const inView = ({top, bottom}) => bottom > view.top && top < view.bottom;
  const rows = [...grid.querySelectorAll('[data-job-id]')]
    .filter((row) => inView(row.getBoundingClientRect()));
  const wrong = [];
  for (const row of rows) {
    const part = (kind) => row.querySelector('.jqw-' + kind).getBoundingClientRect();
    const beside = ({box}) => Math.abs(middle(box) - middle(row.getBoundingClientRect())) < 2;
    const [place, ...others] = places.filter(beside);
    const cell = middle(row.querySelector('.jqw-info').getBoundingClientRect());
    const inCell = ({box}) => Math.abs(middle(box) - cell) < 2;
    const words = ahead.filter(inCell).map((line) => line.words).join();
    const index = String(kernel.pending.findIndex(({id}) => id === row.dataset.jobId) + 1);
    const info = row.querySelector('.jqw-info');
    const fits = place?.words === index && others.length === 0
      && place.box.left > part('icon').right && place.box.right <= part('title').left
      && words === (info.ariaLabel ?? '') && (words === '') === (info.textContent !== '');
    if (!fits) wrong.push([row.dataset.jobId, index, place?.words, words, info.textContent]);
  }
  return [rows.length, wrong];
}"""


@pytest.mark.parametrize("width", [1000, 420])
def test_places_stand_beside_the_rows_they_are_of(opened: Opener, width: int) -> None:
    high, seen = (28, 5) if width == 1000 else (44, 3)  # of a row, and how many are in view
    page = opened("many")
    page.set_viewport_size({"width": width, "height": 1000})
    page.get_by_role("separator", name="Greatest height").focus()
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    scroller = page.locator(".jqw-scroller")

    def check() -> None:
        rows, wrong = page.evaluate(WRONG_PLACES)
        assert not wrong
        assert rows >= seen

    check()
    row(page, "p3").click()  # its details: between the rows, or at the side
    expect(page.get_by_role("tab", name="Overview")).to_be_visible()
    check()
    scroller.evaluate("(node) => void (node.scrollTop = 150)")
    page.evaluate(DRAWN)
    check()
    page.keyboard.press("Escape")
    page.evaluate("kernel.pending.splice(2, 1); kernel.flush()")
    expect(row(page, "p3")).not_to_be_attached()
    check()
    for top in (28_000, 1_400_000, 2_799_000):
        scroller.evaluate(f"(node) => void (node.scrollTop = {top})")
        known = f".jqw-row[aria-posinset='{top // high + seen}']:not(.jqw-empty)"
        expect(page.locator(known)).to_be_visible()
        check()
    search(page).fill("i=77")
    expect(head(page, "Queued")).to_have_text("Queued 1,111")
    scroller.evaluate("(node) => void (node.scrollTop = 0)")
    expect(page.locator(".jqw-row[aria-posinset='9']:has-text('i=777')")).to_be_visible()
    check()


def test_the_focused_row_stays_when_scrolled_away(opened: Opener) -> None:
    page = opened("many")
    row(page, "p2").focus()
    scroller = page.locator(".jqw-scroller")
    scroller.evaluate("(node) => void (node.scrollTop = 1400000)")
    expect(page.locator("[data-job-id^=n5]").first).to_be_visible()
    assert focused(page) == "p2"
    assert page.locator(".jqw-row").count() <= 60
    expect(head(page, "Queued")).to_have_text("Queued 100,005")
    page.keyboard.press("ArrowDown")
    expect(row(page, "p3")).to_be_focused()


def test_focus_goes_along_when_a_job_goes_to_another_list(opened: Opener) -> None:
    page = opened()
    row(page, "p2").focus()
    page.evaluate(
        "kernel.running.push(Object.assign(kernel.pending.splice(1, 1)[0],"
        "{status: 'running', started_at: Date.now() / 1000})); kernel.flush()"
    )
    expect(section(page, "Running").locator("[data-job-id=p2]")).to_be_focused()


def test_alt_arrows_reorder(opened: Opener) -> None:
    page = opened()
    row(page, "p2").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(row(page, "p2")).to_have_attribute("aria-posinset", "1")
    page.keyboard.press("Alt+End")
    expect(row(page, "p2")).to_have_attribute("aria-posinset", "5")
    assert focused(page) == "p2"
    assert sent(page, "move") == [{"job": "p2", "before": "p1"}, {"job": "p2", "to": "bottom"}]


def test_a_row_is_dragged_to_another_place(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.running.length = 1; kernel.flush()")
    row(page, "p1").locator(".jqw-what").drag_to(
        row(page, "p4").locator(".jqw-what"), target_position={"x": 20, "y": 14}
    )
    expect(row(page, "p1")).to_have_attribute("aria-posinset", "4")
    assert sent(page, "move") == [{"job": "p1", "after": "p4"}]


def test_letters_do_not_reach_the_notebook(opened: Opener) -> None:
    page = opened()
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    row(page, "p2").focus()
    for key in ("a", "p", "/", "x", "Escape", "Control+s"):
        page.keyboard.press(key)
    assert page.evaluate("keys") == ["Control", "s"]
    expect(page.get_by_role("button", name="Resume queue")).to_be_visible()


def test_a_host_that_sees_keys_first_is_told_which_are_not_its_own(opened: Opener) -> None:
    page = opened()
    page.evaluate(
        "window.keys = []; document.addEventListener('keydown', (e) =>"
        " e.target.hasAttribute('data-lm-suppress-shortcuts') || keys.push(e.key), true)"
    )
    row(page, "p2").focus()
    for key in ("a", "ArrowUp", "Control+z", "Control+s"):
        page.keyboard.press(key)
    assert page.evaluate("keys") == ["Control", "Control", "s"]


def test_pause_says_who_and_when(opened: Opener) -> None:
    page = opened()
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator(".jqw-banner")).to_contain_text("Paused since")
    page.get_by_role("button", name="Resume queue").click()
    expect(page.locator(".jqw-banner")).to_be_hidden()


def test_cancel_all_asks_with_counts(opened: Opener) -> None:
    page = opened()
    page.get_by_role("button", name="Cancel all…").click()
    page.get_by_role("button", name="Cancel 5 queued").click()
    expect(head(page, "Queued")).to_be_hidden()
    assert sent(page, "cancel_many") == [{"scope": "pending"}]


def test_a_busy_kernel_is_said_after_a_second(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.deaf = true")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator(".jqw-banner")).to_contain_text("Kernel is busy; your request is sent")


def test_missing_heartbeats_are_said(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.deaf = true")
    expect(page.locator(".jqw-banner")).to_contain_text("Not updating for", timeout=8_000)


def test_a_kernel_that_has_gone_is_said_and_acts_are_disabled(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.closed = true")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator(".jqw-banner")).to_contain_text("Kernel gone")
    expect(row(page, "r1")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel whisper")).to_have_attribute(
        "aria-disabled", "true"
    )


def test_a_lost_flush_is_asked_for_again(opened: Opener) -> None:
    page = opened()
    hellos = len(sent(page, "hello"))
    page.evaluate("kernel.lose(); kernel.flush()")
    page.wait_for_function(f"kernel.sent.filter((m) => m.op === 'hello').length > {hellos}")


def test_details_show_log_error_and_result(opened: Opener) -> None:
    page = opened()
    row(page, "h1").locator(".jqw-what").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Traceback")
    row(page, "h2").locator(".jqw-what").click()
    page.get_by_role("tab", name="Result").click()
    expect(page.get_by_role("cell", name="Hello")).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_role("log")).to_contain_text("<b>hi</b> and \\u202eabc")
    assert page.locator(".jqw-log b").count() == 0


def test_a_tab_without_content_is_absent(opened: Opener) -> None:
    page = opened()
    page.evaluate(HIGH)
    page.evaluate("kernel.log = ''")
    row(page, "p2").locator(".jqw-what").click()
    tabs = page.get_by_role("tablist", name="Details").get_by_role("tab")
    expect(tabs).to_have_text(["Overview"])
    row(page, "h2").locator(".jqw-what").click()
    expect(tabs).to_have_text(["Overview", "Result"])
    page.locator(".jqw-scroller").evaluate("(node) => { node.scrollTop = 0; }")
    row(page, "r1").locator(".jqw-what").click()
    expect(tabs).to_have_text(["Overview"])
    page.evaluate("kernel.log = 'a first line'")
    expect(tabs).to_have_text(["Overview", "Log"])


def test_the_tabs_are_walked_with_keys(opened: Opener) -> None:
    page = opened()
    row(page, "h1").locator(".jqw-what").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Traceback")
    page.get_by_role("tab", name="Error").focus()
    walked = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "End"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.ariaSelected") == "true"
        walked.append(page.evaluate("document.activeElement.textContent"))
    assert walked == ["Overview", "Log", "Error", "Overview", "Error", "Error"]
    expect(page.locator(".jqw-details [role=tab][tabindex='0']")).to_have_count(1)


def test_a_tab_that_was_chosen_comes_when_it_has_content(opened: Opener) -> None:
    page = opened(view="job")
    page.evaluate("kernel.log = ''")
    page.get_by_role("button", name="Log of whisper").click()
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    page.evaluate("kernel.log = 'here it is'")
    expect(page.get_by_role("log")).to_contain_text("here it is")


def test_the_error_shows_the_users_own_line_first(opened: Opener) -> None:
    page = opened(width=420)
    page.evaluate(HIGH)
    page.evaluate("kernel.details.h1.traceback += ': ' + 'wide '.repeat(80)")
    row(page, "h1").locator(".jqw-what").click()
    panel = page.get_by_role("tabpanel")
    expect(panel.locator("h4")).to_have_text(["run.py line 12, in whisper", "Traceback"])
    expect(panel.get_by_label("Your code")).to_have_text("model(batch)")
    trace = panel.get_by_label("Traceback", exact=True)
    expect(trace).to_contain_text("wide wide")
    assert trace.evaluate("(node) => node.scrollWidth > node.clientWidth + 100")
    assert panel.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy traceback").click()
    expect(page.get_by_role("button", name="Copy traceback")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.evaluate("kernel.details.h1.traceback")


def test_another_try_of_a_job_is_a_click_away(opened: Opener) -> None:
    page = opened()
    page.evaluate(
        "kernel.details.h2 = {tries: [{id: 'h1', status: 'failed'}, {id: 'h2', status: 'done'}]}"
    )
    row(page, "h2").locator(".jqw-what").click()
    page.get_by_role("button", name="Show try 1: failed").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("CUDA out of memory")
    assert sent(page, "job") == [{"job": "h2"}, {"job": "h1"}]
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    expect(panel).to_contain_text("completed")
    expect(page.get_by_role("button", name="Back", exact=True)).to_be_hidden()


def test_where_a_job_is_is_a_click_away(opened: Opener) -> None:
    page = opened()
    row(page, "r1").locator(".jqw-what").click()
    where = page.get_by_role("button", name="Where is it?")
    where.click()
    expect(page.get_by_label("Where it is", exact=True)).to_contain_text("model(batch)")
    page.get_by_role("button", name="Hide where it is").click()
    expect(page.get_by_label("Where it is", exact=True)).to_have_count(0)
    row(page, "p2").locator(".jqw-what").click()
    expect(where).to_be_hidden()


def test_a_job_is_tried_again_with_changed_parameters(opened: Opener) -> None:
    page = opened(width=1200)
    parameters = [
        ["lr", "0.1", True, True],
        ["path", "'a.wav'", True, True],
        ["model", "<Model>", True, False],
    ]
    page.evaluate("(given) => { kernel.details.h2 = {parameters: given}; }", parameters)
    row(page, "h2").locator(".jqw-what").click()
    code = page.get_by_label("The call as code", exact=True)
    expect(code).to_have_text("queue.submit_nowait(whisper, lr=0.1, path='a.wav', model=model)")
    page.get_by_role("button", name="Retry with changes…: whisper").click()
    lr = page.get_by_role("textbox", name="Value of lr")
    expect(lr).to_be_focused()
    expect(page.get_by_role("textbox", name="Value of")).to_have_count(2)
    submit = page.get_by_role("button", name="Queue with these: whisper")
    submit.click()
    expect(page.get_by_role("alert").last).to_have_text("No parameter has changed.")
    lr.fill("f(1)")
    submit.click()
    expect(page.get_by_role("alert").last).to_have_text("Could not retry: lr: is no literal")
    expect(lr).to_have_value("f(1)")
    lr.fill("0.01")
    expect(code).to_have_text("queue.submit_nowait(whisper, lr=0.01, path='a.wav', model=model)")
    lr.press("p")  # a letter, not "pause"
    lr.press("Backspace")
    submit.click()
    expect(page.locator(".jqw-details")).to_have_attribute("aria-label", "Details of whisper")
    expect(page.get_by_role("tabpanel")).to_contain_text("lr=0.01")
    assert sent(page, "retry_with")[-1] == {"job": "h2", "changes": {"lr": "0.01"}}
    assert sent(page, "pause") == []


def test_editing_parameters_is_left_with_escape(opened: Opener) -> None:
    page = opened(width=420)
    page.evaluate(HIGH)
    row(page, "h1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Overview").click()
    edit = page.get_by_role("button", name="Retry with changes…: whisper")
    edit.click()
    page.get_by_role("textbox", name="Value of given").fill("2")
    page.keyboard.press("Escape")
    expect(edit).to_be_focused()
    expect(page.get_by_role("table", name="Parameters")).to_contain_text("talk_03.mp3")
    assert sent(page, "retry_with") == []


def test_the_log_is_searched(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.log = Array.from({length: 300}, (_, n) => `line ${n}\\n`).join('')")
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    search = page.get_by_role("searchbox", name="Search the log")
    search.fill("LINE 17")
    expect(page.locator(".jqw-log-count")).to_have_text("11 lines")
    search.press("Enter")
    expect(page.locator(".jqw-log-count")).to_have_text("1 of 11")
    expect(page.get_by_text("line 17", exact=True)).to_be_in_viewport()
    search.press("Shift+Enter")
    expect(page.get_by_text("line 179", exact=True)).to_be_in_viewport()
    page.evaluate("kernel.log += 'line 171 again\\n'")
    expect(page.locator(".jqw-log-count")).to_have_text("11 of 12")
    search.fill("nowhere")
    expect(page.locator(".jqw-log-count")).to_have_text("not found")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(page.get_by_role("tabpanel")).to_be_visible()


def test_times_of_the_log_are_shown_on_request(opened: Opener) -> None:
    page = opened()
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    line = page.locator(".jqw-line").first
    shown = "(node) => getComputedStyle(node, '::before').content"
    assert line.evaluate(shown) == "none"
    page.get_by_role("checkbox", name="Times").check()
    told = page.evaluate("new Date(1.8e12).toTimeString().slice(0, 8)")
    assert line.evaluate(shown).startswith(f'"{told}')


def test_the_whole_log_is_downloaded(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.log = 'a line\\n'.repeat(20_000) + 'the last one\\n'")
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the log").click()
    assert download.value.suggested_filename == "whisper.log"
    assert download.value.path().read_text() == page.evaluate("kernel.log")


def test_the_end_of_the_log_is_followed_again_on_request(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.log = 'a line\\n'.repeat(300) + 'the last one\\n'")
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    follow = page.get_by_role("button", name="Follow")
    last = page.get_by_role("log").get_by_text("the last one")
    expect(last).to_be_in_viewport()
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.get_by_role("log").hover()
    page.mouse.wheel(0, -2000)
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.click()
    expect(last).to_be_in_viewport()


def test_a_failed_job_is_asked_about_once(opened: Opener) -> None:
    page = opened()
    row(page, "h1").locator(".jqw-what").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Traceback")
    for tab in ("Overview", "Error"):  # what was shown stays: a selection in it, its scroll
        page.get_by_role("tab", name=tab).click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Traceback")
    assert sent(page, "job") == [{"job": "h1"}]


def test_a_log_is_read_on_while_the_job_runs(opened: Opener) -> None:
    page = opened()
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_role("log")).to_contain_text("loading model")
    page.evaluate("kernel.log += 'one line more\\n'")
    expect(page.get_by_role("log")).to_contain_text("one line more")
    assert len({str(a["from"]) for a in sent(page, "log")}) >= 2


def test_a_log_that_was_at_its_end_is_there_again_after_another_tab(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.log += 'a line\\n'.repeat(300) + 'the last one\\n'")
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Log").click()
    last = page.get_by_role("log").get_by_text("the last one")
    expect(last).to_be_in_viewport()
    page.get_by_role("tab", name="Overview").click()
    page.get_by_role("tab", name="Log").click()
    expect(last).to_be_in_viewport()
    page.set_viewport_size({"width": 600, "height": 700})  # the details move under their row
    page.evaluate("kernel.log += 'in between\\n'")
    expect(page.get_by_role("log").get_by_text("in between")).to_be_in_viewport()
    page.get_by_role("log").hover()
    page.mouse.wheel(0, -2000)
    page.evaluate("kernel.log += 'one more\\n'")
    expect(page.get_by_role("log")).to_contain_text("one more")
    expect(last).not_to_be_in_viewport()  # somebody reads further up


def test_priority_is_edited_in_the_details(opened: Opener) -> None:
    page = opened()
    row(page, "p2").locator(".jqw-what").click()
    page.get_by_label("Priority of sweep").fill("7")
    page.keyboard.press("Enter")
    expect(row(page, "p2")).to_contain_text("↑7")
    assert sent(page, "priority") == [{"job": "p2", "value": 7}]


def test_the_filter_searches_all_lists(opened: Opener) -> None:
    page = opened("many")
    search(page).fill("i=99999")
    expect(head(page, "Queued")).to_have_text("Queued 1")
    expect(row(page, "n99999")).to_be_visible()
    page.keyboard.press("Escape")
    chip(page, "Failed").click()
    expect(head(page, "Finished")).to_have_text("Finished 73")


@pytest.mark.parametrize("steps", [0, 10])
def test_what_the_filter_finds_fills_the_view(opened: Opener, steps: int) -> None:
    page = opened("many", width=420)
    page.get_by_role("separator", name="Greatest height").focus()
    for _ in range(steps):
        page.keyboard.press("ArrowDown")
    scroller = page.locator(".jqw-scroller")
    scroller.evaluate("(node) => void (node.scrollTop = 4_398_600)")
    expect(page.locator(".jqw-row[aria-posinset='99965']:not(.jqw-empty)")).to_be_visible()
    search(page).evaluate("""(node) => {
      node.focus();
      node.value = 'i=77';
      node.dispatchEvent(new Event('input', {bubbles: true}));
      document.querySelector('.jqw-scroller').scrollTop = 0;
    }""")
    expect(head(page, "Queued")).to_have_text("Queued 1,111")
    page.evaluate(DRAWN)
    rows, height = page.evaluate("""() => [
      document.querySelectorAll('[role=rowgroup][aria-label=Queued] [data-job-id]').length,
      document.querySelector('.jqw-scroller').clientHeight,
    ]""")
    assert rows >= height / 44


def test_all_jobs_stay_in_view_until_the_filter_is_answered(opened: Opener) -> None:
    page = opened("many")
    done, queued = head(page, "Finished"), head(page, "Queued")
    page.evaluate("kernel.deaf = true")
    search(page).fill("sweep")
    expect(done).to_have_text("Finished 504 · filter not applied yet")
    expect(queued).to_have_text("Queued 100,005 · filter not applied yet")
    search(page).fill("i=99999")
    page.evaluate("""() => {
      kernel.deaf = false;
      const head = document.querySelector('.jqw-header-pending');
      const told = window.told = [];
      new MutationObserver(() => told.push(head.textContent))
        .observe(head, {characterData: true, childList: true, subtree: true});
    }""")
    expect(queued).to_have_text("Queued 1", timeout=8_000)  # asked again after 4 s
    assert page.evaluate("told") == ["Queued 1"]  # what was found for other words is not shown
    expect(done).to_be_hidden()
    page.evaluate("kernel.deaf = true")
    search(page).fill("i=9999")
    expect(queued).to_have_text("Queued 1 · filter not applied yet")
    page.keyboard.press("Escape")
    expect(queued).to_have_text("Queued 100,005")
    page.evaluate("kernel.closed = true")
    chip(page, "Failed").click()
    expect(done).to_have_text("Finished 504 · filter not applied yet")


def test_a_chip_and_words_do_not_pass_for_each_other(opened: Opener) -> None:
    page = opened("many")
    done, queued = head(page, "Finished"), head(page, "Queued")
    chip(page, "Failed").click()
    expect(done).to_have_text("Finished 73")
    expect(queued).to_be_hidden()
    asked = len(sent(page, "list"))
    page.evaluate("kernel.deaf = true")
    chip(page, "Failed").click()
    page.evaluate(DRAWN)
    expect(done).to_have_text("Finished 73")
    assert len(sent(page, "list")) == asked
    search(page).fill("i=9999")
    expect(done).to_have_text("Finished 73 · filter not applied yet")
    page.evaluate("kernel.deaf = false")
    expect(page.get_by_text("No job is like that")).to_be_visible(timeout=8_000)  # after 4 s
    chip(page, "Queued").click()
    expect(queued).to_have_text("Queued 11")
    page.evaluate("kernel.deaf = true")
    chip(page, "Cancelled").click()
    expect(queued).to_have_text("Queued 11 · filter not applied yet")
    page.evaluate("kernel.deaf = false")
    expect(page.get_by_text("No job is like that")).to_be_visible(timeout=8_000)
    page.get_by_role("button", name="Clear search and filter").click()
    expect(search(page)).to_be_focused()
    expect(search(page)).to_have_value("")
    expect(chip(page, "All")).to_be_checked()
    expect(done).to_have_text("Finished 504")
    expect(queued).to_have_text("Queued 100,005")


def test_what_changed_right_after_a_search_is_searched_for_in_a_second(opened: Opener) -> None:
    page = opened("many")
    queued = head(page, "Queued")
    page.evaluate("""() => {
      kernel.quiet = true;
      kernel.running = [];
      kernel.pending.forEach((row) => Object.assign(row, {held: false}));
      kernel.flush();
    }""")  # nothing elapses that would be drawn
    search(page).fill("i=9999")
    expect(queued).to_have_text("Queued 11")
    page.evaluate("kernel.pending.pop(); kernel.flush()")
    expect(queued).to_have_text("Queued 10", timeout=2_500)
    page.wait_for_timeout(1_500)
    asked = len(sent(page, "list"))
    page.wait_for_timeout(2_500)
    assert len(sent(page, "list")) == asked  # and not when nothing has changed


def test_what_the_filter_found_in_another_queue_is_forgotten(opened: Opener) -> None:
    page = opened("many")
    queued = head(page, "Queued")
    search(page).fill("i=9999")
    expect(queued).to_have_text("Queued 11")
    page.evaluate(DRAWN)
    page.evaluate("""() => {
      kernel.deaf = true;
      kernel.restart();
      kernel.pending.splice(9_000);
      kernel.flush();
    }""")
    expect(queued).to_have_text("Queued 9,000 · filter not applied yet")
    page.evaluate("kernel.deaf = false; kernel.flush()")
    expect(page.get_by_text("No job is like that")).to_be_visible(timeout=8_000)  # after 4 s


ENDS = """(at) => {
  const [row] = kernel.running.splice(at, 1);
  kernel.history.unshift(Object.assign(row, {status: 'failed', completed_at: Date.now() / 1000}));
  kernel.flush();
}"""


def test_a_button_that_has_nothing_more_to_offer_leaves_the_focus_to_its_row(
    opened: Opener,
) -> None:
    page = opened()
    row(page, "r3").get_by_role("button").click()
    assert page.evaluate("document.activeElement.className").startswith("jqw-button")
    page.evaluate(ENDS, 2)
    expect(row(page, "r3")).to_have_attribute("data-status", "failed")
    assert focused(page) == "r3"


def test_focus_that_a_button_leaves_does_not_scroll_the_view(opened: Opener) -> None:
    page = opened("many")
    scroller = page.locator(".jqw-scroller")
    row(page, "r3").get_by_role("button").focus()
    scroller.evaluate("(node) => void (node.scrollTop = 60_000)")
    expect(page.locator(".jqw-row[aria-posinset='2142']:not(.jqw-empty)")).to_be_visible()
    page.evaluate(ENDS.replace("failed", "completed"), 2)  # which leaves it nothing to offer
    page.wait_for_timeout(500)
    assert scroller.evaluate("(node) => node.scrollTop") > 59_900


def test_narrow_details_stay_when_many_jobs_end_at_once(opened: Opener) -> None:
    page = opened("many", width=420)
    page.evaluate("""() => {
      kernel.pending = kernel.running = [];
      kernel.history.splice(60);
      kernel.flush();
    }""")
    row(page, "o2").locator(".jqw-what").click()
    page.mouse.move(2, 2)
    panel = page.get_by_role("tabpanel")
    panel.focus()
    page.evaluate("""() => {
      for (let n = 0; n < 20; n += 1) kernel.history.unshift({...kernel.history[9], id: `z${n}`});
      kernel.flush();
    }""")
    page.wait_for_timeout(1_000)
    assert panel.count() == 1
    assert panel.evaluate("(node) => node === document.activeElement")


def test_what_ended_before_an_idle_kernel_went_grows_older(opened: Opener) -> None:
    page = opened()
    page.evaluate("""() => {
      kernel.quiet = true;
      kernel.running = [];
      kernel.history.forEach((row) => Object.assign(row, {completed_at: Date.now() / 1000}));
      kernel.flush();
    }""")
    times = section(page, "Finished").locator(".jqw-time")
    expect(times.first).to_have_text("just now")
    page.evaluate("""() => {
      const now = Date.now;
      Date.now = () => now() + 600_000;
      kernel.closed = true;
    }""")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator(".jqw-banner")).to_contain_text("Kernel gone")
    expect(times.first).to_have_text("10 min ago")


@pytest.mark.parametrize("how", ["words", "chip"])
def test_a_row_that_ends_stays_under_the_pointer_in_what_a_filter_shows(
    opened: Opener, how: str
) -> None:
    page = opened()
    running = section(page, "Running")
    header = page.locator(".jqw-header-running")
    if how == "words":
        search(page).fill("r")
    else:
        chip(page, "Running").click()
    page.wait_for_timeout(300)
    row(page, "r3").hover()
    page.evaluate(ENDS, 2)
    page.wait_for_timeout(2_000)
    row(page, "r3").hover(position={"x": 40, "y": 8})  # a hand is never quite still
    expect(row(page, "r3")).to_have_attribute("data-status", "failed")
    assert running.locator("[data-job-id=r3]").count() == 1
    expect(row(page, "r4")).to_have_attribute("aria-posinset", "4")
    expect(header).to_have_text("Running 3")  # that many run
    finished = section(page, "Finished")
    rows = finished.locator("[data-job-id]").evaluate_all(
        "(nodes) => nodes.map((node) => Number(node.getAttribute('aria-posinset')))"
    )
    assert rows == list(range(1, len(rows) + 1))  # none is missing among them
    page.mouse.move(500, 690)
    expect(finished.locator("[data-job-id=r3]")).to_have_count(int(how == "words"))
    expect(row(page, "r4")).to_have_attribute("aria-posinset", "3")
    expect(running.locator("[data-job-id=r3]")).to_have_count(0)


def test_all_that_is_found_is_reached_however_much_it_is(opened: Opener) -> None:
    page = opened("many")
    search(page).fill("i=77")
    expect(head(page, "Queued")).to_have_text("Queued 1,111")
    expect(head(page, "Finished")).to_have_text("Finished 1")
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = node.scrollHeight)")
    last = section(page, "Queued").locator("[aria-posinset='1111']")
    expect(last).to_contain_text("i=77999")
    assert page.locator(".jqw-row").count() <= 60
    assert sent(page, "rows")[-1]["view"] == {"text": "i=77", "status": "", "kind": ""}
    page.evaluate("kernel.pending.splice(5, 78); kernel.flush()")
    expect(head(page, "Queued")).to_have_text("Queued 1,110")  # n77 has gone
    expect(row(page, "n77999")).to_have_attribute("aria-posinset", "1110")
    chip(page, "Cancelled").click()
    expect(page.get_by_text("No job is like that")).to_be_visible()
    asked = {"view": {"text": "i=77", "status": "cancelled", "kind": ""}}
    assert sent(page, "list")[-1] == asked
    assert search(page).get_attribute("maxlength") == "200"  # as the protocol


def test_a_filtered_row_that_is_moved_twice_goes_by_two(opened: Opener) -> None:
    page = opened("many")
    search(page).fill("i=9999")
    expect(row(page, "n99993")).to_be_visible()
    row(page, "n99993").focus()
    for place in ("4", "3", "2"):
        page.keyboard.press("Alt+ArrowUp")
        expect(row(page, "n99993")).to_have_attribute("aria-posinset", place, timeout=700)


def test_clocks_stand_still_once_the_kernel_has_gone(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.closed = true")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator(".jqw-banner")).to_contain_text("Kernel gone")
    times = section(page, "Running").locator(".jqw-time")
    before = times.all_text_contents()
    assert re.fullmatch("1:3[0-9] of about 2 min", before[0])
    page.wait_for_timeout(2_500)
    assert times.all_text_contents() == before


def test_narrow_details_do_not_stand_under_the_row_of_another_job(opened: Opener) -> None:
    page = opened("many", width=420)
    row(page, "p2").locator(".jqw-what").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_be_visible()
    search(page).fill("i=9999")
    expect(head(page, "Queued")).to_have_text("Queued 11")
    page.evaluate(DRAWN)
    assert panel.count() == 0
    rows = section(page, "Queued").locator("[data-job-id]")
    first, second = (rows.nth(place).bounding_box() for place in (0, 1))
    assert first is not None
    assert second is not None
    assert second["y"] - first["y"] == 44  # nor is there room left for them
    search(page).press("Escape")
    expect(panel).to_be_visible()


def test_an_empty_history_cannot_be_cleared(opened: Opener) -> None:
    page = opened("many")
    chip(page, "Failed").click()
    expect(head(page, "Finished")).to_have_text("Finished 73")
    clear = page.get_by_role("button", name="Clear history…")
    expect(clear).not_to_have_attribute("aria-disabled", "true")
    page.evaluate("kernel.history = []; kernel.flush()")
    expect(clear).to_have_attribute("aria-disabled", "true")
    expect(chip(page, "Failed")).to_have_text("Failed 0")
    expect(page.get_by_text("No job is like that")).to_be_visible()


def hidden(page: Page) -> Locator:
    """The line that says how many rows were hidden, with its Undo."""
    return page.locator(".jqw-ask").filter(has_text="hidden ·")


def test_clearing_the_history_is_asked_about_and_can_be_undone(opened: Opener) -> None:
    page = opened()
    clear = page.get_by_role("button", name="Clear history…")
    clear.focus()
    page.keyboard.press("Enter")
    hide = page.get_by_role("group", name="Clear history").get_by_role(
        "button", name="Hide 4 ended"
    )
    expect(hide).to_be_focused()
    page.keyboard.press("Escape")
    expect(hide).to_be_hidden()
    expect(clear).to_be_focused()
    assert sent(page, "clear_history") == []
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(hidden(page)).to_contain_text("4 rows hidden")
    expect(head(page, "Finished")).to_be_hidden()
    expect(clear).to_be_focused()
    assert sent(page, "clear_history") == [{}]
    expect(page.get_by_role("status")).to_contain_text("4 rows hidden; Undo within 10 seconds")
    undo = hidden(page).get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    expect(hidden(page)).to_be_hidden()
    expect(head(page, "Finished")).to_have_text("Finished 4")
    expect(clear).to_be_focused()
    assert sent(page, "undo_clear") == [{}]


def test_ctrl_z_undoes_what_was_done_last(opened: Opener) -> None:
    page = opened()
    row(page, "p2").focus()
    page.keyboard.press("Delete")
    expect(row(page, "p2")).to_contain_text("undo")
    page.get_by_role("button", name="Clear history…").click()
    page.get_by_role("button", name="Hide 4 ended").click()
    expect(hidden(page)).to_be_visible()
    page.keyboard.press("Control+z")
    expect(hidden(page)).to_be_hidden()
    assert sent(page, "undo_clear") == [{}]
    assert sent(page, "release") == []
    page.keyboard.press("Control+z")
    expect(row(page, "p2")).not_to_contain_text("undo")
    assert len(sent(page, "undo_clear")) == 1
    assert sent(page, "release") == [{"job": "p2"}]


def test_what_another_page_has_hidden_can_be_undone_here_as_long_as_the_kernel_says(
    opened: Opener,
) -> None:
    page = opened()
    elsewhere = "kernel.hidden = kernel.history.splice(0); kernel.undoUntil = Date.now() / 1000 + "
    page.evaluate(f"{elsewhere} 10; kernel.flush()")
    expect(hidden(page)).to_contain_text("4 rows hidden")
    page.evaluate("kernel.undoUntil = 0; kernel.flush()")
    expect(hidden(page)).to_be_hidden()
    row(page, "p2").focus()
    page.keyboard.press("Meta+z")
    assert sent(page, "undo_clear") == []
    page.evaluate("kernel.undoUntil = Date.now() / 1000 + 10; kernel.flush()")
    expect(hidden(page)).to_be_visible()
    page.keyboard.press("Meta+z")
    expect(hidden(page)).to_be_hidden()
    expect(head(page, "Finished")).to_have_text("Finished 4")
    assert sent(page, "undo_clear") == [{}]


def test_an_undo_that_comes_too_late_says_so(opened: Opener) -> None:
    page = opened()
    page.evaluate(
        "kernel.hidden = kernel.history.splice(0); kernel.quiet = true;"
        "kernel.undoUntil = Date.now() / 1000 + 10; kernel.flush(); kernel.undoUntil = 0"
    )
    hidden(page).get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Could not undo: too late")).to_be_visible()


@pytest.mark.parametrize("width", [1200, 560, 320])
def test_a_job_whose_function_has_changed_offers_to_run_it_as_it_is_now(
    width: int, opened: Opener
) -> None:
    page = opened(width=width)
    page.evaluate(
        "kernel.running = []; kernel.pending = [];"
        "Object.assign(kernel.history[0], { name: 'train', differs: true,"
        " note: 'train differs now; Retry runs it as it was' }); kernel.flush()"
    )
    remark = row(page, "h1").get_by_text("changed since")
    expect(remark).to_have_attribute("title", "train differs now; Retry runs it as it was")
    expect(remark).to_be_visible(visible=width != 560)  # with two lines there is room for it
    row(page, "h1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Overview").click()
    latest = page.get_by_role("button", name="Retry whisper with train as it is now")
    expect(latest).to_have_text("Retry with train as it is now")
    panel, box = page.get_by_role("tabpanel").bounding_box(), latest.bounding_box()
    assert panel is not None
    assert box is not None
    assert panel["x"] <= box["x"]
    assert box["x"] + box["width"] <= panel["x"] + panel["width"]
    latest.click()
    page.get_by_role("tabpanel").get_by_role("button", name="Retry whisper", exact=True).click()
    assert sent(page, "retry") == [{"job": "h1", "latest": True}, {"job": "h1"}]
    page.evaluate("kernel.history[0].differs = false; kernel.flush()")
    expect(latest).to_be_hidden()
    expect(remark).to_have_count(0)


@pytest.mark.parametrize("width", [1200, 560, 320])
def test_a_row_says_which_attempt_it_is_from_the_second_on(width: int, opened: Opener) -> None:
    page = opened(width=width)
    page.set_viewport_size({"width": width, "height": 1300})
    page.evaluate(HIGH)
    page.evaluate("Object.assign(kernel.pending[0], { priority: 3, attempt: 2 }); kernel.flush()")
    told = row(page, "p1").locator(".jqw-attempt")
    expect(told).to_have_text("attempt 2")
    expect(told).to_be_visible(visible=width != 560)  # with two lines there is room for it
    expect(row(page, "p1").locator(".jqw-priority")).to_have_text("↑3")
    expect(row(page, "p2").locator(".jqw-attempt")).to_have_count(0)
    page.evaluate("kernel.pending[0].attempt = 1; kernel.flush()")
    expect(told).to_have_count(0)


def test_a_queued_row_that_goes_under_the_pointer_does_not_take_the_view_along(
    opened: Opener,
) -> None:
    page = opened("many")
    row(page, "p2").hover()
    page.evaluate(
        "kernel.history.unshift(Object.assign(kernel.pending.splice(1, 1)[0],"
        " { status: 'cancelled', completed_at: Date.now() / 1000 })); kernel.flush()"
    )
    expect(row(page, "p3")).to_have_attribute("aria-posinset", "2")
    assert page.locator(".jqw-scroller").evaluate("(node) => node.scrollTop") == 0


def test_a_finished_row_stays_under_the_pointer(opened: Opener) -> None:
    page = opened()
    row(page, "r3").hover()
    page.evaluate(
        "kernel.history.unshift(Object.assign(kernel.running.splice(2, 1)[0],"
        "{status: 'completed', completed_at: Date.now() / 1000})); kernel.flush()"
    )
    expect(row(page, "r3")).to_have_attribute("data-status", "completed")
    assert section(page, "Running").locator("[data-job-id=r3]").count() == 1
    page.mouse.move(500, 600)
    expect(section(page, "Finished").locator("[data-job-id=r3]")).to_be_visible()


def test_the_last_finished_row_leaves_though_nothing_else_happens(opened: Opener) -> None:
    page = opened()
    page.evaluate(
        "kernel.quiet = true; kernel.pending = []; kernel.running.splice(1); kernel.flush()"
    )
    row(page, "r1").hover()
    page.evaluate(
        "kernel.history.unshift(Object.assign(kernel.running.pop(),"
        "{status: 'completed', completed_at: Date.now() / 1000})); kernel.flush()"
    )
    assert section(page, "Running").locator("[data-job-id=r1]").count() == 1
    found = section(page, "Finished").locator("[data-job-id=r1]")
    expect(found).to_be_visible(timeout=4_500)  # of 3 s under a pointer that rests


def test_narrow_details_stand_under_the_row(opened: Opener) -> None:
    page = opened(width=420)
    row(page, "p2").locator(".jqw-what").click()
    expect(page.get_by_role("tabpanel")).to_be_visible()
    below = page.locator(".jqw-details").bounding_box()
    above = row(page, "p2").bounding_box()
    assert below is not None
    assert above is not None
    assert above["y"] + 44 <= below["y"] < above["y"] + 48


def test_a_progress_cell_shows_one_job(opened: Opener) -> None:
    page = opened(view="job")
    group = page.get_by_role("group", name="Job whisper")
    expect(group.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "71")
    group.get_by_role("button", name="Log of whisper").click()
    expect(group.get_by_role("log")).to_contain_text("loading model")


def test_an_ended_view_leaves_nothing(opened: Opener) -> None:
    page = opened()
    page.evaluate("stop()")
    assert page.evaluate("kernel.listeners") == 0
    assert page.locator(".jqw").count() == 0


@pytest.mark.parametrize("width", [1000, 420])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(opened: Opener, theme: str, width: int) -> None:
    page = opened(width=width)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.evaluate(f"document.body.className = document.body.dataset.theme = '{theme}'")
    row(page, "r1").locator(".jqw-what").click()
    for state in ("", "kernel.closed = true"):
        page.evaluate(state)
        page.keyboard.press("p")
        told = "r.violations.map((v) => [v.id, v.nodes[0].html])"
        found = page.evaluate(f"axe.run('.jqw').then((r) => {told})")
        assert found == []


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_axe_finds_no_violation_in_what_opens(opened: Opener, theme: str) -> None:
    for width in (1000, 320):
        page = opened("tree", width=width)
        page.emulate_media(
            color_scheme="dark" if theme == "dark" else "light",
            forced_colors="active" if theme == "contrast" else "none",
        )
        page.evaluate(f"document.body.className = document.body.dataset.theme = '{theme}'")
        page.evaluate("kernel.details.h2 = {parameters: [['lr', '0.1', true, true]]}")

        def look(what: str, page: Page = page, width: int = width) -> None:
            told = "r.violations.map((v) => [v.id, v.nodes[0].html])"
            found = page.evaluate(f"axe.run('.jqw').then((r) => {told})")
            assert found == [], f"{what}, {width} px"

        page.get_by_role("button", name="Kinds of failure").click()
        expect(page.get_by_role("menu")).to_be_visible()
        look("kinds of failures")
        page.keyboard.press("Escape")
        for name in ("Cancel all…", "Clear history…"):
            page.get_by_role("button", name=name).click()
            look(name)
            page.keyboard.press("Escape")
        page.get_by_role("combobox", name="Sort by").select_option("duration")
        page.get_by_role("radio", name="Done").click()
        look("sorted")
        row(page, "h2").locator(".jqw-what").click()
        edit = page.get_by_role("button", name="Retry with changes…: whisper")
        expect(edit).to_be_visible()
        look("details")
        edit.click()
        page.get_by_role("button", name="Queue with these: whisper").click()
        look("a retry with changes")
        page.keyboard.press("Escape")
        page.get_by_role("radio", name="All").click()
        page.keyboard.press("Control+a")
        look("all are selected")
