"""Reads manifests: one JSON file per plugin that says what it is and which interpreter runs it.

A manifest is code: its interpreter, module and variables are run. So a file that others may change
is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import InvalidManifestError
from . import capabilities
from .ownership import check_owner
from .schema import Schema

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+ -]{0,99}$"  # becomes part of messages, never of a path outwards
TEXT = {"type": ["string", "null"]}
AMOUNT = {"type": ["number", "null"], "minimum": 0, "maximum": 1e15}
FIELDS: Mapping[str, Any] = {
    "name": {
        "type": "string",
        "pattern": NAME,
        "title": "plugin name: letters, digits, space and . _ + - only",
    },
    "version": TEXT,
    "description": TEXT,
    "author": TEXT,
    "category": TEXT,
    "interface": TEXT,
    **capabilities.PLACE,  # module, class
    **capabilities.FIELDS,
    "python_path": {"type": "string", "minLength": 1},
    "env_vars": {
        "type": ["object", "null"],
        "propertyNames": {
            "pattern": r"^[^=\u0000]+$",
            "title": "name of a variable, which cannot be empty or have = or NUL",
        },
        "additionalProperties": {"type": "string", **capabilities.VALUE},
    },
    "pass_env": {  # ours, for PluginManager(env="listed")
        "type": ["array", "null"],
        "items": capabilities.VARIABLE,
    },
    "config_schema": {
        "type": ["object", "null"],
        "properties": {"properties": {"type": ["object", "null"]}},
    },
    "resources": {
        "type": ["object", "null"],
        "properties": {
            "requires_gpu": {"type": ["boolean", "null"]},
            "min_gpu_vram_mb": AMOUNT,
            "min_system_ram_mb": AMOUNT,
        },
    },
}
SCHEMA = Schema(
    {"type": "object", "required": ["name", "module", "class", "python_path"], "properties": FIELDS}
)
NESTED_SCHEMA = capabilities.nested_schema(FIELDS)


class PluginLoadWarning(UserWarning):
    """A manifest cannot be used, or a plugin could not be loaded; the text says why."""


@dataclass
class PluginMeta:
    """What is known of a plugin; the fields are those of the reference system.

    `manifest` is the JSON as it was read (a capability's made flat), `instance` what `get_plugin`
    gives once it is loaded, `last_executed` an epoch time in seconds.
    """

    name: str
    version: str
    description: str = ""
    author: str = ""
    package_name: str = ""
    category: str = ""
    interface: str = ""
    config_schema: dict[str, Any] | None = None
    instance: Any = None
    enabled: bool = True
    last_executed: float = 0.0
    manifest: dict[str, Any] = field(default_factory=dict, repr=False)
    path: Path | None = None

    @property
    def resources(self) -> Mapping[str, Any]:
        """The manifest's `resources`."""
        return self.manifest.get("resources") or {}


def find_manifests(
    folders: Iterable[Path], *, named: bool = True
) -> tuple[list[PluginMeta], list[str]]:
    """The plugins of these folders, the first of a name wins; what is wrong with other files.

    `named`: the user has named these folders.
    """
    found: dict[str, PluginMeta] = {}
    adapters: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for folder in folders:
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            try:
                manifest = _read(path, named)
                if capabilities.is_adapter(manifest):
                    _check_schema(manifest, str(path), capabilities.ADAPTER_SCHEMA)
                    adapters.setdefault(f"{manifest['module']}.{manifest['class']}", manifest)
                    continue
                meta = meta_of(manifest, path)
            except InvalidManifestError as error:
                problems.append(str(error))
                continue
            found.setdefault(meta.name, meta)
    for meta in found.values():
        capabilities.bind(meta.manifest, adapters.values())
    return list(found.values()), problems


def read_manifest(path: Path, *, named: bool = True) -> PluginMeta:
    """One manifest.

    Raises:
        InvalidManifestError: naming the file, the field and what is wrong with it.
    """
    return meta_of(_read(path, named), path)


def _read(path: Path, named: bool) -> Any:
    try:
        check_owner(path, named=named)
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidManifestError(f"{path}: cannot be read: {error}") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def meta_of(manifest: Any, path: Path | None = None) -> PluginMeta:
    """The plugin that a manifest describes.

    Raises:
        InvalidManifestError: naming the field and what is wrong with it.
    """
    where = str(path) if path is not None else "manifest"
    field_of_python = "python_path"
    if capabilities.is_nested(manifest):
        _check_schema(manifest, where, NESTED_SCHEMA)
        manifest, field_of_python = capabilities.flatten(manifest), "install.python_path"
    else:
        _check_schema(manifest, where, SCHEMA)
    python = manifest["python_path"]
    if not os.path.isabs(python):
        raise InvalidManifestError(
            f"{where}: {field_of_python}: {python!r} is no absolute path; what a relative one "
            "means depends on the current folder"
        )
    return PluginMeta(
        name=manifest["name"],
        version=manifest.get("version") or "0.0.0",
        description=manifest.get("description") or "",
        author=manifest.get("author") or "",
        package_name=manifest["module"],
        category=manifest.get("category") or "",
        interface=manifest.get("interface") or "",
        config_schema=manifest.get("config_schema"),
        manifest=manifest,
        path=path,
    )


def instance_of(meta: PluginMeta, instance_id: str, discovered: Iterable[PluginMeta]) -> PluginMeta:
    """Return the same plugin under another name.

    Raises:
        ValueError: it is no name for a plugin, or that of another one.
    """
    if re.fullmatch(NAME, instance_id) is None:
        raise ValueError(
            f"instance_id={instance_id!r} is no name: letters, digits, space and . _ + - only"
        )
    if any(other.name == instance_id for other in discovered):
        raise ValueError(f"instance_id={instance_id!r} is the name of another plugin")
    return replace(meta, name=instance_id, instance=None, enabled=True, last_executed=0.0)


def requirements_of(meta: PluginMeta) -> dict[str, float]:
    """`ram_mib` and `gpu_mib`, as far as its manifest asks for any. Their "mb" are MiB."""
    resources, needs = meta.resources, {}
    if ram := resources.get("min_system_ram_mb"):
        needs["ram_mib"] = float(ram)
    if resources.get("requires_gpu") and (gpu := resources.get("min_gpu_vram_mb")):
        needs["gpu_mib"] = float(gpu)
    return needs


def defaults_of(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default values that a configuration schema gives."""
    properties = (schema or {}).get("properties") or {}
    return {
        name: one["default"]
        for name, one in properties.items()
        if isinstance(one, dict) and "default" in one
    }


def _check_schema(manifest: Any, where: str, schema: Schema) -> None:
    if fault := schema.fault_of(manifest):
        raise InvalidManifestError(f"{where}: {fault}")
