"""What importing the package costs, and that it opens nothing."""

from __future__ import annotations

import json
import subprocess
import sys

from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side

PROGRAM = """
import json, os, time
{before}
descriptors, begin = len(os.listdir("/dev/fd")), time.perf_counter()
{statement}
seconds = time.perf_counter() - begin
import threading
opened = threading.active_count() - 1 + len(os.listdir("/dev/fd")) - descriptors
print(json.dumps([seconds, opened]))
"""


def importing(statement: str, before: str = "", *, opens_nothing: bool = True) -> Measure:
    """The seconds of an import statement in a new interpreter."""

    def measure(effort: Effort) -> Figures:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(statement=statement, before=before)],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        seconds, opened = json.loads(done.stdout)
        if opens_nothing and opened:
            raise AssertionError(f"the import left {opened} threads or descriptors open")
        return {"ms": seconds * 1e3}

    return measure


IMPORT_QUEUE = "from jobqueue_widget import JobQueue"
IMPORT_REFERENCE = "from cjm_plugin_system.core.queue import JobQueue"

PROBES = (
    Probe("import", {OURS: Side(importing("import jobqueue_widget"))}),
    Probe(
        "import-queue",
        {
            OURS: Side(importing(IMPORT_QUEUE)),
            "asyncio alone": Side(importing("import asyncio"), is_floor=True),
            "in a notebook": Side(importing(IMPORT_QUEUE, before="import ipykernel.kernelapp")),
            "reference": Side(importing(IMPORT_REFERENCE, opens_nothing=False)),
        },
    ),
)

ROWS = (
    Row(
        "import",
        "import jobqueue_widget; opens no thread, process or socket",
        "import",
        "ms",
        "ms",
        must=(Limit(100),),
        want=(Limit(50),),
    ),
    Row(
        "import-queue",
        "the same, with its JobQueue",
        "import-queue",
        "ms",
        "ms",
        must=(Limit(100),),
        want=(Limit(50),),
        analysis=(
            "more than half is asyncio, which every notebook has loaded: there it takes 25 to "
            "35 ms, most of it for making the dataclasses of events and settings."
        ),
    ),
)
