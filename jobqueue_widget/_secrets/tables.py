"""Lists what arrays and frames hold: columns by their names, and cells that are objects."""

from __future__ import annotations

import enum
import sys
from typing import Any

from .._core.texts.secret_names import looks_secret, may_look_secret
from .functions import Parts

NUMBERS = object()
"""Stands for an array of numbers, which is secret if its name is, though it has no text."""


def of_table(value: Any, everything: bool) -> Parts | None:
    """List the columns and cells of an array or frame; None for anything else."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return _of_array(value, everything)
        if isinstance(value, numpy.void):
            return [(name, value[name]) for name in value.dtype.names or ()]
        if isinstance(value, numpy.generic):
            return [(None, value.item())] if value.dtype.kind in "SU" else ()
    if pandas is not None:
        if isinstance(value, pandas.DataFrame):
            columns = zip(value.columns, value.dtypes, strict=True)
            chosen = [
                (name, value.iloc[:, at].tolist())
                for at, (name, dtype) in enumerate(columns)
                if everything or _is_objects(dtype) or looks_secret(name_text(name))
            ]
            chosen += [*_named_rows(value), *_named_in_rows(value)]
            return [*chosen, (None, value.index), (None, value.attrs)]
        if isinstance(value, pandas.Series):
            return [*_of_series(value, everything), (None, value.attrs)]
        if isinstance(value, pandas.Index):
            names = "/".join(map(name_text, value.names))
            return [(names, value.tolist())] if everything or looks_secret(names) else ()
    return None


def _is_objects(dtype: object) -> bool:
    return getattr(dtype, "hasobject", False) is True


def _of_array(value: Any, everything: bool) -> Parts:
    if value.dtype.names:
        return [(name, value[name]) for name in value.dtype.names]
    if _is_objects(value.dtype) or (everything and value.dtype.kind in "SU"):
        return [(None, value.ravel().tolist())]
    return [(None, NUMBERS)] if everything and value.size else ()


def _labels(index: Any) -> list[str]:
    """Return the texts of an index; nothing if none of them may look secret."""
    levels = getattr(index, "levels", None) or [index]
    named = (level for level in levels if level.dtype.kind not in "iufbmM")
    return list(map(name_text, index)) if any(_may_name_secrets(one) for one in named) else []


def _may_name_secrets(labels: Any) -> bool:
    """False if no text of an index or column can be a secret's name; a quick test."""
    try:
        few = labels.unique().tolist()
    except TypeError:  # some have no hash
        few = labels.tolist()
    try:
        return may_look_secret("\n".join(few))
    except TypeError:  # not all of them are texts
        return may_look_secret("\n".join(map(name_text, few)))


def _named_rows(frame: Any) -> list[tuple[object, object]]:
    """List the rows whose label looks secret."""
    labels = [(at, name) for at, name in enumerate(_labels(frame.index)) if looks_secret(name)]
    if not labels:
        return []
    rows = frame.iloc[[at for at, _ in labels]].itertuples(index=False, name=None)
    return [(name, list(row)) for (_, name), row in zip(labels, rows, strict=True)]


def _named_in_rows(frame: Any) -> list[tuple[object, object]]:
    """List the cells that another column of their row names, as a key or a name."""
    found: list[tuple[object, object]] = []
    if "value" in frame.columns:
        for column in {"name", "key"}.intersection(frame.columns):
            names, values = frame[column], frame["value"]
            is_one = names.ndim == values.ndim == 1  # and no two columns of one name
            if is_one and names.dtype.kind == "O" and _may_name_secrets(names):
                found += zip(map(name_text, names), values.tolist(), strict=True)
    return found


def _of_series(value: Any, everything: bool) -> Parts:
    labels = _labels(value.index)
    cells = value.tolist() if everything or _is_objects(value.dtype) else ()
    parts: list[tuple[object, object]] = [(value.name, cells), (None, value.index)]
    if looks_secret(name_text(value.name)):
        parts.append((value.name, value.tolist()))
    if labels:
        parts += zip(labels, value, strict=True)
    return parts


def name_text(name: object) -> str:
    """Return the text of a key or label; "" where it has none."""
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    if isinstance(name, enum.Enum):
        return name.name
    return "/".join(map(name_text, name)) if isinstance(name, tuple) else ""
