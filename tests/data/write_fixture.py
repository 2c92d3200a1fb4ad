"""Writes the fixture of a version, with the code that stands here: `tests/data/VERSION/`.

How it is run, from the root of a checkout of that version, before anything of a format changes:

    python -m tests.data.write_fixture 0.1.0

Each part comes from real kernels, working in a folder of its own with a copy of the package, so
that what is kept tells nothing of the machine. The last kernel is killed, and all that it leaves
is put into one archive as it is. What must be found in it stands in `cases.py`, by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.data import cases, cells
from tests.data.cases import Case
from tests.kernels import REPOSITORY, VERSIONS, Kernel
from tests.own_manager import own_manifest

HERE = Path(__file__).parent
JOURNAL = "runs.db"
MODULES = "tests/plugins_for_tests"


class Workplace:
    """A folder with the package, a key, a plugin and kernels that know no other."""

    def __init__(self, root: Path) -> None:
        self.work, self.library, self.data = root / "work", root / "lib", root / "data"
        for name in ("jobqueue_widget", MODULES):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, self.library / name, ignore=ignored)
        path = os.pathsep.join((str(self.library / MODULES), str(self.library)))
        manifest = own_manifest("toolbox", "Toolbox", env_vars={"PYTHONPATH": path})
        (self.work / "manifests").mkdir(parents=True)
        (self.work / "manifests" / "toolbox.json").write_text(json.dumps(manifest))
        (root / "python").symlink_to(sys.base_prefix)  # by-value classes name files of it
        self.environ = {
            "JOBQUEUE_DATA_DIR": str(self.data),
            "JPY_SESSION_NAME": "fixture.ipynb",
            "PYTHONHOME": str(root / "python"),
            "PYTHONPATH": os.pathsep.join((str(self.library), sysconfig.get_path("purelib"))),
        }

    @contextmanager
    def kernel(self) -> Iterator[Kernel]:
        """A new one, in which the notebook's first cells have run."""
        kernel = Kernel(VERSIONS[0], cwd=self.work, environ=self.environ)
        try:
            for cell in (*cells.DEFINITIONS.split("# %%\n"), cells.OPEN):
                kernel.run(cell)
            yield kernel
        finally:
            kernel.close()


def submit(kernel: Kernel, submitted: list[Case]) -> None:
    """Run the cell of each."""
    for case in submitted:
        kernel.run(case.cell())


def kill(kernel: Kernel) -> dict[str, str]:
    """As a machine that is out of memory does it; the ids of its jobs, by key."""
    ids: dict[str, str] = kernel.value_of("ids")
    os.kill(kernel.value_of("__import__('os').getpid()"), signal.SIGKILL)
    kernel.until_dead()
    return ids


QUEUE = f"queue = JobQueue.open({JOURNAL!r}, manager=manager, name='fixture', max_running=%d)"
START = "os.chdir('/')\nawait queue.start()\nqueue.resume()"  # a folder that every machine has


def write_journal(workplace: Workplace) -> dict[str, str]:
    """Four sessions in three kernels; the ids of the jobs that are in it."""
    with workplace.kernel() as kernel:
        kernel.run(cases.FORGOTTEN)
        kernel.run(f"{QUEUE % 2}\n{START}")
        submit(kernel, cases.PASSED)
        ids = kill(kernel)
    with workplace.kernel() as kernel:
        kernel.run(f"ids.update({ids!r})\n{QUEUE % 2}\n{START}")
        kernel.run("await queue.wait_for_job(ids['goes on'])")
        submit(kernel, cases.THIRD)
        ids = kernel.value_of("ids")
        kernel.run("await queue.stop()")
        kernel.shut_down()
    format_of(workplace.work / JOURNAL)  # SQLite's way to look: what stood beside it goes into it
    with workplace.kernel() as kernel:
        kernel.run(f"ids.update({ids!r})\n{QUEUE % len(cases.AT_WORK)}\n{START}")
        submit(kernel, cases.AT_WORK)
        kernel.run("queue.pause('the GPU is needed')")
        kernel.run("".join(case.cell() for case in cases.WAITING))
        return kill(kernel)


def pack(workplace: Workplace, target: Path) -> None:
    """All that is left of the journal, as it is, and the key that sealed it."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(target, "w:gz", compresslevel=9) as archive:
        for path in sorted(workplace.work.glob(f"{JOURNAL}*")):
            archive.add(path, path.name, filter=plain)
        archive.add(workplace.data / "journal.key", "journal.key", filter=plain)


def format_of(journal: Path) -> int:
    """The number in its header."""
    with closing(sqlite3.connect(journal)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def write_notebook(workplace: Workplace, target: Path) -> None:
    """As a program saves it that ran it, with the outputs and the states of its widgets."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(cell, id=f"cell-{number}")
            for number, cell in enumerate(cells.SHOWN)
        ]
    )
    client = NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        resources={"metadata": {"path": str(workplace.work)}},
    )
    asyncio.run(client.async_execute(env={**os.environ, **workplace.environ}))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran
    nbformat.write(notebook, target)


def expectations(ids: dict[str, str], journal_format: int) -> dict[str, Any]:
    """The table of `cases.py` with the ids that the jobs were given."""
    known = [*cases.PASSED, *cases.THIRD, *cases.AT_WORK, *cases.WAITING]
    rows = [{"id": ids[case.key], **case.expected()} for case in known]
    for row in rows:
        if "retry_of" in row:
            row["retry_of"] = ids[row["retry_of"]]
    return {
        "format": journal_format,
        "python": ".".join(map(str, sys.version_info[:2])),
        "forgotten": cases.COUNTS_FORGOTTEN,
        "one_forgotten": ids["forgotten"],
        "paused": "the GPU is needed",
        "secret": cases.SECRET,
        "usual": cases.USUAL,
        "order": cases.ORDER,
        "jobs": rows,
        "notebook": cells.EXPECTED_OUTPUTS,
    }


def main(version: str, parent: str | Path = HERE) -> None:
    """Write all of it, or nothing."""
    root = Path(tempfile.mkdtemp(prefix="jobqueue-"))
    made = root / version
    made.mkdir()
    try:
        workplace = Workplace(root)
        ids = write_journal(workplace)
        pack(workplace, made / "journal.tar.gz")
        told = expectations(ids, format_of(workplace.work / JOURNAL))
        write_notebook(workplace, made / "notebook.ipynb")
        text = json.dumps(told, indent=1, ensure_ascii=False)
        (made / "expected.json").write_text(text + "\n", encoding="utf-8")
        shutil.copytree(made, Path(parent, version))  # never over one that is there
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main(*sys.argv[1:])
