"""The reference lists what there is: a name, option, event or key that it lacks is noticed."""

from __future__ import annotations

import ast
import inspect
import json
import re

import pytest

import jobqueue_widget
from jobqueue_widget import (
    InvalidOptionError,
    JobEvent,
    JobQueue,
    current_job,
    errors,
    protocols,
    testing,
)
from tests.browser.pictures import PICTURES
from tests.docs.pages import MANUAL, ROOT

REFERENCE = MANUAL / "reference"


def first_cells(page: str, heading: str) -> set[str]:
    """What stands as code in the first column of the table below a heading."""
    text = (REFERENCE / page).read_text().partition(f"{heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    cells = [row.split("|")[1] for row in table[0].splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`\.?(\w+)", cell)}


def test_each_picture_that_is_taken_is_kept_and_shown_once() -> None:
    shown = re.findall(r"\(\.\./pictures/(\w+)\.png\)", (REFERENCE / "looks.md").read_text())
    assert sorted(shown) == sorted(PICTURES)
    assert {path.stem for path in (MANUAL / "pictures").iterdir()} == set(PICTURES)


def test_every_public_name_is_shown() -> None:
    text = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    shown = set(re.findall(r"^\.\. auto\w+:: jobqueue_widget\.(\w+)$", text, re.MULTILINE))
    of_errors = {name for name in jobqueue_widget.__all__ if hasattr(errors, name)}
    assert ".. automodule:: jobqueue_widget.errors" in text
    assert shown >= set(jobqueue_widget.__all__) - of_errors - {"__version__"}


def test_everything_for_tests_is_shown() -> None:
    tree = ast.parse(inspect.getsource(testing))
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    own |= {one.name for node in imports for one in node.names if one.asname == one.name}
    text = (REFERENCE / "testing.md").read_text()
    shown = set(re.findall(r"jobqueue_widget\.testing\.(\w+)$", text, re.MULTILINE))
    assert shown == {name for name in own if not name.startswith("_")}


def test_every_option_of_a_job_stands_in_the_table() -> None:
    with pytest.raises(InvalidOptionError) as told:
        JobQueue().options(there_is_none=1)
    known = str(told.value).partition("known are: ")[2].split(", ")
    assert first_cells("options.md", "## Of a job") == set(known)


def test_every_argument_of_a_queue_stands_in_the_table() -> None:
    arguments = set(inspect.signature(JobQueue).parameters)
    assert first_cells("options.md", "## Of a queue") == arguments


def test_every_event_stands_in_the_table() -> None:
    listed = re.search(r"`type`: (.*?)\.\n", JobEvent.__doc__ or "", re.DOTALL)
    assert listed is not None
    types = set(re.findall(r"\w+", listed[1]))
    text = (REFERENCE / "state.md").read_text().partition("## Events\n")[2]
    rows = [row.split("|")[2] for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == types


def test_what_a_job_can_call_is_there() -> None:
    job = current_job()
    assert [name for name in first_cells("inside.md", "") if not hasattr(job, name)] == []


def test_the_keys_of_a_widget_s_row_are_listed() -> None:
    (schema,) = (ROOT / "jobqueue_widget").rglob("protocol.json")
    keys = set(json.loads(schema.read_text())["row"])
    listed = re.search(r"```text\n(id .*?)```", (REFERENCE / "widget.md").read_text(), re.DOTALL)
    assert listed is not None
    assert set(listed[1].split()) == keys


def test_every_extension_point_is_shown() -> None:
    text = (REFERENCE / "protocols.md").read_text()
    shown = set(re.findall(r"jobqueue_widget\.protocols\.(\w+)$", text, re.MULTILINE))
    there = {
        name
        for name, value in vars(protocols).items()
        if isinstance(value, type) and value.__module__ == protocols.__name__
    }
    assert there <= shown
    assert [name for name in shown if not hasattr(protocols, name)] == []
