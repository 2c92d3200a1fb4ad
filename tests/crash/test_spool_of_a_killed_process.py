"""What a killed process has left among the temporary files goes with the next one; nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from jobqueue_widget._runtime.storage import spool
from jobqueue_widget._runtime.storage.spool import PREFIX, Spool, remove_left_behind

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks there")

LARGE = 3_000_000  # bytes
QUEUE = f"""
import asyncio, os, sys
from jobqueue_widget import JobQueue

async def main():
    async with JobQueue(keep_bytes=1_000) as queue:
        jobs = queue.map(os.urandom, [{LARGE}] * 3)
        await jobs
        print("done", flush=True)
        sys.stdin.readline()
        print(sum(len(job.result) for job in jobs), flush=True)

asyncio.run(main())
"""


@contextmanager
def queue_in(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with a queue that keeps results in files."""
    process = subprocess.Popen(
        [sys.executable, "-c", QUEUE],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        try:
            yield process
        finally:
            process.kill()


def kill_with_its_guardian(process: subprocess.Popen[str]) -> None:
    """As what stops a container does, or a machine that has no memory left."""
    kernel = psutil.Process(process.pid)
    everybody = [*kernel.children(recursive=True), kernel]
    for one in everybody:
        one.suspend()
    for one in everybody:
        one.kill()
    process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def made_in(folder: Path, known: set[Path]) -> Path:
    """The folder of a queue that has put a result into it, and was not known."""
    found: list[Path] = []

    def look() -> bool:
        found[:] = [one for one in folder.glob(f"{PREFIX}*") if one not in known]
        return any(file.stat().st_size > LARGE for one in found for file in one.iterdir())

    wait_for(look)
    (path,) = found
    return path


def age(path: Path) -> None:
    os.utime(path, (time.time() - 3_600,) * 2)


def test_what_a_killed_kernel_left_goes_with_the_next_and_a_living_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    with queue_in(tmp_path) as living:
        kept = made_in(tmp_path, set())
        with queue_in(tmp_path) as killed:
            left = made_in(tmp_path, {kept})
            kill_with_its_guardian(killed)
        assert left.exists()
        age(kept)
        age(left)
        with queue_in(tmp_path):
            wait_for(lambda: not left.exists())
            assert any(kept.iterdir())
        told, _ = living.communicate("tell\n")
        assert told == f"{3 * LARGE}\n"


HOLDER = """
import sys
from jobqueue_widget._runtime.storage.spool import Spool
one = Spool(*sys.argv[1:])
print(one.path(), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["", "plugins-"])
@pytest.mark.parametrize("lives", [True, False])
def test_a_folder_stays_while_its_owner_lives(tmp_path: Path, kind: str, lives: bool) -> None:
    command = [sys.executable, "-c", HOLDER, kind, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        (path / "value").write_bytes(b"1")
        age(path)
        if not lives:
            owner.kill()
            owner.wait()
        remove_left_behind(tmp_path)
        assert path.exists() == lives
        owner.kill()


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "value").write_bytes(b"1")
    age(path)


def a_new_folder(path: Path) -> None:
    path.mkdir()


def a_file(path: Path) -> None:
    path.write_bytes(b"1")
    age(path)


def a_link(path: Path) -> None:
    target = path.parent / "of the user"
    a_folder(target)
    path.symlink_to(target)


def of_another_user(path: Path) -> None:
    a_folder(path)
    os.chown(path, 12_345, 12_345)


@pytest.mark.parametrize(
    ("make", "name", "stays"),
    [
        (a_folder, f"{PREFIX}abc", False),
        (a_folder, f"{PREFIX}plugins-abc", False),
        (a_folder, "jobqueue-abc", True),  # of 0.1.0, which locks nothing
        (a_folder, "of the user", True),
        (a_new_folder, f"{PREFIX}abc", True),
        (a_file, f"{PREFIX}abc", True),
        (a_link, f"{PREFIX}abc", True),
        *[(of_another_user, f"{PREFIX}abc", True)] * (os.getuid() == 0),
    ],
)
def test_nothing_else_goes(
    tmp_path: Path, make: Callable[[Path], None], name: str, stays: bool
) -> None:
    path = tmp_path / name
    make(path)
    remove_left_behind(tmp_path)
    assert path.exists() == stays
    assert not path.is_symlink() or any(path.iterdir())


def test_a_folder_that_was_made_anew_is_locked_again(tmp_path: Path) -> None:
    owner = Spool(within=str(tmp_path))
    path = owner.path()
    path.rmdir()
    assert owner.path() == path
    age(path)
    remove_left_behind(tmp_path)
    assert path.exists()
    owner.remove()
    assert not path.exists()


def test_where_nothing_can_be_listed_nothing_goes(tmp_path: Path) -> None:
    remove_left_behind(tmp_path / "gone")


def test_one_process_looks_once(tmp_path: Path) -> None:
    owners = [Spool(within=str(tmp_path)) for _ in range(3)]
    paths = [owner.path() for owner in owners]
    assert tmp_path in spool._looked_in
    assert all(map(Path.exists, paths))
    for owner in owners:
        owner.remove()
