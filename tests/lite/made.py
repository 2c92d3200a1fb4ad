"""The browser's Python, the wheels that go into it and JupyterLite, as `.ci/make-lite` has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = ROOT / "build" / "lite"


def need_lite() -> Path:
    """Return where they are. Without them: skipped, and with CI=true a failure."""
    if not (MADE / ".installed").exists():
        why = f"no browser's Python here: run `make {(MADE / '.installed').relative_to(ROOT)}`"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return MADE
