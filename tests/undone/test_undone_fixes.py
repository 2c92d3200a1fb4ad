"""Fixes undone on purpose: the generators, and the tables of their kinds, see each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.schedules.planted import PACKAGE, Bug, run

from .fixes import FIXES, Fix

every_fix = pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.name.replace(" ", "_"))


def played(folder: Path, *tests: str) -> tuple[int, str]:
    """The exit status of pytest over the copy in `folder`, and what it printed."""
    command = ["pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=60"]
    ended = run(folder, *command, *(f"tests/{one}" for one in tests))
    return ended.returncode, ended.stdout


@every_fix
def test_a_fix_stands_in_the_code_of_today(fix: Fix) -> None:
    for bug in filter(None, (fix, fix.also)):
        text = (PACKAGE / bug.file).read_text()
        assert text.count(bug.old) == 1
        assert bug.mutate(text) != text
        compile(bug.mutate(text), bug.file, "exec")


@pytest.mark.long
@pytest.mark.timeout(600)
@every_fix
def test_an_undone_fix_is_seen(fix: Fix, tmp_path: Path, note: Callable[[str], None]) -> None:
    status, told = played(fix.plant(tmp_path), fix.seen_by)
    assert status == 1, f"{fix.name}: not seen\n{told[-3000:]}"
    words = re.findall(r"^(?:FAILED|ERROR) (tests.*)", told, re.MULTILINE)
    note(f"seen by {words[0]}"[:200])


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_is_whole_is_not_accused(tmp_path: Path) -> None:
    Bug("none", "_core/order.py", "the same", "the same").plant(tmp_path)
    status, told = played(tmp_path, *dict.fromkeys(fix.seen_by for fix in FIXES))
    assert status == 0, told[-3000:]
