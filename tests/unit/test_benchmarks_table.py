"""The table of `make bench`: each row is held to something, and whatever was measured renders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import chosen
from tests.benchmarks.catalogue import PROBES, ROWS
from tests.benchmarks.measure import OURS, REPOSITORY, Answer, Limit, Probe, Results, Row, Side
from tests.benchmarks.table import as_json, render


def rate_row(must: Limit, want: Limit, analysis: str = "") -> Row:
    return Row(
        "calls",
        "calls of nothing",
        "calls",
        "rate",
        "jobs/s",
        (must,),
        (want,),
        more_is_better=True,
        grows="O(1)",
        analysis=analysis,
    )


def probe(*peers: str) -> Probe:
    def unused(effort: object) -> dict[str, float]:
        raise NotImplementedError

    return Probe("calls", {name: Side(unused) for name in (OURS, *peers)}, size=10)


def rates(*values: float) -> Answer:
    return Answer(tuple({"rate": value} for value in values))


def test_every_row_has_something_it_must_reach_and_a_probe_that_measures_ours() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert bool(row.must) is not row.name.endswith("_no_ops"), row.name
        assert OURS in PROBES[row.probe].sides, row.name
        for limit in (*row.must, *row.want):
            assert limit.peer is None or limit.peer in PROBES[row.probe].sides, row.name


def test_at_least_five_samples_are_taken_unless_one_takes_seconds() -> None:
    fewer = {probe.name for probe in PROBES.values() if probe.samples < 5}
    engines = {probe for probe in fewer if probe.startswith("on_")}
    of_pages = {"flush", "flush-groups", "report", "click", "paint", "watch"}
    assert fewer - engines == {"sleeps", *of_pages}


def test_the_table_shows_the_median_the_range_the_ratio_and_the_verdicts() -> None:
    row = rate_row(Limit(100), Limit(2, "them"))
    results: Results = {
        ("calls", OURS, 10): rates(90, 120, 130),
        ("calls", "them", 10): rates(60),
    }
    text = render((row,), {"calls": probe("them")}, results, quick=False)
    assert "120 jobs/s (90-130)" in text
    assert "them 60 jobs/s (x 2)" in text
    assert "met" in text
    assert "NOT MET" not in text


@pytest.mark.parametrize(
    ("must", "want"), [(Limit(100), Limit(1, "them")), (Limit(1, "them"), Limit(100))]
)
def test_a_limit_that_is_missed_is_followed_by_the_reason(must: Limit, want: Limit) -> None:
    row = rate_row(must, want, analysis="the time goes into waiting")
    results: Results = {("calls", OURS, 10): rates(120), ("calls", "them", 10): rates(150)}
    text = render((row,), {"calls": probe("them")}, results, quick=False)
    assert text.count("NOT MET") == 1
    assert "calls: the time goes into waiting" in text


def test_a_peer_that_failed_is_shown_with_its_reason_and_never_as_a_number() -> None:
    row = rate_row(Limit(100), Limit(1, "them"))
    results: Results = {
        ("calls", OURS, 10): rates(120),
        ("calls", "them", 10): Answer(words="failed: OSError: no port"),
    }
    text = render((row,), {"calls": probe("them")}, results, quick=False)
    assert "them failed: OSError: no port" in " ".join(text.split())
    assert "NOT MET" not in text  # a peer without a figure is behind


def test_a_row_without_a_figure_of_ours_is_not_met_and_not_missed() -> None:
    row = rate_row(Limit(100), Limit(200))
    told = as_json((row,), {"calls": probe()}, {}, quick=False)
    assert told[0]["must_verdict"] == "not measured"


def test_growth_is_told_by_size_with_its_complexity() -> None:
    row = rate_row(Limit(100), Limit(200))
    results: Results = {("calls", OURS, 10): rates(120), ("calls", OURS, 1_000): rates(110)}
    text = render((row,), {"calls": probe()}, results, quick=False)
    last = text.splitlines()[-1].split()
    assert last == ["calls,", "ours", "120", "jobs/s", "110", "jobs/s", "O(1)"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("on_pool", ["on_pool", "on_pool_no_ops"]),
        ("", [row.name for row in ROWS]),
        ("no such row", []),
    ],
)
def test_rows_are_chosen_by_a_part_of_their_names(text: str, names: list[str]) -> None:
    assert [row.name for row in chosen(text)] == names


@pytest.mark.timeout(120)
def test_one_cheap_row_runs(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks",
            "--quick",
            "--only",
            "import",
            "--json",
            str(path),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "import jobqueue_widget" in done.stdout
    for row in json.loads(path.read_text())["rows"]:
        assert row["samples"][0]["values"], row
