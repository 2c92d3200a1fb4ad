"""The leak check itself: each kind of thing that a test can leave behind is seen, and named."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests import leaks


@contextmanager
def left_thread() -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="lingering")
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def left_process() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        yield


@contextmanager
def left_descriptor() -> Iterator[None]:
    with tempfile.TemporaryFile(prefix="lingering-"):
        yield


@contextmanager
def left_folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="jobqueue-"):
        yield


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (left_thread, "thread lingering"),
        (left_process, "process"),
        (left_descriptor, "descriptor"),
        (left_folder, "folder"),
    ],
)
def test_what_is_left_behind_is_named(
    make: Callable[[], AbstractContextManager[None]], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "PATIENCE", 0.0)
    before = leaks.Resources.now()
    with make():
        left = before.wait_for_what_is_new_to_go()
    assert any(thing.startswith(expected) for thing in left), left
    assert before.wait_for_what_is_new_to_go() == []
