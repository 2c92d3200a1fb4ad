"""What jobs of these tests do on engines elsewhere; importable there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jobqueue_widget import PluginManager, current_job, track
from tests.contract import bodies


def until_released(folder: str) -> str:
    """Reports, prints, shows signs of life and listens."""
    job = current_job()
    print("begun", flush=True)
    job.report(0.5, "half of it")
    bodies.begin(folder)
    while not bodies.released(folder):
        bodies.beat(folder)
        time.sleep(0.005)
        job.checkpoint()
    return "released"


def count_with_bars(count: int) -> int:
    """With tqdm, as it stands in notebooks."""
    from tqdm import tqdm

    os.write(1, b"from C\n")
    return sum(1 for _ in tqdm(range(count)))


def display_html(text: str) -> None:
    """As cells do, without an import."""
    print("before")
    display({"text/html": text, "text/plain": "in text"}, raw=True)  # type: ignore[name-defined]  # noqa: F821


def count_tracked(count: int) -> int:
    """With our own."""
    return len(list(track(range(count), "counting")))


def in_a_c_loop(folder: str) -> None:
    """Holds the interpreter for ever, and has a child."""
    subprocess.Popen([sys.executable, "-c", f"import time, os; {SAY} time.sleep(600)", folder])
    bodies.begin(folder)
    re.match(r"(a+)+$", "a" * 60 + "b")


SAY = "import sys; open(sys.argv[1] + '/child', 'w').write(str(os.getpid()));"


def echo_bytes(data: bytes) -> bytes:
    """There and back."""
    return data[::-1]


def environment(name: str) -> str | None:
    """A variable there."""
    return os.environ.get(name)


def in_a_plugin(folder: str, *arguments: object) -> object:
    """By a plugin whose manifest is in a folder there."""
    tempfile.tempdir = folder  # what is ended by force leaves its temporary files
    with PluginManager(search_paths=[Path(folder)]) as manager:
        manager.discover_manifests()
        meta = manager.get_discovered_meta("workload")
        assert meta is not None
        manager.load_plugin(meta)
        return manager.execute_plugin("workload", *arguments)
