"""What users type, in real kernels: each `.cells` file here is a notebook that judges itself.

Its cells are divided by lines that begin with `#%%`; before those that follow `#%% restart` the
kernel is started anew in the same folder. The last cell prints `RIGHT`, or `WRONG: ` and what is.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

HERE = Path(__file__).parent
DIVIDER = re.compile(r"^#%%(.*)\n", re.MULTILINE)


def cells_of(path: Path) -> list[tuple[str, str]]:
    """What stands behind the divider of each cell, and the cell."""
    pieces = DIVIDER.split("#%%\n" + path.read_text())[1:]
    return [
        (word.strip(), cell) for word, cell in zip(pieces[::2], pieces[1::2], strict=True) if cell
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("path", sorted(HERE.glob("*.cells")), ids=lambda path: path.stem)
def test_a_notebook_judges_itself(path: Path, version: str, tmp_path: Path) -> None:
    environ = {"JOBQUEUE_DATA_DIR": str(tmp_path / "data")}
    kernel = Kernel(version, cwd=tmp_path, environ=environ)
    try:
        for word, cell in cells_of(path):
            assert word in ("", "restart"), word
            if word == "restart":
                kernel.shut_down()
                kernel.close()
                kernel = Kernel(version, cwd=tmp_path, environ=environ)
            sent = kernel.send(cell)
            reply = kernel.reply_to(sent)
            assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))
            kernel.until_idle_after(sent)
        verdicts = re.findall(r"^(?:RIGHT|WRONG).*$", kernel.printed(), re.MULTILINE)
        assert verdicts == ["RIGHT"]
    finally:
        kernel.close()
