"""The system monitor as a plugin: what this machine has and what of it is free.

It runs under `jobqueue_widget.PluginManager` and under the manager of `cjm-plugin-system`:
register it with `manager.register_system_monitor("sys-mon")`.
"""

from __future__ import annotations

from typing import Any

from jobqueue_widget._machine.monitor import SystemMonitor


class SysMon:
    """Answers with one look at the machine, whatever it is called with."""

    name = "sys-mon"
    version = "1.0.0"

    def __init__(self) -> None:
        self._monitor = SystemMonitor()

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """There is nothing to configure."""

    def get_config_schema(self) -> dict[str, Any]:
        """There is nothing to configure."""
        return {"type": "object", "properties": {}}

    def get_current_config(self) -> dict[str, Any]:
        """There is nothing to configure."""
        return {}

    def execute(self, command: str = "get_system_status") -> dict[str, Any]:
        """Memory (MiB), processors and GPUs now, under the names that schedulers read."""
        if command != "get_system_status":
            raise ValueError(f'the only command is "get_system_status", not {command!r}')
        return self._monitor.status()

    def cleanup(self) -> None:
        """Nothing is kept."""
