"""What the benchmarks measure: probes, rows and limits, and a probe run in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

REPOSITORY = Path(__file__).parents[2]
MARK = "JOBQUEUE_BENCH_ID"
OURS = "ours"

Figures = dict[str, float]


class Never(Exception):
    """It does not happen within the limit; the text says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a side does: `size` jobs; `quick` asks for as few repetitions as make sense."""

    size: int
    quick: bool = False

    def times(self, full: int, quick: int) -> int:
        """One of the two."""
        return quick if self.quick else full


Measure = Callable[[Effort], Figures]


@dataclass(frozen=True, slots=True)
class Side:
    """One system under a probe. `size` and `samples` where it is too slow for the probe's own."""

    measure: Measure
    size: int | None = None
    samples: int | None = None
    is_floor: bool = False  # the least that this machine can do, by hand
    is_judged: bool = False  # held to the limits, as ours is


@dataclass(frozen=True, slots=True)
class Probe:
    """Measured in a process of its own per sample; may give figures to several rows."""

    name: str
    sides: Mapping[str, Side]
    size: int = 1
    quick_size: int = 1
    samples: int = 5
    also_sizes: Mapping[int, tuple[str, ...]] | None = None  # how it grows: size -> sides
    patience: float = 180.0  # seconds for one sample


@dataclass(frozen=True, slots=True)
class Answer:
    """All samples of one side at one size: figures, or why there are none."""

    figures: tuple[Figures, ...] = ()
    words: str = ""  # "never: …", "failed: …" or "not installed"

    def of(self, figure: str) -> list[float]:
        """The samples of one figure, smallest first."""
        return sorted(sample[figure] for sample in self.figures if figure in sample)


Results = dict[tuple[str, str, int], Answer]  # by probe, side and size


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on our figure: absolute, or `value` times what a peer reaches."""

    value: float
    peer: str | None = None

    def says(self, row: Row) -> str:
        """As the table shows it."""
        sign = "≥" if row.more_is_better else "≤"
        if self.peer is None:
            return f"{sign} {show(self.value, row.unit)}"
        return (
            f"ahead of {self.peer}" if self.value == 1 else f"{sign} {self.value:g} x {self.peer}"
        )

    def holds(self, ours: float, theirs: float | None, *, more_is_better: bool) -> bool:
        """Whether `ours` is within it. A peer that gives no figure is behind."""
        if self.peer is None:
            bound = self.value
        elif theirs is None:
            return True
        else:
            bound = self.value * theirs
        return ours >= bound if more_is_better else ours <= bound


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    work: str
    probe: str
    figure: str
    unit: str
    must: tuple[Limit, ...]
    want: tuple[Limit, ...] = ()
    more_is_better: bool = False
    grows: str = ""  # how the cost grows with the number of pending jobs
    analysis: str = ""  # where the time goes; shown if a limit is missed


def show(value: float, unit: str) -> str:
    """A figure with as many digits as mean something."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}"


def settle(seconds: float = 0.15, limit: float = 2.0) -> None:
    """Return when no child process has used the processor for `seconds`: all of them are warm."""
    begin = quiet_since = time.monotonic()
    before = _children_times()
    while time.monotonic() - quiet_since < seconds and time.monotonic() - begin < limit:
        time.sleep(0.02)
        now = _children_times()
        if now != before:
            before, quiet_since = now, time.monotonic()


def _children_times() -> dict[int, float]:
    times = {}
    for child in psutil.Process().children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.Error:
            continue
        times[child.pid] = used.user + used.system
    return times


def run_apart(probe: Probe, side: str, effort: Effort) -> Answer:
    """One sample in a process of its own; whatever it leaves behind is ended."""
    mark = uuid.uuid4().hex
    environ = {**os.environ, MARK: mark, "PYTHONPATH": str(REPOSITORY)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        result, errors = Path(folder, "result.json"), Path(folder, "stderr")
        command = [sys.executable, "-m", "tests.benchmarks.sample", probe.name, side]
        command += [str(effort.size), str(int(effort.quick)), str(result)]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                process.wait(probe.patience)
            except subprocess.TimeoutExpired:
                return Answer(words=f"failed: no result within {probe.patience:g} s")
            finally:
                _end_everything_of(process, mark)
        if not result.exists():
            last = errors.read_text(errors="replace").strip().rpartition("\n")[2]
            return Answer(words=f"failed: exit code {process.returncode} {last}".strip()[:120])
        told = json.loads(result.read_text())
    return Answer((told["figures"],) if "figures" in told else (), told.get("words", ""))


def _end_everything_of(process: subprocess.Popen[bytes], mark: str) -> None:
    """Its group, and (where /proc tells) whoever carries its mark: peers start daemons."""
    carriers = {process.pid} if process.poll() is None else set()
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in entry.read_bytes().split(b"\0"):
                carriers.add(int(entry.parent.name))
        except OSError:
            continue
    for pid in carriers:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    process.wait()


def middle(answer: Answer | None, figure: str) -> float | None:
    """The median, if there is one."""
    values = answer.of(figure) if answer is not None else []
    return median(values) if values else None
