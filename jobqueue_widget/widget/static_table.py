"""Draws a queue without a front end: an escaped table without scripts, or lines of text."""

from __future__ import annotations

import time
from datetime import datetime
from html import escape
from operator import itemgetter
from typing import Any

from .._api.rows import tell_apart
from .._api.sweeps.group import JobGroup, left_of, size_of
from .._core.texts.fitting import ends, fit_all
from ..job import Job
from ..queue import JobQueue
from .model import State, kinds_of
from .texts import visible

ROWS = 50
GROUPS = 8
PARTS = 20  # of a small curve
REMARK = 120  # characters of what is said beside a job
WORDS = {"pending": "queued"}
TOLD = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "running": "running",
    "pending": "queued",
}
COLOURS = {  # seen on the ground of a bar, in a light page and in a dark one
    "completed": "#388e3c",
    "failed": "#e53935",
    "cancelled": "#808085",
    "running": "#1976d2",
}
BAR = (
    "display:flex;height:8px;max-width:600px;border-radius:4px;overflow:hidden;background:#8883;"
    "forced-color-adjust:none"  # its colours are what it tells
)
SOON = 60.0  # seconds; of an end that is nearer nothing is said
STYLE = "border-collapse:collapse;font-size:13px"
CELL = "text-align:left;padding:2px 8px;border-bottom:1px solid #8884"
BREAK = "overflow-wrap:anywhere;min-width:7em"  # a path is one long word
BESIDE = "jqw-beside"  # the class of a table beside a view; the view's style sheet hides it
# Where a notebook is trusted: the table stands in the place of a view that JupyterLab waits for or
# does not find, and a page made by nbconvert does not speak of a kernel.
PLACED = (
    f".jp-OutputArea-child:has(+.jp-OutputArea-child .{BESIDE})>"
    ".jp-OutputArea-output:is(:not([data-mime-type],:has(*)),:has(>pre:empty)),"
    f"body.jp-Notebook .{BESIDE} .jqw-how{{display:none}}"
)


def queue_text(queue: JobQueue) -> str:
    """Return a heading, then one line per job."""
    snapshot = queue._snapshot(8, ROWS, 20)
    lines = [_heading(snapshot), *(_line(row) for row in _rows(snapshot))]
    return visible("\n".join(lines))


def queue_html(queue: JobQueue, mark: str = "") -> str:
    """Return the liveliest groups and at most 50 rows, escaped.

    Args:
        queue: what is drawn.
        mark: of the widget it stands beside.

    """
    snapshot = queue._snapshot(8, ROWS, 20, groups=GROUPS)
    told = f"<p><b>{escape(_heading(snapshot))}</b> {_as_of(snapshot)}</p>"
    groups = [queue._group_of_number(row["id"]) for row in snapshot["groups"]]
    drawn = "".join("".join(_group(group)) for group in groups if group is not None)
    more = snapshot["counts"]["groups"] - len(groups)
    if more > 0:
        drawn += f"<p>and {more:,} more groups</p>"
    rows = _rows(snapshot)
    found = [curve_of(queue.get_job(row["id"])) for row in rows]
    curves = found if any(found) else [None] * len(rows)
    names = ("Job", "State", "Progress", "", *(("",) if any(found) else ()))
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in names)
    body = "".join(map(_html_row, rows, curves))
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return _html(told + drawn, table, mark, _how(snapshot, "queue"))


def job_html(job: Job, snapshot: State | None = None, mark: str = "") -> str:
    """Return an escaped table of one job. `snapshot`: of its queue, which says as of when."""
    told = how = ""
    row = job.as_row()
    if snapshot is not None and row["completed_at"] is None:
        told, how = f"<p>{_as_of(snapshot)}</p>", _how(snapshot, "job")
    body = _html_row(_prepared([row])[0], curve_of(job) or None)
    return _html(told, f"<tbody>{body}</tbody>", mark, how)


def group_html(
    group: JobGroup, done_at: float | None = None, snapshot: State | None = None, mark: str = ""
) -> str:
    """Return a bar in four colours, the counts in words, and failures by kind; escaped.

    Args:
        group: what is drawn.
        done_at: epoch seconds at which all may have ended, if that is known.
        snapshot: of its queue, which says as of when.
        mark: of the widget it stands beside.

    """
    over, left, as_of, how = group.done, "", "", ""
    if done_at is not None and not over and done_at - time.time() > SOON:
        left = f"; done about {datetime.fromtimestamp(done_at).astimezone():%H:%M}"
    if snapshot is not None and not over:
        as_of, how = f" {_as_of(snapshot)}", _how(snapshot, "group")
    return _framed(*_group(group, left, as_of), mark, how)


def _group(group: JobGroup, left: str = "", as_of: str = "") -> tuple[str, str]:
    """Return what is said of a group, and its bar with the kinds of failures."""
    counts, total = group.counts, group.total
    whole = max(total or 0, sum(counts.values()))
    parts = "".join(
        f'<span style="width:{100 * counts[kind] / whole:.4g}%;background:{colour}"></span>'
        for kind, colour in COLOURS.items()
        if counts[kind]
    )
    told = [f"{counts[kind]:,} {word}" for kind, word in TOLD.items() if counts[kind]]
    facts = [size_of(counts, total), *told, *left_of(counts, total)]
    heading = f"{group.title}: {group.progress:.0%} of {', '.join(facts)}{left}"
    items = "".join(
        f'<li dir="auto" style="{BREAK}">{escape(line)}</li>' for line in kinds_of(group)
    )
    kinds = f'<ul style="margin:4px 0;padding-left:20px">{items}</ul>' if items else ""
    head = f'<p style="margin:2px 0"><b dir="auto">{escape(visible(heading))}</b>{as_of}</p>'
    bar = f'<div style="{BAR}" aria-hidden="true">{parts}</div>'
    return head, f'<div class="jqw-group" style="font-size:13px">{bar}{kinds}</div>'


