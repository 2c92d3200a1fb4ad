"""A plugin that holds memory from its first run on; without a release(), its worker must end."""

from __future__ import annotations

import os
import time
from typing import Any


class Hoarder:
    """Holds as many MiB as it is told."""

    name = "hoarder"
    version = "1.0"

    def __init__(self) -> None:
        self._held = b""

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        self._config = dict(config or {})

    def get_current_config(self) -> dict[str, Any]:
        return self._config

    def get_config_schema(self) -> dict[str, Any]:
        return {}

    def cleanup(self) -> None:
        self._held = b""

    def execute(self, mib: int = 0, seconds: float = 0.0) -> int:
        self._held = os.urandom(1 << 20) * mib
        time.sleep(seconds)
        return os.getpid()
