"""One job of each executor, in real kernels, whatever surrounds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.disks import small_disk
from tests.kernels import VERSIONS, Kernel, search_path

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

MIB = 1 << 20
SITE = "import os, sys\nprint('hello'); os.write(1, b'J' * 100_000); os.system('echo from a shell')"
CELL = f"""
import asyncio, os, shutil, sys, tempfile, warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from jobqueue_widget import JobQueue
from jobqueue_widget import FuturesExecutor
from jobqueue_widget.testing import inspect
from tests.own_manager import own_manager

class Box:
    def __init__(self, x): self.x = x
def work(x, large=b""):
    print("said grün by", x)
    return Box(x), large, large[:1] * {40 * MIB}
async def later(x, large=b""):
    return work(x, large)
stack = ExitStack()
plugins = stack.enter_context(own_manager(Path(FOLDER), plugins=["toolbox"]))
pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
pool.submit(int).result()  # it is the user's: how it starts is not our matter
queue = await JobQueue(plugins, max_running=1, journal=JOURNAL).start()
on_pool = await JobQueue(executor=FuturesExecutor(pool), max_running=1).start()

async def one_of_each(x):
    jobs = {{
        "process": queue.submit_nowait(work, x),
        "large": queue.submit_nowait(work, x, b"x" * {2 * MIB}),
        "fresh": queue.options(fresh=True).submit_nowait(work, x),
        "thread": queue.options(executor="thread").submit_nowait(work, x),
        "coroutine": queue.submit_nowait(later, x),
        "pool": on_pool.submit_nowait(work, x),
    }}
    calls = [queue.submit_nowait("toolbox", "zeros", size) for size in (x, {40 * MIB})]
    wrong = []
    for name, job in jobs.items():
        try:
            box, large, larger = await asyncio.wait_for(job, 25)
        except Exception as error:
            wrong.append(f"{{name}}: {{error!r}}: {{job.logs()[-300:]}}")
            continue
        size = {2 * MIB} if name == "large" else 0
        if (type(box), box.x, len(large), len(larger)) != (Box, x, size, size and {40 * MIB}):
            wrong.append(f"{{name}}: another value")
        told = f"said grün by {{x}}", "[no room for 16 bytes of this log]"
        if not any(text in job.logs() for text in told[: 1 + (name == "pool")]):
            wrong.append(f"{{name}}: {{job.logs()[-300:]!r}}")
    for job in calls:
        try:
            if bytes(await asyncio.wait_for(job, 25)).strip(b"\\0"):
                wrong.append("plugin: another value")
        except Exception as error:
            wrong.append(f"plugin: {{error!r}}: {{job.logs()[-300:]}}")
    return wrong
"""


@dataclass(frozen=True)
class Odd:
    """What differs from the usual: variables of the kernel, or what a cell does before the jobs."""

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    cell: str = ""


ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FILL = """
tempfile.gettempdir()
with open(os.environ["TMPDIR"] + "/filler", "wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)): pass
    except OSError: pass
"""
SHADOWS = """
for name in ("json", "random", "wire", "task", "records", "typing", "struct"):
    Path(name + ".py").write_text("raise RuntimeError('not the one that was meant')")
"""
ODD = [
    Odd("as usual"),
    Odd("no folder", cell="shutil.rmtree(os.getcwd())"),
    Odd("a sitecustomize that prints", {"PYTHONPATH": "site"}),
    Odd("no HOME", {"HOME": None, "USER": None, "LOGNAME": None}),
    Odd("a HOME that cannot be", {"HOME": "/proc/none", "JOBQUEUE_DATA_DIR": None}),
    Odd("a full temporary folder", {"TMPDIR": "disk"}, FILL),
    Odd("no temporary folder", {"TMPDIR": "temporary"}, "shutil.rmtree(os.environ['TMPDIR'])"),
    Odd("an ASCII locale", ASCII),
    Odd(
        "warnings as errors",
        cell="os.environ['PYTHONWARNINGS'] = 'error'; warnings.simplefilter('error')",
    ),
    Odd("-OO", {"PYTHONOPTIMIZE": "2"}),
    Odd("development mode", {"PYTHONDEVMODE": "1"}),
    Odd("files called as modules are", cell=SHADOWS),
]
CASES = [
    *[pytest.param(odd, "cold", id=odd.name) for odd in ODD],
    *[
        pytest.param(odd, "warm", id=f"{odd.name}, later", marks=pytest.mark.long)
        for odd in ODD
        if odd.cell
    ],
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """With all that the variables name."""
    for name in ("site", "temporary", "notebooks"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    with small_disk(tmp_path / "disk"):
        yield tmp_path


@pytest.mark.parametrize(("odd", "when"), CASES)
def test_one_job_of_each_executor_runs(odd: Odd, when: str, folder: Path) -> None:
    environ = dict(odd.environ)
    for name in ("PYTHONPATH", "TMPDIR"):
        if told := environ.get(name):
            environ[name] = str(folder / told)
    path = (environ.get("PYTHONPATH"), search_path(VERSIONS[0]))
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    kernel = Kernel(VERSIONS[0], cwd=folder / "notebooks", environ=environ)
    try:
        kernel.run(f"FOLDER, JOURNAL = {str(folder / 'own')!r}, {str(folder / 'runs.db')!r}")
        kernel.run(CELL)
        for number, cell in enumerate(["", odd.cell, ""][when == "cold" :]):
            kernel.run(cell)
            kernel.run(f"wrong = await one_of_each({number})")
            assert kernel.value_of("wrong") == []
        kernel.run("await queue.close(); await on_pool.close(); stack.close()")
        assert kernel.value_of("inspect(queue).faults.bugs") == 0
    finally:
        kernel.close()
