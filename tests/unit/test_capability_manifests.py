"""Manifests of format 2.0, and adapters': read into the flat form, checked by field, bound."""

from __future__ import annotations

import copy
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidManifestError, PluginLoadWarning, PluginManager
from jobqueue_widget.plugins.manifests import capabilities
from jobqueue_widget.plugins.manifests.manifest import meta_of, read_manifest, requirements_of

WHISPER: dict[str, Any] = {
    "format_version": "2.0",
    "install": {
        "python_path": "/opt/envs/whisper/bin/python",
        "conda_env": "whisper",
        "db_path": "",
        "env_vars": {"CUDA_VISIBLE_DEVICES": "0"},
        "installer_version": "cjm-ctl 0.0.74",
        "resolved": {"cjm-substrate": "0.0.74"},
    },
    "code": {
        "name": "cjm-capability-whisper",
        "version": "0.0.44",
        "description": "OpenAI's Whisper",
        "module": "cjm_capability_whisper.capability",
        "class": "WhisperCapability",
        "resources": {"requires_gpu": True, "platforms": [], "accelerators": []},
        "config_schema": {"properties": {"model": {"default": "base"}}},
        "worker_env": [
            {"name": "WHISPER_CACHE", "secret": False, "default": "${CJM_MODELS_DIR}/whisper"},
            {"name": "HF_TOKEN", "secret": True, "required": False, "default": None},
        ],
        "structural_surface": {
            "methods": [
                {"name": "transcribe", "signature": "(…)", "params": ["audio", "kwargs"]},
                {"name": "is_available", "signature": "(self)", "params": []},
                {"name": "get_current_config", "params": None},
            ],
            "properties": ["name", "version"],
            "attributes": [{"name": "config_class", "type": "type"}],
        },
    },
    "drift_tracking": {"config_schema_hash": "sha256:0"},
    "overrides": {},
}
ADAPTER: dict[str, Any] = {
    "unit": "adapter",
    "name": "cjm_transcription_adapter_interface.generic.GenericTranscriptionAdapter",
    "version": "0.0.9",
    "task_name": "transcription",
    "module": "cjm_transcription_adapter_interface.generic",
    "class": "GenericTranscriptionAdapter",
    "protocol_members": {
        "methods": [{"name": "transcribe", "signature": "(…)", "params": ["audio"]}],
        "properties": ["name"],
    },
    "config_schema": {},
}
BOUND = {
    "task": "transcription",
    "module": ADAPTER["module"],
    "class": ADAPTER["class"],
}
NOTHING: Any = object()


