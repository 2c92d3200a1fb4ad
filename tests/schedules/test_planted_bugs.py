"""Bugs planted on purpose: each is caught by a schedule or, failing that, by a quick test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .planted import BUGS, PACKAGE, ROOT, Bug, run

SCHEDULES = 3_000
QUICK = (
    "tests/unit",
    "tests/schedules/test_model.py",
    "tests/schedules/test_admission.py",
    "tests/integration/test_blocked_jobs.py",
    "tests/integration/test_resources.py",
    "tests/integration/test_order_hold_and_pause.py",
    "tests/integration/test_stop.py",
)

every_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))


@every_bug
def test_a_planted_bug_fits_the_code_of_today(bug: Bug) -> None:
    text = (PACKAGE / bug.file).read_text()
    assert text.count(bug.old) == 1
    compile(bug.mutate(text), bug.file, "exec")


def test_there_are_enough_of_them() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20


@pytest.mark.long
@pytest.mark.timeout(600)
@every_bug
def test_a_planted_bug_is_caught(
    bug: Bug, seed: int, tmp_path: Path, note: Callable[[str], None]
) -> None:
    bug.plant(tmp_path)
    found = run(tmp_path, "tests.schedules", str(seed), "--count", str(SCHEDULES))
    how = "a schedule"
    if found.returncode == 0:
        quick = [str(path) for path in QUICK if (ROOT / path).exists()]
        found = run(tmp_path, "pytest", "-x", "-q", "-p", "no:cacheprovider", *quick)
        how = "a quick test"
        assert found.returncode == 1, f"{bug.name}: nothing caught it\n{found.stdout[-2000:]}"
    told = [line for line in found.stdout.splitlines() if line.strip()]
    note(f"caught by {how}: {told[1 if how == 'a schedule' and len(told) > 1 else -1].strip()}")


@pytest.mark.long
def test_the_code_without_a_bug_is_not_accused(seed: int, tmp_path: Path) -> None:
    Bug("none", "_core/order.py", "the same", "the same").plant(tmp_path)
    found = run(tmp_path, "tests.schedules", str(seed), "--count", "200")
    assert found.returncode == 0, found.stdout
