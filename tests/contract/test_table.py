"""What the manual says of each executor is what the suite has shown, or what a named test shows.

Runs after the rest of the suite, whose promises it compares.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.contract.conftest import TABLE

ROOT = Path(__file__).parents[2]
SUBJECTS = {
    "process": ["process"],
    "coroutine": ["coroutine"],
    "thread": ["thread"],
    "pools of `concurrent.futures`": [
        "ProcessPoolExecutor",
        "ThreadPoolExecutor",
        "loky ProcessPoolExecutor",
    ],
    "Dask": ["dask"],
    "Ray": ["ray"],
}
NOT_ITS_PART = "\N{EN DASH}"
SHARED = ", with a folder that both sides see"  # as pools of this machine do

POOLS = "tests/engines/test_pools.py"
DASK = "tests/engines/test_dask.py"
RAY = "tests/engines/test_ray.py"
RESOURCES = "tests/integration/test_resources.py"
KILLS = "tests/crash/test_worker_kills.py"

NAMED: dict[str, dict[str, tuple[str, list[str]]]] = {
    "a job whose worker is lost runs again": {
        "process": (
            "only `retries`",
            [
                f"{KILLS}::test_workers_killed_at_random_moments_lose_nothing_and_run_nothing_twice",
                f"{KILLS}::test_with_retries_every_job_survives_the_killing_or_says_why_not",
            ],
        ),
        "coroutine": (NOT_ITS_PART, []),
        "thread": (NOT_ITS_PART, []),
        "pools of `concurrent.futures`": (
            "only `retries`",
            [
                f"{POOLS}::test_a_pool_that_breaks_fails_what_ran_and_keeps_the_rest_for_another",
                f"{POOLS}::test_an_engine_s_second_start_runs_nothing_unless_that_is_allowed",
            ],
        ),
        "Dask": (
            "only `idempotent`, or `retries`",
            [
                f"{DASK}::test_a_job_whose_worker_is_killed_fails_by_name_and_runs_once",
                f"{DASK}::test_an_idempotent_job_is_sent_again_when_its_worker_is_killed",
                f"{DASK}::test_a_retry_after_a_lost_worker_is_another_attempt",
            ],
        ),
        "Ray": (
            "only `idempotent`, or `retries`",
            [f"{RAY}::test_a_lost_place_fails_its_job_or_sends_it_again"],
        ),
    },
    "`resources` reach the engine": {
        "process": (
            "this machine's",
            [f"{RESOURCES}::test_a_job_waits_until_what_it_needs_is_given_back"],
        ),
        "coroutine": (NOT_ITS_PART, []),
        "thread": (NOT_ITS_PART, []),
        "pools of `concurrent.futures`": (
            "no",
            [f"{POOLS}::test_resources_are_refused_since_nothing_would_hear_of_them"],
        ),
        "Dask": ("yes", [f"{DASK}::test_resources_and_priorities_reach_dask"]),
        "Ray": ("yes", [f"{RAY}::test_resources_are_asked_for_and_what_there_is_not_is_named"]),
    },
    "`priority` reaches the engine": {
        "process": (NOT_ITS_PART, []),
        "coroutine": (NOT_ITS_PART, []),
        "thread": (NOT_ITS_PART, []),
        "pools of `concurrent.futures`": ("no", []),  # `submit` takes none
        "Dask": ("yes", [f"{DASK}::test_resources_and_priorities_reach_dask"]),
        "Ray": ("Ray has none", []),
    },
}


def manual() -> dict[str, dict[str, str]]:
    """The cells of the table, by line and column."""
    lines = (ROOT / "docs" / "reference" / "executors.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| | process |"))
    columns = [cell.strip() for cell in lines[start].strip("|").split("|")][1:]
    table = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        table[name] = dict(zip(columns, cells, strict=True))
    return table


def test_the_manual_says_what_the_suite_has_shown(request: pytest.FixtureRequest) -> None:
    shown = request.config.stash[TABLE]
    if not shown:
        pytest.skip("no test of the contract ran in this session")
    for line, cells in manual().items():
        if line in NAMED:
            continue
        for column, cell in cells.items():
            row = shown.get(line, {})
            given = {row[name] for name in SUBJECTS[column] if name in row}
            assert given <= {cell.removesuffix(SHARED) == "yes"}, (line, column, cell)
            assert cell.removesuffix(SHARED) in ("yes", "no"), (line, column, cell)


def test_every_line_is_shown_by_the_suite_or_by_named_tests() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_executors*.py"))
    for line, cells in manual().items():
        assert list(cells) == list(SUBJECTS)
        if line in NAMED:
            assert cells == {column: told for column, (told, _) in NAMED[line].items()}, line
        else:
            assert f'promise("{line}"' in text, f"no test promises {line!r}"


def test_the_named_tests_are_there() -> None:
    for cells in NAMED.values():
        for told, tests in cells.values():
            assert tests or told in (NOT_ITS_PART, "no", "Ray has none")
            for test in tests:
                path, _, name = test.partition("::")
                tree = ast.parse((ROOT / path).read_text())
                functions = [
                    node.name
                    for node in tree.body
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                ]
                assert name in functions, test
