"""A kernel is killed in the middle of many jobs: run all cells again, and nothing runs twice."""

from __future__ import annotations

import collections
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from jobqueue_widget import read_journal
from tests.crash.processes import alive, wait_until
from tests.journals import as_if_killed

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

REPOSITORY = str(Path(__file__).parents[2])
ITEMS = 40
FIRST = """
import dataclasses, os, time
from pathlib import Path
from jobqueue_widget import JobQueue
queue = await JobQueue.open({journal!r}, max_running=2).start()

@dataclasses.dataclass
class Setting:
    seconds: float = 0.02
    words: frozenset = frozenset({{"left", "right", "middle"}})

def mark(word, number):
    file = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{{word}} {{number}}\\n".encode())
    os.close(file)

def transcribe(number, setting):
    mark("begun", number)
    time.sleep(setting.seconds)
    mark("done", number)
    return {{"number": number, "words": sorted(setting.words)}}
"""
SECOND = """
runs = queue.options(key=True).map(transcribe, range({items}), [Setting()] * {items})
"""
THIRD = """
results = [await job for job in runs]
assert [one["number"] for one in results] == list(range({items})), results
await queue.join()
assert not queue.paused
await queue.close()
"""


def counted(marks: Path) -> collections.Counter[str]:
    lines = marks.read_text().splitlines() if marks.exists() else []
    return collections.Counter(line.partition(" ")[2] for line in lines if line[0] == "b")


def run(client: BlockingKernelClient, cell: str) -> None:
    reply = client.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])


def start(marks: Path, dice: random.Random) -> tuple[KernelManager, BlockingKernelClient]:
    env = {**os.environ, "MARKS": str(marks), "PYTHONHASHSEED": str(dice.randrange(1, 2**32))}
    return start_new_kernel(cwd=REPOSITORY, env=env)


def end(manager: KernelManager, client: BlockingKernelClient) -> None:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def kill_and_run_all_again(folder: Path, dice: random.Random) -> collections.Counter[str]:
    """The story; how many items stood where at the kill."""
    folder.mkdir()
    journal = folder / "runs.db"
    cells = [cell.format(journal=str(journal), items=ITEMS) for cell in (FIRST, SECOND, THIRD)]
    manager, client = start(folder / "first", dice)
    try:
        run(client, cells[0])
        client.execute(cells[1])
        client.execute(cells[2])
        wait_until((folder / "first").exists, 30)
        time.sleep(dice.random())
        pid = int(manager.provisioner.pid)  # type: ignore[union-attr]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), 20)
    finally:
        end(manager, client)
    killed = read_journal(as_if_killed(journal))
    stood = {one.arguments.partition(",")[0]: one.status for one in killed}
    before = counted(folder / "first")

    manager, client = start(folder / "second", dice)
    try:
        for cell in cells:
            run(client, cell)
    finally:
        end(manager, client)
    after = counted(folder / "second")
    for number in map(str, range(ITEMS)):
        status = stood.get(number, "not accepted")
        assert after[number] == (status != "completed"), f"{number} was {status}: {after}"
        assert before[number] <= (status in ("completed", "failed")), f"{number} was {status}"
        assert before[number] == 1 or status != "completed"
        assert status in ("not accepted", "pending", "failed", "completed")  # failed: it ran
    found = read_journal(as_if_killed(journal, 2))
    done = collections.Counter(
        one.arguments.partition(",")[0] for one in found if one.status == "completed"
    )
    assert done == dict.fromkeys(map(str, range(ITEMS)), 1)
    return collections.Counter(stood.get(str(number), "lost") for number in range(ITEMS))


def story(count: int, seed: int, folder: Path) -> str:
    stood: collections.Counter[str] = collections.Counter()
    for number in range(count):
        dice = random.Random(f"{seed} run all again {number}")
        stood += kill_and_run_all_again(folder / str(number), dice)
    return f"{count} kills, seed {seed}: {dict(stood)} at the kill, 0 lost, 0 run twice"


@pytest.mark.timeout(180)
def test_run_all_again_after_a_kill(tmp_path: Path, seed: int, note: Callable[[str], None]) -> None:
    note(story(2, seed, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_run_all_again_after_many_kills(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(story(20, seed, tmp_path))
