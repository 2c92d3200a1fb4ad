"""A plugin that fails as it is told, in its own code's words."""

from __future__ import annotations

import os
from typing import Any


class Failing:
    """Runs a text as Python, which raises or ends the process."""

    name = "failing"
    version = "1.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        self._config = dict(config or {})
        exec(self._config.get("initialize", ""))

    def get_current_config(self) -> dict[str, Any]:
        return self._config

    def get_config_schema(self) -> dict[str, Any]:
        return {}

    def cleanup(self) -> None:
        """Nothing to do."""

    def execute(self, source: str) -> int:
        exec(source, {})
        return os.getpid()
