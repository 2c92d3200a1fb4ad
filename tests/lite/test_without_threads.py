"""A queue without threads and processes: in the browser's Python, and in one like it on Linux."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lite.claims import CLAIMS
from tests.lite.imitation import LEFT_OUT
from tests.lite.made import ROOT, need_lite

HERE = Path(__file__).parent


def held(*command: str | Path) -> dict[str, str]:
    """How each claim has failed there, or nothing."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr[-2000:]) == (0, "")
    found: dict[str, str] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def in_imitation() -> dict[str, str]:
    return held(sys.executable, HERE / "imitation.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package as anybody gets it, for Linux too."""
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [built] = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def in_node(wheel: Path) -> dict[str, str]:
    made = need_lite()
    wheels = [*sorted((made / "wheels").glob("*.whl")), wheel]
    return held("node", HERE / "in_node.mjs", made / "node_modules" / "pyodide", *wheels)


@pytest.mark.parametrize("claim", CLAIMS)
def test_on_linux_without_threads(in_imitation: dict[str, str], claim: str) -> None:
    assert in_imitation[claim] == ""


@pytest.mark.timeout(180)  # the first one waits for all
@pytest.mark.parametrize("claim", [*CLAIMS, "what_the_wheel_requires_is_there"])
def test_in_the_browsers_python(in_node: dict[str, str], claim: str) -> None:
    assert in_node[claim] == ""


def test_the_imitation_lacks_what_the_wheel_leaves_out_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = [line for line in text.splitlines() if "sys_platform != 'emscripten'" in line]
    names = {line.partition(">=")[0].strip(' "').replace("-", "_") for line in lines}
    assert {name.replace("pyyaml", "yaml") for name in names} == LEFT_OUT
