"""The seventh example: its kernel kills itself twice while its job counts."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import DeadKernelError

from tests.integration.test_examples import execute

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_overnight.ipynb"


@pytest.mark.timeout(180)
def test_a_job_counts_on_while_two_kernels_are_killed(tmp_path: Path) -> None:
    def cells(*names: str) -> object:
        notebook = nbformat.read(EXAMPLE, as_version=4)
        found = {cell.id: cell for cell in notebook.cells}
        return nbformat.v4.new_notebook(cells=[found[name] for name in names])

    with pytest.raises(DeadKernelError):
        execute(cells("open", "submit", "watch", "kill"), tmp_path)
    with pytest.raises(DeadKernelError):
        execute(cells("open", "watch", "kill"), tmp_path)
    told = execute(cells("open", "watch", "end"), tmp_path)
    assert told["open"].startswith("night is running\n")
    assert told["watch"].endswith("it moves: True\n")
    result, beats = told["end"].splitlines()
    steps, rest = re.findall(r"[\d.]+", beats)
    assert (result, steps) == ("1000", "1000"), "it was interrupted, or ran twice"
    assert float(rest) < 1.0, "as long as a kernel takes to start"
