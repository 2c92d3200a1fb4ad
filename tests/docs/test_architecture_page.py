"""ARCHITECTURE.md leads to what is there: its paths exist, and no module is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.test_architecture import LAYERS, dotted, modules, package_of

PAGE = ROOT / "ARCHITECTURE.md"
PACKAGE = ROOT / "jobqueue_widget"
PATH = re.compile(r"(?<![\w/.<>-])[\w./*-]*(?:/(?=`)|\.(?:py|ts|css|json|sql|ipynb|md)\b)")
WHERE_TO_START = (
    "add a column",
    "add an option",
    "add an executor",
    "flicker",
    "time limit",
    "`kill -9`",
    "plugin unloaded",
    "large result",
    "tqdm",
    "blocked",
)
LOOP = (  # in the picture, from the click to the row that says so
    ("js/src/views/rows.ts", "js/src/actions.ts", "widget/commands.py", "_api/control.py"),
    ("_core/transitions.py", "_core/effects.py", "_runtime/runner.py", "child/function_worker.py"),
    ("_threads/timers.py", "workers/process.py", "widget/model.py", "js/src/store.ts"),
)


def paths(text: str) -> list[str]:
    return sorted(set(PATH.findall(text)))


def found(path: str) -> list[Path]:
    """What a path means: from the top of the repository, or of the package."""
    return [at for root in (ROOT, PACKAGE) for at in root.glob(path.rstrip("/"))]


def section(title: str) -> str:
    start = re.search(rf"^## [\d. ]*{re.escape(title)}", PAGE.read_text(), re.MULTILINE)
    assert start is not None, title
    return PAGE.read_text()[start.end() :].partition("\n## ")[0]


def test_what_a_path_is() -> None:
    text = "`a/b.py` c.ts, (`d/`) and/or `<x>.json` https://e.org/f `g/h.py`; i/*.css."
    assert paths(text) == ["a/b.py", "c.ts", "d/", "g/h.py", "i/*.css"]


@pytest.mark.parametrize("path", paths(PAGE.read_text()))
def test_every_path_leads_somewhere(path: str) -> None:
    assert found(path)


def test_every_module_is_named_or_stands_in_a_folder_that_is() -> None:
    named = {at for path in paths(PAGE.read_text()) for at in found(path) if at != PACKAGE}
    missing = [
        dotted(module)
        for module in modules()
        if module not in named and named.isdisjoint(module.parents)
    ]
    assert missing == []


def test_every_folder_has_a_line_of_its_own() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|", section("Layers"), re.MULTILINE)
    assert all(len(line.split()) > 3 for _, line in rows)
    folders = {str(module.parent.relative_to(PACKAGE)) for module in modules()} - {"."}
    assert {name.rstrip("/") for name, _ in rows if name.endswith("/")} == folders


def test_the_layers_are_those_that_the_tests_hold() -> None:
    picture = re.search(r"```text\n(.*?)```", section("Layers"), re.DOTALL)
    assert picture is not None
    told: dict[str, int] = {}
    for line in picture[1].splitlines():
        number, names = line.split(maxsplit=1)
        words = names.split("  ")[0].split()
        told |= dict.fromkeys((w.rstrip("/").replace("/", ".") for w in words), int(number))
    assert told == LAYERS
    assert {package_of(dotted(module)) for module in modules()} <= {*LAYERS, "the public door"}


def test_ten_questions_have_their_files() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section("Where to start"), re.MULTILINE)[1:]
    assert len(rows) == len(WHERE_TO_START)
    for (question, answer), words in zip(rows, WHERE_TO_START, strict=True):
        assert words in question.lower()
        first, then = answer.split(" | ")[:2]
        assert paths(first), f"{question}: where to look first"
        assert paths(then), f"{question}: and where that leads"


def test_the_cancel_loop_is_drawn_from_the_click_to_the_row() -> None:
    picture = re.search(r"```text\n(.*?)```", section("How a click cancels a job"), re.DOTALL)
    assert picture is not None
    steps = [picture[1].index(name) for part in LOOP for name in part]
    assert steps == sorted(steps)
    assert max(len(line) for line in picture[1].splitlines()) <= 110
