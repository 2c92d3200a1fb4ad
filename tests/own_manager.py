"""Our manager with the plugins that the reference manager runs in other tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobqueue_widget import PluginManager
from tests.reference import CLASSES, PLUGINS, manifest

ROOT = PLUGINS.parents[1]
OWN_CLASSES = {
    "toolbox": "Toolbox",
    "never": "NeverLoads",
    "dies": "DiesWhileLoading",
    "hangs": "HangsWhileLoading",
    "plain": "Plain",
}


def own_manifest(name: str, class_name: str, **more: Any) -> dict[str, Any]:
    """Of a plugin for tests; its module is found beside it, and the tests' own package."""
    module = "toolbox" if name in OWN_CLASSES else "workload"
    here = os.environ.get("PYTHONPATH", "") if sys.platform == "win32" else ""
    path = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PLUGINS), str(ROOT), here]))}
    own: dict[str, Any] = {"module": module, "env_vars": path}
    if name == "plain":
        own["config_schema"] = None
    return manifest(name, class_name, **own | more)


def write_manifests(folder: Path, **more: Any) -> Path:
    """A folder with a manifest of each plugin; `more` goes into each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, class_name in (CLASSES | OWN_CLASSES).items():
        (folder / f"{name}.json").write_text(json.dumps(own_manifest(name, class_name, **more)))
    return folder


def load(manager: PluginManager, name: str, config: Any = None, **options: Any) -> bool:
    """Load one plugin."""
    meta = manager.get_discovered_meta(name)
    assert meta is not None
    return manager.load_plugin(meta, config, **options)


@contextmanager
def own_manager(
    folder: Path,
    scheduler: Any = None,
    plugins: Sequence[str] = ("workload", "monitor"),
    workers: int = 1,
    config: Any = None,
    env: Any = "kernel",
    **more: Any,
) -> Iterator[PluginManager]:
    """Our manager with these plugins loaded; `more` goes into each manifest."""
    paths = [write_manifests(folder / "manifests", **more)]
    with PluginManager(
        search_paths=paths, scheduler=scheduler, data_dir=folder, env=env
    ) as manager:
        manager.discover_manifests()
        for name in plugins:
            loaded = load(manager, name, config, workers=workers)
            assert loaded  # apart: a kernel with -OO leaves out what it asserts
        yield manager
