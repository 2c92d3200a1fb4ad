"""The package as it is installed and imported: it opens nothing, loads little, ships everything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import jobqueue_widget

ROOT = Path(jobqueue_widget.__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
MADE = re.compile(r"__pycache__|node_modules|\.ipynb_checkpoints|\.venv|^build/|^js/build/")
LOCKS = sorted(ROOT.glob("requirements-*.lock"))

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
    place = "jobqueue_widget.plugins.manifests.manifest"
    seen = watch(f"from {place} import meta_of; meta_of({manifest})")
    assert {"jsonschema", "lark", "rfc3987_syntax"}.isdisjoint(seen["modules"])
    assert seen["acts"] == []


def test_what_a_job_imports_does_not_load_the_queue() -> None:
    seen = watch("from jobqueue_widget import current_job, track")
    assert "jobqueue_widget.queue" not in seen["modules"]


def test_every_public_name_is_there() -> None:
    missing = [name for name in jobqueue_widget.__all__ if not hasattr(jobqueue_widget, name)]
    assert missing == []


def test_the_version_stands_in_one_place() -> None:
    version = jobqueue_widget.__version__
    assert (PROJECT["dynamic"], "version" in PROJECT) == (["version"], False)
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "jobqueue_widget/__init__.py"
    assert "version" not in json.loads((ROOT / "js" / "package.json").read_text())
    assert not re.search(r"^version:", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    headings = re.findall(r"^## \[([^]]+)]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version in headings


def required_by(*groups: str) -> list[str]:
    """What `.ci/requirements-of` prints, as `make` reads it."""
    return run_python(str(ROOT / ".ci" / "requirements-of"), *groups).splitlines()


def test_what_groups_include_and_extras_of_our_own_are_followed() -> None:
    asked = required_by("dev")
    assert set(required_by("test")) < set(asked)
    assert PROJECT["optional-dependencies"]["dask"][0] in asked
    assert not [requirement for requirement in asked if PROJECT["name"] in requirement]
    assert required_by("project") == PROJECT["dependencies"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_satisfies_what_its_group_asks_for(lock: Path) -> None:
    locked = set(re.findall(r"^([\w-]+)==", lock.read_text(), re.M))
    asked = required_by("project", lock.stem.removeprefix("requirements-"))
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in asked}  # type: ignore[index]
    assert names <= locked


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_place(lock: Path) -> None:
    assert not re.search(r"://|^-|@ |\.\.?/", lock.read_text(), re.MULTILINE)


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


@pytest.fixture(scope="module")
def source_package(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    """What the source package holds, by path."""
    target = tmp_path_factory.mktemp("source package")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(target)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.iterdir()
    with tarfile.open(made) as archive:
        return {member.name.partition("/")[2]: member for member in archive}


def kept_by_git() -> set[str]:
    """Each file of the repository; none in an unpacked source package, which has no repository."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return set()
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return {name for name in told.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_source_package_holds_what_make_test_needs(
    source_package: dict[str, tarfile.TarInfo],
) -> None:
    """The repository, each file of the folders that it takes, and none that was made there."""
    packed = source_package.keys()
    assert kept_by_git() <= packed
    for folder in (".ci", ".github", "docs", "examples", "js/src", "js/test", "tests"):
        paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        files = {str(path.relative_to(ROOT)) for path in paths}
        assert {name for name in files if not MADE.search(name)} <= packed, folder
    assert {"CITATION.cff", "Makefile", "js/package-lock.json", *(p.name for p in LOCKS)} <= packed
    assert [name for name in packed if MADE.search(name)] == []


def test_what_make_calls_may_be_run_where_the_source_package_is_unpacked(
    source_package: dict[str, tarfile.TarInfo],
) -> None:
    called = set(re.findall(r"^\t@?(?:.*\s)?(\.ci/[\w-]+)", (ROOT / "Makefile").read_text(), re.M))
    assert {".ci/check-js", ".ci/release-check", ".ci/make-env"} <= called
    assert [name for name in called if not source_package[name].mode & 0o100] == []


def test_an_installed_wheel_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    where = run_python(
        "-c", "import jobqueue_widget; print(jobqueue_widget.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(tmp_path.resolve())


def test_the_smoke_test_of_a_release_passes_with_an_installed_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    """As `make release-check` has it, but with the dependencies of this environment."""
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(ROOT / ".ci" / "smoke_test.py", tmp_path)
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-I", "-W", "error", "smoke_test.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_queue_without_a_journal_loads_nothing_of_it() -> None:
    script = """
import sys
from jobqueue_widget import JobQueue
queue = JobQueue()
queue.submit_nowait(len, "abc")
heavy = ("sqlite3", "_persistence.sqlite", "_persistence.codec", "_persistence.recorder")
print([name for name in sys.modules if any(part in name for part in heavy)])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
