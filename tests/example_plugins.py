"""The example plugins, each in the environment that `make` made for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import PluginManager

REPOSITORY = Path(__file__).parents[1]
PLUGINS = REPOSITORY / "examples" / "plugins"
DATA = REPOSITORY / "examples" / "data"
MADE = REPOSITORY / "build" / "plugins"
MANIFESTS = MADE / "manifests"


def need_environments() -> None:
    """Without them: skipped, and with CI=true a failure."""
    if not (MADE / ".installed").exists():
        why = f"no environments of the example plugins here: run `make {MADE.name}`"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def example(
    name: str, folder: Path, config: dict[str, Any] | None = None, **settings: Any
) -> Iterator[PluginManager]:
    """Our manager with one of the examples loaded."""
    need_environments()
    with PluginManager(search_paths=[MANIFESTS], data_dir=folder, **settings) as manager:
        manager.discover_manifests()
        meta = manager.get_discovered_meta(name)
        assert meta is not None
        assert manager.load_plugin(meta, config)
        yield manager
