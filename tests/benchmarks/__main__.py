"""`python -m tests.benchmarks`: measures ours and the peers in turn and prints one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from .catalogue import PROBES, ROWS
from .measure import REPOSITORY, Answer, Effort, Probe, Results, Row, run_apart
from .table import as_json, render, size_of


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose names hold it")
    parser.add_argument("--quick", action="store_true", help="one small sample each, no growth")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "bench.json")
    given = parser.parse_args()
    if not chosen(given.only):
        parser.error(
            f"no row has {given.only!r} in its name: {', '.join(row.name for row in ROWS)}"
        )
    return given


def chosen(text: str) -> list[Row]:
    """The rows whose names hold it."""
    return [row for row in ROWS if text in row.name]


def measure(probe: Probe, *, quick: bool) -> Results:
    """All sides in turn, again and again, so that a busy moment hits all of them."""
    plan: dict[tuple[str, int], int] = {}
    for name, side in probe.sides.items():
        plan[name, size_of(probe, side, quick=quick)] = side.samples or probe.samples
    if not quick:
        for size, names in (probe.also_sizes or {}).items():
            samples = 1 if size >= 1_000_000 else 3  # a million pending jobs take half a minute
            plan |= {(name, size): samples for name in names}
    results: Results = {}
    for turn in range(1 if quick else max(plan.values())):
        for (name, size), samples in plan.items():
            key = (probe.name, name, size)
            before = results.get(key, Answer())
            if turn >= samples or (turn and not before.figures):
                continue
            say(f"{probe.name}: {name}, {size:,}, sample {turn + 1}")
            answer = run_apart(probe, name, Effort(size, quick=quick))
            words = answer.words or before.words
            results[key] = Answer(before.figures + answer.figures, words)
    return results


def say(text: str) -> None:
    """Where it is, on the terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()


def about() -> str:
    """The machine, as far as it matters."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{platform.system()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"load average at the start {load}"
    )


def main() -> None:
    """Measure, print, write JSON."""
    given = arguments()
    rows = chosen(given.only)
    machine = about()
    results: Results = {}
    for name in dict.fromkeys(row.probe for row in rows):
        results |= measure(PROBES[name], quick=given.quick)
    say("")
    print(render(rows, PROBES, results, quick=given.quick))
    print(f"\n{machine}. Medians; x is how many times better ours is.")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine, "quick": given.quick}
    told["rows"] = as_json(rows, PROBES, results, quick=given.quick)
    given.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