def _html(told: str, table: str, mark: str, how: str) -> str:
    drawn = f'<div style="overflow-x:auto"><table style="{STYLE}">{table}</table></div>'
    return _framed(told, drawn, mark, how)


def _framed(told: str, drawing: str, mark: str, how: str) -> str:
    kind, style = "jqw-static", ""
    if mark:
        kind, style = f"{kind} {BESIDE} jqw-of-{mark}", f"<style>{PLACED}</style>"
        told += f'<p class="jqw-how">{how}</p>' if how else ""
    return f'<div class="{kind}" dir="ltr">{style}{told}{drawing}</div>'


def _as_of(snapshot: dict[str, Any]) -> str:
    now = datetime.fromtimestamp(snapshot["now"]).astimezone()
    zone = f"{now:%z}"
    ahead = f"{zone[:3]}:{zone[3:5]}" if now.utcoffset() else ""
    return f"<i>as of {now:%Y-%m-%d %H:%M} UTC{ahead}</i>"


def _how(snapshot: dict[str, Any], what: str) -> str:
    """Say what to do where the table is seen instead of the view, whatever has become of it."""
    back = " Run the first cell to bring the queue back." if snapshot["survives"] else ""
    return (
        f"Not live. While the kernel runs and no cell blocks it, reload the page to control the "
        f"{what}. If the kernel is gone, this is the last known state.{back}"
    )


def _rows(snapshot: dict[str, Any]) -> list[dict[str, Any]]:
    return _prepared([*snapshot["running"], *snapshot["pending"], *snapshot["history"]][:ROWS])


def _prepared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add a remark to each row, and cut texts to what tells the rows apart.

    A job that has a label is told by it, as in the widget.
    """
    rows = [row if row["title"] == row["name"] else {**row, "args": ""} for row in rows]
    tell_apart(rows, ("title", "args"))
    for row, remark in zip(rows, fit_all([_remark(row) for row in rows], REMARK), strict=True):
        row["remark"] = remark
    return rows


def _heading(snapshot: dict[str, Any]) -> str:
    counts = snapshot["counts"]
    name = visible(f"Job queue {snapshot['name']}".rstrip())
    parts = [f"{counts['running']} running", f"{counts['pending']} queued"]
    parts += [f"{counts[kind]} {kind}" for kind in ("completed", "failed", "cancelled")]
    return f"{name}: {', '.join(parts)}"


def _state(row: dict[str, Any]) -> str:
    if row["status"] == "running" and row["cancel_phase"]:
        return "stopping"
    if row["held"]:
        return "held"
    return WORDS.get(row["status"], str(row["status"]))


def _progress(row: dict[str, Any]) -> str:
    if row["status"] != "running":
        return ""
    return "" if row["progress"] < 0 else f"{row['progress']:.0%}"


def _remark(row: dict[str, Any]) -> str:
    names = ("error", "cancel_reason", "note", "block_reason", "message")
    text = next((str(row[name]) for name in names if row[name]), "")
    if str(row["note"]).startswith("retried → "):
        text = f"{row['note']} · {text}"
    return " ".join(ends(text, 2 * REMARK).split())


def _line(row: dict[str, Any]) -> str:
    return f"  {_state(row):10} {row['title']}  {_progress(row)} {row['remark']}".rstrip()


def _html_row(row: dict[str, Any], curve: str | None) -> str:
    """Return a row; `curve` is None where the table has no column of curves."""
    title, args = (escape(visible(row[name])) for name in ("title", "args"))
    cells = f'<td dir="auto" style="{CELL};{BREAK}">{f"<b>{title}</b> {args}".rstrip()}</td>'
    remark = row["remark"]
    styles = (CELL, CELL, f"{CELL};{BREAK}" if remark else CELL)
    cells += "".join(
        f'<td dir="auto" style="{style}">{escape(visible(text))}</td>'
        for style, text in zip(styles, (_state(row), _progress(row), remark), strict=True)
    )
    if curve is not None:
        cells += f'<td style="{CELL}">{curve}</td>'
    return f"<tr>{cells}</tr>"


def curve_of(job: Job | None) -> str:
    """Return the first series of a job as a small curve with its last value; "" for none."""
    for name, points in ({} if job is None else job.metrics).items():
        values = [value for _, value in points]
        last = next((value for value in reversed(values) if value is not None), None)
        if last is not None:
            told = escape(visible(f"{ends(name, 20)} {last:.4g}"))
            return f'{_sparkline(values)} <span dir="auto">{told}</span>'
    return ""


def _sparkline(values: list[float | None]) -> str:
    """Draw at most 40 values: of each 20th part the least and the greatest; gaps stay gaps."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    across, parts = max(1, len(values) - 1), min(len(values), PARTS)
    path, pen = [], "M"
    for part in range(parts):
        start, stop = (len(values) * one // parts for one in (part, part + 1))
        found = [(value, at) for at in range(start, stop) if (value := values[at]) is not None]
        for value, at in sorted({min(found), max(found)}, key=itemgetter(1)) if found else ():
            share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
            path.append(f"{pen}{100 * at / across:.3g} {17 - 14 * share:.3g}")
            pen = "L"
        if not found:
            pen = "M"
    line = f'<path d="{"".join(path)}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    box = 'viewBox="-1 0 102 20" width="102" height="20" style="vertical-align:middle"'
    return f'<svg {box} aria-hidden="true">{line}</svg>'
