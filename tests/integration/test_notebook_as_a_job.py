"""A notebook as a job, as the manual shows it, with the real papermill."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest

from jobqueue_widget import JobFailedError, JobQueue
from tests.conditions import until
from tests.crash.processes import alive, pids_in

PARAMETERS = "n = 1"
COUNTS = "from pathlib import Path\nPath('pid').write_text(str(__import__('os').getpid()))\nn * 2"
WAITS = "import time\nPath('begun').touch()\ntime.sleep(600)"


def notebook_at(path: Path, *cells: str) -> Path:
    """Write a notebook, whose first cell holds the parameters."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    notebook.cells[0].metadata.tags = ["parameters"]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, path)
    return path


def kept(path: Path) -> list[str]:
    """What its cells have shown, as the file says that papermill has written."""
    cells = nbformat.read(path, as_version=4).cells
    return [one["data"]["text/plain"] for cell in cells for one in cell.outputs if "data" in one]


@pytest.mark.timeout(120)
async def test_its_cells_are_its_progress_and_it_is_really_stopped(tmp_path: Path) -> None:
    given = notebook_at(tmp_path / "given.ipynb", PARAMETERS, COUNTS, WAITS)
    made = tmp_path / "made.ipynb"
    async with JobQueue() as queue:
        job = queue.submit_nowait(
            papermill.execute_notebook,
            given,
            made,
            parameters={"n": 21},
            cwd=tmp_path,
            progress_bar={"mininterval": 0, "miniters": 1},
        )
        await until((tmp_path / "begun").exists, 60)
        (kernel,) = pids_in(tmp_path / "pid")
        await until(lambda: job.progress == pytest.approx(3 / 4), 30)  # one is papermill's own
        assert "3/4" in job.status_message
        assert alive(kernel)
        assert job.cancel()
        await queue.wait_for_job(job)
        assert job.status == "cancelled"
        assert not alive(kernel)
        assert kept(made) == ["42"]


@pytest.mark.timeout(120)
async def test_a_cell_that_fails_fails_the_job(tmp_path: Path) -> None:
    given = notebook_at(tmp_path / "given.ipynb", PARAMETERS, "1 / 0")
    async with JobQueue() as queue:
        job = queue.submit_nowait(papermill.execute_notebook, given, tmp_path / "made.ipynb")
        with pytest.raises(JobFailedError, match="ZeroDivisionError"):
            await job
