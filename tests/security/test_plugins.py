"""Plugins: who can reach a worker, what it is told, what it can do to the kernel."""

from __future__ import annotations

import ast
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import jobqueue_widget
from jobqueue_widget import (
    InvalidManifestError,
    JobQueue,
    JobStatus,
    PluginFailedError,
    PluginManager,
    ResultNotKeptError,
)
from jobqueue_widget.plugins.runtime import PluginRuntime
from jobqueue_widget.workers.environment import environment_for_plugins
from tests.conditions import until
from tests.contract.test_plugin_hosts import prompt_loop
from tests.crash.processes import alive
from tests.own_manager import ROOT, own_manager, own_manifest
from tests.reference import PLUGINS
from tests.sockets import Listeners, family

PACKAGE = Path(jobqueue_widget.__file__).parent
SECRETS = {
    "JUPYTER_TOKEN": "s-jupyter",
    "JUPYTERHUB_API_TOKEN": "s-hub",
    "JPY_API_TOKEN": "s-jpy",
    "AWS_SECRET_ACCESS_KEY": "s-aws",
    "OPENAI_API_KEY": "s-openai",
    "DATABASE_URL": "s-database",
    "http_proxy": "http://user:s-proxy@127.0.0.1:9",
    "HTTPS_PROXY": "http://user:s-proxy@127.0.0.1:9",
    "LD_PRELOAD_OF_MINE": "s-preload",
    "PYTHONSTARTUP": "s-startup",
}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[PluginManager]:
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        yield manager


def pid_of(manager: PluginManager) -> int:
    handle = manager.get_plugin("toolbox")
    assert handle is not None
    assert handle.pid is not None
    return handle.pid


# -- who can reach it ----------------------------------------------------------------------------


async def test_no_socket_listens_while_plugins_run(manager: PluginManager, tmp_path: Path) -> None:
    listeners = Listeners()
    async with JobQueue(manager) as queue:
        path = tmp_path / "pid"
        job = queue.submit_nowait("toolbox", "stubborn", path=str(path))
        await until(path.exists)
        assert len(family()) >= 3, "this process, the worker, the guardian"
        assert listeners.new() == {}
        worker = psutil.Process(pid_of(manager))
        assert worker.net_connections("all") == [], "not even a private socket"
        job.cancel(force=True)
        await queue.wait_for_job(job)


def test_a_worker_holds_pipes_and_nothing_else_of_the_kernel(
    manager: PluginManager, tmp_path: Path
) -> None:
    with (tmp_path / "open").open("w"):
        assert manager.reload_plugin("toolbox")
        folder = Path(f"/proc/{pid_of(manager)}/fd")
        held = [os.readlink(entry) for entry in folder.iterdir()]
    assert {name.partition(":")[0] for name in held} == {"pipe", "/dev/null"}


PROBE = """
import json, os, signal, sys
pids, paths, uid = json.loads(sys.argv[1])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
reached = []
def tried(what, call):
    try:
        call()
    except (PermissionError, ProcessLookupError, FileNotFoundError):
        return
    reached.append(what)
for pid in pids:
    for number in (0, signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL):
        tried(f"signal {number} to {pid}", lambda: os.kill(pid, number))
        tried(f"signal {number} to group {pid}", lambda: os.killpg(pid, number))
    tried(f"fds of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
    for fd in range(12):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            tried(f"fd {fd} of {pid}", lambda: os.close(os.open(f"/proc/{pid}/fd/{fd}", flags)))
    for name in ("environ", "mem", "maps"):
        tried(f"{name} of {pid}", lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
for path in paths:
    tried(f"list {path}", lambda: os.listdir(path))
    tried(f"write in {path}", lambda: open(path + "/planted", "w"))
print(json.dumps(reached))
"""


def test_a_second_user_cannot_reach_a_worker(manager: PluginManager) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT TESTED: only root can become a second user; run the tests as root")
    runtime: PluginRuntime = manager._runtime
    pids = [process.pid for process in family()]
    argument = json.dumps([pids, [str(runtime.spool())], 65534])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, argument],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert json.loads(done.stdout) == []
    assert manager.execute_plugin("toolbox", "echo", 1) == 1


