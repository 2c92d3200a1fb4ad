"""Prints the table of outcomes at the end of a run that has played them."""

from __future__ import annotations

import pytest

from tests.ecosystem.outcomes import Cell, table

CELLS = pytest.StashKey[list[Cell]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CELLS] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> list[Cell]:
    """Cells put in here are in the table at the end."""
    return request.config.stash[CELLS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if cells := terminalreporter.config.stash[CELLS]:
        terminalreporter.section("the reference system's real plugins, there and here")
        for line in table(cells).splitlines():
            terminalreporter.write_line(line)
