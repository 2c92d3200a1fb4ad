"""Capabilities: plugins of the reference system as its author goes on with it (cjm-substrate).

Their manifests are of format 2.0, nested. An *adapter* serves one task with any capability that has
the methods it calls, and has a manifest of its own. Both become one flat manifest, as other plugins
have it. What a call names is found in the worker (`child/plugins/capability_worker.py`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from .schema import Schema

logger = logging.getLogger(__name__)

FORMAT = "2.0"
INSTALLED = ("python_path", "env_vars")  # of the flat form: what stands in `install`
VARIABLE = {
    "type": "string",
    "pattern": r"^(?!JUPYTER|JPY_|JOBQUEUE_)[^=\u0000]+$",
    "title": "variable that is passed on: not JUPYTER…, JPY_… or JOBQUEUE_…, without = and NUL",
}
VALUE = {"pattern": r"^[^\u0000]*$", "title": "value of a variable, which cannot have a NUL"}
NAMES = {"type": ["array", "null"], "items": {"type": "string"}}


def _object(required: Sequence[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields}


def _list_of(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": one}


MEMBERS = {
    **_object(
        (),
        methods=_list_of(_object(["name"], name={"type": "string"}, params=NAMES)),
        properties=NAMES,
    ),
    "type": ["object", "null"],
}
DOTTED = {
    "type": "string",
    "pattern": r"^[A-Za-z_][\w.]*$",
    "title": "name of a module or class: letters, digits, _ and . only, no digit first",
}
PLACE = {"module": DOTTED, "class": DOTTED}
FIELDS: Mapping[str, Any] = {  # of the flat form: what only a capability has
    "adapters": _list_of(_object(["task", "module", "class"], task={"type": "string"}, **PLACE)),
    "structural_surface": MEMBERS,
    "worker_env": _list_of(
        _object(
            ["name"],
            name=VARIABLE,
            secret={"type": ["boolean", "null"]},
            default={"type": ["string", "null"], **VALUE},
        )
    ),
}
ADAPTER_SCHEMA = Schema(
    _object(
        ["task_name", "module", "class"],
        task_name={"type": "string", "minLength": 1},
        protocol_members=MEMBERS,
        **PLACE,
    )
)


def nested_schema(flat: Mapping[str, Any]) -> Schema:
    """Of a capability's manifest as it is in its file, made from the fields of the flat form."""
    installed = {name: flat[name] for name in INSTALLED}
    coded = {name: field for name, field in flat.items() if name not in INSTALLED}
    return Schema(
        _object(
            ["format_version", "install", "code"],
            format_version={"const": FORMAT},
            install=_object(["python_path"], **installed),
            code=_object(["name", "module", "class"], **coded),
        )
    )


def is_nested(manifest: Any) -> bool:
    """True for a capability's manifest as it is in its file."""
    parts = ("format_version", "install", "code")
    return isinstance(manifest, dict) and any(part in manifest for part in parts)


def is_adapter(manifest: Any) -> bool:
    """True for an adapter's manifest."""
    return isinstance(manifest, dict) and manifest.get("unit") == "adapter"


def is_capability(manifest: Mapping[str, Any]) -> bool:
    """True for the flat form of one."""
    return manifest.get("adapters") is not None


def flatten(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of a valid one."""
    flat = {**manifest["install"], **manifest["code"], "adapters": []}
    flat["pass_env"] = [variable["name"] for variable in flat.get("worker_env") or ()]
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as cjm-substrate has it in a file, of a flat one."""
    install = {name: flat[name] for name in INSTALLED if name in flat}
    code = {name: field for name, field in flat.items() if name not in install}
    return {"format_version": FORMAT, "install": install, "code": code}


def bind(manifest: dict[str, Any], adapters: Iterable[Mapping[str, Any]]) -> None:
    """Give a capability the adapters that fit it; nothing to another plugin's manifest."""
    if is_capability(manifest):
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
    if not is_capability(manifest):
        return {}
    name, data = manifest["name"], data_dir / "data"
    folders = {"CJM_CAPABILITY_DATA_DIR": str(data), "CAPABILITY_DATA_DIR": str(data / name)}
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
