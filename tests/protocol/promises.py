"""What must be true of every page when the channel has been good for a while."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from jobqueue_widget._api.listed.listing import PartName
from jobqueue_widget._api.sweeps.forecasts import Estimate
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.model import (
    GROUP_ROWS,
    HEAD_ROWS,
    HISTORY_ROWS,
    RUNNING_ROWS,
    clipped,
    shown_groups,
)

from .kernel import as_json
from .world import Page, World

LISTS: tuple[PartName, ...] = ("running", "pending", "history")
ALL = 10**6
SMALL = 20  # a group of fewer jobs is open until somebody closes it
OF_THE_FLUSH = ("seq", "t")
EMPTY: dict[str, object] = dict.fromkeys(
    ("pending", "running", "completed", "failed", "cancelled", "more", "retriable"), 0
) | {"done_at": None, "kinds": []}
"""What is not sent of a group."""
NOT_OF_WINDOWS = ("news_at", "start_about")  # told in the traits only; as old as it may be


def check_end(world: World) -> None:
    """Everything."""
    check_kernel(world)
    for page in world.pages:
        if page.acts != len(page.rids):
            world.complain(f"{page.key}: {page.acts} acts went out as {len(page.rids)} requests")
        if page.here:
            for view in page.views:
                check_view(world, page, view)
    for rid, count in world.kernel.carried.items():
        if count > 1:
            world.complain(f"request {rid} was carried out {count} times")


def check_kernel(world: World) -> None:
    """The traits tell what the queue holds."""
    kernel = world.kernel
    widget, queue = kernel.widget, kernel.queue
    snapshot = as_json(inspect(queue).snapshot(RUNNING_ROWS, HEAD_ROWS, HISTORY_ROWS, GROUP_ROWS))
    if widget.summary["rev"] != snapshot["revision"]:
        world.complain(f"the traits are of {widget.summary['rev']}, not {snapshot['revision']}")
    if widget.summary["counts"] != snapshot["counts"]:
        world.complain(f"the traits count {widget.summary['counts']}, not {snapshot['counts']}")
    if (widget.summary["cleared"] is None) != (snapshot["cleared"] is None):
        world.complain(f"the traits offer to undo {widget.summary['cleared']}")
    for name, of in (("running", "running"), ("head", "pending"), ("history", "history")):
        true = [without(row) for row in clipped(snapshot[of])]
        compare(world, f"trait {name}", [without(row) for row in getattr(widget, name)], true)
    told = snapshot["groups"]
    shown = [{**row, "done_at": None} for row in widget.groups]  # told when: as old as it may be
    if shown != [{**row, "done_at": None} for row in shown_groups(told, Estimate())]:
        world.complain(f"the traits tell of groups {widget.groups}, not {told}")
    for row in told:
        kept = queue.group(row["name"])
        items = Counter(job.status.value for job in kept)
        if Counter(kept.counts) != items or any(items[name] > row.get(name, 0) for name in items):
            world.complain(f"a group has {items}, and counts {kept.counts}: {row}")
    if inspect(queue).faults.bugs:
        world.complain("the engine counts a bug")


def check_view(world: World, page: Page, view: str) -> None:
    """A view shows just that, in each list where it looks."""
    widget = world.kernel.widget
    seen: dict[str, Any] = world.tell(page, {"do": "look", "view": view})
    for name, value in seen["summary"].items():
        if page.lost and name in OF_THE_FLUSH:
            continue  # what it lost said nothing new
        if value != as_json(widget.summary[name]):
            world.complain(f"{view}: {name} is {value}, not {widget.summary[name]}")
    for name, rows in seen["traits"].items():
        true = as_json(getattr(widget, name))
        if name == "head":  # a row of the first ones does not say its place: it stands there
            true = [
                {**row, "position": place} for place, row in enumerate(true) if not row["group"]
            ]
        compare(world, f"{view} {name}", rows, true)
    compare(world, f"{view} groups", seen["groups"], [{**EMPTY, **one} for one in widget.groups])
    opened = dict(seen["opened"])
    for name, whole in zip(LISTS, sections(world, opened), strict=True):
        first, last = seen["range"][name]
        if seen["totals"][name] != len(whole):
            world.complain(f"{view}: {seen['totals'][name]} {name}, not {len(whole)}")
        shown = [None if row is None else without(row) for row in seen["rows"][name]]
        compare(world, f"{view} {name} {first}-{last}", shown, whole[first:last])
    if seen["pendingActs"]:
        world.complain(f"{view}: {seen['pendingActs']} are still pending")


def sections(world: World, opened: dict[int, bool]) -> list[list[dict[str, Any]]]:
    """The whole list: in each section its groups, with the jobs of open ones, and the others."""
    part = inspect(world.kernel.queue).part
    groups = iter(part("groups", 0, ALL).rows)
    told = world.kernel.widget.summary["listed"]["groups"]
    found = []
    for name, count in zip(LISTS, told, strict=True):
        rows: list[dict[str, Any]] = []
        for place, group in enumerate(itertools.islice(groups, count)):
            number = group["id"]
            is_first = sum(told[: LISTS.index(name)]) + place < GROUP_ROWS
            is_open = opened.get(number, is_first and group["listed"] < SMALL)
            rows.append({"group": number, "open": is_open})
            if is_open:
                rows += clipped(as_json(part("group", 0, ALL, number).rows))
        rows += clipped(as_json(part(name, 0, ALL).rows))
        found.append([without(row) for row in rows])
    return found


def without(row: dict[str, Any]) -> dict[str, Any]:
    """What can be compared between traits and windows."""
    return {name: value for name, value in as_json(row).items() if name not in NOT_OF_WINDOWS}


def compare(world: World, what: str, shown: list[Any], true: list[Any]) -> None:
    """Row by row, what both know of it."""
    if len(shown) != len(true):
        world.complain(f"{what}: {len(shown)} rows, not {len(true)}")
        return
    for place, (row, right) in enumerate(zip(shown, true, strict=True)):
        if row is None:
            world.complain(f"{what}: row {place} is not there")
            return
        wrong = [name for name in row if not same(row[name], right.get(name))]
        if wrong:
            told = {name: (row[name], right.get(name)) for name in wrong}
            world.complain(f"{what}: row {place} {row.get('id')}, {right.get('id')}: {told}")
            return


def same(one: object, other: object) -> bool:
    """Equal, but for the last digits of an instant that is computed anew."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) < 1e-3
    return one == other
