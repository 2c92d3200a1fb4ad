"""Workers of a real kernel whose folder is gone, or whose environment prints or has no room."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import VERSIONS, Kernel, search_path

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

CELL = """
from jobqueue_widget import JobQueue
import os
def where(x): print("said by", x); return x, os.getcwd()
def shout(x): return x, os.system("echo from a shell")
queue = await JobQueue().start()
"""
Start = Callable[..., Kernel]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    kernels: list[Kernel] = []

    def begin(sitecustomize: str = "", **variables: str) -> Kernel:
        folder = tmp_path / "site"
        folder.mkdir()
        if sitecustomize:
            (folder / "sitecustomize.py").write_text(textwrap.dedent(sitecustomize))
        place = tmp_path / "notebooks"
        place.mkdir()
        path = os.pathsep.join((str(folder), search_path(VERSIONS[0])))
        kernels.append(Kernel(VERSIONS[0], cwd=place, environ={"PYTHONPATH": path, **variables}))
        kernels[-1].run(CELL)
        return kernels[-1]

    yield begin
    for kernel in kernels:
        kernel.close()


def result_of(kernel: Kernel, call: str) -> Any:
    kernel.run(f"job = queue.submit_nowait({call}); await queue.wait_for_job(job, 25)")
    assert kernel.value_of("job.status.value") == "completed", kernel.value_of("job.error")
    return kernel.value_of("job.result")


@pytest.mark.parametrize("first", ["cold", "warm"])
def test_jobs_run_though_the_folder_of_the_kernel_was_removed(start: Start, first: str) -> None:
    kernel = start()
    if first == "warm":
        assert result_of(kernel, "where, 1")[0] == 1
    kernel.run("import shutil; shutil.rmtree(os.getcwd())")
    assert result_of(kernel, "where, 2") == (2, "/")
    assert "folder was removed" in kernel.value_of("job.logs()")
    assert result_of(kernel, "where, 3") == (3, "/")
    assert kernel.value_of("job.logs()") == "said by 3\n", "said once"
    kernel.run("job = queue.options(fresh=True).submit_nowait(where, 4); await job")
    assert kernel.value_of("job.result") == (4, "/")
    kernel.run("os.chdir('/tmp')")
    assert result_of(kernel, "where, 5") == (5, "/tmp")
    kernel.run("await queue.close()")


@pytest.mark.parametrize("first", ["cold", "warm"])
def test_jobs_run_though_the_folder_for_temporary_files_was_removed(
    start: Start, first: str, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    kernel = start(TMPDIR=str(scratch))
    kernel.run("import tempfile; assert tempfile.gettempdir().endswith('scratch')")
    if first == "warm":
        assert result_of(kernel, "where, 1")[0] == 1
    kernel.run("import shutil; shutil.rmtree(tempfile.gettempdir())")
    assert result_of(kernel, "where, 2")[0] == 2
    assert result_of(kernel, "lambda: len(b'x' * 50_000_000)") == 50_000_000
    kernel.run("job = queue.submit_nowait(lambda: b'x' * 50_000_000); await job")
    assert kernel.value_of("len(job.result)") == 50_000_000
    kernel.run("await queue.close()")


@pytest.mark.parametrize(
    "code",
    [
        "print('hello from sitecustomize')",
        "import os; os.write(1, b'J' * 300_000)",
        "import sys; sys.stderr.write('warned\\n' * 1000)",
        "import sys; sys.stdout.buffer.write(bytes(range(256)))",
        "import os; os.system('echo from a shell')",
    ],
    ids=["print", "much", "stderr", "bytes", "shell"],
)
def test_an_environment_that_prints_breaks_no_job(start: Start, code: str) -> None:
    kernel = start(code)
    assert result_of(kernel, "where, 1")[0] == 1
    assert "said by 1" in kernel.value_of("job.logs()")
    assert result_of(kernel, "shout, 2") == (2, 0)
    assert kernel.value_of("job.logs()") == "from a shell\n", "what is the job's own"
    kernel.run("await queue.close()")


def test_an_environment_that_reads_takes_nothing_of_the_jobs(start: Start) -> None:
    kernel = start("import sys; sys.stdin is None or sys.stdin.read()")
    assert result_of(kernel, "where, 1")[0] == 1
    kernel.run("await queue.close()")


def test_a_worker_for_which_there_is_no_room_now_is_started_again(start: Start) -> None:
    kernel = start(
        """
        import os, threading
        begin = threading.Thread.start
        def start(thread):
            mark = os.environ.get("MARK", "")
            if thread.name == "jobqueue-listen" and not os.path.exists(mark):
                open(mark, "w").close()
                raise RuntimeError("can't start new thread")
            begin(thread)
        threading.Thread.start = start
        """
    )
    kernel.run("os.environ['MARK'] = os.path.abspath('mark')")
    assert result_of(kernel, "where, 1")[0] == 1
    assert kernel.value_of("(job.attempt, os.path.exists('mark'))") == (1, True)
    kernel.run("await queue.close()")
