"""A process that has ended is not alive, whether nobody has waited for it or somebody just does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import jobqueue_widget
from jobqueue_widget._persistence import orphans
from jobqueue_widget._persistence.sqlite import presence
from jobqueue_widget.compat.cjm import process as reference
from jobqueue_widget.workers import cleanup
from tests.crash.processes import alive

ROOT = Path(jobqueue_widget.__file__).parent
ME = psutil.Process()
STATES = {name: getattr(psutil, name) for name in dir(psutil) if name.startswith("STATUS_")}
ENDED = {"STATUS_ZOMBIE", "STATUS_DEAD"}
WAYS: dict[str, Any] = {
    "cleanup": lambda: cleanup.is_alive(psutil.Process()),
    "journal's owner": lambda: presence._lives({"pid": ME.pid, "started": ME.create_time()}),
    "orphan": lambda: orphans._look(os.getpid(), "a run") is not None,
    "a plugin's own process": lambda: reference.is_running(SimpleNamespace(pid=os.getpid())),
    "these tests": lambda: alive(os.getpid()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", WAYS)
def test_who_has_ended_is_not_alive(way: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "status", lambda self: STATES[state])
    assert WAYS[way]() is (state not in ENDED)


def test_one_place_says_which_states_are_ends() -> None:
    found = [path.name for path in ROOT.rglob("*.py") if re.search("STATUS_ZOM", path.read_text())]
    assert found == ["cleanup.py"]
