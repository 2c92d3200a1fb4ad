"""Makes of results and outputs what a page can show: html, pictures, JSON, tables or text.

A page trusts none of it: html goes into a frame without rights, SVG is a picture.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..._core.texts.fitting import ends, fit, fit_all
from ...child.wire import is_interrupt, plain
from ..texts import visible

MOST = {  # characters of a form; a larger one is named, and not shown
    "html": 2 << 20,
    "svg": 2 << 20,
    "image": 8 << 20,
    "json": 512 << 10,
    "table": 512 << 10,
}
TEXT_LIMIT = 65_536
TABLE_ROWS = 50
TABLE_COLUMNS = 30
CELL_LIMIT = 80
SAID = 200  # characters that stand for a picture
SHORT = 120  # characters of a result that is read best as Python shows it
EXACT = 2**53  # integers beyond are others in a page
DEEPEST = 40

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MIMES = (
    ("text/html", "html"),
    ("image/svg+xml", "svg"),
    *((mime, "image") for mime in PICTURES),
    ("application/json", "json"),
    ("text/latex", "text"),
    ("text/markdown", "text"),
    ("text/plain", "text"),
)
"""Forms that are shown, the richest first, as a notebook would choose."""
REPRS = {  # methods of objects that give them
    "_repr_html_": "text/html",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_json_": "application/json",
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


@dataclass(frozen=True)
class Form:
    """One way to show something: its kind, and a text that the page makes that of."""

    kind: str
    body: str
    mime: str = ""

    @cached_property
    def told(self) -> list[Any]:
        """What a page is told of it: kind, size, mime type and a mark that differs with it."""
        mark = f"{zlib.crc32(self.body.encode('utf-8', 'replace')):08x}"
        return [self.kind, len(self.body), self.mime, mark]


@dataclass(frozen=True)
class Piece:
    """Something to show, in one or several forms."""

    forms: list[Form]
    said: str = ""
    too_large: list[str] = field(default_factory=list)

    def form(self, kind: str) -> Form | None:
        """Return the form of that kind."""
        return next((form for form in self.forms if form.kind == kind), None)


def piece_of_output(data: Mapping[str, Any]) -> Piece:
    """Return what a page shows of a mime bundle; of several alike the first."""
    found: dict[str, Form] = {}
    for mime, kind in MIMES:
        if kind not in found and (form := _form_of(kind, mime, data.get(mime))) is not None:
            found[kind] = form
    if not found:
        found["text"] = Form("text", f"<{', '.join(data) or 'nothing'}>"[:SAID])
    said = _text(data.get("text/plain") or "")
    return _bounded([*found.values()], said)


def piece_of_result(value: object) -> Piece:
    """Return what a page shows of a result; what cannot be shown says so as text."""
    try:
        return _piece_of(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        told = f"<cannot be shown: {type(error).__name__}: {error}>"
        return Piece([Form("text", told[:TEXT_LIMIT])])


def _piece_of(value: object) -> Piece:
    text = plain(repr(value))
    forms: list[Form] = [*_table(value)] or [*_rich(value)]
    as_json = _json(value)
    if as_json is not None and len(text) > SHORT:
        forms.append(as_json)
    forms.append(Form("text", _cut(text)))
    if as_json is not None and as_json not in forms:
        forms.append(as_json)
    tells = type(value).__repr__ is not object.__repr__
    return _bounded(forms, text if tells else "")


def _bounded(forms: list[Form], said: str) -> Piece:
    fits = [form for form in forms if len(form.body) <= MOST.get(form.kind, len(form.body))]
    too_large = [
        f"{form.kind} of {len(form.body) / 1e6:.1f} MB" for form in forms if form not in fits
    ]
    return Piece(fits, fit(" ".join(visible(ends(said, SAID)).split()), SAID), too_large)


def _form_of(kind: str, mime: str, form: Any) -> Form | None:
    if form is None:
        return None
    if kind == "json":
        return _json(form)
    if isinstance(form, (bytes, bytearray)):
        form = base64.b64encode(form).decode("ascii") if kind == "image" else form.decode()
    text = _text(form)
    if kind == "image":
        text = "".join(text.split())
        return Form(kind, text, mime) if text and _BASE64.fullmatch(text) else None
    return Form(kind, _cut(text) if kind == "text" else text, mime)


def _text(form: Any) -> str:
    return plain("".join(map(str, form)) if isinstance(form, list) else str(form))


def _cut(text: str) -> str:
    if len(text) <= TEXT_LIMIT:
        return text
    return f"{text[:TEXT_LIMIT]}\n[... {len(text) - TEXT_LIMIT:,} characters more ...]"


# -- results -----------------------------------------------------------------------------------


def _table(value: object) -> Iterator[Form]:
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame):
        return
    part: Any = value.iloc[:TABLE_ROWS, :TABLE_COLUMNS]
    cells = [part.index, *(part.iloc[:, at] for at in range(len(part.columns)))]
    table = {
        "columns": ["", *_short(part.columns)],
        "rows": [list(row) for row in zip(*map(_short, cells), strict=True)],
        "text": f"{len(value):,} rows x {len(value.columns):,} columns{_shown_part(value)}",
    }
    yield Form("table", json.dumps(table))


def _shown_part(frame: Any) -> str:
    rows, columns = min(len(frame), TABLE_ROWS), min(len(frame.columns), TABLE_COLUMNS)
    if (rows, columns) == (len(frame), len(frame.columns)):
        return ""
    return f"; {rows} x {columns} of them are shown"


def _short(cells: Iterable[object]) -> list[str]:
    return fit_all([visible(ends(str(cell), CELL_LIMIT)) for cell in cells], CELL_LIMIT)


def _rich(value: object) -> Iterator[Form]:
    """Yield forms that the class of a result makes; one that fails is left out."""
    if isinstance(value, type):
        return
    data: dict[str, Any] = {}
    bundle = _call(value, "_repr_mimebundle_")
    if isinstance(bundle, tuple) and bundle:
        bundle = bundle[0]
    if isinstance(bundle, Mapping):
        data.update(bundle)
    for name, mime in REPRS.items():
        if mime not in data and not (mime == "image/jpeg" and "image/png" in data):
            form = _call(value, name)
            data[mime] = form[0] if isinstance(form, tuple) and form else form
    kinds: set[str] = set()
    for mime, kind in MIMES:
        if mime == "text/plain" or kind in kinds:
            continue
        form = _form_of(kind, mime, data.get(mime))
        if form is not None and kind != "text":  # the text is what Python shows
            kinds.add(kind)
            yield form


def _call(value: object, name: str) -> Any:
    method = getattr(type(value), name, None)
    if not callable(method):
        return None
    try:
        return method(value)
    except Exception:
        return None


def _json(value: object) -> Form | None:
    """Return containers of what JSON has; None: a page would show something else."""
    if not isinstance(value, (dict, list)) or not value or not _is_json(value, DEEPEST):
        return None
    return Form("json", json.dumps(value, ensure_ascii=False))


def _is_json(value: object, levels: int) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -EXACT < value < EXACT  # type: ignore[operator]
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if levels == 0:
        return False
    if kind is dict:
        items: dict[Any, Any] = value  # type: ignore[assignment]
        return all(type(key) is str and _is_json(one, levels - 1) for key, one in items.items())
    return kind is list and all(_is_json(one, levels - 1) for one in value)  # type: ignore[attr-defined]
