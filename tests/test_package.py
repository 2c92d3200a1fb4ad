"""The package as it is installed and imported: it opens nothing, loads little, ships everything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import jobqueue_widget

ROOT = Path(jobqueue_widget.__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Runs in a fresh interpreter: what does an import do?
WATCHED_IMPORT = """
import asyncio, json, logging, sys, threading

ACTS = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.system", "_thread.start_new")
acts = []
sys.addaudithook(lambda event, args: acts.append(event) if event.startswith(ACTS) else None)


def asyncio_names():
    return {name: id(value) for name, value in vars(asyncio).items()}


root = logging.getLogger()
before = (root.level, list(root.handlers), list(root.filters), logging.root.manager.disable)
names = asyncio_names()

exec(sys.argv[1])

print(json.dumps({
    "acts": acts,
    "threads": threading.active_count(),
    "logging_kept": before == (
        root.level, list(root.handlers), list(root.filters), logging.root.manager.disable
    ),
    "asyncio_kept": names == asyncio_names(),
    "modules": sorted(sys.modules),
}))
"""

# Each of these costs a user of `import jobqueue_widget` time, or opens something, or patches.
TOO_HEAVY = {
    "IPython",
    "anywidget",
    "fastjsonschema",
    "ipykernel",
    "ipywidgets",
    "multiprocessing",
    "nest_asyncio",
    "nest_asyncio2",
    "numpy",
    "pandas",
    "psutil",
    "tqdm",
    "traitlets",
    "zmq",
}


def run_python(*args: str, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints; a warning, or anything on stderr, fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def watch(import_statement: str) -> dict[str, Any]:
    """What the import did. Had it printed anything, that would not be JSON."""
    seen: dict[str, Any] = json.loads(run_python("-c", WATCHED_IMPORT, import_statement))
    return seen


@pytest.mark.parametrize(
    "import_statement",
    ["import jobqueue_widget", "from jobqueue_widget import *"],
    ids=["package", "all public names"],
)
def test_import_opens_nothing_and_changes_nothing(import_statement: str) -> None:
    seen = watch(import_statement)
    assert seen["acts"] == []
    assert seen["threads"] == 1
    assert seen["logging_kept"]
    assert seen["asyncio_kept"]


def test_import_loads_no_heavy_module() -> None:
    assert TOO_HEAVY.isdisjoint(watch("import jobqueue_widget")["modules"])


def test_reading_a_manifest_loads_little() -> None:
    """The validator jsonschema compiles 38 grammars, for two seconds, where JupyterLab is."""
    manifest = {"name": "a", "module": "m", "class": "C", "python_path": sys.executable}
    seen = watch(f"from jobqueue_widget.plugins.manifest import meta_of; meta_of({manifest})")
    assert {"jsonschema", "lark", "rfc3987_syntax"}.isdisjoint(seen["modules"])
    assert seen["acts"] == []


def test_what_a_job_imports_does_not_load_the_queue() -> None:
    seen = watch("from jobqueue_widget import current_job, track")
    assert "jobqueue_widget.queue" not in seen["modules"]


def test_every_public_name_is_there() -> None:
    missing = [name for name in jobqueue_widget.__all__ if not hasattr(jobqueue_widget, name)]
    assert missing == []


def test_versions_agree() -> None:
    assert PROJECT["version"] == jobqueue_widget.__version__
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    headings = re.findall(r"^## \[([^]]+)]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] in headings


def test_the_lock_satisfies_what_the_project_asks_for() -> None:
    locked = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements-dev.lock").read_text(), re.M))
    asked = [*PROJECT["dependencies"]]
    for extra in ("dev", "test", "pandas"):
        asked += PROJECT["optional-dependencies"][extra]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in asked}  # type: ignore[index]
    assert names - {PROJECT["name"]} <= locked


def test_the_lock_names_no_place() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text()
    assert not re.search(r"://|^-|@ |\.\.?/", lock, re.MULTILINE)


# -- building ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a user has after a clone: building it leaves this tree alone."""
    copy = tmp_path_factory.mktemp("checkout with spaces") / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / "jobqueue_widget",
        copy / "jobqueue_widget",
        ignore=shutil.ignore_patterns("__pycache__", ".*"),
    )
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip wheel` where neither node nor npm can be found, nor anything downloaded."""
    target = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command, str(target), str(checkout)],
        env={"PATH": str(tmp_path_factory.mktemp("empty"))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.iterdir()
    return made


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(
    wheel: Path, checkout: Path
) -> None:
    files = {
        str(path.relative_to(checkout))
        for path in (checkout / "jobqueue_widget").rglob("*")
        if path.is_file()
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == files
    assert "jobqueue_widget/py.typed" in packed


def test_an_installed_wheel_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    where = run_python(
        "-c", "import jobqueue_widget; print(jobqueue_widget.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(tmp_path.resolve())


def test_a_queue_without_a_journal_loads_nothing_of_it() -> None:
    script = """
import sys
from jobqueue_widget import JobQueue
queue = JobQueue()
queue.submit_nowait(len, "abc")
heavy = ("sqlite3", "jobqueue_widget.journal", "jobqueue_widget._keeping", "_runtime.recorder")
print([name for name in sys.modules if any(part in name for part in heavy)])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
