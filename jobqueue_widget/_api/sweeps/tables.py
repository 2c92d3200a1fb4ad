"""Takes arrays and tables apart, by what they hold and not by how a library keeps it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


def parts_of_table(kind: type, value: Any) -> tuple[str, Sequence[object]] | None:
    """Return what a numpy array, a pandas table or column holds; None for anything else.

    Parts that are bytes count as they are. The libraries are not imported here.
    """
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        return _of_numpy(sys.modules["numpy"], kind, value)
    if library == "pandas" and "pandas" in sys.modules:
        return _of_pandas(sys.modules["pandas"], kind, value)
    return None


def _of_numpy(np: Any, kind: type, value: Any) -> tuple[str, Sequence[object]] | None:
    if kind is np.ndarray:
        return "array", _array(np, value)
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return "number", (_dtype(value.dtype), value.tobytes())
    if isinstance(value, np.dtype):
        return "dtype", (_dtype(value),)
    return None


def _array(np: Any, value: Any) -> Sequence[object]:
    told = (_dtype(value.dtype), value.shape)
    if value.dtype.hasobject or value.dtype.kind == "T":  # "T": texts of any length
        return (*told, value.tolist())
    return (*told, value.tobytes())


def _dtype(dtype: Any) -> str:
    return repr((dtype.descr if dtype.names else dtype.str, str(dtype)))


def _of_pandas(pd: Any, kind: type, value: Any) -> tuple[str, Sequence[object]] | None:
    if kind is pd.DataFrame:
        columns = [value.iloc[:, place].array for place in range(value.shape[1])]
        return "frame", (value.columns, value.index, columns, value.attrs)
    if kind is pd.Series:
        return "series", (value.name, value.index, value.array, value.attrs)
    if kind is pd.RangeIndex:
        return "range index", (value.start, value.stop, value.step, value.name)
    if kind is pd.MultiIndex:
        levels = [value.get_level_values(place).array for place in range(value.nlevels)]
        return "multi index", (list(value.names), levels)
    if isinstance(value, pd.Index):
        return "index", (kind.__name__, value.name, value.array)
    if isinstance(value, pd.Categorical):
        return "categories", (value.codes, value.categories, value.ordered)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        told = str(value.dtype)
        if told in ("object", "string", "str") or told.startswith("string"):
            missing = [None if one else held for held, one in zip(value, value.isna(), strict=True)]
            return "column", (told, missing if told != "object" else list(value))
        if hasattr(value, "asi8"):
            return "times", (told, value.asi8)
        if kind.__name__ == "NumpyExtensionArray":
            return "column", (told, value.to_numpy())
        return "column", (told, list(value.astype(object)))
    if value is pd.NA:
        return "nothing", ()
    return None