def test_the_folder_for_large_values_is_private_and_goes(manager: PluginManager) -> None:
    spool = manager._runtime.spool()
    assert spool.stat().st_mode & 0o777 == 0o700
    manager.execute_plugin("toolbox", "zeros", 40 * 2**20)
    assert list(spool.iterdir()) == [], "a result leaves nothing there"
    manager.unload_all()
    assert not spool.exists()


# -- what it is told -----------------------------------------------------------------------------


SERVER = {"JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"}


def told_of_itself(manager: PluginManager) -> dict[str, str]:
    """The environment of the toolbox, without the marks that every worker of ours has."""
    found: dict[str, str] = manager.execute_plugin("toolbox", "environment")
    marks = {name for name in found if name.startswith("JOBQUEUE_")}
    assert marks == {"JOBQUEUE_WORKER_ID", "JOBQUEUE_RUN_ID"}
    return {name: value for name, value in found.items() if name not in marks}


def test_a_plugin_gets_the_kernel_s_environment_as_any_subprocess_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JOBQUEUE_RUN_ID", "another kernel's")
    monkeypatch.setenv("JOBQUEUE_MINE", "the user's")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("ÖDD", "\udcff\n=")
    monkeypatch.setenv("HF_TOKEN", "from its manifest")
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    expected: dict[str, str] = json.loads(subprocess.check_output(show, env=os.environ))
    for name in {*SERVER, "JOBQUEUE_RUN_ID", "JOBQUEUE_MINE", "MPLBACKEND"}:
        del expected[name]
    expected.pop("JOBQUEUE_DATA_DIR", None)  # of the tests
    own = {"PYTHONPATH": f"{PLUGINS}:{ROOT}", "HF_TOKEN": "its own"}
    with own_manager(tmp_path, plugins=["toolbox"], env_vars=own) as manager:
        found = told_of_itself(manager)
    folder = os.path.dirname(sys.executable)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    assert found == expected | own | {"PATH": path, "CJM_DATA_DIR": str(tmp_path / "data")}


def test_the_environment_is_that_of_the_worker_s_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "first")
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        monkeypatch.setenv("GEMINI_API_KEY", "second")
        assert told_of_itself(manager)["GEMINI_API_KEY"] == "first"
        assert manager.reload_plugin("toolbox")
        assert told_of_itself(manager)["GEMINI_API_KEY"] == "second"
        monkeypatch.delenv("GEMINI_API_KEY")
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("toolbox", "exit", 3)
        assert "GEMINI_API_KEY" not in told_of_itself(manager), "nor in one that replaced another"


@pytest.mark.parametrize("env", [None, "", "all", {}, {"HF_TOKEN": "x"}, ["HF_TOKEN"], True])
def test_another_choice_of_environment_is_refused(env: Any) -> None:
    with pytest.raises(ValueError, match=r"'kernel' .* or 'listed' .* env_vars"):
        PluginManager(search_paths=[], env=env)


def test_an_interpreter_of_another_environment_works_whatever_the_kernel_s_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import venv

    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = str(tmp_path / "env" / "bin" / "python")
    monkeypatch.setenv("PYTHONHOME", "/the/kernel's")
    monkeypatch.setenv("PYTHONPLATLIBDIR", "lib65")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere.py")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    for env in ("kernel", "listed"):
        with own_manager(tmp_path, plugins=["toolbox"], python_path=python, env=env) as manager:
            found = told_of_itself(manager)
        assert found["VIRTUAL_ENV"] == str(tmp_path / "env")
        assert not {"PYTHONHOME", "PYTHONPLATLIBDIR"} & set(found)
        assert found["PATH"].split(os.pathsep)[0] == str(tmp_path / "env" / "bin")
        also = {"CONDA_PREFIX": "/opt/conda", "PYTHONWARNINGS": "ignore"}
        assert (also.items() <= found.items()) is (env == "kernel")


def test_a_conda_environment_is_named_as_when_it_is_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whisper" / "conda-meta").mkdir(parents=True)
    monkeypatch.setenv("VIRTUAL_ENV", "/the/kernel's")
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "base")
    found = environment_for_plugins({}, str(tmp_path / "whisper" / "bin" / "python"))
    assert "VIRTUAL_ENV" not in found
    assert found["CONDA_PREFIX"] == str(tmp_path / "whisper")
    assert found["CONDA_DEFAULT_ENV"] == "whisper"
    own = environment_for_plugins({}, sys.executable)
    assert own["VIRTUAL_ENV"] == "/the/kernel's", "the kernel's own interpreter is left as it is"


