"""Plugins of the reference interface, run in real workers of the reference manager."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from cjm_plugin_system.core.interface import PluginInterface


class Workload(PluginInterface):
    """Does what its first argument says."""

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._asked = False

    @property
    def name(self) -> str:
        return "workload"

    @property
    def version(self) -> str:
        return "1.0"

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        self._config = dict(config or {})

    def get_config_schema(self) -> dict[str, Any]:
        return {"properties": {"flavour": {"default": "plain"}}}

    def get_current_config(self) -> dict[str, Any]:
        return self._config

    def cleanup(self) -> None:
        pass

    def cancel(self) -> None:
        self._asked = True

    def execute(self, what: str = "value", *args: Any, **kwargs: Any) -> Any:
        return getattr(self, f"do_{what}")(*args, **kwargs)

    def do_value(self, *args: Any, **kwargs: Any) -> Any:
        return {"args": list(args), "kwargs": kwargs, "pid": os.getpid()}

    def do_config(self) -> Any:
        return self._config

    def do_sleep(self, seconds: float = 60.0) -> str:
        time.sleep(seconds)
        return "slept"

    def do_report(self) -> str:
        for step in range(10):
            self.report_progress(step / 10, f"step {step}")
            time.sleep(0.02)
        self.report_progress(0.95, "nearly")
        return "reported"

    def do_print(self, text: str) -> None:
        print(text, flush=True)

    def do_talk(self, seconds: float) -> None:
        print("talking", flush=True)
        time.sleep(seconds)

    def do_fail(self) -> None:
        raise ValueError("as it was told")

    def do_die(self, signal_number: int = 9) -> None:
        os.kill(os.getpid(), signal_number)
        time.sleep(60)

    def do_spin(self) -> int:
        return sum(range(10**12))  # one call in C

    def do_body(self, name: str, *args: Any) -> Any:
        from tests.contract.bodies import in_worker_of_the_reference

        return in_worker_of_the_reference(self, name, *args)

    def do_function(self, name: str, *args: Any) -> Any:
        from tests.contract.bodies import in_function

        return in_function(name, *args)

    def do_child(self) -> int:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"child {child.pid}", flush=True)
        time.sleep(600)
        return child.pid


class Monitor(Workload):
    """Tells the reference schedulers that there is room."""

    @property
    def name(self) -> str:
        return "monitor"

    def execute(self, what: str = "get_system_status", *args: Any, **kwargs: Any) -> Any:
        if what in ("body", "function"):
            return super().execute(what, *args)
        return {"gpu_free_memory_mb": 10_000.0, "memory_available_mb": 64_000.0}
