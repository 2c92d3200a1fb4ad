"""SECURITY.md: every weakness of the list has a test, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", TEXT)))


def test_every_weakness_has_a_row_with_a_test() -> None:
    rows = dict(re.findall(r"^\| (S\d+) \|.*\| (.*) \|$", TEXT, re.MULTILINE))
    assert list(rows) == [f"S{number}" for number in range(1, 21)]
    assert all("tests/" in cell or "make test" in cell for cell in rows.values())


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_is_named_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    tests = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert not name or name in tests
    assert any(test.startswith("test_") for test in tests)
