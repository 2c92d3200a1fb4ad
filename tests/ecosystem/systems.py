"""Which queue over which manager: the reference system, this package, and each with the other."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

THEIRS, MIXED, OURS = "theirs", "our queue, their manager", "ours"
SYSTEMS = (THEIRS, MIXED, OURS)

_HOMES = {
    "PluginManager": "manager",
    "JobQueue": "queue",
    "QueueScheduler": "scheduling",
    "SafetyScheduler": "scheduling",
}


def system(name: str) -> Any:
    """The classes of one system, by the names that both packages give them."""
    ours = importlib.import_module("jobqueue_widget")
    theirs = SimpleNamespace()
    if name != OURS:
        for one, home in _HOMES.items():
            module = importlib.import_module(f"cjm_plugin_system.core.{home}")
            setattr(theirs, one, getattr(module, one))
    queues = theirs if name == THEIRS else ours
    managers = ours if name == OURS else theirs
    return SimpleNamespace(
        JobQueue=queues.JobQueue,
        PluginManager=managers.PluginManager,
        QueueScheduler=managers.QueueScheduler,
        SafetyScheduler=managers.SafetyScheduler,
    )
