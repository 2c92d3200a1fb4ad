"""The layers of ARCHITECTURE.md as data: no import points up, and other habits a test can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jobqueue_widget

ROOT = Path(jobqueue_widget.__file__).parent
REPOSITORY = ROOT.parent

# Longest prefix wins. A module may import modules of its own layer only inside its own package
# (PUBLIC_DOOR is one), and anything of a lower layer.
LAYERS = {
    "errors": 0,
    "_core": 1,
    "child": 1,
    "protocols": 2,
    "_threads": 2,
    "_machine": 3,
    "workers": 3,
    "_runtime": 4,
    "executors": 5,
    "compat": 5,
    "plugins": 5,
    "_secrets": 5,
    "_persistence.sqlite": 5,
    "_persistence": 6,
    "_api": 7,
    "job": 7,
    "queue": 7,
    "testing": 7,
    "widget": 8,
    "_notebook": 8,
    "__init__": 9,
    "__main__": 9,
}
PUBLIC_DOOR = {"_api", "job", "queue", "testing"}  # one package, of which users see three modules
FORBIDDEN_IN_CORE = {"asyncio", "threading", "time", "logging", "os", "subprocess", "socket"}
LINES_WANTED = 400  # without docstrings: a public door explains more than it does


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__") if name != "__init__" else name


def package_of(name: str) -> str:
    """The part of a dotted name that has a layer."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS:
            return "the public door" if prefix in PUBLIC_DOOR else prefix
    raise AssertionError(f"{name} has no layer; add it to LAYERS and to ARCHITECTURE.md")


def layer_of(name: str) -> int:
    package = package_of(name)
    return LAYERS["queue" if package == "the public door" else package]


def typing_only(tree: ast.Module) -> set[ast.AST]:
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            hidden.update(child for statement in node.body for child in ast.walk(statement))
    return hidden


def docstring_lines(node: ast.AST) -> int:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return 0
    if ast.get_docstring(node) is None:
        return 0
    end = node.body[0].end_lineno
    assert end is not None
    return end - node.body[0].lineno + 1


def imports_of(path: Path, *, for_types: bool = False) -> list[tuple[str, int]]:
    """Absolute names that a module imports when it runs, ours as `jobqueue_widget.…`."""
    tree = ast.parse(path.read_text())
    hidden = set() if for_types else typing_only(tree)
    package = ["jobqueue_widget", *path.relative_to(ROOT).parent.parts]
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                target = ROOT.parent / Path(*stem.split("."), f"{alias.name}.py")
                is_module = stem.startswith("jobqueue_widget") and (
                    target.exists() or target.with_suffix("").is_dir()
                )
                found.append((f"{stem}.{alias.name}" if is_module else stem, node.lineno))
    return found


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_an_import_only_points_down(path: Path) -> None:
    name = dotted(path)
    own = layer_of(name)
    for imported, line in imports_of(path):
        if not imported.startswith("jobqueue_widget."):
            continue
        target = imported.removeprefix("jobqueue_widget.")
        theirs = layer_of(target)
        where = f"{path.name}:{line} imports {target}"
        assert theirs <= own, f"{where}: layer {theirs} is above {own}"
        if theirs == own:
            mine, other = package_of(name), package_of(target)
            assert mine == other, f"{where}: {mine} and {other} never import one another"


def test_only_who_owns_an_engine_imports_it() -> None:
    """Its helpers declare what they use of it (`_runtime/engine_view.py`), also for types."""
    helpers = [*(ROOT / "_runtime").rglob("*.py"), ROOT / "_persistence" / "recorder.py"]
    for path in helpers:
        imported = {name for name, _ in imports_of(path, for_types=True)}
        assert "jobqueue_widget._runtime.engine" not in imported, path.name


