"""Replays one schedule and prints what happened in it: `python -m tests.schedules "1 4171"`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile

from jobqueue_widget._persistence.sqlite.signing import FOLDER_VARIABLE

from .loop import OtherThread
from .schedule import run_schedule


def main() -> int:
    """One schedule with its trace, or many of which only the first broken one is shown."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    parser.add_argument("seed", help="of the schedule, as a failed test prints it")
    parser.add_argument("--count", type=int, help="run this many, with the seeds 'SEED 0' … ")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # executors and subscribers fail on purpose
    seeds = [options.seed]
    if options.count is not None:
        seeds = [f"{options.seed} {number}" for number in range(options.count)]
    thread = OtherThread()
    folder = tempfile.TemporaryDirectory()  # for the key that signs journals
    os.environ.setdefault(FOLDER_VARIABLE, folder.name)
    try:
        for seed in seeds:
            verdict = run_schedule(seed, thread)
            if options.count is None:
                sys.stdout.write("\n".join(verdict.trace) + "\n")
            if verdict.complaints:
                sys.stdout.write(f"seed {seed!r}: " + "\n  ".join(verdict.complaints) + "\n")
                return 1
    finally:
        thread.close()
        folder.cleanup()
    sys.stdout.write(f"{len(seeds)} schedules, nothing to complain about\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
