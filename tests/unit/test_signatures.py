"""Keyword names that a user types are shown by tab completion and `help()`."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from IPython.core import completer

from jobqueue_widget import JobQueue
from jobqueue_widget._api.options import KNOWN
from jobqueue_widget._core.spec import JobOptions

make_completer: Any = completer.IPCompleter  # it has no types


def completed(text: str, *, use_jedi: bool) -> set[str]:
    cells = {"JobQueue": JobQueue, "queue": JobQueue()}
    completing = make_completer(None, cells, use_jedi=use_jedi)
    with completer.provisionalcompleter():
        found = {one.text for one in completing.completions(text, len(text))}
    return {name[:-1] for name in found if name.endswith("=")}


def names(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_known_options_are_those_that_a_job_has() -> None:
    fields = {field.name for field in dataclasses.fields(JobOptions)}
    assert {"priority", *fields} == {"item", *KNOWN}, "which item a job is of, its map says"


@pytest.mark.parametrize("use_jedi", [True, False])
def test_options_shows_its_keywords(use_jedi: bool) -> None:
    assert names(JobQueue.options)[1:] == list(KNOWN)
    assert completed("queue.options(", use_jedi=use_jedi) == set(KNOWN)


@pytest.mark.parametrize("use_jedi", [True, False])
def test_open_shows_the_keywords_of_a_queue(use_jedi: bool) -> None:
    of_queue = [name for name in names(JobQueue) if name != "journal"]
    assert names(JobQueue.open) == ["journal", *of_queue]
    assert completed("JobQueue.open('runs.db', ", use_jedi=use_jedi) >= set(of_queue)
