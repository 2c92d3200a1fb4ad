"""The list against the kernel of the harness page: its tree, its filter, however long it is."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.browser.conftest import Opener
from tests.browser.test_widget_views import (
    HIGH,
    chip,
    focused,
    head,
    of,
    row,
    search,
    section,
    sent,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def group(page: Page, name: str) -> Locator:
    return page.locator(".jqw-group-row").filter(has_text=name)


def opened_high(opened: Opener, scene: str = "tree", width: int = 1000) -> Page:
    page = opened(scene, width=width)
    page.set_viewport_size({"width": width, "height": 1300})
    page.evaluate(HIGH)
    return page


def boxes(of: Locator, *kinds: str) -> list[FloatRect]:
    found = [of.locator(f".jqw-{kind}").bounding_box() for kind in kinds]
    return [box for box in found if box is not None]


@pytest.mark.parametrize(("width", "lines"), [(320, 2), (490, 2), (510, 1), (1000, 1)])
def test_a_row_has_two_lines_where_the_list_is_narrow(
    opened: Opener, width: int, lines: int
) -> None:
    page = opened_high(opened, width=width)
    page.evaluate("document.body.style.margin = '0'")
    expect(page.locator(".jqw-two")).to_have_count(lines - 1)
    for one in (group(page, "sweep 7"), row(page, "a1"), row(page, "r1")):
        box = one.bounding_box()
        assert box is not None
        assert box["height"] == (44 if lines == 2 else 28)
        name, bar, act = boxes(one, "what", "bar", "act")
        assert (name["y"] + name["height"] <= bar["y"]) is (lines == 2)
        assert bar["y"] + bar["height"] <= box["y"] + box["height"]
        middle = act["y"] + act["height"] / 2 - box["y"] - box["height"] / 2
        assert abs(middle) <= 1  # beside both lines
        assert act["x"] > max(part["x"] + part["width"] for part in (name, bar))
    for header in page.get_by_role("row", level=1).all():
        assert header.evaluate("(node) => node.offsetHeight") == 28
    tops = page.locator("[data-job-id]").evaluate_all("(nodes) => nodes.map((n) => n.offsetTop)")
    assert {b - a for a, b in pairwise(tops)} >= {44 if lines == 2 else 28}
    failed = row(page, "a2")
    expect(failed.locator(".jqw-bar")).to_have_count(0)  # the error stands in its place
    (error,) = boxes(failed, "info")
    (name,) = boxes(failed, "what")
    assert (abs(error["x"] - name["x"]) <= 1) is (lines == 2)


def test_the_keyboard_goes_through_rows_of_two_lines(opened: Opener) -> None:
    page = opened(width=420, scene="many")
    row(page, "r1").focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    page.evaluate("new Promise(requestAnimationFrame)")
    box, view = (page.locator(one).bounding_box() for one in (":focus", ".jqw-scroller"))
    assert box is not None
    assert view is not None
    assert view["y"] + 28 <= box["y"]  # clear of the header that sticks
    assert box["y"] + box["height"] <= view["y"] + view["height"]


def test_jobs_of_a_group_leave_out_what_all_of_them_have(opened: Opener) -> None:
    page = opened_high(opened)
    names = [row(page, job).locator(".jqw-name") for job in ("a1", "a2", "a3")]
    for name, told in zip(names, ("lr=0.001", "lr=0.1", "lr=0.01"), strict=True):
        expect(name).to_have_text(f"train{told}")
    page.evaluate("kernel.running[0].args = 'lr=0.001, depth=4'; kernel.flush()")
    for name, told in zip(names, ("lr=0.001, depth=4", "lr=0.1, depth=3"), strict=False):
        expect(name).to_have_text(f"train{told}")  # it is not common any more
    search(page).fill("depth=3")
    expect(row(page, "a1")).to_have_count(0)
    expect(row(page, "a2").locator(".jqw-name")).to_have_text("trainlr=0.1, depth=3")


def test_a_job_with_a_label_has_its_arguments_in_the_details_and_is_found_by_them(
    opened: Opener,
) -> None:
    page = opened_high(opened, "everyday")
    expect(row(page, "p5").locator(".jqw-name")).to_have_text("nightly report")
    search(page).fill("2026-11")
    expect(row(page, "p2")).to_have_count(0)
    expect(row(page, "p5").locator(".jqw-name")).to_have_text("nightly report")


@pytest.mark.parametrize("width", [1000, 760, 620, 520, 400])
def test_a_name_is_not_cut_beside_free_room(opened: Opener, width: int) -> None:
    page = opened_high(opened, "everyday", width)
    page.evaluate("""() => {
      const title = "transcribe the garden";
      for (const row of [...kernel.pending, ...kernel.running, ...kernel.history]) {
        Object.assign(row, {title, message: "", error: row.error && "no", block: null, note: null});
      }
      kernel.flush();
    }""")
    names = page.locator("[data-job-id] .jqw-title")
    expect(names).to_have_text(["transcribe the garden"] * names.count())
    cut = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert names.evaluate_all(cut) == 0


def test_sections_groups_and_jobs_are_rows_of_three_levels(opened: Opener) -> None:
    page = opened_high(opened)
    tree = page.get_by_role("treegrid", name="Jobs")
    names = [("Running", 1), ("Queued", 1), ("Finished", 1)]
    heads = tree.get_by_role("row", level=1)
    assert list(zip(of(heads, "aria-label"), [1] * 3, strict=True)) == names
    groups = tree.locator("[data-group-id]")
    assert of(groups, "aria-level") == ["2"] * 3
    assert of(groups, "aria-expanded") == ["true", "false", "false"]  # from 20 jobs on closed
    below = tree.get_by_role("row", level=3)
    assert of(below, "data-job-id") == ["a1", "a3", "a2"]
    assert of(below, "aria-posinset") == ["1", "2", "3"]
    assert of(below, "aria-setsize") == ["3"] * 3
    assert of(group(page, "sweep 7"), "aria-setsize") == ["5"]  # with four jobs by themselves
    rows = tree.get_by_role("row")
    expect(tree).to_have_attribute("aria-rowcount", str(rows.count()))
    assert of(rows, "aria-rowindex") == [str(at + 1) for at in range(rows.count())]
    expect(section(page, "Running").get_by_role("row").first).to_have_text(re.compile("sweep 7"))
    expect(head(page, "Running")).to_have_text("Running 5")
    expect(head(page, "Queued")).to_have_text("Queued 66")


def test_a_large_group_opens_to_all_its_jobs_in_a_window(opened: Opener) -> None:
    page = opened_high(opened)
    group(page, "transcribe").click()
    last = page.get_by_role("row", level=3).filter(has_text="talk_59")
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = 1400)")
    expect(last).to_have_attribute("aria-posinset", "60")
    assert sent(page, "watch")[-1]["list"] == "group"
    assert page.locator(".jqw-row").count() <= 60
    group(page, "seeds").scroll_into_view_if_needed()
    group(page, "seeds").click()
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = 99999)")
    expect(page.get_by_role("row", level=3).filter(has_text="seed=59")).to_be_visible()
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = 0)")
    group(page, "transcribe").click()
    expect(page.get_by_role("row", level=3).filter(has_text="talk_")).to_have_count(0)
    page.wait_for_function(
        "kernel.sent.some((m) => m.op === 'unwatch' && m.a.list === 'group' && m.a.group === 4)"
    )


def test_keys_go_through_groups_and_their_jobs(opened: Opener) -> None:
    page = opened_high(opened)
    group(page, "sweep 7").focus()
    for job in ("a1", "a3", "a2", "r1"):
        page.keyboard.press("ArrowDown")
        expect(row(page, job)).to_be_focused()
    page.keyboard.press("Home")
    expect(group(page, "sweep 7")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Retry 1 failed of sweep 7")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Cancel sweep 7")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "a1")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(row(page, "r1")).to_be_focused()
    page.keyboard.press("ArrowLeft")  # there is nothing above it
    assert focused(page) == "r1"
    page.keyboard.press("End")
    expect(row(page, "h4")).to_be_focused()
    assert page.locator(".jqw-row[tabindex='0']").count() == 1


def test_a_group_goes_along_with_its_liveliest_job_and_stays_open(opened: Opener) -> None:
    page = opened_high(opened)
    group(page, "sweep 7").focus()
    page.evaluate("""() => {
      const [one] = kernel.running.splice(0, 1);
      kernel.history.unshift({...one, status: 'completed', completed_at: Date.now() / 1000});
      Object.assign(kernel.groups[0], {running: 0, completed: 1});
      kernel.flush();
    }""")
    queued = section(page, "Queued")
    expect(queued.locator("[data-group-id='3']")).to_be_focused()
    assert of(queued.get_by_role("row", level=3), "data-job-id") == ["a3", "a1", "a2"]
    expect(row(page, "a1")).to_have_attribute("data-status", "completed")


def test_many_groups_are_all_reached(opened: Opener) -> None:
    page = opened_high(opened, "everyday")
    page.evaluate("""() => {
      kernel.running = []; kernel.pending = []; kernel.history = [];
      for (let n = 1; n <= 300; n += 1) {
        kernel.groups.push({id: n, name: `map #${n}`, completed: 5});
      }
      kernel.history.push(makeRow('m', {group: 290, status: 'completed', args: 'of it'}));
      kernel.flush();
    }""")
    page.locator(".jqw-scroller").evaluate("(node) => void (node.scrollTop = node.scrollHeight)")
    far = page.locator("[data-group-id='290']")
    expect(far).to_have_attribute("aria-posinset", "290")
    far.click()
    expect(row(page, "m")).to_have_attribute("aria-level", "3")
    assert page.locator(".jqw-row").count() <= 60
    far.click()
    expect(row(page, "m")).to_have_count(0)


def test_chips_are_a_radio_group_for_keys(opened: Opener) -> None:
    page = opened_high(opened)
    chip(page, "All").focus()
    page.keyboard.press("ArrowRight")
    expect(chip(page, "Running")).to_be_focused()
    expect(chip(page, "Running")).to_be_checked()
    expect(head(page, "Queued")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(chip(page, "Cancelled")).to_be_checked()
    expect(head(page, "Finished")).to_have_text("Finished 1")
    chips = page.get_by_role("radio")
    assert of(chips, "tabindex").count("0") == 1


def test_under_a_filter_a_group_has_only_the_jobs_that_match(opened: Opener) -> None:
    page = opened_high(opened)
    chip(page, "Failed").click()
    expect(head(page, "Finished")).to_have_text("Finished 12")
    expect(head(page, "Running")).to_be_hidden()
    assert of(section(page, "Finished").locator("[data-group-id]"), "data-group-id") == ["3", "5"]
    below = page.get_by_role("row", level=3)
    expect(below).to_have_count(11)  # both have so few that they are open
    assert set(of(below, "data-status")) == {"failed"}
    chip(page, "All").click()
    expect(head(page, "Running")).to_be_visible()
    expect(group(page, "seeds")).to_have_attribute("aria-expanded", "false")


def test_failures_are_chosen_by_kind(opened: Opener) -> None:
    page = opened_high(opened)
    opener = page.get_by_role("button", name="Kinds of failure")
    opener.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="Kinds of failure")
    items = menu.get_by_role("menuitem")
    expect(items).to_have_text(
        ["6 ValueError", "5 TimeLimitExceeded", "1 OutOfMemoryError", "All 12 failed"]
    )
    expect(items.nth(0)).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(items.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    expect(chip(page, "Failed")).to_be_checked()
    expect(opener).to_contain_text("TimeLimitExceeded")
    expect(head(page, "Finished")).to_have_text("Finished 5")
    opener.click()
    items.last.click()
    expect(head(page, "Finished")).to_have_text("Finished 12")
    chip(page, "Failed").click()
    expect(head(page, "Finished")).to_have_text("Finished 12")


@pytest.mark.parametrize("width", [320, 1000])
def test_every_kind_of_failure_is_seen_above_a_short_list(opened: Opener, width: int) -> None:
    page = opened("tree", width=width)
    search(page).fill("no such job")
    expect(page.get_by_text("No job is like that")).to_be_visible()
    page.get_by_role("button", name="Kinds of failure").click()
    items = page.get_by_role("menuitem")
    expect(items).to_have_count(4)
    frame = page.locator(".jqw").bounding_box()
    assert frame is not None
    for item in items.all():
        box = item.bounding_box()
        assert box is not None
        assert frame["x"] < box["x"]
        assert box["x"] + box["width"] < frame["x"] + frame["width"]
        assert box["y"] + box["height"] < frame["y"] + frame["height"]


def test_the_search_looks_at_arguments_and_errors(opened: Opener) -> None:
    page = opened_high(opened)
    page.keyboard.press("Tab")
    search(page).fill("depth=3")
    expect(page.get_by_role("row", level=3)).to_have_count(3)
    expect(page.get_by_role("row", level=2)).to_have_count(1)
    search(page).fill("cuda out")
    expect(row(page, "h1")).to_be_visible()
    expect(page.get_by_role("row", level=2)).to_have_count(1)


def test_jobs_are_sorted_by_start_duration_or_a_metric(opened: Opener) -> None:
    page = opened_high(opened, "everyday")
    by = page.get_by_role("combobox", name="Sort by")
    by.focus()
    expect(by.get_by_role("option")).to_have_text(
        ["Order", "Start", "Duration", "Memory", "loss", "<b>accuracy"]
    )
    by.select_option("Start")
    page.wait_for_function("kernel.sent.some((message) => message.op === 'list')")
    finished = section(page, "Finished").get_by_role("row")
    expect(finished.first).to_have_attribute("data-job-id", "h1")
    view = {"text": "", "status": "", "kind": "", "sort": "start", "down": True}
    assert sent(page, "list")[-1] == {"view": view}
    page.get_by_role("button", name="Largest first").click()
    expect(finished.first).to_have_attribute("data-job-id", "h4")
    by.focus()
    page.keyboard.press("p")  # that is the first letter of what is wanted, and pauses nothing
    assert sent(page, "pause") == []
    by.select_option("Order")
    expect(finished.first).to_have_attribute("data-job-id", "h1")
    expect(page.get_by_role("button", name="Smallest first")).to_be_hidden()
    by.select_option("<b>accuracy")
    page.wait_for_function("kernel.sent.some((m) => m.a.view?.sort === 'metric:<b>accuracy')")


def expect_picked(page: Page, *jobs: str) -> None:
    rows = page.locator(".jqw-row[aria-selected='true']")
    expect(rows).to_have_count(len(jobs))
    assert of(rows, "data-job-id") == list(jobs)


def act(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Selection").get_by_role("button", name=name, exact=True)


def test_rows_are_picked_by_the_mouse_and_acted_on_together(opened: Opener) -> None:
    page = opened_high(opened, "everyday")
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-multiselectable", "true")
    row(page, "r1").locator(".jqw-what").click(modifiers=["ControlOrMeta"])
    expect(page.get_by_role("tabpanel")).to_have_count(0)  # that opens no details
    row(page, "p2").locator(".jqw-what").click(modifiers=["ControlOrMeta"])
    row(page, "h1").locator(".jqw-what").click(modifiers=["ControlOrMeta"])
    expect_picked(page, "r1", "p2", "h1")
    expect(act(page, "Cancel selected (2)")).to_be_visible()
    expect(act(page, "Hold selected (1)")).to_be_visible()
    expect(act(page, "Retry failed (1)")).to_be_visible()
    expect(act(page, "Release selected (0)")).to_be_hidden()
    row(page, "p2").locator(".jqw-what").click(modifiers=["Shift"])
    expect_picked(page, "p2", "p3", "p4", "p5", "h1")
    act(page, "Hold selected (2)").click()
    expect(row(page, "p5")).to_contain_text("held")
    assert sent(page, "many_jobs") == [{"act": "hold", "jobs": ["p2", "p3", "p4", "p5", "h1"]}]
    expect_picked(page)
    undo = page.get_by_role("group", name="Selection").get_by_role("button", name="Undo")
    expect(page.get_by_role("group", name="Selection")).to_contain_text("held · Undo")
    undo.click()
    expect(row(page, "p5")).not_to_contain_text("held")
    expect(undo).to_be_hidden()
    row(page, "p1").locator(".jqw-what").click()
    row(page, "p2").locator(".jqw-what").click(modifiers=["ControlOrMeta"])
    expect_picked(page, "p1", "p2")  # with the one whose details are open
    row(page, "p2").locator(".jqw-what").click()
    expect_picked(page, "p2")


def test_rows_are_picked_by_keys_also_all_that_a_filter_finds(opened: Opener) -> None:
    page = opened_high(opened, "many")
    row(page, "p4").focus()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    expect(row(page, "n0")).to_be_focused()
    expect_picked(page, "p4", "p5", "n0")
    page.keyboard.press("Shift+ArrowUp")
    expect_picked(page, "p4", "p5")
    page.keyboard.press("Escape")
    expect_picked(page)
    search(page).fill("i=77")
    expect(head(page, "Queued")).to_have_text("Queued 1,111")
    section(page, "Queued").get_by_role("row").first.focus()
    page.keyboard.press("ControlOrMeta+a")
    expect(page.get_by_role("group", name="Selection")).to_contain_text("1,112 selected")
    act(page, "Cancel selected (1,111)").click()
    view = {"text": "i=77", "status": "", "kind": ""}
    assert sent(page, "many_jobs") == [{"act": "cancel", "view": view}]
    expect(row(page, "n77")).to_contain_text("removed, undo")
    section(page, "Queued").get_by_role("row").first.focus()
    page.keyboard.press("ControlOrMeta+z")
    expect(row(page, "n77")).not_to_contain_text("removed")
    page.keyboard.press("ControlOrMeta+a")
    search(page).fill("i=778")
    expect(page.get_by_role("group", name="Selection")).to_be_hidden()  # those were others


def test_failures_are_retried_at_once_where_they_are_chosen(opened: Opener) -> None:
    page = opened_high(opened)
    chip(page, "Failed").click()
    act(page, "Retry failed (12)").click()
    view = {"text": "", "status": "failed", "kind": ""}
    assert sent(page, "many_jobs") == [{"act": "retry", "view": view}]
    expect(page.get_by_role("group", name="Selection")).to_contain_text("12 queued again · Undo")


def test_a_job_is_held_released_and_removed_though_it_is_held(opened: Opener) -> None:
    page = opened_high(opened, "everyday")
    row(page, "p2").focus()
    page.keyboard.press("h")
    expect(row(page, "p2")).to_contain_text("held")
    page.keyboard.press("Delete")
    expect(row(page, "p2")).to_contain_text("removed, undo")
    page.keyboard.press("ControlOrMeta+z")
    expect(row(page, "p2").locator(".jqw-info")).to_have_text("held")  # as it was
    page.keyboard.press("h")
    expect(row(page, "p2").get_by_role("gridcell", name="1 ahead")).to_be_attached()
    row(page, "p2").locator(".jqw-what").click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_role("button", name="Hold sweep").click()
    panel.get_by_role("button", name="Release sweep").click()
    expect(panel.get_by_role("button", name="Hold sweep")).to_be_visible()
    panel.get_by_role("button", name="Remove sweep").click()
    expect(row(page, "p2")).to_contain_text("removed, undo")


@pytest.mark.parametrize("width", [1000, 420])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_tree_and_its_filter(
    opened: Opener, theme: str, width: int
) -> None:
    page = opened("tree", width=width)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.evaluate(f"document.body.className = document.body.dataset.theme = '{theme}'")
    told = "r.violations.map((v) => [v.id, v.nodes[0].html])"

    def violations() -> object:
        return page.evaluate(f"axe.run('.jqw').then((r) => {told})")

    assert violations() == []
    page.get_by_role("button", name="Kinds of failure").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert violations() == []
    page.get_by_role("menuitem").first.click()
    expect(head(page, "Running")).to_be_hidden()
    assert violations() == []
    search(page).fill("no such job")
    expect(page.get_by_text("No job is like that")).to_be_visible()
    assert violations() == []
    chip(page, "All").click()
    search(page).fill("")
    expect(head(page, "Running")).to_be_visible()
    row(page, "r1").focus()
    page.keyboard.press("ControlOrMeta+a")
    expect(page.get_by_role("group", name="Selection")).to_be_visible()
    assert violations() == []
