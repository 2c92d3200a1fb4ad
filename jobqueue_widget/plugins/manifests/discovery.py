"""Finds where plugins live: the folders with manifests, and the one that plugins write to.

The search is that of the reference system. The data folder is the environment's CJM_DATA_DIR, or
`data_dir` in the nearest `cjm.yaml` from the current folder upwards, or `~/.cjm`. Manifests are in
`.cjm/manifests` of the current folder, then in `manifests` of the data folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ownership import check_owner

CONFIG = "cjm.yaml"

Place = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Home:
    """What was found. `named`: the user named the search paths; `remarks`: what is not as meant."""

    data_dir: Path
    models_dir: Path | None
    search_paths: list[Path]
    named: bool
    remarks: tuple[str, ...]


def find_home(
    search_paths: Iterable[Place] | None, data_dir: Place | None, models_dir: Place | None
) -> Home:
    """Look, as of now. What is given is not looked for."""
    told: dict[str, Path] = {}
    remarks: tuple[str, ...] = ()
    from_environment = os.environ.get("CJM_DATA_DIR")
    cwd = _current_folder()
    config = _nearest_config(cwd)
    if config is not None and (data_dir is None or models_dir is None):
        told, remarks = _read_config(config)
    home = data_dir or from_environment or told.get("data_dir") or Path.home() / ".cjm"
    home = Path(home).absolute()
    models = models_dir or told.get("models_dir")
    if search_paths is not None:
        paths = [Path(path) for path in search_paths]
    else:
        local = [] if cwd is None else [cwd / ".cjm" / "manifests"]
        paths = list(dict.fromkeys([*local, home / "manifests"]))
    models = Path(models).absolute() if models else None
    return Home(home, models, paths, search_paths is not None, remarks)


def _current_folder() -> Path | None:
    """The current folder; None if it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _nearest_config(cwd: Path | None) -> Path | None:
    folders = [] if cwd is None else [cwd, *cwd.parents]
    return next((path for folder in folders if (path := folder / CONFIG).is_file()), None)


def _read_config(path: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders that a `cjm.yaml` names, relative ones from where it is; and remarks."""
    try:
        check_owner(path, named=False)
        found = _load(path)
    except (OSError, ValueError, RecursionError) as error:
        return {}, (f"{path}: is not used: {error}",)
    folders: dict[str, Path] = {}
    remarks = []
    for name in ("data_dir", "models_dir"):
        value = found.get(name)
        if isinstance(value, str) and value:
            folders[name] = path.parent / value
        elif value is not None:
            remarks.append(f"{path}: {name}: {value!r} is not the name of a folder")
    return folders, tuple(remarks)


def _load(path: Path) -> dict[str, Any]:
    """Read YAML.

    Raises:
        ValueError: it is no mapping, or no YAML, or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise ValueError("PyYAML is not installed: pip install pyyaml") from None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(found, (dict, type(None))):
        raise ValueError(f"it holds a {type(found).__name__}, not names with values")
    return found or {}
