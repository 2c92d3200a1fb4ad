"""Makes a pandas DataFrame of rows; pandas is optional, and loaded here only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import MissingExtraError


def data_frame(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> Any:
    """Return a DataFrame with one row per job, with these columns also where there are no rows.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            'to_pandas needs pandas: pip install "jobqueue-widget[pandas]"'
        ) from error
    return pd.DataFrame(rows, columns=columns)
