"""The reference system of today and four capabilities, as `.ci/make-capabilities` has made them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
MADE = REPOSITORY / "build" / "capabilities"
MANIFESTS = MADE / "manifests"
RUN_THERE = Path(__file__).with_name("run_capabilities_there.py")


def need_capabilities() -> None:
    """Without them: skipped, and with CI=true a failure."""
    if not (MADE / ".installed").exists():
        why = f"no capabilities here: run `make {(MADE / '.installed').relative_to(REPOSITORY)}`"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


def results_there(folder: Path, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What cjm-substrate's own queue and manager, in their environment, give for these calls."""
    there = subprocess.run(
        [MADE / "host" / "bin" / "python", RUN_THERE, MANIFESTS],
        input=json.dumps(calls),
        cwd=folder,
        env={"HOME": str(folder), "CJM_DATA_DIR": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert there.returncode == 0, there.stderr
    told: list[dict[str, Any]] = json.loads(there.stdout)
    return told