def changed(manifest: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy with something else, or nothing, at a dotted place."""
    changed = copy.deepcopy(manifest)
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner: Any = changed
    for part in path:
        inner = inner[part]
    if value is NOTHING:
        del inner[last]
    else:
        inner[last] = value
    return changed


def write(folder: Path, **manifests: Any) -> PluginManager:
    for name, manifest in manifests.items():
        (folder / f"{name}.json").write_text(json.dumps(manifest))
    return PluginManager(search_paths=[folder])


def test_it_is_read_into_the_flat_form(tmp_path: Path) -> None:
    write(tmp_path, whisper=WHISPER)
    meta = read_manifest(tmp_path / "whisper.json")
    assert (meta.name, meta.version) == ("cjm-capability-whisper", "0.0.44")
    assert meta.description == "OpenAI's Whisper"
    assert meta.package_name == "cjm_capability_whisper.capability"
    assert meta.config_schema == {"properties": {"model": {"default": "base"}}}
    assert meta.resources["requires_gpu"]
    assert requirements_of(meta) == {}, "it says that it uses one, and not how much"
    assert meta.manifest["python_path"] == "/opt/envs/whisper/bin/python"
    assert meta.manifest["env_vars"] == {"CUDA_VISIBLE_DEVICES": "0"}
    assert meta.manifest["pass_env"] == ["WHISPER_CACHE", "HF_TOKEN"]
    assert meta_of(meta.manifest).manifest == meta.manifest, "the flat form is a manifest, too"


def test_only_what_a_worker_needs_must_be_there() -> None:
    meta = meta_of(
        {
            "format_version": "2.0",
            "install": {"python_path": "/bin/python"},
            "code": {"name": "least", "module": "m", "class": "C"},
        }
    )
    assert (meta.version, meta.config_schema, meta.manifest["adapters"]) == ("0.0.0", None, [])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("format_version", NOTHING, "'format_version' is a required property"),
        ("format_version", "3.0", "format_version: '3.0' is not '2.0'"),
        ("install", NOTHING, "'install' is a required property"),
        ("install", [], r"install: \[\] is not of type 'object'"),
        ("code", NOTHING, "'code' is a required property"),
        ("code", "x", "code: 'x' is not of type 'object'"),
        ("install.python_path", NOTHING, "install: 'python_path' is a required property"),
        ("install.python_path", 3, "install.python_path: 3 is not of type 'string'"),
        ("install.python_path", "", "install.python_path: ''"),
        ("install.python_path", "bin/python", "install.python_path: 'bin/python' is no absolute"),
        ("install.env_vars", {"TOKEN": 1}, "install.env_vars.TOKEN: 1 is not of type 'string'"),
        ("install.env_vars", {"A=B": "x"}, "install.env_vars: 'A=B'"),
        ("code.name", NOTHING, "code: 'name' is a required property"),
        ("code.name", "../escaped", "code.name: '../escaped' is no plugin name"),
        ("code.name", "..", r"code.name: '\.\.' is no plugin name"),
        ("code.module", "os; import x", "code.module: 'os; import x'"),
        ("code.class", NOTHING, "code: 'class' is a required property"),
        ("code.class", 5, "code.class: 5 is not of type 'string'"),
        ("code.config_schema", [], r"code.config_schema: \[\] is not of type"),
        ("code.resources", {"requires_gpu": "yes"}, "code.resources.requires_gpu: 'yes'"),
        ("code.worker_env", {}, "code.worker_env: {} is not of type 'array'"),
        ("code.worker_env.0.name", NOTHING, "code.worker_env.0: 'name' is a required property"),
        ("code.worker_env.0.name", "JUPYTER_TOKEN", "code.worker_env.0.name: 'JUPYTER_TOKEN'"),
        ("code.worker_env.0.name", "A=B", "code.worker_env.0.name: 'A=B' is no variable that"),
        ("code.worker_env.0.default", 7, "code.worker_env.0.default: 7 is not of type"),
        ("code.worker_env.0.default", "\0", r"code.worker_env.0.default: '\\x00' is no value of"),
        ("code.worker_env.1.secret", "no", "code.worker_env.1.secret: 'no' is not of type"),
        ("code.structural_surface", [], r"code.structural_surface: \[\] is not of type"),
        (
            "code.structural_surface.methods.0.name",
            NOTHING,
            "code.structural_surface.methods.0: 'name' is a required property",
        ),
        (
            "code.structural_surface.methods.1.params",
            "all",
            "code.structural_surface.methods.1.params: 'all' is not of type 'array'",
        ),
    ],
)
def test_a_fault_is_told_by_file_and_field(
    place: str, value: Any, message: str, tmp_path: Path
) -> None:
    manager = write(tmp_path, bad=changed(WHISPER, place, value), good=WHISPER)
    told = f"^{re.escape(str(tmp_path / 'bad.json'))}: {message}"
    with pytest.raises(InvalidManifestError, match=told):
        read_manifest(tmp_path / "bad.json")
    with pytest.warns(PluginLoadWarning, match=told):
        assert [meta.name for meta in manager.discover_manifests()] == ["cjm-capability-whisper"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("adapters", {}, "adapters: {} is not of type 'array'"),
        ("adapters", [{"task": "t"}], "adapters.0: 'module' is a required property"),
        ("worker_env", [{}], "worker_env.0: 'name' is a required property"),
        ("structural_surface", 5, "structural_surface: 5 is not of type 'object'"),
    ],
)
def test_a_flat_one_by_hand_is_checked_as_well(field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidManifestError, match=f"^manifest: {message}"):
        meta_of({**meta_of(WHISPER).manifest, field: value})


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("task_name", NOTHING, "'task_name' is a required property"),
        ("task_name", "", "task_name: ''"),
        ("module", "os; import x", "module: 'os; import x'"),
        ("class", 3, "class: 3 is not of type 'string'"),
        ("protocol_members", [], r"protocol_members: \[\] is not of type 'object'"),
        (
            "protocol_members.methods.0",
            "transcribe",
            "protocol_members.methods.0: 'transcribe' is not of type 'object'",
        ),
    ],
)
def test_a_fault_of_an_adapter_is_told_and_hides_nothing(
    place: str, value: Any, message: str, tmp_path: Path
) -> None:
    manager = write(tmp_path, a=changed(ADAPTER, place, value), good=ADAPTER, whisper=WHISPER)
    with pytest.warns(PluginLoadWarning, match=f"a.json: {message}"):
        (meta,) = manager.discover_manifests()
    assert meta.manifest["adapters"] == [BOUND]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"methods": [{"name": "transcribe", "params": ["audio"]}]}, True),
        ({"methods": [{"name": "transcribe", "params": ["audio", "kwargs"]}]}, True),
        ({"methods": [{"name": "transcribe", "params": ["audio", "kwargs", "more"]}]}, False),
        ({"methods": [{"name": "transcribe", "params": ["sound"]}]}, False),
        ({"methods": [{"name": "transcribe"}], "properties": ["name", "version"]}, True),
        ({"methods": [{"name": "get_current_config", "params": ["any"]}]}, True),
        ({"methods": [{"name": "align", "params": []}]}, False),
        ({"properties": ["sample_rate"]}, False),
    ],
)
def test_an_adapter_is_bound_to_what_has_the_methods_it_calls(
    wanted: dict[str, Any], fits: bool, tmp_path: Path
) -> None:
    adapter = {**ADAPTER, "protocol_members": wanted}
    manager = write(
        tmp_path,
        adapter=adapter,
        whisper=WHISPER,
        unknown=changed(changed(WHISPER, "code.name", "b"), "code.structural_surface", None),
    )
    adapters = {meta.name: meta.manifest["adapters"] for meta in manager.discover_manifests()}
    assert adapters == {"cjm-capability-whisper": [BOUND] if fits else [], "b": []}


def test_a_plugin_of_old_is_given_no_adapter(tmp_path: Path) -> None:
    flat = {"name": "old", "module": "m", "class": "C", "python_path": "/bin/python"}
    manager = write(tmp_path, adapter={**ADAPTER, "protocol_members": {}}, old=flat)
    (meta,) = manager.discover_manifests()
    assert meta.manifest == flat
    assert capabilities.variables(flat, tmp_path, None) == {}


def variables(tmp_path: Path, models: Path | None, *wanted: dict[str, Any]) -> dict[str, str]:
    manifest = meta_of(changed(WHISPER, "code.worker_env", list(wanted))).manifest
    return capabilities.variables(manifest, tmp_path, models)


def test_its_folders_have_the_names_that_it_looks_for(tmp_path: Path) -> None:
    assert variables(tmp_path, None) == {
        "CJM_DATA_DIR": str(tmp_path),
        "CJM_CAPABILITY_DATA_DIR": str(tmp_path / "data"),
        "CAPABILITY_DATA_DIR": str(tmp_path / "data" / "cjm-capability-whisper"),
    }


@pytest.mark.parametrize(
    ("default", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$$5", "$5"),
        ("${CJM_MODELS_DIR}/hf", "/models/hf"),
        ("$CJM_MODELS_DIR/hf", "/models/hf"),
        ("${CAPABILITY_DATA_DIR}", "/home/data/cjm-capability-whisper"),
        ("${CJM_CAPABILITY_DATA_DIR}/${CAPABILITY_NAME}", "/home/data/cjm-capability-whisper"),
        ("${HOME}/x", None),
        ("${nobody", None),
        (None, None),
    ],
)
def test_a_default_names_folders_by_templates(
    default: str | None, value: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"name": "WANTED", "default": default}
    with caplog.at_level(logging.WARNING):
        found = variables(Path("/home"), Path("/models"), wanted)
    assert found.get("WANTED") == value
    left_out = default is not None and value is None
    assert ("without the variable WANTED" in caplog.text) == left_out


def test_a_folder_of_models_that_nobody_has_chosen_leaves_its_variable_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    wanted = {"name": "HF_HOME", "default": "${CJM_MODELS_DIR}/hf"}
    monkeypatch.delenv("CJM_MODELS_DIR", raising=False)
    assert "HF_HOME" not in variables(tmp_path, None, wanted)
    assert "without the variable HF_HOME" in caplog.text
    monkeypatch.setenv("CJM_MODELS_DIR", "/kernel")
    assert variables(tmp_path, None, wanted)["HF_HOME"] == "/kernel/hf"


@pytest.mark.parametrize(
    ("kept", "value"),
    [
        ({"__default__": {"cjm-capability-whisper": {"HF_TOKEN": "hf_1"}}}, "hf_1"),
        ({"__default__": {"cjm-capability-whisper": {"OTHER": "x"}}}, None),
        ({"__default__": {"another": {"HF_TOKEN": "x"}}}, None),
        ({"__default__": {"cjm-capability-whisper": {"HF_TOKEN": 5}}}, None),
        ({"__default__": []}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_secret_comes_from_where_their_installer_keeps_it(
    kept: Any, value: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if kept is not None:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "secrets.json").write_text(json.dumps(kept))
    with caplog.at_level(logging.DEBUG):
        found = variables(tmp_path, None, {"name": "HF_TOKEN", "secret": True, "default": "no"})
    assert found.get("HF_TOKEN") == value
    assert "hf_1" not in caplog.text
