"""Replays one run and prints what happened in it: `python -m tests.protocol "1 17"`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.schedules.loop import OtherThread

from .node import FRONT_END, Node, compile_client
from .run import play


def main() -> int:
    """One run with its trace, or many of which only the first broken one is shown."""
    parser = argparse.ArgumentParser(prog="python -m tests.protocol", description=__doc__)
    parser.add_argument("seed", help="of the run, as a failed test prints it")
    parser.add_argument("--count", type=int, help="play this many, with the seeds 'SEED 0' … ")
    options = parser.parse_args()
    seeds = [options.seed]
    if options.count is not None:
        seeds = [f"{options.seed} {number}" for number in range(options.count)]
    with tempfile.TemporaryDirectory() as folder:
        node = Node(compile_client(FRONT_END, Path(folder)))
        thread = OtherThread()
        try:
            for seed in seeds:
                verdict = play(seed, thread, node)
                if options.count is None:
                    sys.stdout.write("\n".join(verdict.trace) + "\n")
                if verdict.complaints:
                    sys.stdout.write(
                        f"\nseed {seed!r}:\n  " + "\n  ".join(verdict.complaints) + "\n"
                    )
                    return 1
        finally:
            thread.close()
            node.close()
    sys.stdout.write(f"{len(seeds)} runs, nothing to complain about\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
