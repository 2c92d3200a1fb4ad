"""What works with a real plugin under the reference system works here, with the same outcome."""

from __future__ import annotations

import os

import pytest

from tests.ecosystem.outcomes import (
    GPU,
    MADE,
    PLAYS,
    REPOSITORY,
    Cell,
    acts_of,
    agrees,
    outcomes,
    table,
)
from tests.ecosystem.systems import MIXED, OURS, THEIRS

pytestmark = pytest.mark.timeout(170)  # the first test of a plugin plays all its acts

CASES = [
    pytest.param(play, act, id=f"{play}: {act}".replace(" ", "_"))
    for play in PLAYS
    for act in acts_of(play)
]


def need_environments() -> None:
    """Without them: skipped, and with CI=true a failure."""
    if not (MADE / ".installed").exists():
        why = f"no real plugins of the reference system here: make build/{MADE.name}/.installed"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


@pytest.mark.parametrize(("play", "act"), CASES)
def test_what_works_there_works_here(play: str, act: str, tell: list[Cell]) -> None:
    need_environments()
    (cell,) = (one for one in outcomes(play) if one.act == act)
    tell.append(cell)
    complaints = {
        system: cell.complaint(system) for system in (MIXED, OURS) if system in cell.outcomes
    }
    if found := "\n".join(f"{system}: {why}" for system, why in complaints.items() if why):
        pytest.fail(found, pytrace=False)


@pytest.mark.parametrize("play", PLAYS)
def test_the_reference_itself_was_really_at_work(play: str) -> None:
    """Were everything broken there, the comparison would be content with anything."""
    need_environments()
    working = {cell.act for cell in outcomes(play) if cell.state(THEIRS) == "works"}
    needed = {"figures", "eviction"} if play == GPU else {"discover", "load", "execute"}
    assert needed <= working


def test_the_page_for_its_users_has_the_table_of_this_run() -> None:
    need_environments()
    page = REPOSITORY / "docs" / "coming-from-cjm-plugin-system.md"
    told = table(cell for play in PLAYS for cell in outcomes(play))
    assert agrees(page, told), f"python -m tests.ecosystem {page.relative_to(REPOSITORY)}"
