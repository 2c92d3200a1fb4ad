"""Cells as jobs, seen from outside of the kernel: when names are set, what Tab and Enter give."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobFailedError, JobQueue, UnpicklableJobError
from jobqueue_widget._notebook.sending import Sending, Source
from jobqueue_widget.child.cell import Cell
from tests.kernels import REPOSITORY, VERSIONS, Kernel

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

COMPLETIONS = {  # what is typed, the place of the cursor being "|", and what may stand there
    "%%job --|": ["--gpus", "--out", "--priority", "--queue", "--timeout"],
    "%%job train --pri|": ["--priority"],
    "%%job --queue |": ["mine", "other"],
    "%%job --queue=m|": ["mine"],
    "%%job --out |\nloss = 1\nfor step in rows: lr = 2": ["loss", "lr", "step"],
    "%%job --out loss,l|\nloss = 1\nlr = 2\ndef f(": ["loss", "lr"],
    "%job --|": ["--gpus", "--priority", "--queue", "--timeout"],
    "%jobs o|": ["other"],
    "x = 1\n%job --queue o|": ["other"],
}


@pytest.fixture(params=[VERSIONS[0], VERSIONS[-1]])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(request.param)
    kernel.run("%load_ext jobqueue_widget")
    yield kernel
    kernel.close()


def written(text: str) -> Any:
    """True for the message that writes this into the output of a cell, when that is over."""
    return lambda m: (
        m["msg_type"] == "update_display_data" and m["content"]["data"].get("text/plain") == text
    )


def test_names_are_set_between_cells_and_with_none(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("model = 0")
    kernel.run("%%job --out model\nmodel = 7")
    kernel.until(written("model: set in the notebook"))  # without another cell
    assert kernel.value_of("model") == 7

    kernel.run(
        f"import asyncio, time\nfrom pathlib import Path\ngate = Path({str(tmp_path / 'gate')!r})"
    )
    kernel.run("%%job --out late\nwhile not gate.exists(): time.sleep(0.01)\nlate = 7")
    waits = "queue = %jobs\ngate.touch()\nawait queue.join()\nget_ipython().run_cell('')\n"
    kernel.run(waits + "await asyncio.sleep(0)\nseen = 'late' in globals()")
    assert kernel.value_of("seen, late") == (False, 7)

    kernel.run("%%job --out never\nnever = 1\n1 / 0")
    kernel.until(written("never: not set, as the job has failed"))
    assert kernel.value_of("'never' in globals()") is False


def test_a_name_that_was_freed_meanwhile_is_left_alone(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(
        f"import time\nfrom pathlib import Path\ngate = Path({str(tmp_path / 'gate')!r})\n"
        "class Model: pass\nmodel = Model()\nqueue = %jobs"
    )
    kernel.run("%%job --out model\nwhile not gate.exists(): time.sleep(0.01)\nmodel = 7")
    kernel.run("model = None\ngate.touch()\nawait queue.join()")
    kernel.run("None")
    assert kernel.value_of("model") is None


def test_tab_and_enter_help_who_types(kernel: Kernel) -> None:
    kernel.run("from jobqueue_widget import JobQueue\nmine, other = JobQueue(), JobQueue()")
    for typed, wanted in COMPLETIONS.items():
        place = typed.index("|")
        sent = kernel.send_message(
            "complete_request", {"code": typed.replace("|", ""), "cursor_pos": place}
        )
        assert sorted(kernel.reply_to(sent)["matches"]) == wanted, typed

    reply = kernel.reply_to(kernel.send("%%job --queue mine\n\nx = 1\nx = = 2"))
    assert (reply["status"], reply["ename"]) == ("error", "SyntaxError")
    assert "line 4" in "\n".join(reply["traceback"])
    reply = kernel.reply_to(kernel.send("%%job --queue mine\nprint(x)"))
    said = "name 'x' is not defined, neither in the notebook nor before in the cell"
    assert reply["traceback"] == [f"NameError: {said} (line 2: print(x))"]
    reply = kernel.reply_to(kernel.send("%%job\nprint(1)"))
    said = "there are several queues here (mine, other): say which one, as in %%job --queue mine"
    assert reply["traceback"] == [f"InvalidOptionError: {said}"]


def test_where_no_loop_runs_between_cells_it_says_what_to_do(tmp_path: Path) -> None:
    """The shell of a terminal; with a queue that has a loop of its own it works there, too."""
    program = tmp_path / "typed.ipy"
    program.write_text(
        "%load_ext jobqueue_widget\n"
        "shell = get_ipython()\n"
        "print(shell.run_cell('%%job\\nprint(1)').error_in_exec)\n"
        "from jobqueue_widget import JobQueue\n"
        "shell.run_cell('queue = await JobQueue(loop=\"thread\").start()')\n"
        "shell.run_cell('%%job --queue queue --out y\\ny = 6 * 7')\n"
        "shell.run_cell('queue.wait()')\n"
        "shell.run_cell('print(y)')\n"
        "shell.run_cell('await queue.close()')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(program)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "no event loop runs here between cells, so a queue needs one of its own" in ran.stdout
    assert '`queue = await JobQueue(loop="thread").start()`' in ran.stdout, ran.stdout
    assert "\n42\n" in ran.stdout, ran.stdout + ran.stderr


async def test_a_secret_in_the_text_of_a_cell_is_hidden() -> None:
    code = compile("api_key = 'sk-abcdef123456789'\nprint(api_key)", "a cell", "exec")
    async with JobQueue() as queue:
        job = queue.submit_nowait(Cell(code, None, (), "cell", {}, {}))
        assert await job == {}
        assert "sk-" not in job.logs()


def cell_of(text: str) -> Source:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return Source("a cell", text.splitlines(), ast.parse(text), flags, is_silent=False)


async def test_a_job_that_a_cell_reads_stands_for_its_result_and_is_never_to_blame() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(pow, 2, 3)
        cell = cell_of("if anew: one = 5\ntwo = one + 1")
        maybe = Sending(cell, {"anew": False, "one": job}, ("two",), "a")
        assert await queue.submit_nowait(maybe.target, **maybe.arguments) == {"two": 9}

        waits = Sending(cell_of("two = await one"), {"one": job}, (), "c")
        awaited = queue.submit_nowait(waits.target, **waits.arguments)
        with pytest.raises(JobFailedError, match="is its result here, and is not awaited"):
            await awaited

        variables = {"job": job, "jobs": [job], "lock": threading.Lock()}
        bad = Sending(cell_of("print(job, jobs)\nlock.acquire()"), variables, (), "b")
        with pytest.raises(UnpicklableJobError) as refused:
            queue.submit_nowait(bad.target, **bad.arguments)
        assert str(bad.refusal(refused.value)).startswith("the cell reads 'lock' (lock): ")
