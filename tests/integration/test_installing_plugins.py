"""`python -m jobqueue_widget plugins`: real environments, filled from wheels made here."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import PluginManager
from jobqueue_widget.__main__ import main
from jobqueue_widget.plugins import environments, install
from jobqueue_widget.plugins.environments import InstallError, find_python, make_environment
from tests.conditions import until

pytestmark = pytest.mark.timeout(180)  # to make an environment takes seconds; on a busy machine

CLASS = """
class Greeter:
    def initialize(self, config=None): self.config = config or {}
    def execute(self, name): return f"{self.config.get('word', 'hello')} {name}"
    def get_current_config(self): return self.config
    def get_config_schema(self): return {"properties": {"word": {"default": "good day"}}}
    def cleanup(self): pass
"""
META = """
import os, sys
def get_plugin_metadata():
    print("what is printed is no part of the answer")
    folder = os.path.join(os.environ["CJM_DATA_DIR"], "greeter-meta")
    os.makedirs(folder, exist_ok=True)
    return {"name": "greeter-meta", "version": "1.5", "category": "words", "type": "x",
            "module": "greeter_meta.plugin", "class": "Greeter", "python_path": sys.executable,
            "db_path": folder + "/words.db", "resources": {"min_system_ram_mb": 16},
            "env_vars": {"WORDS": "3"}, **%r}
