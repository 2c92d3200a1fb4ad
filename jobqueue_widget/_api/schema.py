"""The schema that Python and the page share: columns of a row, and messages (`protocol.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[1] / "widget" / "protocol.json"

SCHEMA: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
USUAL: dict[str, Any] = {
    name: column["default"] for name, column in SCHEMA["row"].items() if "default" in column
}
FREE_TEXTS = tuple(
    name for name, column in SCHEMA["row"].items() if column.get("format") == "free text"
)
