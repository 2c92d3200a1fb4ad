"""Where plugins are looked for: as by the reference system, never in what others may write."""

from __future__ import annotations

import json
import logging
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import PluginLoadWarning, PluginManager


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        manifest = {"name": name, "module": "m", "class": "C", "python_path": sys.executable}
        (folder / f"{name}.json").write_text(json.dumps(manifest))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a project below it in which the kernel was started."""
    project = tmp_path / "home" / "project" / "notebooks"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CJM_DATA_DIR", raising=False)
    return tmp_path / "home"


@pytest.fixture
def theirs(home: Path) -> Iterator[Callable[[], tuple[list[str], Path]]]:
    """What the reference's own manager finds, and where its plugins write."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from cjm_plugin_system.core import config
    from cjm_plugin_system.core.manager import PluginManager as Theirs

    def find() -> tuple[list[str], Path]:
        config.reset_config()
        names = [meta.name for meta in Theirs().discover_manifests()]
        return names, config.get_config().plugin_data_dir.absolute()

    yield find
    config.reset_config()
    root.handlers[:], root.level = handlers, level


def nothing(home: Path) -> None:
    """Only what is in ~/.cjm."""


def local_folder(home: Path) -> None:
    write(Path(".cjm/manifests"), "local", "both")


def config_here(home: Path) -> None:
    Path("cjm.yaml").write_text("runtime:\n  mode: local\ndata_dir: .store\nmodels_dir: m\n")
    write(Path(".store/manifests"), "stored")


def config_with_absolute_path(home: Path) -> None:
    Path("cjm.yaml").write_text(f"data_dir: {home / 'elsewhere'}\n")
    write(home / "elsewhere" / "manifests", "elsewhere")


def empty_config(home: Path) -> None:
    Path("cjm.yaml").write_text("")


def config_and_local_folder(home: Path) -> None:
    config_here(home)
    local_folder(home)


LAYOUTS = [
    nothing,
    local_folder,
    config_here,
    config_with_absolute_path,
    empty_config,
    config_and_local_folder,
]


@pytest.mark.parametrize("variable", [False, True], ids=["", "CJM_DATA_DIR"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_plugins_are_found_where_the_reference_finds_them(
    layout: Callable[[Path], None],
    variable: bool,
    home: Path,
    theirs: Callable[[], tuple[list[str], Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(home / ".cjm" / "manifests", "global", "both")
    layout(home)
    if variable:
        write(home / "var" / "manifests", "variable")
        monkeypatch.setenv("CJM_DATA_DIR", str(home / "var"))
    names, data = theirs()
    manager = PluginManager()
    assert sorted(meta.name for meta in manager.discover_manifests()) == sorted(names)
    assert Path(manager._runtime.variables["CJM_DATA_DIR"]) == data
    assert manager.problems["manifests"].startswith("manifests of ")
    assert str(data.parent) in manager.problems["manifests"]


def test_a_config_above_the_current_folder_is_found(home: Path) -> None:
    (home / "project" / "cjm.yaml").write_text("data_dir: .cjm\nmodels_dir: models\n")
    write(home / "project" / ".cjm" / "manifests", "above")
    manager = PluginManager()
    assert [meta.name for meta in manager.discover_manifests()] == ["above"]
    assert manager._runtime.variables["CJM_MODELS_DIR"] == str(home / "project" / "models")


def test_search_paths_restrict_and_leave_the_data_folder_as_it_is(home: Path) -> None:
    config_and_local_folder(home)
    write(home / "named", "named")
    manager = PluginManager(search_paths=[home / "named"])
    assert [meta.name for meta in manager.discover_manifests()] == ["named"]
    assert Path(manager._runtime.variables["CJM_DATA_DIR"]) == Path(".store/data").absolute()


def test_who_finds_nothing_is_told_where_was_looked(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobqueue_widget")
    looked = f"manifests of {Path.cwd() / '.cjm/manifests'}, {home / '.cjm/manifests'}: 0 found"
    with pytest.warns(PluginLoadWarning, match=looked):
        assert PluginManager().discover_manifests() == []
    assert looked in caplog.text


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("data_dir: [", "is not used: while parsing"),
        ("- a list", "is not used: it holds a list"),
        ("data_dir: 3", "data_dir: 3 is not the name of a folder"),
        ("[" * 50_000, "is not used: "),
    ],
    ids=["broken", "list", "number", "deep"],
)
def test_a_config_that_cannot_be_used_is_told(text: str, remark: str, home: Path) -> None:
    write(home / ".cjm" / "manifests", "global")
    Path("cjm.yaml").write_text(text)
    with pytest.warns(PluginLoadWarning, match=f"cjm.yaml: {remark}"):
        assert [meta.name for meta in PluginManager().discover_manifests()] == ["global"]


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let what has this name, or is in a folder of this name, belong to another user."""

    def give(name: str) -> None:
        real, stranger = Path.stat, os.geteuid() + 4_000

        def stat(path: Path, **how: Any) -> Any:
            found = real(path, **how)
            if name not in (path.name, path.parent.name):
                return found
            fields = {key: getattr(found, key) for key in dir(found) if key.startswith("st_")}
            return types.SimpleNamespace(**{**fields, "st_uid": stranger})

        monkeypatch.setattr(Path, "stat", stat)

    return give


@pytest.mark.parametrize("whose", ["global.json", "manifests", "cjm.yaml"])
def test_what_another_user_has_written_is_refused_by_name(
    whose: str, home: Path, give_away: Callable[[str], None]
) -> None:
    write(home / ".cjm" / "manifests", "global")
    Path("cjm.yaml").write_text("data_dir: .store\n" if whose == "cjm.yaml" else "")
    give_away(whose)
    with pytest.warns(PluginLoadWarning, match=f"{whose}.* belongs to another user; chown it"):
        found = PluginManager().discover_manifests()
    assert [meta.name for meta in found] == (["global"] if whose == "cjm.yaml" else [])


def test_a_folder_of_another_user_is_trusted_when_it_is_named(
    home: Path, give_away: Callable[[str], None]
) -> None:
    write(home / "lab", "shared")
    give_away("lab")
    manager = PluginManager(search_paths=[home / "lab"])
    assert [meta.name for meta in manager.discover_manifests()] == ["shared"]
