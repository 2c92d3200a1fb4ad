"""The reference's own manual tests, out of its source package, run with only their imports changed.

And with the author's sound files, which lie on his disk, replaced by speech. They go into a project
folder with real plugins on a simulated machine with a GPU; voxtral, which needs weights, is whisper
by another name, and DuckDB, which would fetch an extension, is SQLite.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ecosystem import gpu
from tests.ecosystem.outcomes import MADE, REPOSITORY, prepare
from tests.ecosystem.test_outcomes import need_environments

pytestmark = pytest.mark.timeout(170)

PATIENCE = 120.0
THERE, HERE = "unchanged", "imports changed"
SCRIPTS = (
    "test_job_queue",
    "test_full_system",
    "test_federation",
    "test_scheduling",
    "test_phase1",
    "test_zombie_pact",
)
MARKS = "[✅❌⚠]|Traceback|--- |Whisper: |Voxtral: |Result: |[Cc]ompleted|[Ff]ailed|[Cc]ancelled"
STANDINS = Path(__file__).parent / "standins" / "host"


def _folder(folder: Path, side: str) -> Path:
    folder.mkdir()
    prepare(folder)
    project = folder / "project"
    gpu.prepare(project, total=24_000)
    manifests = project / "data" / "manifests"
    for name in (gpu.LARGE, gpu.HUGE):
        (manifests / f"{name}.json").unlink()
    voxtral = json.loads((manifests / f"{gpu.WHISPER_NAME}.json").read_text())
    voxtral["name"] = "cjm-transcription-plugin-voxtral-hf"
    (manifests / "voxtral.json").write_text(json.dumps(voxtral))
    shutil.copytree(MADE / "source" / "tests_manual", project / "tests_manual")
    for path in (project / "tests_manual").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'"/mnt/[^"]+\.mp3"', f'"{folder / "inputs" / "speech.wav"}"', text)
        if side == HERE:
            text = re.sub(r"from cjm_plugin_system\.core\.\w+", "from jobqueue_widget", text)
        path.write_text(text, encoding="utf-8")
    # The oldest of them writes its manifest into a folder that 0.0.28 no longer reads.
    (project / ".cjm" / "plugins").mkdir(parents=True)
    (project / ".cjm" / "manifests").symlink_to("plugins")
    return project


def _run(script: str, folder: Path) -> dict[str, tuple[int, str]]:
    processes = {}
    try:
        for number, side in enumerate((THERE, HERE)):
            project = _folder(folder / str(number), side)
            environ = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("CJM_", "JOBQUEUE_"))
            }
            environ.update(
                HOME=str(project.parent / "home"),
                PYTHONPATH=f"{REPOSITORY}:{STANDINS}",
                PYTHONUNBUFFERED="1",
                PYTHONIOENCODING="utf-8",
            )
            with (project.parent / "log").open("wb") as log:
                processes[side] = subprocess.Popen(
                    [sys.executable, f"tests_manual/{script}.py"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=project,
                    env=environ,
                )
            answers = processes[side].stdin
            assert answers is not None
            with answers:
                answers.write(b"4\n")  # "Run all tests"
        for process in processes.values():
            process.wait(PATIENCE)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    told = {}
    for number, (side, process) in enumerate(processes.items()):
        text = (folder / str(number) / "log").read_text(encoding="utf-8", errors="replace")
        kept = MADE / "logs" / f"{script}.{number}.log"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8")
        told[side] = (process.returncode, text)
    return told


def _verdicts(text: str) -> list[str]:
    """What the script says of itself: its ticks, the ends of its jobs; no figures, no reasons."""
    lines = [line for line in text.splitlines() if re.search(MARKS, line)]
    own = [line for line in lines if not line.startswith(("[", "Stats: "))]
    own = [re.sub(r"(blocked execution): .*", r"\1", line) for line in own]  # why: in our words
    return [re.sub(r"\b[0-9a-f]{8}\b|\d+(\.\d+)?", "#", line).strip() for line in own]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_manual_test_of_the_reference_runs_here(script: str, tmp_path: Path) -> None:
    need_environments()
    told = _run(script, tmp_path)
    for side, (status, text) in told.items():
        assert status == 0, f"{side}:\n{text[-3_000:]}"
        assert "❌" not in text, f"{side}:\n{text[-3_000:]}"
    (_, there), (_, here) = told[THERE], told[HERE]
    assert _verdicts(here) == _verdicts(there), here[-3_000:]
