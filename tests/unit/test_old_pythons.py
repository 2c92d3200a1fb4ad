"""What runs in a plugin's interpreter needs a Python from 3.9 on, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jobqueue_widget

PLUGINS = Path(jobqueue_widget.__file__).parent / "child" / "plugins"
METHODS = "\n def initialize(self, config): pass\n def execute(self): pass\n"
ROUND_TRIP = """
import importlib.util, sys
path = sys.argv[1]
spec = importlib.util.spec_from_file_location("plugin_worker", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
typed = module.typed
value = {"a": [1, 2.5, None, (b"x", {3})], "when": typed.datetime(2026, 1, 2, tzinfo=typed.UTC)}
assert typed.decode(typed.encode(value, {}, foreign=True), {}) == value
meta, parts = module.wire.pack_value(module, 10, ())
assert meta["lost"]["reason"], meta
assert module.child.load("plugins.capability_worker").Capability
print("fine")
"""


def interpreters() -> list[str]:
    """This one, and older and newer ones of this machine."""
    found = [sys.executable]
    for minor in range(9, 16):
        found += [
            path for path in [shutil.which(f"python3.{minor}")] if path and "shims" not in path
        ]
        found += map(str, sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")))
    return found


@pytest.mark.parametrize("python", interpreters())
def test_the_files_of_a_plugin_worker_load_and_work(python: str) -> None:
    command = [python, "-I", "-S", "-c", ROUND_TRIP, str(PLUGINS / "plugin_worker.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("python", interpreters())
def test_what_asks_a_package_for_its_plugin_works(python: str, tmp_path: Path) -> None:
    (tmp_path / "heard").mkdir()
    (tmp_path / "heard" / "__init__.py").write_text(f"class Plugin:{METHODS}")
    about = tmp_path / "heard-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: heard\nVersion: 1\n")
    (about / "RECORD").write_text("heard/__init__.py,,\nheard-1.dist-info/METADATA,,\n")
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); del sys.argv[0]; " + (
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    asked = [python, "-I", "-S", "-c", code, str(PLUGINS / "introspect.py"), "heard"]
    found = json.loads(subprocess.check_output(asked, timeout=60))
    assert found == {"candidates": ["heard:Plugin"]}
    found = json.loads(subprocess.check_output([*asked, "heard:Plugin"], timeout=60))
    assert found["manifest"]["class"] == "Plugin"
    (about / "entry_points.txt").write_text("[any]\none = heard:Plugin\n")
    assert json.loads(subprocess.check_output(asked, timeout=60)) == found
