"""Installs plugins: for each a virtual environment and a manifest in the data folder.

    <data_dir>/envs/NAME             made with venv, filled by its own pip
    <data_dir>/manifests/PLUGIN.json what PluginManager() finds

Environments are made where they stay, for what pip installs has their path in it; MARK in one says
that this module made it. What fails is taken away again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..child.plugins import introspect
from ..errors import InvalidManifestError
from ..workers.environment import environment_for_plugins
from .environments import LAST_LINES, InstallError, Tell, find_python, make_environment
from .manager import PluginManager
from .manifests import capabilities
from .manifests.discovery import Place, find_home
from .manifests.manifest import NAME, PluginMeta, read_manifest
from .manifests.ownership import check_owner
from .runtime import PluginRuntime

MARK = "jobqueue-widget.json"
DISTRIBUTION = re.compile(r"^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[(@=<>!~;])")
PASSWORD = re.compile(r"(?<!ssh)://[^/\s]*@")
CLASS = r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"


def install(
    package: str,
    *,
    also: Sequence[str] = (),
    python: str | None = None,
    data_dir: Place | None = None,
    name: str | None = None,
    plugin_class: str | None = None,
    tell: Tell = lambda line: None,
) -> PluginMeta:
    """Make the environment and the manifest of one plugin.

    Args:
        package: what pip is to install, as `cjm-media-plugin-ffmpeg==0.0.1` or `NAME @ URL`.
        also: what else, in the same environment.
        python: the interpreter to make it with; default: the first that is 3.12 or newer.
        data_dir: default: where `PluginManager()` looks, see `discovery`.
        name: of environment and plugin. Default: the distribution's, and what the package says.
        plugin_class: `module:Class`, for a package that does not say it.
        tell: gets a line for each thing that is done, pip's too.

    Raises:
        InstallError: nothing was changed then.
    """
    for one in (package, *also):
        _check_requirement(one)
    distribution = _distribution(package)
    folder = name or distribution
    if re.fullmatch(NAME, folder) is None:
        raise InstallError(f"--name {folder!r}: letters, digits, space and . _ + - only")
    if plugin_class and re.fullmatch(CLASS, plugin_class) is None:
        raise InstallError(f"--class {plugin_class!r}: write it as module:Class")
    _check_free(folder, data_dir)
    interpreter = find_python(python)
    home = find_home(None, data_dir, None)
    data = home.data_dir.resolve()  # it stands in the manifest, without ".."
    manifests, environment = data / "manifests", data / "envs" / folder
    with contextlib.ExitStack() as undo:
        _make_folders(data, environment, undo)
        draft = _draft(manifests, undo)
        mark = {"packages": [package, *also]}
        _write(environment / MARK, mark)
        tell(f"making {environment} with {interpreter}")
        own = make_environment(interpreter, environment, [package, *also], tell)
        variables = dict(PluginRuntime(data, home.models_dir).variables)
        variables["CJM_CAPABILITY_DATA_DIR"] = variables["CJM_DATA_DIR"]
        manifest = _describe(own, distribution, plugin_class, variables, tell)
        manifest.update({"python_path": str(own)}, **({"name": name} if name else {}))
        plugin = _name_in(manifest)
        _check_free(plugin, data_dir)
        _write(draft, capabilities.nest(manifest) if "structural_surface" in manifest else manifest)
        path = manifests / f"{plugin}.json"
        undo.callback(path.unlink, missing_ok=True)
        _write(environment / MARK, {**mark, "plugin": plugin})
        draft.rename(path)
        meta = _discovered(plugin, path, data_dir)
        undo.pop_all()
        return meta


def remove(name: str, *, data_dir: Place | None = None) -> list[Path]:
    """Remove the environment and the manifest of what `install` made; what was removed.

    Raises:
        InstallError: there is none of this name, or something else made it: nothing was changed.
            Or something could not be removed.
    """
    folder = find_home(None, data_dir, None).data_dir
    made = dict(made_in(folder))
    by_name = {path.name: path for path in made}
    by_name.update({plugin: path for path, plugin in made.items() if plugin})
    environment = by_name.get(name)
    if environment is None:
        whose = [
            f": {meta.path} was made by something else"
            for meta in discovered(data_dir)[0]
            if meta.name == name
        ]
        raise InstallError(
            f"{name!r} is not removed{''.join(whose)}; what was installed here, into {folder}: "
            f"{', '.join(sorted(by_name)) or 'nothing'}"
        )
    removed = [environment]
    manifest = _manifest_of(folder, made[environment])
    try:
        if manifest is not None and _runs_in(manifest, environment):
            manifest.unlink()
            removed.append(manifest)
        for entry in environment.iterdir():  # the mark last: what is interrupted can be repeated
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARK:
                entry.unlink()
        shutil.rmtree(environment)
    except OSError as error:
        raise InstallError(f"{name!r} is not wholly removed: {error}; run it again") from None
    return removed


def discovered(data_dir: Place | None = None) -> tuple[list[PluginMeta], list[str]]:
    """The plugins that `PluginManager()` finds, and what is wrong; the last line: where it looked.

    Plugins whose interpreter is gone and environments that were never finished are told, too.
    """
    manager = PluginManager(data_dir=data_dir)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = manager.discover_manifests()
    looked = manager.problems["manifests"]
    problems = [line for one in caught if (line := str(one.message)) != looked]
    problems += [
        f"{meta.name}: its interpreter is gone: {meta.manifest['python_path']}"
        for meta in found
        if not Path(meta.manifest["python_path"]).exists()
    ]
    folder = find_home(None, data_dir, None).data_dir
    problems += [
        f"{path}: is being made, or its installation was ended; plugins remove {path.name}"
        for path, plugin in made_in(folder)
        if _manifest_of(folder, plugin) is None
    ]
    return found, [*problems, looked]


def made_in(data_dir: Path) -> Iterator[tuple[Path, str | None]]:
    """Those that `install` made below this data folder, and the plugin of each that is finished."""
    for mark in sorted(data_dir.glob(f"envs/*/{MARK}")):
        if mark.parent.is_symlink() or mark.is_symlink():
            continue
        told = _read(mark)
        if told is not None:
            plugin = told.get("plugin")
            is_name = isinstance(plugin, str) and re.fullmatch(NAME, plugin) is not None
            yield mark.parent, plugin if is_name else None


def _describe(
    python: Path,
    distribution: str,
    plugin_class: str | None,
    variables: Mapping[str, str],
    tell: Tell,
) -> dict[str, Any]:
    """The manifest, as the package in its environment tells it."""
    tell(f"asking {distribution} what plugin it has")
    command = [str(python), "-I", introspect.__file__, distribution, plugin_class or ""]
    environ = environment_for_plugins(variables, str(python))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # files, for a process that the package leaves behind would hold pipes open
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environ, check=False
        )
        out.seek(0)
        err.seek(0)
        text, printed = out.read(), err.read().decode(errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        last = printed.splitlines()[-LAST_LINES:]
        why = f"it ended with {done.returncode}"
        raise InstallError("\n  ".join([f"{distribution}: {why}, saying:", *last])) from None
    if "error" in found:
        raise InstallError(
            f"{distribution} is installed and does not work in its environment: {found['error']}\n"
            "Cure: what it lacks, or a version that fits: --with PACKAGE==VERSION"
        )
    if "candidates" in found:
        classes = ", ".join(found["candidates"]) or "no class with initialize and execute"
        raise InstallError(
            f"{distribution} does not say what its plugin is; found: {classes}\n"
            "Cure: name it: --class module:Class"
        )
    for remark in found["remarks"]:
        tell(remark)
    manifest: dict[str, Any] = found["manifest"]
    return manifest


def _discovered(name: str, path: Path, data_dir: Place | None) -> PluginMeta:
    found, problems = discovered(data_dir)
    for meta in found:
        if meta.name == name and meta.path is not None and meta.path.samefile(path):
            return meta
    raise InstallError("\n  ".join([f"the manifest of {name} would not be found:", *problems]))


def _check_requirement(text: str) -> None:
    if text.startswith("-"):
        raise InstallError(f"{text!r} is no package; settings of pip belong into its pip.conf")
    if PASSWORD.search(text):
        raise InstallError(
            "an address with a user or password in it would be seen in the list of processes: "
            "give it to pip in ~/.netrc or its pip.conf"
        )


def _distribution(package: str) -> str:
    """The name of what pip is to install."""
    file = os.path.basename(package)
    if file.endswith(".whl"):
        return file.partition("-")[0].replace("_", "-").lower()
    if found := DISTRIBUTION.match(package.strip()):
        return re.sub(r"[-_.]+", "-", found[1]).lower()
    raise InstallError(
        f"{package!r}: how its distribution is called cannot be told; write NAME @ URL, as in "
        "my-plugin @ file:///home/me/my-plugin or my-plugin @ git+https://…"
    )


def _name_in(manifest: Mapping[str, Any]) -> str:
    name = manifest.get("name")
    if not isinstance(name, str) or re.fullmatch(NAME, name) is None:
        raise InstallError(f"the package calls its plugin {name!r}, which is no name: use --name")
    return name


def _check_free(name: str, data_dir: Place | None) -> None:
    for meta in discovered(data_dir)[0]:
        if meta.name == name:
            raise InstallError(
                f"there is a plugin {name!r} already: {meta.path}\n"
                f"Cure: plugins remove {name} before, or --name for another one beside it"
            )


def _make_folders(data_dir: Path, environment: Path, undo: contextlib.ExitStack) -> None:
    """Make the folder of the environment, and what it is in."""
    data = data_dir / "data"
    wanted = (environment.parent, data_dir / "manifests", data)
    new = [path for path in (*data_dir.parents[::-1], data_dir, *wanted) if not path.exists()]
    before = set(_entries(data))

    def tidy() -> None:
        """Remove what is new and empty; packages make folders for their data when asked."""
        for path in (*(set(_entries(data)) - before), *reversed(new)):
            with contextlib.suppress(OSError):
                path.rmdir()

    undo.callback(tidy)
    try:
        for path in wanted:
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        environment.mkdir(mode=0o755)  # of two who install it one is the first
    except FileExistsError:
        why = "was made by something else; --name makes another one"
        if environment in dict(made_in(data_dir)):
            why = f"is being made now, or that was ended; plugins remove {environment.name}"
        raise InstallError(f"{environment} is there already, and {why}") from None
    except OSError as error:
        raise InstallError(f"{error}; another folder: --data-dir") from None
    undo.callback(shutil.rmtree, environment, ignore_errors=True)


def _draft(folder: Path, undo: contextlib.ExitStack) -> Path:
    """A file in the folder of the manifests, that no manager takes for one."""
    try:
        number, text = tempfile.mkstemp(suffix=".part", dir=folder)
        os.close(number)
        draft = Path(text)
        undo.callback(draft.unlink, missing_ok=True)
        draft.chmod(0o644)
        check_owner(draft, named=False)
    except OSError as error:
        raise InstallError(f"{folder}: manifests there would be refused: {error}") from None
    return draft


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    """What `_write` wrote; None if it cannot be read, is something else, or may be another's."""
    try:
        check_owner(path, named=False)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _manifest_of(data_dir: Path, plugin: str | None) -> Path | None:
    path = data_dir / "manifests" / f"{plugin}.json"
    return path if plugin is not None and path.is_file() else None


def _runs_in(manifest: Path, environment: Path) -> bool:
    """True if this manifest's interpreter is that of the environment."""
    try:
        python = read_manifest(manifest).manifest["python_path"]
    except InvalidManifestError:
        return False
    return Path(python).parent.resolve().is_relative_to(environment.resolve())
