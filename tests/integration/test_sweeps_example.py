"""The sixth notebook in real kernels: a sweep, 500 files, and a kernel killed in the middle."""

from __future__ import annotations

import asyncio
import collections
import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jobqueue_widget import read_journal
from tests.crash.processes import alive, wait_until
from tests.journals import as_if_killed
from tests.kernels import Kernel

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

EXAMPLE = Path(__file__).parents[2] / "examples" / "06_sweeps.ipynb"
FILES = 500


def cells_of_the_notebook() -> list[Any]:
    notebook = nbformat.read(EXAMPLE, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_all(folder: Path) -> dict[str, Any]:
    """Run all cells in a kernel that works in `folder`; return them by their ids."""
    notebook = nbformat.v4.new_notebook(cells=cells_of_the_notebook())
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute())
    return {cell.id: cell for cell in notebook.cells}


def text_of(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Its cells by their ids, after a kernel has run all of them."""
    return run_all(tmp_path_factory.mktemp("sixth"))


def test_a_sweep_ends_in_a_table_and_a_plot(ran: dict[str, Any]) -> None:
    assert "'sweep' of 16: 16 completed" in text_of(ran["train"])
    lines = text_of(ran["table"]).splitlines()
    assert lines[0].split() == ["rate", "depth", "loss", "status"]
    assert lines[1].split() == ["0.3", "8", "0.135", "completed"]
    assert any("image/png" in output.get("data", {}) for output in ran["plot"].outputs)


def test_the_broken_files_fail_alone_and_are_tried_again(ran: dict[str, Any]) -> None:
    failure, kinds = text_of(ran["files"]).splitlines()
    assert failure.startswith("SyntaxError: ")
    assert kinds == "{'SyntaxError': 3} 497"
    assert re.fullmatch(r"[\d,]+ functions in 500 files; 0 failed\n", text_of(ran["retry"]))


def test_the_same_call_again_runs_nothing(ran: dict[str, Any]) -> None:
    assert text_of(ran["again"]) == "the same results: True - jobs that ran: 0\n"


# -- killed ----------------------------------------------------------------------------------------


def run_and_kill(folder: Path, dice: random.Random) -> Path:
    """Kill the kernel while it counts files; its journal as it stands then."""
    cells = {cell.id: cell.source for cell in cells_of_the_notebook()}
    kernel = Kernel("7.4", cwd=folder)
    try:
        for name in ("queue", "train"):
            kernel.run(cells[name])
        pid = int(kernel.value_of("__import__('os').getpid()"))
        kernel.send(cells["files"])
        journal = folder / "sweeps.db"
        wait_until(lambda: len(read_journal(journal)) > 16, 60)
        time.sleep(dice.random())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), 20)
    finally:
        kernel.close()
    return as_if_killed(journal)


def story(folder: Path, dice: random.Random) -> collections.Counter[str]:
    """Kill it, run all cells again; how many jobs stood where at the kill."""
    folder.mkdir()
    killed = read_journal(run_and_kill(folder, dice))
    assert text_of(run_all(folder)["again"]) == "the same results: True - jobs that ran: 0\n"
    found = read_journal(folder / "sweeps.db")
    done = collections.Counter(one.arguments for one in found if one.status == "completed")
    assert len(done) == 16 + FILES, "none was lost"
    assert set(done.values()) == {1}, "none has completed twice"
    known = {one.id: one.status for one in killed}
    made = collections.Counter(one.arguments for one in found if one.id not in known)
    for one in killed:
        if "broken" not in one.arguments:  # those fail, and are tried again by the notebook
            again = one.status == "failed"  # it ran when the kernel was killed
            assert made[one.arguments] == again, f"{one.arguments} was {one.status}"
    return collections.Counter(known.values())


def stories(count: int, seed: int, folder: Path) -> str:
    stood: collections.Counter[str] = collections.Counter()
    for number in range(count):
        stood += story(folder / str(number), random.Random(f"{seed} sweeps {number}"))
    return f"{count} kills, seed {seed}: {dict(stood)} at the kill, 0 lost, 0 completed twice"


@pytest.mark.timeout(240)
def test_a_killed_kernel_costs_nothing_but_what_ran(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(stories(1, seed, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_killed_kernels_cost_nothing_but_what_ran(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(stories(20, seed, tmp_path))
