"""The examples run from top to bottom in a real kernel, and say what their text promises."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from tests.example_plugins import need_environments
from tests.plugins.test_ocr import RECEIPT
from tests.plugins.test_transcribe import GARDEN, WINTER

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
DEMO = [sys.executable, str(ROOT / "examples" / "run_demo.py")]


def execute(notebook: Any, folder: Path) -> dict[str, str]:
    """Run the cells in a real kernel that works in `folder`; the text of each, by its id."""
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute())
    return {cell.id: text_of(cell) for cell in notebook.cells if cell.cell_type == "code"}


def text_of(cell: Any) -> str:
    texts = [
        output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
        for output in cell.outputs
    ]
    return "".join(texts)


def run_example(name: str, folder: Path) -> dict[str, str]:
    return execute(nbformat.read(ROOT / "examples" / name, as_version=4), folder)


def notebook_of(*sources: str) -> Any:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


# -- the first notebook --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_example("01_first_queue.ipynb", tmp_path_factory.mktemp("first"))


def test_pending_jobs_are_shown_in_dispatch_order(first: dict[str, str]) -> None:
    names = [line.split()[1] for line in first["submit"].splitlines()]
    assert names == ["hash_files", "count_lines", "compress_files", "read_settings"]


def test_each_job_is_seen_pending_running_and_ended_in_turn(first: dict[str, str]) -> None:
    lines = [line.split()[:2] for line in first["watch"].splitlines()]
    ended = [name for name, status in lines if status in ("completed", "failed")]
    assert ended == ["hash_files", "count_lines", "compress_files", "read_settings"]
    for name in ended:
        seen = list(dict.fromkeys(status for job, status in lines if job == name))
        last = "failed" if name == "read_settings" else "completed"
        assert seen in (["pending", "running", last], ["pending", last])


def test_progress_of_tqdm_arrives_while_the_job_runs(first: dict[str, str]) -> None:
    compressing = [line for line in first["watch"].splitlines() if "compressing" in line]
    assert any(" running " in line for line in compressing)
    assert "[##########]" in compressing[-1]


def test_results_come_back(first: dict[str, str]) -> None:
    files = int(first["sources"].split()[0])
    assert first["results"].strip().endswith(f"{files} digests")
    assert re.match(r"[\d,]+ lines; compressed to \d\d%", first["results"])


def test_what_a_job_printed_is_in_its_log(first: dict[str, str]) -> None:
    assert re.search(r"[\d,]+ bytes became [\d,]+", first["log"])


def test_a_failure_shows_the_traceback_of_the_worker(first: dict[str, str]) -> None:
    assert "JSONDecodeError" in first["failure"]
    assert "in read_settings" in first["failure"]


def test_map_gives_a_result_for_each_item(first: dict[str, str]) -> None:
    counts = [int(line.split()[1].replace(",", "")) for line in first["map"].splitlines()]
    assert len(counts) == 5
    assert min(counts) > 100


def test_the_table_lists_every_job(first: dict[str, str]) -> None:
    assert first["table"].count("completed") == 8
    assert first["table"].count("failed") == 1


# -- the second ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_example("02_progress_and_cancel.ipynb", tmp_path_factory.mktemp("second"))


def test_track_and_report_are_seen(second: dict[str, str]) -> None:
    hashed, compressed = second["progress"].splitlines()
    assert hashed.startswith("hash_all: 100%")
    assert re.match(r"compress_all: 100% '[\d,]+ bytes after \S+\.py'", compressed)


def test_a_long_job_is_cancelled_half_way(second: dict[str, str]) -> None:
    running, cancelled = second["cancel"].splitlines()
    assert " running " in running
    assert cancelled.endswith("was cancelled: seen enough")


def test_the_process_of_a_job_that_does_not_listen_is_gone(second: dict[str, str]) -> None:
    assert re.search(r"process (\d+) is there: True\nprocess \1 is there: False", second["force"])
    assert " cancelled>" in second["force"]
    assert second["force"].strip().endswith("another process: True")


def test_a_time_limit_fails_the_job(second: dict[str, str]) -> None:
    assert re.match(r"failed - .*time limit 0.5 s", second["limit"])


def test_a_retry_keeps_the_job_and_a_repetition_makes_a_new_one(second: dict[str, str]) -> None:
    kept, repeated = second["retry"].splitlines()
    assert kept == "'ready' in attempt 2"
    assert repeated.startswith("'ready' in attempt 1 of another job")


def test_pending_jobs_are_rearranged(second: dict[str, str]) -> None:
    orders = dict(line.split(":") for line in second["order"].splitlines())
    assert {what: order.split() for what, order in orders.items()} == {
        "as submitted": ["A", "B", "C", "D"],
        "C has priority 5": ["C", "A", "B", "D"],
        "D moved before A": ["C", "D", "A", "B"],
        "A is held in its place": ["C", "D", "A", "B"],
        "the others have ended": ["A"],
        "they ran in this order": ["C", "D", "B", "A"],
    }


def test_the_last_lines_of_a_log_can_be_had(second: dict[str, str]) -> None:
    assert len(second["logs"].splitlines()) == 3


# -- the third -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def third() -> dict[str, str]:
    need_environments()
    return run_example("03_plugins.ipynb", ROOT / "examples")


def test_plugins_hear_and_read_real_files(third: dict[str, str]) -> None:
    heard, *read = third["work"].splitlines()
    assert heard == GARDEN
    assert "\n".join(read) == RECEIPT


def test_a_plugin_s_progress_and_log_are_seen(third: dict[str, str]) -> None:
    lines = third["progress"].splitlines()
    bars = [line.count("#") for line in lines if line.startswith("[")]
    assert bars == sorted(set(bars))
    assert bars[-1] == 10
    assert len(bars) > 2
    assert [line.split(" s  ")[1] for line in lines[-2:]] == WINTER.split(". ")


def test_a_blocked_plugin_says_what_it_waits_for(third: dict[str, str]) -> None:
    assert re.match(r"pending - needs [\d,]+ MiB RAM, [\d,]+ free; ocr holds", third["blocked"])


def test_an_urgent_plugin_job_passes_the_one_that_waits(third: dict[str, str]) -> None:
    assert third["priority"].splitlines() == [WINTER, "still pending"]


def test_when_the_long_job_is_cancelled_the_waiting_one_runs(third: dict[str, str]) -> None:
    cancelled, used, heard = third["cancel"].splitlines()
    assert re.match(r"cancelled at \d+%: ", cancelled)
    assert re.match(r"planned \{'ram_mib': .*\} - used at most ", used)
    assert heard == GARDEN
    assert third["table"].count("completed") == 6
    assert third["table"].count("cancelled") == 1


# -- the fourth ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fourth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Its kernel kills itself, and another one runs the rest, beginning with the first cell."""
    folder = tmp_path_factory.mktemp("fourth")
    notebook = nbformat.read(ROOT / "examples" / "04_survive_a_restart.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kill = next(place for place, cell in enumerate(code) if cell.id == "kill")
    before = nbformat.v4.new_notebook(cells=code[: kill + 1])
    with pytest.raises(DeadKernelError):
        execute(before, folder)
    texts = {f"before: {cell.id}": text_of(cell) for cell in code[:kill]}
    after = nbformat.v4.new_notebook(cells=[code[0], *code[kill + 1 :]])
    return texts | execute(after, folder)


def test_what_was_shown_tells_how_things_stood_before_the_kill(fourth: dict[str, str]) -> None:
    assert "1 running, 2 queued, 2 completed" in fourth["before: open"]
    assert "1 running, 2 pending, 2 ended" in fourth["before: submit"]


def test_after_the_kill_everything_is_there(fourth: dict[str, str]) -> None:
    lines = [line.split()[:2] for line in fourth["open"].splitlines()[:5]]
    assert lines == [
        ["cmd.py", "pending"],
        ["csv.py", "pending"],
        ["long", "failed"],
        ["abc.py", "completed"],
        ["ast.py", "completed"],
    ]
    assert "interrupted by kernel exit" in fourth["open"]
    assert re.match(r"ast.py has [\d,]+ bytes", fourth["review"])
    assert "['cmd.py', 'csv.py'] paused: True" in fourth["review"]


def test_what_was_pending_runs_with_the_functions_of_the_dead_kernel(
    fourth: dict[str, str],
) -> None:
    lines = fourth["resume"].splitlines()
    assert [line.split()[0] for line in lines] == ["ast.py", "abc.py", "cmd.py", "csv.py"]
    assert all(re.fullmatch(r"\w+\.py [0-9a-f]{12}", line) for line in lines)


def test_the_interrupted_job_runs_again_on_request(fourth: dict[str, str]) -> None:
    assert fourth["retry"].endswith("'long' cancelled> repeats True\n")
    assert len(fourth["outside"].splitlines()) == 6


# -- the files and the commands ------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in code)


def test_the_first_queue_of_the_readme_is_shown_and_runs(tmp_path: Path) -> None:
    source = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    notebook = notebook_of(source, "await queue.join()\nprint([job.result for job in jobs])")
    squares = execute(notebook, tmp_path)[notebook.cells[1].id]
    assert squares == f"{[n * n for n in range(10)]}\n"
    (shown,) = notebook.cells[0].outputs
    assert "10 completed" in shown["data"]["text/plain"]
    assert shown["data"]["text/html"].count("work") >= 10


def test_the_demo_shows_the_jobs_and_the_table() -> None:
    done = subprocess.run(
        [*DEMO, str(NOTEBOOKS[0])], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    for expected in ("Watch them run", "running", "compressing", "JSONDecodeError", "completed"):
        assert expected in done.stdout


def test_the_demo_ends_with_1_when_a_cell_fails(tmp_path: Path) -> None:
    path = tmp_path / "failing.ipynb"
    nbformat.write(notebook_of("print('before')", "1 / 0", "print('after')"), path)
    done = subprocess.run([*DEMO, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == "before\n"
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_its_kernel(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "waiting.ipynb"
    waiting = "import asyncio, os; print(os.getpid())\nawait asyncio.sleep(60)"
    nbformat.write(notebook_of(waiting), path)
    with subprocess.Popen(
        [*DEMO, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        kernel = int(demo.stdout.readline())
        demo.send_signal(number)
        errors = demo.communicate(timeout=20)[1]
    assert demo.returncode == 130
    assert "Traceback" not in errors
    wait_until_gone(kernel)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


# -- the fifth notebook --------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_the_same_ten_jobs_run_here_on_dask_and_on_ray(tmp_path: Path) -> None:
    texts = run_example("05_beyond_one_machine.ipynb", tmp_path)
    assert "'None'" in texts["local"]
    assert "Dask worker tcp://" in texts["dask"]
    assert "Ray actor" in texts["ray"]
    assert texts["cancel"].strip() == "cancelled 1024"
    assert texts["end"].strip().endswith("True")