"""


def pack(folder: Path, name: str, files: dict[str, str], points: str = "") -> None:
    """Write a wheel."""
    about = f"{name.replace('-', '_')}-1.5.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": points,
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in files) + f"{about}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{about[:-10]}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def package(name: str, meta: str = "", plugin: str = CLASS) -> dict[str, str]:
    files = {f"{name}/__init__.py": "", f"{name}/plugin.py": plugin}
    return {**files, f"{name}/meta.py": meta} if meta else files


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pack(folder, "greeter-meta", package("greeter_meta", META % {}))
    points = "[greeters]\none = greeter_points.plugin:Greeter\n[nbdev]\nd = greeter_points:d\n"
    files = {**package("greeter_points"), "greeter_points/__init__.py": "d = {}"}
    pack(folder, "greeter-points", files, points)
    pack(folder, "greeter-plain", package("greeter_plain"))
    pack(folder, "greeter-module", {"greeter_module.py": CLASS})
    pack(folder, "broken-import", package("broken_import", META.replace("greeter", "broken") % {}))
    bad = {"name": "../../out", "module": "bad_name.plugin"}
    pack(folder, "bad-name", package("bad_name", META % bad))
    needy = CLASS.replace(
        "    def init", "    def __init__(self): raise OSError('no GPU')\n    def init"
    )
    pack(folder, "needy", package("needy", plugin=needy))
    odd = {"exits": "raise SystemExit('not here')", "crashes": "import os; os._exit(7)"}
    for name, text in {**odd, "raises": "import nothing_such"}.items():
        pack(folder, name, package(name, plugin=text + CLASS))
    pack(folder, "without", package("without", plugin="class Helper: pass"))
    return folder


@pytest.fixture(autouse=True)
def offline(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index but these wheels; a current folder in which nothing is found."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "CJM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def plugins(verb: str, *rest: str, into: Path | None) -> int:
    """The command, with the interpreter of the tests."""
    python = ["--python", sys.executable] if verb == "install" else []
    folder = ["--data-dir", str(into)] if into else []
    return main(["plugins", verb, *rest, *python, *folder])


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["Greeter_Meta==1.5"], "greeter-meta"),
        (
            ["WHEEL", "--with", "needy", "--class", "greeter_module:Greeter", "--name", "My One"],
            "My One",
        ),
    ],
    ids=["metadata", "class"],
)
def test_what_is_installed_is_found_runs_and_can_be_removed(
    arguments: list[str],
    name: str,
    wheels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    into = home if name == "My One" else None
    Path("cjm.yaml").write_text("data_dir: ../home\n")
    wheel = str(wheels / "greeter_module-1.5-py3-none-any.whl")
    arguments = [wheel if one == "WHEEL" else one for one in arguments]
    assert plugins("install", *arguments, into=into) == 0
    path = home / "manifests" / f"{name}.json"
    told = capsys.readouterr().out
    assert told.startswith(f"installed {name} 1.5: ")
    with PluginManager(data_dir=into) as manager:
        [meta] = manager.discover_manifests()
        assert meta.name == name
        assert path.samefile(meta.path or "")
        assert str(meta.path) in told
        assert Path(meta.manifest["python_path"]).is_relative_to(home / "envs")
        assert manager.load_plugin(meta)
        assert manager.execute_plugin(name, "you") == "good day you"
    assert {file.suffix for file in (home / "manifests").iterdir()} == {".json"}
    assert plugins("list", into=into) == 0
    assert str(meta.path) in capsys.readouterr().out
    assert plugins("install", *arguments, into=into) == 1
    assert f"plugins remove {name}" in capsys.readouterr().err
    assert plugins("remove", name, into=tmp_path / "cwd" / ".." / "home") == 0
    assert {one.partition("/")[0] for one in tree(home)} == {"data", "envs", "manifests"}
    assert not tree(home / "envs") | tree(home / "manifests")


def test_what_a_package_says_of_itself_is_kept_and_an_entry_point_is_enough(
    told: Callable[..., dict[str, Any]],
) -> None:
    manifest = told("greeter-meta")
    assert (manifest["type"], manifest["env_vars"]) == ("x", {"WORDS": "3"})
    assert manifest["resources"] == {"min_system_ram_mb": 16}
    assert manifest["config_schema"] == {"properties": {"word": {"default": "good day"}}}
    assert manifest["db_path"].endswith("/data/greeter-meta/words.db")
    assert told("greeter-points")["module"] == "greeter_points.plugin"
    assert told("greeter-meta", "greeter_plain.plugin:Greeter")["module"] == "greeter_plain.plugin"


def test_a_plugin_that_cannot_be_made_here_has_no_schema_and_that_is_told(
    told: Callable[..., dict[str, Any]],
) -> None:
    lines: list[str] = []
    manifest = told("needy", "needy.plugin:Greeter", lines=lines)
    assert "config_schema" not in manifest
    assert lines[-1] == "no configuration schema: OSError: no GPU"


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with all of the wheels."""
    folder = tmp_path_factory.mktemp("all")
    every = sorted(map(str, wheels.glob("*.whl")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        return make_environment(sys.executable, folder, every, lambda line: None)


@pytest.fixture
def told(python: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def tell(name: str, place: str = "", lines: list[str] | None = None) -> dict[str, Any]:
        variables = {"CJM_DATA_DIR": str(tmp_path / "data")}
        say = (lines if lines is not None else []).append
        return install._describe(python, name, place or None, variables, say)

    return tell


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("greeter-plain", "", "found: greeter_plain.plugin:Greeter\nCure: name it: --class"),
        ("greeter-module", "", "found: greeter_module:Greeter\nCure: name it: --class"),
        ("without", "", "found: no class with initialize and execute\nCure: name it: --class"),
        ("without", "without.plugin:No", "AttributeError: .*'No'\nCure: .*--with"),
        ("broken-import", "", "ModuleNotFoundError: No module named 'broken_meta'\nCure"),
        ("raises", "raises.plugin:Greeter", "ModuleNotFoundError: .*'nothing_such'\nCure"),
        ("exits", "exits.plugin:Greeter", "SystemExit: not here\nCure"),
        ("crashes", "crashes.plugin:Greeter", "it ended with 7"),
    ],
)
def test_a_package_that_is_no_plugin_is_told_by_what_was_found(
    name: str, place: str, message: str, told: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(InstallError, match=f"^{name}[ :](.|\n)*{message}"):
        told(name, place)


@pytest.mark.parametrize(
    ("arguments", "message", "there"),
    [
        (["no-such"], r"pip could not install no-such .*(.|\n)*ERROR: No matching", True),
        (["bad-name"], r"calls its plugin '\.\./\.\./out', which is no name: use --name", False),
    ],
    ids=["pip fails", "bad name"],
)
def test_what_fails_leaves_nothing_and_says_why(
    arguments: list[str],
    message: str,
    there: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "above" / "home"
    if there:
        (home / "manifests").mkdir(parents=True)
        (home / "data" / "empty").mkdir(parents=True)
    before = tree(tmp_path)
    assert plugins("install", *arguments, into=home) == 1
    assert re.search(message, capsys.readouterr().err)
    assert tree(tmp_path) == before


REFUSED = [
    (["-r", "x"], "unrecognized|required"),
    (["--", "--index-url=x"], "is no package; settings of pip"),
    (["x @ https://me:word@host/x"], "seen in the list of processes"),
    (["x @ git+https://token@host/x"], "seen in the list of processes"),
    (["x", "--with", "y @ https://t@host/y"], "seen in the list of processes"),
    (["./folder"], "write NAME @ URL"),
    (["git+https://host/x"], "write NAME @ URL"),
    (["x", "--name", "../out"], "--name '../out': letters"),
    (["x", "--name", "a\n"], "--name 'a.n': letters"),
    (["x", "--class", "os.system"], "write it as module:Class"),
    (["x", "y", "--name", "z"], "are of one package"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["plugins", "install", "--data-dir", str(tmp_path / "home"), *arguments])
    except SystemExit as end:
        code = end.code
    assert code in (1, 2)
    assert re.search(message, capsys.readouterr().err)
    assert "word" not in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


# -- interpreters --------------------------------------------------------------------------------


def test_an_interpreter_must_run_and_be_new_enough(tmp_path: Path) -> None:
    old, broken = tmp_path / "old", tmp_path / "broken"
    old.write_text("#!/bin/sh\necho 3 8\n")
    broken.write_text("#!/bin/sh\nexit 127\n")
    old.chmod(0o755)
    broken.chmod(0o755)
    with pytest.raises(InstallError, match=r"is Python 3\.8; .* 3\.9 or newer"):
        find_python(str(old))
    for name in (str(broken), "no-such-python", str(tmp_path)):
        with pytest.raises(InstallError, match="is no Python that runs"):
            find_python(name)
    assert find_python(sys.executable) == sys.executable


def test_the_first_that_is_new_enough_is_taken_and_none_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "NEWEST_PLUGINS_NEED", (3, 28))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InstallError, match=r"no Python 3\.28 .*--python /path/to/python"):
        find_python()
    later = tmp_path / "pyenv" / "versions" / "3.29.1" / "bin" / "python"
    later.parent.mkdir(parents=True)
    for path, version in ((later, "3 29"), (tmp_path / "python3.28", "3 27")):
        path.write_text(f"#!/bin/sh\necho {version}\n")
        path.chmod(0o755)
    assert find_python() == str(later), "the one in PATH only says so in its name"


# -- what is not of its own making ---------------------------------------------------------------


def foreign(home: Path, *, mark: str = "") -> Path:
    """An environment and its manifest, as of cjm-ctl."""
    (home / "envs" / "greeter").mkdir(parents=True)
    (home / "manifests").mkdir(parents=True)
    if mark:
        (home / "envs" / "greeter" / install.MARK).write_text(mark)
    path = home / "manifests" / "greeter.json"
    python = str(home / "envs" / "greeter" / "bin" / "python")
    manifest = {"name": "greeter", "module": "m", "class": "C", "python_path": python}
    path.write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize("mark", ["", "{", "[]", "3"])
def test_what_something_else_made_is_neither_removed_nor_replaced(
    mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = foreign(tmp_path / "home", mark=mark)
    before = tree(tmp_path)
    assert plugins("remove", "greeter", into=tmp_path / "home") == 1
    assert "was made by something else" in capsys.readouterr().err
    for arguments in (["greeter"], ["greeter-meta", "--name", "greeter"]):
        assert plugins("install", *arguments, into=tmp_path / "home") == 1
        assert f"there is a plugin 'greeter' already: {path}" in capsys.readouterr().err
    path.unlink()
    assert plugins("install", "greeter", into=tmp_path / "home") == 1
    assert "greeter is there already, and was made by something else" in capsys.readouterr().err
    assert tree(tmp_path) == before - {str(path.relative_to(tmp_path))}


@pytest.mark.parametrize("name", ["..", "../../victim", "/", "", "greeter/../../victim", "link"])
def test_only_what_is_below_envs_is_removed(name: str, tmp_path: Path) -> None:
    home, victim = tmp_path / "home", tmp_path / "victim"
    (home / "envs").mkdir(parents=True)
    victim.mkdir()
    for folder in (victim, home, tmp_path):
        (folder / install.MARK).write_text(json.dumps({"plugin": "../../victim"}))
    (home / "envs" / "link").symlink_to(victim)
    before = tree(tmp_path)
    assert plugins("remove", name, into=home) == 1
    assert tree(tmp_path) == before


def test_a_mark_that_names_another_s_manifest_does_not_cost_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = foreign(home)
    (home / "envs" / "mine").mkdir()
    (home / "envs" / "mine" / install.MARK).write_text(json.dumps({"plugin": "greeter"}))
    assert plugins("remove", "mine", into=home) == 0
    assert path.exists()
    assert os.listdir(home / "envs") == ["greeter"]


def test_a_folder_that_every_user_may_write_is_refused_before_anything_is_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home" / "manifests").mkdir(parents=True)
    (tmp_path / "home" / "manifests").chmod(0o777)
    before = tree(tmp_path)
    assert plugins("install", "greeter-meta", into=tmp_path / "home") == 1
    told = capsys.readouterr().err
    assert "every user may change its folder; chmod o-w it" in told
    assert "making" not in told
    assert tree(tmp_path) == before


# -- interrupted ---------------------------------------------------------------------------------


@contextmanager
def installing() -> Iterator[subprocess.Popen[bytes]]:
    """An installation in the middle: a process of its venv unpacks pip."""
    command = [sys.executable, "-m", "jobqueue_widget", "plugins", "install", "greeter-meta"]
    with subprocess.Popen([*command, "--python", sys.executable, "--data-dir", "home"]) as process:
        try:
            asyncio.run(until(lambda: [*Path("home/envs").glob("*/lib/*/site-packages/pip")], 60))
            yield process
        finally:
            process.kill()


def test_an_interrupted_installation_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with installing() as process:
        assert plugins("install", "greeter-meta", into=Path("home")) == 1
        assert "is being made now, or that was ended" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not Path("home").exists()


def test_what_a_killed_installation_left_is_told_and_can_be_removed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with installing() as process:
        left = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(60)
    psutil.wait_procs(left, 60)
    assert plugins("list", into=Path("home")) == 0
    assert "plugins remove greeter-meta" in capsys.readouterr().err
    assert plugins("remove", "greeter-meta", into=Path("home")) == 0
    assert not tree(Path("home/envs"))


# -- the command line ----------------------------------------------------------------------------


def test_a_journal_may_be_called_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plugins"])
    assert "usage: python -m jobqueue_widget plugins" in capsys.readouterr().err
    Path("plugins").write_text("no journal")
    assert main(["plugins"]) == 1
    assert main(["plugins", "--status", "failed"]) == 1
    assert "usage" not in capsys.readouterr().err
    assert main(["plugins", "list"]) == 0
    assert main(["./plugins"]) == 1


def test_a_name_made_to_deceive_does_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = foreign(tmp_path)
    path.write_text(path.read_text().replace('"m"', '"m", "category": "\\u001b[2Jx"'))
    assert plugins("list", into=tmp_path) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert f"its interpreter is gone: {tmp_path}" in told.err
