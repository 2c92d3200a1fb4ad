"""The table of outcomes tells worse from better, and a page with an old one is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ecosystem.acts import ACTS
from tests.ecosystem.outcomes import BEGIN, END, Cell, agrees, table, write_into
from tests.ecosystem.systems import MIXED, OURS, THEIRS

NO = {"state": "does not apply"}


def works(value: Any = 1) -> dict[str, Any]:
    return {"state": "works", "value": value}


def fails(why: str = "Error: no") -> dict[str, Any]:
    return {"state": "fails", "why": why}


def cell(there: dict[str, Any], here: dict[str, Any], act: str = "load") -> Cell:
    return Cell("ffmpeg", act, {THEIRS: there, MIXED: there, OURS: here})


@pytest.mark.parametrize(
    ("there", "here", "judgement", "complains"),
    [
        (works(), works(), "same", False),
        (works({"a": [1]}), works({"a": (1.0,)}), "**differs**", True),
        (works(), fails(), "**worse**", True),
        (fails(), works(), "better", False),
        (fails(), fails(), "neither", True),
        (NO, NO, "-", False),
    ],
)
def test_what_is_said_of_a_cell(
    there: dict[str, Any], here: dict[str, Any], judgement: str, complains: bool
) -> None:
    one = cell(there, here)
    assert one.judgement(OURS) == judgement
    assert bool(one.complaint(OURS)) is complains


def whole(here: dict[str, Any]) -> list[Cell]:
    return [cell(works(), here, act) for act in ACTS]


def test_a_page_gets_the_table_between_its_marks_and_is_checked_against_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    text = table(whole(works()))
    assert not agrees(page, text)
    write_into(page, text)
    assert agrees(page, text)
    assert page.read_text().startswith("# Before\n")
    assert page.read_text().endswith(f"{END}\nafter\n")
    assert not agrees(page, table(whole(fails())))


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"page\.md has no"):
        write_into(page, "table")


def test_reasons_that_differ_from_run_to_run_do_not_make_a_page_old(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}")
    write_into(page, table(whole(fails("Error: after 3.1 s"))))
    assert agrees(page, table(whole(fails("Error: after 5.0 s | pid 12"))))
