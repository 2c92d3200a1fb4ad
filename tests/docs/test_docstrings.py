"""The examples in docstrings of what is public run as they stand."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import jobqueue_widget
from jobqueue_widget import testing
from tests.integration.test_examples import execute, notebook_of

ELSEWHERE = {"DaskExecutor", "RayExecutor"}  # docs/howto/engines.md runs the same on a real one
BEFORE = """
import os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from jobqueue_widget import *
from jobqueue_widget.protocols import MachineStats
from jobqueue_widget.testing import *

for name in ("a.txt", "b.txt"):
    Path(name).write_text(name)
Path("ffmpeg").write_text("#!/bin/sh\\n")
Path("ffmpeg").chmod(0o700)
os.environ["PATH"] = f"{Path.cwd()}:{os.environ['PATH']}"
options = ["-version"]
"""


def examples() -> Iterator[tuple[str, str]]:
    """Names of what is public, and the code that their docstrings show."""
    public = {name: getattr(jobqueue_widget, name) for name in jobqueue_widget.__all__}
    public |= {name: value for name, value in vars(testing).items() if name[0].isalpha()}
    of_a_job, _ = get_args(get_type_hints(jobqueue_widget.current_job)["return"])
    public |= {name: value for name, value in vars(of_a_job).items() if name[0] != "_"}
    for name, value in public.items():
        text = inspect.getdoc(value) or "" if callable(value) else ""
        for code in re.findall(r"```python\n(.*?)```", inspect.cleandoc(text), re.DOTALL):
            yield name, inspect.cleandoc(f"\n{code}")


def test_they_run(tmp_path: Path) -> None:
    shown = dict(examples())
    module = tmp_path / "plugins" / "lengths.py"
    module.parent.mkdir()
    module.write_text(
        f"import os\nfrom jobqueue_widget import PluginInterface\n\n{shown['PluginInterface']}\n"
    )
    manifest = {
        "name": "lengths",
        "module": "lengths",
        "class": "Lengths",
        "python_path": sys.executable,
        "env_vars": {"PYTHONPATH": str(module.parent)},
    }
    (module.parent / "lengths.json").write_text(json.dumps(manifest))
    assert {"JobQueue", "FuturesExecutor", "PluginManager", "cancel_signal_to"} < shown.keys()
    run = [code for name, code in shown.items() if name not in ELSEWHERE]
    texts = execute(notebook_of(BEFORE, *run), tmp_path)
    assert any("[5, 5]" in text for text in texts.values()), "what the plugin said"