def circles_of(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one file: each reaches each."""
    reached: dict[str, set[str]] = {}
    for name in arrows:
        seen, open_ends = set[str](), [name]
        while open_ends:
            new = arrows.get(open_ends.pop(), set()) - seen
            seen |= new
            open_ends += new
        reached[name] = seen
    circles = {
        frozenset(other for other in reached[name] if name in reached.get(other, ()))
        for name in arrows
        if name in reached[name]
    }
    return [set(circle) for circle in circles]


def test_files_do_not_import_one_another_in_circles() -> None:
    """Not for types either: a helper declares what it uses of its owner."""
    arrows = {
        dotted(path): {
            imported.removeprefix("jobqueue_widget.")
            for imported, _ in imports_of(path, for_types=True)
            if imported.startswith("jobqueue_widget.")
        }
        for path in modules()
    }
    assert circles_of(arrows) == []


@pytest.mark.parametrize("path", sorted((ROOT / "_core").glob("*.py")), ids=dotted)
def test_the_core_is_pure(path: Path) -> None:
    for imported, line in imports_of(path):
        assert imported.split(".")[0] not in FORBIDDEN_IN_CORE, f"{path.name}:{line}: {imported}"
    assert not any(
        isinstance(node, (ast.AsyncFunctionDef, ast.Await))
        for node in ast.walk(ast.parse(path.read_text()))
    )


@pytest.mark.parametrize("path", sorted((ROOT / "child").rglob("*.py")), ids=dotted)
def test_what_runs_in_any_interpreter_needs_the_standard_library_only(path: Path) -> None:
    """Also where a file is loaded by path, with no package around it but what came before."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))  # plugins' interpreters
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            above = path.parents[node.level - 1]
            beside = [above.joinpath(*(node.module or "").split("."))] if node.module else []
            for target in beside or [above / alias.name for alias in node.names]:
                assert target.is_relative_to(ROOT / "child"), f"{path.name}:{node.lineno}"
                assert target.with_suffix(".py").exists(), f"{path.name}:{node.lineno}"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [alias.name for alias in node.names]
            for imported in [node.module] if isinstance(node, ast.ImportFrom) else named:
                assert str(imported).split(".")[0] in sys.stdlib_module_names, f"{path.name}"


SCRIPTS = ("function_worker", "guardian", "plugins.plugin_worker", "plugins.introspect")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_bare_interpreter_runs_what_starts_in_one(name: str, tmp_path: Path) -> None:
    """`-S -I`: without site-packages, and without the folder of this project."""
    path = ROOT.joinpath("child", *name.split(".")).with_suffix(".py")
    program = f"import runpy; runpy.run_path({str(path)!r}, run_name='not main')"
    ran = subprocess.run(
        [sys.executable, "-S", "-I", "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_public_names_have_one_home() -> None:
    homes = jobqueue_widget._HOMES
    public = set(jobqueue_widget.__all__) - {"__version__"}
    assert public == set(homes)
    for name in public:
        getattr(jobqueue_widget, name)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_every_module_says_what_it_owns_and_stays_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    lines = text.count("\n") - sum(docstring_lines(node) for node in ast.walk(tree))
    assert lines <= LINES_WANTED, f"{path} has {lines} lines: split it"


def test_the_top_level_holds_nothing_else() -> None:
    known = {"jobqueue_widget", "js", "examples", "tests", "docs"}
    folders = {
        path.name
        for path in REPOSITORY.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in ("build", "dist")
    }
    assert folders - {"shared"} <= known | {"__pycache__"}


BY_DESIGN = {  # plain locks: asked without waiting, or in a worker, where nobody calls a queue
    "_runtime/dispatcher.py",
    "compat/cjm/reports.py",
    "child/ends.py",
    "child/function_worker.py",
    "child/pipes.py",
}


def test_no_lock_waits_for_its_own_thread() -> None:
    """Finalizers come in anywhere: `_threads/locks.py`, or an RLock where that does no harm."""
    plain = {
        str(path.relative_to(ROOT)) for path in modules() if "threading.Lock()" in path.read_text()
    }
    assert plain == BY_DESIGN


# `self._engine` is the package's own, in the texts of planted bugs.
REACHES_INSIDE = re.compile(r"(?<!\bself)\._engine\b|\bqueue\._[a-z]\w*[a-z]\b(?!_)")


def test_tests_look_inside_a_queue_through_one_door() -> None:
    here = Path(__file__)
    found = [
        f"{path.relative_to(here.parent)}:{number}: {line.strip()}"
        for path in sorted(here.parent.rglob("*"))
        if path.suffix in (".py", ".cells") and path != here
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if REACHES_INSIDE.search(line)
    ]
    assert found == [], "ask jobqueue_widget.testing.inspect(queue)"


KINDS = {".py", ".ts", ".css", ".json", ".sql"}
FILES_WANTED = 16  # in a folder; more are hard to read as a list
USERS_IMPORT = {"__init__", "__main__", "queue", "job", "errors", "protocols", "testing"}


def test_a_newcomer_finds_things() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == USERS_IMPORT
    for root in (ROOT, REPOSITORY / "js" / "src"):
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            files = [path for path in folder.iterdir() if path.suffix in KINDS]
            assert len(files) <= FILES_WANTED, f"{folder} holds {len(files)} files"