def test_no_secret_of_the_kernel_reaches_a_plugin_that_gets_what_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", "/s-path")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    path = f"{PLUGINS}:{ROOT}"
    own = {"PYTHONPATH": path, "OPENAI_API_KEY": "its own"}
    with own_manager(tmp_path, plugins=["toolbox"], env_vars=own, env="listed") as manager:
        found = manager.execute_plugin("toolbox", "environment")
    assert "s-" not in "".join(found.values()).replace(str(tmp_path), "")
    assert found["OPENAI_API_KEY"] == "its own", "what its manifest gives it"
    assert found["PYTHONPATH"] == path
    assert found["CUDA_VISIBLE_DEVICES"] == "1"
    assert found["CJM_DATA_DIR"] == str(tmp_path / "data")
    assert not set(SECRETS) - {"OPENAI_API_KEY"} & set(found)


def test_a_listed_plugin_gets_the_variables_that_its_manifest_names_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    names = ["OPENAI_API_KEY", "NONE"]
    with own_manager(tmp_path, plugins=["toolbox"], pass_env=names, env="listed") as manager:
        found = manager.execute_plugin("toolbox", "environment")
    assert found["OPENAI_API_KEY"] == SECRETS["OPENAI_API_KEY"]
    assert not set(SECRETS) - {"OPENAI_API_KEY"} & set(found)
    assert "NONE" not in found


@pytest.mark.parametrize("name", ["JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "A=B"])
def test_a_manifest_cannot_ask_for_the_server_s_variables(name: str, tmp_path: Path) -> None:
    manifest = own_manifest("toolbox", "Toolbox", pass_env=[name])
    with (
        PluginManager(search_paths=[], data_dir=tmp_path) as manager,
        pytest.raises(InvalidManifestError, match=f"pass_env.0: .*{name}"),
    ):
        manager.load_plugin(manifest)


def test_nothing_is_told_on_the_command_line(tmp_path: Path) -> None:
    secret = {"flavour": "s3cret"}
    with own_manager(tmp_path, plugins=["toolbox"], config=secret) as manager:
        about = manager.execute_plugin(
            "toolbox",
            "about",
        )
        assert manager.execute_plugin("toolbox", "config") == secret
    python, script, *pipes, rest = about["command"]
    assert (python, Path(script).name, rest) == (sys.executable, "plugin_worker.py", "")
    assert len(pipes) == 3
    assert all(number.isdigit() for number in pipes)
    assert "" not in about["path"], "nor is the current folder imported from"
    assert str(PACKAGE / "child" / "plugins") not in about["path"]


def test_loading_and_calling_print_nothing_and_leave_logging_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), list(root.filters))
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        manager.execute_plugin("toolbox", "say", "into the log")
    assert capfd.readouterr() == ("", "")
    assert before == (root.level, list(root.handlers), list(root.filters))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "\0", "a/../b"])
def test_a_name_is_never_a_path(manager: PluginManager, name: str) -> None:
    assert manager.get_plugin_logs(name) == ""
    assert manager.get_plugin(name) is None
    with pytest.raises(ValueError, match=r"plugin name|is not loaded"):
        manager.load_plugin({**own_manifest("plain", "Plain"), "name": name})


# -- what it can do to the kernel ----------------------------------------------------------------

