"""The reference manager with real plugins in real workers of its own, for tests."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PLUGINS = Path(__file__).parent / "plugins_for_tests"


def manifest(name: str, class_name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0",
        "module": "workload",
        "class": class_name,
        "python_path": sys.executable,
        "env_vars": {"PYTHONPATH": str(PLUGINS)},
        "config_schema": {"properties": {"flavour": {"default": "plain"}}},
        "resources": {},
        **more,
    }


CLASSES = {"workload": "Workload", "monitor": "Monitor"}


@contextmanager
def reference_manager(
    folder: Path,
    scheduler: str = "PermissiveScheduler",
    plugins: Sequence[str] = ("workload", "monitor"),
    **more: Any,
) -> Iterator[Any]:
    """A real PluginManager with these plugins loaded; `more` goes into each manifest."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from cjm_plugin_system.core import config, scheduling  # replaces the root logger's handlers
    from cjm_plugin_system.core.manager import PluginManager

    root.handlers[:], root.level = handlers, level
    manifests = folder / "manifests"
    manifests.mkdir(parents=True)
    for name, class_name in CLASSES.items():
        (manifests / f"{name}.json").write_text(json.dumps(manifest(name, class_name, **more)))
    config.set_config(config.CJMConfig(data_dir=folder))
    manager = PluginManager(search_paths=[manifests], scheduler=getattr(scheduling, scheduler)())
    manager.discover_manifests()
    for name in plugins:
        load(manager, name)
    try:
        yield manager
    finally:
        manager.unload_all()
        config.reset_config()


def load(manager: Any, name: str) -> None:
    """Start the worker of one plugin."""
    (found,) = (one for one in manager.discovered if one.name == name)
    assert manager.load_plugin(found)


def reference_kit(folder: Path) -> Any:
    """What code for it imports, with its data in this folder."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from cjm_plugin_system.core import config, manager, queue, scheduling

    root.handlers[:], root.level = handlers, level
    config.set_config(config.CJMConfig(data_dir=folder))
    return SimpleNamespace(
        PluginManager=manager.PluginManager,
        JobQueue=queue.JobQueue,
        PermissiveScheduler=scheduling.PermissiveScheduler,
        QueueScheduler=scheduling.QueueScheduler,
        SafetyScheduler=scheduling.SafetyScheduler,
    )
