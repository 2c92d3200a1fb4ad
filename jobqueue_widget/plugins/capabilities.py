"""Capabilities: plugins of the reference system as its author goes on with it (cjm-substrate).

Their manifests are of format 2.0, nested. An *adapter* serves one task with any capability that has
the methods it calls, and has a manifest of its own. Both become one flat manifest, as other plugins
have it. What a call names is found in the worker (`worker/capabilityside.py`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

logger = logging.getLogger(__name__)

FORMAT = "2.0"
INSTALLED = ("python_path", "env_vars")  # of the flat form: what stands in `install`
MEMBERS = {
    "type": ["object", "null"],
    "properties": {
        "methods": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "params": {"type": ["array", "null"], "items": {"type": "string"}},
                },
            },
        },
        "properties": {"type": ["array", "null"], "items": {"type": "string"}},
    },
}


def schemas(flat: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a capability's manifest and of an adapter's, made from that of the flat form."""
    fields = flat["properties"]
    installed = {name: fields[name] for name in INSTALLED}
    variable = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": fields["pass_env"]["items"],
            "secret": {"type": ["boolean", "null"]},
            "default": {"type": ["string", "null"], "pattern": r"^[^\u0000]*$"},
        },
    }
    coded = {name: field for name, field in fields.items() if name not in INSTALLED}
    coded["worker_env"] = {"type": ["array", "null"], "items": variable}
    coded["structural_surface"] = MEMBERS
    capability = {
        "type": "object",
        "required": ["format_version", "install", "code"],
        "properties": {
            "format_version": {"const": FORMAT},
            "install": {"type": "object", "required": ["python_path"], "properties": installed},
            "code": {
                "type": "object",
                "required": ["name", "module", "class"],
                "properties": coded,
            },
        },
    }
    adapter = {
        "type": "object",
        "required": ["task_name", "module", "class"],
        "properties": {
            "task_name": {"type": "string", "minLength": 1},
            "module": fields["module"],
            "class": fields["class"],
            "protocol_members": MEMBERS,
        },
    }
    return capability, adapter


def is_nested(manifest: Any) -> bool:
    """True for a capability's manifest as it is in its file."""
    parts = ("format_version", "install", "code")
    return isinstance(manifest, dict) and any(part in manifest for part in parts)


def is_adapter(manifest: Any) -> bool:
    """True for an adapter's manifest."""
    return isinstance(manifest, dict) and manifest.get("unit") == "adapter"


def flatten(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of a valid one. `adapters` tells a capability from other plugins."""
    flat = {**manifest["install"], **manifest["code"], "adapters": []}
    flat["pass_env"] = [variable["name"] for variable in flat.get("worker_env") or ()]
    return flat


def bind(manifest: dict[str, Any], adapters: Iterable[Mapping[str, Any]]) -> None:
    """Give a capability the adapters that fit it; nothing to another plugin's manifest."""
    if "adapters" in manifest:
        surface = manifest.get("structural_surface") or {}
        manifest["adapters"] = [
            {"task": one["task_name"], "module": one["module"], "class": one["class"]}
            for one in adapters
            if _fits(one.get("protocol_members") or {}, surface)
        ]


def _fits(wanted: Mapping[str, Any], surface: Mapping[str, Any]) -> bool:
    """True if each method is there, its parameters beginning as wanted, and each property.

    The rule of the reference; annotations are never compared. A capability without a recorded
    surface fits nothing.
    """
    has = {one["name"]: one.get("params") for one in surface.get("methods") or ()}
    for one in wanted.get("methods") or ():
        if one["name"] not in has:
            return False
        parameters, known = one.get("params") or [], has[one["name"]]
        if known is not None and known[: len(parameters)] != parameters:
            return False
    return bool(surface) and {*(wanted.get("properties") or ())} <= {
        *(surface.get("properties") or ())
    }


def variables(
    manifest: Mapping[str, Any], data_dir: Path, models_dir: Path | None
) -> dict[str, str]:
    """What a capability's worker is given beside the kernel's environment; {} for other plugins.

    Its folders, and what its `worker_env` names: defaults, in which `${CJM_MODELS_DIR}` and the
    like stand for folders, and secrets that `cjm-ctl set-secret` has kept in `data_dir`. As there,
    a default goes before the kernel's variable of that name, and one with a folder that nobody has
    chosen is left out.
    """
    if "adapters" not in manifest:
        return {}
    name, data = manifest["name"], data_dir / "data"
    folders = {
        "CJM_CAPABILITY_DATA_DIR": str(data),
        "CAPABILITY_DATA_DIR": str(data / name),
    }
    models = models_dir or os.environ.get("CJM_MODELS_DIR")
    places = {**folders, "CAPABILITY_NAME": name}
    if models:
        places["CJM_MODELS_DIR"] = str(models)
    wanted = manifest.get("worker_env") or ()
    secrets = _secrets(data_dir, name) if any(one.get("secret") for one in wanted) else {}
    values: dict[str, str] = {}
    for one in wanted:
        variable, default = one["name"], one.get("default")
        if one.get("secret"):
            if isinstance(kept := secrets.get(variable), str):
                values[variable] = kept
        elif default is not None:
            try:
                values[variable] = Template(default).substitute(places)
            except (KeyError, ValueError) as error:
                text = "plugin %r is started without the variable %s: its default %r names %s"
                logger.warning(text, name, variable, default, error)
    return {**values, **folders, "CJM_DATA_DIR": str(data_dir)}


def _secrets(data_dir: Path, name: str) -> Mapping[str, Any]:
    """What its store has for one capability."""
    try:
        text = (data_dir / "secrets" / "secrets.json").read_text(encoding="utf-8")
        found = json.loads(text)["__default__"][name]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("no secrets of plugin %r: %s", name, type(error).__name__)
        return {}
    return found if isinstance(found, dict) else {}