ATTACKS = (
    "pickle as a frame",
    "pickle as a value",
    "pickle that is said to be plain",
    "pickle as an exception",
    "a class that nobody registered",
    "a file of the user",
    "a file outside",
    "a length without end",
    "no frame at all",
    "an end without words",
    "an end that is a list",
    "an end of no parts",
    "odd progress",
    "answers that nobody asked for",
    "chunks that nobody reads",
    "the end of another job",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_worker_runs_nothing_here_and_takes_nothing(attack: str, tmp_path: Path) -> None:
    bomb, victim = tmp_path / "bomb", tmp_path / "victim"
    victim.write_bytes(b"precious")
    enemy = tmp_path / "python"
    enemy.write_text(f'#!/bin/sh\nexec {sys.executable} {PLUGINS}/hostile.py "$@"\n')
    enemy.chmod(0o755)
    variables = {
        "PYTHONPATH": str(ROOT),
        "ATTACK": attack,
        "BOMB": str(bomb),
        "VICTIM": str(victim),
    }
    manifest = own_manifest("plain", "Plain", python_path=str(enemy), env_vars=variables)
    with PluginManager(search_paths=[], data_dir=tmp_path) as manager:
        assert manager.load_plugin(manifest)
        (manager._runtime.spool().parent / "victim").write_bytes(b"precious")
        try:
            with pytest.raises((PluginFailedError, ResultNotKeptError)):
                manager.execute_plugin("plain", 1)
            assert (manager._runtime.spool().parent / "victim").read_bytes() == b"precious"
        finally:
            (manager._runtime.spool().parent / "victim").unlink()
        assert victim.read_bytes() == b"precious"
        assert not bomb.exists(), "a message of the worker ran code in the kernel"


def test_the_bomb_of_these_tests_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from tests.plugins_for_tests.hostile import Bomb

    monkeypatch.setenv("BOMB", str(tmp_path / "bomb"))
    pickle.loads(pickle.dumps(Bomb())).close()
    assert (tmp_path / "bomb").exists()


async def test_what_a_forced_plugin_started_is_gone_with_it(
    manager: PluginManager, tmp_path: Path
) -> None:
    path = tmp_path / "pids"
    async with JobQueue(manager) as queue:
        job = queue.submit_nowait("toolbox", "family", str(path))
        await until(lambda: path.exists() and len(path.read_text().split()) == 3)
        pids = [int(text) for text in path.read_text().split()]
        assert all(map(alive, pids)), "a child, one in its own session, and a daemon"
        job.cancel(force=True)
        await queue.wait_for_job(job)
        assert not any(map(alive, pids))


@pytest.mark.parametrize("what", ["spin", "stubborn"])
async def test_forcing_never_blocks_the_loop(
    manager: PluginManager, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    async with JobQueue(manager, cancel_timeout=0.2) as queue, prompt_loop():
        job = queue.submit_nowait("toolbox", what, path=str(path))
        await until(path.exists)
        job.cancel()
        following = queue.submit_nowait("toolbox", "echo", 1)
        await queue.wait_for_job(job)
        assert await following == 1
        assert job.status is JobStatus.cancelled


async def test_a_stopped_process_is_ended_as_well(manager: PluginManager, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    async with JobQueue(manager, cancel_timeout=0.2) as queue:
        job = queue.submit_nowait("toolbox", "sleep", path=str(path))
        await until(path.exists)
        os.kill(pid_of(manager), signal.SIGSTOP)
        begun = time.monotonic()
        job.cancel()
        await queue.wait_for_job(job, timeout=20)
        assert time.monotonic() - begun < 15
        assert job.status is JobStatus.cancelled


# -- our own code --------------------------------------------------------------------------------

NETWORK = {"socket", "socketserver", "http", "urllib", "requests", "httpx", "aiohttp", "ftplib"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


# What the user has typed into a cell, as IPython would run it: `%job f(x)`, and %%job in a worker.
TYPED = PACKAGE / "_notebook" / "magics.py", PACKAGE / "child" / "cell.py"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_our_code_builds_no_shell_line_and_talks_to_no_network(path: Path) -> None:
    """No shell, no client or server of any protocol; only the installer starts pip."""
    if path != PACKAGE / "plugins" / "environments.py":
        assert "pip" not in {
            getattr(node, "value", "") for node in ast.walk(ast.parse(path.read_text()))
        }
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            assert not any(keyword.arg == "shell" for keyword in node.keywords), node.lineno
            called = ast.unparse(node.func)
            if called != "eval" or path not in TYPED:
                assert called not in ("os.system", "os.popen", "eval", "exec"), node.lineno
        found = {name.split(".")[0] for name in names if name != "urllib.parse"}  # of texts
        assert NETWORK.isdisjoint(found), names


def test_only_functions_workers_are_sent_pickles() -> None:
    """What plugins send is read by the typed codec and by JSON alone."""
    for path in (*(PACKAGE / "plugins").glob("*.py"), PACKAGE / "workers" / "plugin_process.py"):
        words: set[Any] = {
            node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            for node in ast.walk(ast.parse(path.read_text()))
        }
        assert words.isdisjoint({"pickle", "cloudpickle", "load_plain", "loads_pickle"}), path
