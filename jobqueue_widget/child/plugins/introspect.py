"""Says which plugin a distribution holds; run by path with the interpreter that it is installed in.

    python -I introspect.py DISTRIBUTION [MODULE:CLASS]

prints one JSON object: `manifest`, and `remarks` on what it lacks; or `error`; or, when nothing
says which class is the plugin, `candidates`. What the package prints goes to stderr. Packages of
the reference system describe themselves in `get_plugin_metadata()` of their module `meta`; those of
cjm-substrate have a ToolCapability in their module `capability`.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from importlib import metadata
from typing import Any

PLUGIN_METHODS = {"initialize", "execute"}
SUBSTRATE = "cjm_substrate.core.capability"
SCRIPTS = ("console_scripts", "gui_scripts")


def main(name: str, wanted: str = "") -> None:
    """Print the answer, and end whatever the package has started."""
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        found = describe(metadata.distribution(name), wanted)
    except (Exception, SystemExit) as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        json.dump(found, out, default=str)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def describe(distribution: metadata.Distribution, wanted: str) -> dict[str, Any]:
    """The manifest, without the interpreter; or the classes that it may be about."""
    for package in packages_of(distribution):
        if has(package, "meta"):
            tell = getattr(importlib.import_module(f"{package}.meta"), "get_plugin_metadata", None)
            told = dict(tell()) if tell is not None else {}
            if told and (wanted or {"module", "class"} <= told.keys()):
                return completed(told, wanted)
    named = [wanted] if wanted else capabilities(distribution)
    named = named or classes_of_entry_points(distribution)
    if len(named) != 1:
        return {"candidates": named or classes_in_files(distribution)}
    about: Any = distribution.metadata  # from Python 3.15 on about["Summary"] raises without one
    manifest = {"name": about["Name"], "version": distribution.version}
    manifest["description"] = about.get("Summary") or ""
    manifest["author"] = about.get("Author") or about.get("Author-email") or ""
    return completed(manifest, named[0])


def completed(manifest: dict[str, Any], wanted: str) -> dict[str, Any]:
    """With its class, which is imported once, and its configuration schema."""
    if wanted:
        manifest["module"], _, manifest["class"] = wanted.partition(":")
    remarks: list[str] = []
    plugin = load(f"{manifest['module']}:{manifest['class']}")
    if "config_schema" not in manifest:
        try:
            instance = plugin()
            if hasattr(instance, "get_config_schema"):
                manifest["config_schema"] = instance.get_config_schema()
            with contextlib.suppress(Exception):
                instance.cleanup()
        except Exception as error:  # many want what only their user has
            remarks.append(f"no configuration schema: {type(error).__name__}: {error}")
    if is_capability(plugin):
        theirs = importlib.import_module(SUBSTRATE)
        manifest["structural_surface"] = theirs.derive_structural_surface(plugin)
        if hasattr(plugin, "observability_class"):
            manifest["observability_class"] = plugin.observability_class
        variables = getattr(plugin, "WORKER_ENV", None) or ()
        if variables:
            manifest["worker_env"] = [dataclasses.asdict(one) for one in variables]
    return {"manifest": manifest, "remarks": remarks}


def load(place: str) -> Any:
    """The class at MODULE:CLASS."""
    module, _, path = place.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def packages_of(distribution: metadata.Distribution) -> list[str]:
    """Its packages that may say what they are; one of its own name where nothing lists them."""
    files = distribution.files or ()
    told = (("meta.py",), ("capability.py",))
    found = {file.parts[0] for file in files if file.parts[1:] in told}
    return sorted(found | {re.sub(r"[-.]+", "_", distribution.metadata["Name"])})


def capabilities(distribution: metadata.Distribution) -> list[str]:
    """The classes of capabilities that its packages define."""
    found = []
    for package in packages_of(distribution):
        if importlib.util.find_spec(SUBSTRATE.partition(".")[0]) and has(package, "capability"):
            module = importlib.import_module(f"{package}.capability")
            found += [
                f"{module.__name__}:{name}"
                for name, one in vars(module).items()
                if isinstance(one, type)
                and one.__module__ == module.__name__
                and is_capability(one)
                and not inspect.isabstract(one)
            ]
    return found


def is_capability(plugin: Any) -> bool:
    """True for a subclass of theirs."""
    bases = getattr(plugin, "__mro__", ())[1:]
    return any((one.__module__, one.__name__) == (SUBSTRATE, "ToolCapability") for one in bases)


def has(package: str, module: str) -> bool:
    """True if there is such a package, with this module."""
    spec = importlib.util.find_spec(package)
    return (
        spec is not None
        and bool(spec.submodule_search_locations)
        and importlib.util.find_spec(f"{package}.{module}") is not None
    )


def classes_of_entry_points(distribution: metadata.Distribution) -> list[str]:
    """The classes with a plugin's methods that its entry points name, of whatever group."""
    places = {
        point.value.partition("[")[0].strip()
        for point in distribution.entry_points
        if point.group not in SCRIPTS and ":" in point.value
    }
    return [
        place
        for place in sorted(places)
        if isinstance(found := load(place), type)
        and all(callable(getattr(found, method, None)) for method in PLUGIN_METHODS)
    ]


def classes_in_files(distribution: metadata.Distribution) -> list[str]:
    """The classes whose text has a plugin's methods; nothing is imported."""
    found = []
    for file in distribution.files or ():
        if file.suffix != ".py" or file.parts[0] == "..":
            continue
        try:
            tree = ast.parse(file.read_text())
        except (OSError, ValueError, SyntaxError):
            continue
        module = ".".join(file.with_suffix("").parts)
        if module.endswith(".__init__"):
            module = module[: -len(".__init__")]
        found += [
            f"{module}:{node.name}"
            for node in tree.body
            if isinstance(node, ast.ClassDef) and looks_like_a_plugin(node)
        ]
    return sorted(found)


def looks_like_a_plugin(node: ast.ClassDef) -> bool:
    """True for a class that defines what each plugin has."""
    return PLUGIN_METHODS.issubset(getattr(one, "name", "") for one in node.body)


if __name__ == "__main__":
    main(*sys.argv[1:])
