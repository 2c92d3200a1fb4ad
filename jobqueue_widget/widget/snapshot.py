"""The queue without a front end: an escaped, script-free table, or lines of text, as it is now."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from ..queue import JobQueue
from .texts import visible

ROWS = 50
WORDS = {"pending": "queued"}
STYLE = "border-collapse:collapse;font-size:13px"
CELL = "text-align:left;padding:2px 10px;border-bottom:1px solid #8884"


def snapshot_text(queue: JobQueue) -> str:
    """A heading, then one line per job."""
    board = queue._board(8, ROWS, 20)
    lines = [_heading(board), *(_line(row) for row in _rows(board))]
    return visible("\n".join(lines))


def snapshot_html(queue: JobQueue) -> str:
    """A table of at most 50 rows; every text escaped."""
    board = queue._board(8, ROWS, 20)
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in ("Job", "State", "Progress", ""))
    body = "".join(_html_row(row) for row in _rows(board))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(board["now"]))
    return (
        f'<div class="jqw-static"><p><b>{escape(_heading(board))}</b> <i>as of {when}</i></p>'
        f'<table style="{STYLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def job_html(row: dict[str, Any]) -> str:
    """A table of one job; every text escaped."""
    body = f"<tbody>{_html_row(row)}</tbody>"
    return f'<div class="jqw-static"><table style="{STYLE}">{body}</table></div>'


def _rows(board: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [*board["running"], *board["pending"], *board["history"]]
    return rows[:ROWS]


def _heading(board: dict[str, Any]) -> str:
    counts = board["counts"]
    name = visible(f"Job queue {board['name']}".rstrip())
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
    return next((str(row[name]) for name in names if row[name]), "")[:120]


def _line(row: dict[str, Any]) -> str:
    return f"  {_state(row):10} {row['title']}  {_progress(row)} {_remark(row)}".rstrip()


def _html_row(row: dict[str, Any]) -> str:
    texts = (f"{row['title']} {row['args']}".strip(), _state(row), _progress(row), _remark(row))
    cells = "".join(f'<td style="{CELL}">{escape(visible(text))}</td>' for text in texts)
    return f"<tr>{cells}</tr>"
