"""Our manager with the plugins that the reference manager runs in other tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobqueue_widget import PluginManager
from tests.reference import CLASSES, PLUGINS, manifest

ROOT = PLUGINS.parents[1]


def write_manifests(folder: Path, **more: Any) -> Path:
    """A folder with a manifest of each plugin; `more` goes into each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, class_name in CLASSES.items():
        path = {"PYTHONPATH": f"{PLUGINS}:{ROOT}"}
        (folder / f"{name}.json").write_text(
            json.dumps(manifest(name, class_name, **{"env_vars": path, **more}))
        )
    return folder


def load(manager: PluginManager, name: str, **options: Any) -> None:
    """Load one plugin."""
    meta = manager.get_discovered_meta(name)
    assert meta is not None
    assert manager.load_plugin(meta, **options)


@contextmanager
def own_manager(
    folder: Path,
    scheduler: Any = None,
    plugins: Sequence[str] = ("workload", "monitor"),
    workers: int = 1,
    **more: Any,
) -> Iterator[PluginManager]:
    """Our manager with these plugins loaded."""
    paths = [write_manifests(folder / "manifests", **more)]
    with PluginManager(search_paths=paths, scheduler=scheduler, data_dir=folder) as manager:
        manager.discover_manifests()
        for name in plugins:
            load(manager, name, workers=workers)
        yield manager
