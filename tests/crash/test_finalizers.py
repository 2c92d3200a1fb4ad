"""A __del__ or a signal handler calls the queue in the middle of a call of the same thread."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.kernels import REPOSITORY


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "seconds", [pytest.param(4, id="short"), pytest.param(30, id="long", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("how", ["gc", "signal"])
def test_what_comes_in_between_is_done_or_refused(how: str, seconds: int, seed: int) -> None:
    program = [sys.executable, "-m", "tests.crash.finalizers", how, str(seconds), str(seed)]
    ran = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-6000:]  # it ends itself, with its stacks, if it hangs
    told = json.loads(ran.stdout.splitlines()[-1])
    assert (told["left"], told["lost"], told["wrong"]) == ([], 0, []), told
    assert {"refused", "cancels", "prints"} <= told["seen"].keys(), told
