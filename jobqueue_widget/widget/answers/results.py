"""Makes of a job's result what a page can show: text, a picture or a table."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable
from typing import Any

from ..._core.texts.fitting import ends, fit_all
from ...child.wire import is_interrupt
from ..texts import visible

TEXT_LIMIT = 65_536
PICTURE_LIMIT = 4 * 1024 * 1024
TABLE_ROWS = 50
TABLE_COLUMNS = 30
CELL_LIMIT = 80


def show_result(value: object) -> dict[str, Any]:
    """Return a result as a "table", "png" or "text"; what cannot be shown says so as text."""
    try:
        return _table(value) or _picture(value) or _text(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        told = f"<cannot be shown: {type(error).__name__}: {error}>"
        return {"kind": "text", "text": visible(told)}


def _table(value: object) -> dict[str, Any] | None:
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame):
        return None
    part: Any = value.iloc[:TABLE_ROWS, :TABLE_COLUMNS]
    cells = [part.index, *(part.iloc[:, at] for at in range(len(part.columns)))]
    return {
        "kind": "table",
        "columns": ["", *_short(part.columns)],
        "rows": [list(row) for row in zip(*map(_short, cells), strict=True)],
        "text": f"{len(value)} rows x {len(value.columns)} columns",
    }


def _short(cells: Iterable[object]) -> list[str]:
    return fit_all([visible(ends(str(cell), CELL_LIMIT)) for cell in cells], CELL_LIMIT)


def _picture(value: object) -> dict[str, Any] | None:
    draw = getattr(type(value), "_repr_png_", None)
    if draw is None:
        return None
    data = draw(value)
    if not isinstance(data, bytes) or len(data) > PICTURE_LIMIT:
        return None
    return {"kind": "png", "png": base64.b64encode(data).decode("ascii")}


def _text(value: object) -> dict[str, Any]:
    text = repr(value)
    if len(text) > TEXT_LIMIT:
        text = f"{text[:TEXT_LIMIT]}\n[... {len(text) - TEXT_LIMIT} characters more ...]"
    return {"kind": "text", "text": visible(text)}
