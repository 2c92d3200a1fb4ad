"""Stands for `jobqueue_widget` in workers whose interpreter lacks it; standard library only."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

from .job_context import JobCancelled, current_job, track


class OwnPackage:
    """Gives jobs what they need of `jobqueue_widget`, where that is not installed.

    A finder and loader by shape: importing their base classes doubles the start of a worker.
    """

    def create_module(self, spec: Any) -> None:
        """Return None: the module is made in the usual way."""

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        """Find our package; the last finder in the list, reached if nothing else has it."""
        if name == "jobqueue_widget":
            return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the names that are useful inside a job."""
        for one in (current_job, track, JobCancelled):
            setattr(module, one.__name__, one)
