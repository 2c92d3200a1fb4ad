"""Manifests: read as they are, checked by file and field, from named folders only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidManifestError, PluginLoadWarning, PluginManager
from jobqueue_widget.plugins.manifests.manifest import meta_of, read_manifest, requirements_of

WHISPER = {
    "name": "cjm-transcription-plugin-whisper",
    "version": "0.0.9",
    "description": "OpenAI's Whisper",
    "author": "somebody",
    "category": "transcription",
    "interface": "cjm_transcription_plugin_system.plugin_interface.TranscriptionPlugin",
    "module": "cjm_transcription_plugin_whisper.plugin",
    "class": "WhisperLocalPlugin",
    "python_path": "/opt/envs/whisper/bin/python",
    "db_path": "/data/whisper.db",
    "env_vars": {"CUDA_VISIBLE_DEVICES": "0"},
    "config_schema": {"properties": {"model": {"default": "base"}, "device": {"type": "string"}}},
    "resources": {"requires_gpu": True, "min_gpu_vram_mb": 2048, "min_system_ram_mb": 4096.5},
}


def write(folder: Path, file: str = "one.json", /, **more: Any) -> Path:
    path = folder / file
    path.write_text(json.dumps({**WHISPER, **more}))
    return path


def test_a_manifest_of_the_reference_is_read_as_it_is(tmp_path: Path) -> None:
    meta = read_manifest(write(tmp_path))
    assert (meta.name, meta.version, meta.category) == (
        "cjm-transcription-plugin-whisper",
        "0.0.9",
        "transcription",
    )
    assert meta.manifest == WHISPER
    assert meta.package_name == WHISPER["module"]
    assert meta.config_schema == WHISPER["config_schema"]
    assert requirements_of(meta) == {"ram_mib": 4096.5, "gpu_mib": 2048.0}


def test_only_what_a_worker_needs_must_be_there() -> None:
    names = ("name", "module", "class", "python_path")
    meta = meta_of({name: WHISPER[name] for name in names} | {"resources": None, "author": None})
    assert (meta.version, meta.author, requirements_of(meta)) == ("0.0.0", "", {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"python_path": 3}, "python_path: 3 is not of type 'string'"),
        ({"python_path": "bin/python"}, "python_path: 'bin/python' is no absolute path"),
        ({"python_path": "python"}, "python_path: 'python' is no absolute path"),
        ({"env_vars": {"TOKEN": 1}}, "env_vars.TOKEN: 1 is not of type 'string'"),
        ({"env_vars": {"A=B": "x"}}, "env_vars: 'A=B' is no name of a variable"),
        ({"env_vars": {"": "x"}}, "env_vars: '' is no name of a variable"),
        ({"env_vars": {"A": "\0"}}, r"env_vars.A: '\\x00' is no value of a variable"),
        ({"env_vars": {'{data}"%s': 1}}, r"env_vars.\{data\}\"%s: 1 is not of type 'string'"),
        ({"env_vars": {"a\nb\u202e": 1}}, r"env_vars.a\\nb\\u202e: 1 is not of type 'string'"),
        ({"env_vars": {"x" * 10**6: 1}}, "env_vars.x{90}x?…: 1 is not of type 'string'"),
        ({"resources": {"min_gpu_vram_mb": "much"}}, "resources.min_gpu_vram_mb: 'much' is not of"),
        ({"resources": {"min_gpu_vram_mb": True}}, "resources.min_gpu_vram_mb: True is not of"),
        (
            {"resources": {"min_system_ram_mb": -1}},
            "resources.min_system_ram_mb: -1 is less",
        ),
        ({"pass_env": ["A", "JPY_KEY"]}, "pass_env.1: 'JPY_KEY' is no variable that is passed on"),
        ({"config_schema": []}, r"config_schema: \[\] is not of type 'object' or 'null'"),
        ({"python_path": ""}, "python_path: '' is too short; the least number of characters is 1"),
        ({"python_path": {"a" * 10**6: ["b" * 10**6] * 9}}, ".{50,130} is not of type 'string'"),
        ({"module": "os; import x"}, "module: 'os; import x' is no name of a module or class"),
        ({"class": "../x"}, "class: '../x' is no name of a module or class"),
        ({"class": "C\n"}, r"class: 'C\\n' is no name of a module or class"),
        ({"config_schema": {"properties": [1]}}, r"config_schema.properties: \[1\] is not of"),
        ({"resources": {"min_gpu_vram_mb": 1e300}}, "resources.min_gpu_vram_mb: 1e\\+300"),
        ({"name": "../../../escaped"}, "name: '../../../escaped' is no plugin name"),
        ({"name": "/etc/passwd"}, "name: '/etc/passwd' is no plugin name"),
        ({"name": ".."}, "name: '..' is no plugin name"),
        ({"name": "a\nb"}, "name: .* is no plugin name"),
        ({"name": ""}, "name: '' is no plugin name"),
        ({"name": "x" * 500}, "name: .* is no plugin name"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_fault_is_told_by_file_and_field(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **change)
    with pytest.raises(InvalidManifestError, match=f"^{path}: {message}") as caught:
        read_manifest(path)
    assert len(str(caught.value)) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "cannot be read"),
        (b'{"resources": {"min_gpu_vram_mb": NaN}}', "cannot be read: NaN is no number of JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", r"\[\] is not of type 'object'"),
        (b"{}", "'name' is a required property"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text)
    with pytest.raises(InvalidManifestError, match=f"^{path}: {message}"):
        read_manifest(path)


@pytest.mark.parametrize("depth", [10, 200, 900, 5_000, 100_000])
@pytest.mark.parametrize("field", ["name", "env_vars", "resources", "adapters"])
def test_a_deep_value_is_refused_however_deep(field: str, depth: int, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    deep = "[" * depth + "]" * depth
    path.write_text(json.dumps({**WHISPER, field: "HERE"}).replace('"HERE"', deep))
    with pytest.raises(InvalidManifestError, match=f"^{path}: ({field}|cannot be read)"):
        read_manifest(path)


def test_one_bad_file_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "bad.json", module=None)
    write(tmp_path, "good.json")
    manager = PluginManager(search_paths=[tmp_path, tmp_path / "missing"])
    with pytest.warns(PluginLoadWarning, match="bad.json: module: None is not of type"):
        found = manager.discover_manifests()
    assert [meta.name for meta in found] == [WHISPER["name"]]
    assert "module: None is not of type" in manager.problems[str(tmp_path / "bad.json")]
    (tmp_path / "bad.json").unlink()
    manager.discover_manifests()
    assert list(manager.problems) == ["manifests"], "and nothing of what is no more"
    assert manager.get_discovered_by_category("transcription") == found
    assert manager.get_discovered_categories() == ["transcription"]
    assert manager.get_discovered_meta("nobody") is None


def test_the_first_folder_with_a_name_wins(tmp_path: Path) -> None:
    for folder, version in (("a", "1"), ("b", "2")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, version=version)
    manager = PluginManager(search_paths=[str(tmp_path / "b"), tmp_path / "a"])
    assert [meta.version for meta in manager.discover_manifests()] == ["2"]
    assert [meta.version for meta in manager.discover_manifests()] == ["2"]


def for_all(path: Path) -> None:
    path.chmod(0o666)


def folder_for_all(path: Path) -> None:
    path.parent.chmod(0o777)


def folder_above_for_all(path: Path) -> None:
    path.parent.parent.chmod(0o777)  # who may rename its folder may put another there


def link_into_a_folder_for_all(path: Path) -> None:
    shared = path.parent.parent / "shared"
    shared.mkdir()
    path.rename(shared / path.name)
    path.symlink_to(shared / path.name)
    shared.chmod(0o777)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "open_up", [for_all, folder_for_all, folder_above_for_all, link_into_a_folder_for_all]
)
def test_a_manifest_that_any_user_may_change_is_refused(
    open_up: Callable[[Path], None], named: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    path = write(folder)
    read_manifest(path, named=named)
    open_up(path)
    with pytest.raises(InvalidManifestError, match="every user may change"):
        read_manifest(path, named=named)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def deep(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


def nested(path: Path) -> None:
    path.write_text(f'{{"name": "bad", "config_schema": {"[" * 900}{"]" * 900}}}')


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [a_fifo, a_folder, deep, a_loop])
def test_what_is_no_file_of_json_spoils_only_itself(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path, "z.json", name="good")
    make(tmp_path / "a.json")
    manager = PluginManager(search_paths=[tmp_path])
    with pytest.warns(PluginLoadWarning, match=r"a\.json: cannot be read"):
        assert [meta.name for meta in manager.discover_manifests()] == ["good"]


def test_making_a_manager_and_finding_plugins_starts_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, python_path=sys.executable)
    data = tmp_path / "data"
    manager = PluginManager(search_paths=[tmp_path], data_dir=data)
    manager.discover_manifests()
    assert not data.exists()
    assert os.listdir(tmp_path) == ["one.json"]
