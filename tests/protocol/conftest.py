"""The pages' process, made once per module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .node import FRONT_END, Node, compile_client, missing


@pytest.fixture(scope="session")
def front_end() -> Path:
    """Its source. Without the tools to compile it: skipped, and with CI=true a failure."""
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return FRONT_END


@pytest.fixture
def node(front_end: Path, tmp_path: Path) -> Iterator[Node]:
    """Pages of today's source."""
    pages = Node(compile_client(front_end, tmp_path))
    yield pages
    pages.close()
