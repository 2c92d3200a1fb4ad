"""A capability of cjm-substrate, on its own base class, with what the real ones leave out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from cjm_substrate.core.capability import ToolCapability
from cjm_substrate.core.wire import get_call_envelope


@dataclass
class Place:
    name: str
    size: int = 1


class Workload(ToolCapability):
    version = "1.0"
    name = "workload"

    def initialize(self, config: Any = None) -> None:
        self.config = config or {}
        self.changes: list[Any] = []

    def reconfigure(self, old_config: Any, new_config: Any) -> None:
        self.changes.append([old_config, new_config])
        self.config = new_config

    def get_config_schema(self) -> dict[str, Any]:
        return {"properties": {"flavour": {"default": "plain"}}}

    def get_current_config(self) -> dict[str, Any]:
        return dict(self.config)

    def seen(self) -> Any:
        return [self.config, self.changes]

    def variables(self, *names: str) -> dict[str, Any]:
        folder = os.environ["CAPABILITY_DATA_DIR"]
        return {"folder": os.path.isdir(folder), **{name: os.environ.get(name) for name in names}}

    def envelope(self) -> Any:
        told = get_call_envelope()
        return [told.run_id, told.actor, told.control, bool(told.job_id)]

    def places(self) -> list[Place]:
        return [Place("Rome", 3), Place("Ulm")]

    def check(self, seconds: float = 60) -> str:
        """Ask, between steps, whether to stop."""
        for step in range(int(seconds * 100)):
            self.check_cancel()
            self.report_progress(step / 6000, f"step {step}")
            time.sleep(0.01)
        return "whole"

    def deaf(self, seconds: float = 60) -> None:
        """Never ask; swallow what it can."""
        end = time.monotonic() + seconds
        self.report_progress(0.5)
        while time.monotonic() < end:
            with contextlib.suppress(BaseException):
                time.sleep(0.05)

    def count(self, limit: int) -> Any:
        """Piece by piece, as long as nobody asks it to stop."""
        for number in range(limit):
            self.check_cancel()
            yield Place(str(number), number)

    def child(self) -> int:
        """Wait for a process that its callback ends."""
        process = subprocess.Popen(["sleep", "60"])
        self.report_progress(0.5, str(process.pid))
        with self.cancel_signal_to(process.terminate):
            code = process.wait()
        self.check_cancel()
        return code
