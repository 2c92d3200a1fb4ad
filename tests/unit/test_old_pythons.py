"""What runs in a plugin's interpreter needs a Python from 3.9 on, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jobqueue_widget

WORKER = Path(jobqueue_widget.__file__).parent / "worker"
ROUND_TRIP = """
import importlib.util, sys
path = sys.argv[1]
spec = importlib.util.spec_from_file_location("pluginside", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
typed = module.typed
value = {"a": [1, 2.5, None, (b"x", {3})], "when": typed.datetime(2026, 1, 2, tzinfo=typed.UTC)}
assert typed.decode(typed.encode(value, {}, foreign=True), {}) == value
meta, parts = module.wire.pack_value(module, 10, ())
assert meta["lost"]["reason"], meta
assert module.load_sibling("capabilityside", module.CAPABILITIES).Capability
print("fine")
"""


def interpreters() -> list[str]:
    """This one, and older and newer ones of this machine."""
    found = [sys.executable]
    for minor in range(9, 15):
        found += [
            path for path in [shutil.which(f"python3.{minor}")] if path and "shims" not in path
        ]
        found += map(str, sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")))
    return found


@pytest.mark.parametrize("python", interpreters())
def test_the_files_of_a_plugin_worker_load_and_work(python: str) -> None:
    command = [python, "-I", "-S", "-c", ROUND_TRIP, str(WORKER / "pluginside.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stderr
