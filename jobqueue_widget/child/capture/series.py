"""Keeps what a job measures, thinned to a bounded number of points; standard library only."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Optional, Union, cast

Abscissa = Union[int, float]  # noqa: UP007 - also read by Python 3.9
Point = tuple[Abscissa, Optional[float]]  # noqa: UP045
"""Step or seconds, and the value then; None for a gap: what is not finite cannot be drawn."""
Points = Mapping[str, Iterable[Point]]
"""By name of the metric."""

POINTS = 1_000  # of a series, at most
UNSENT = 500  # of a series that waits for a moment to be sent
NAMES = 50  # of a job, at most
NAME_LENGTH = 80


class Series:
    """Points in the order in which they came. The extremes, the first and the last always stay.

    Where there are more than `limit`, each pair stands for `stride` of them: the least and the
    greatest. All parts of the series are thinned alike.
    """

    __slots__ = ("_filled", "_groups", "_limit", "first", "last", "stride")

    def __init__(self, limit: int = POINTS) -> None:
        self._limit = limit
        self._groups: list[list[Point]] = []
        self._filled = 0  # how many came into the last group
        self.stride = 1
        self.first: Point | None = None
        self.last: Point | None = None

    def add(self, point: Point) -> None:
        """Append a point."""
        if self.first is None:
            self.first = point
        self.last = point
        if self._groups and self._filled < self.stride:
            self._groups[-1] = _extremes([*self._groups[-1], point])
            self._filled += 1
            return
        self._groups.append([point])
        self._filled = 1
        if self.stride == 1:
            if len(self._groups) > self._limit:
                self._merge(4)
        elif len(self._groups) > (self._limit - 2) // 2:
            self._merge(2)

    def _merge(self, count: int) -> None:
        """Make one group of so many."""
        groups = self._groups
        spare = (len(groups) - 1) % count  # groups before the last one in its own new group
        self._filled += spare * self.stride
        self.stride *= count
        self._groups = [
            _extremes([point for group in groups[at : at + count] for point in group])
            for at in range(0, len(groups), count)
        ]

    @property
    def count(self) -> int:
        """How many points are kept, about."""
        return sum(map(len, self._groups))

    def points(self) -> list[Point]:
        """Return what is kept."""
        found = [point for group in self._groups for point in group]
        if found and found[0] != self.first and self.first is not None:
            found.insert(0, self.first)
        if found and found[-1] != self.last and self.last is not None:
            found.append(self.last)
        return found


def _extremes(points: list[Point]) -> list[Point]:
    """Return the least and the greatest of some points, in order; one gap if there is no other."""
    values = [(value, at) for at, (_, value) in enumerate(points) if value is not None]
    if not values:
        return points[:1]
    ends = {min(values)[1], max(values)[1]}
    return [points[at] for at in sorted(ends)]


class Metrics:
    """The series of a job, by name. More names than `NAMES` are left out."""

    def __init__(self, limit: int = POINTS) -> None:
        self._limit = limit
        self.series: dict[str, Series] = {}

    def add(self, told: Points) -> None:
        """Append points."""
        for name, points in told.items():
            series = self.series.get(name)
            if series is None:
                if len(self.series) >= NAMES:
                    continue
                series = self.series[name] = Series(self._limit)
            for point in points:
                series.add(point)

    def points(self) -> dict[str, list[Point]]:
        """Return what is kept, by name."""
        return {name: series.points() for name, series in self.series.items()}


class Measured:
    """What a job has measured and not yet sent, and what was wrong with that."""

    def __init__(self, began: float) -> None:
        self._began = began  # seconds of the monotonic clock
        self._names: set[str] = set()
        self._complaints: set[str] = set()
        self.waiting = Metrics(UNSENT)

    def note(self, step: object, values: Mapping[str, object]) -> list[str]:
        """Keep values until they are sent; return what to tell about those that are none, once."""
        wrong: dict[str, str] = {}
        at: Abscissa | None = step if type(step) is int else None
        if at is None and step is not None:
            with suppress(TypeError):
                at = number(step)
            if at is None:
                wrong["step"] = f"step={reprlib.repr(step)} is no number; time stands in its place"
        if at is None:
            at = time.monotonic() - self._began
        for name, value in values.items():
            short = name[:NAME_LENGTH]
            if short not in self._names and len(self._names) >= NAMES:
                wrong[""] = f"a job has at most {NAMES} metrics; {short!r} is one too many"
                continue
            try:
                point = at, number(value)
            except TypeError as error:
                wrong[short] = f"{short}={error}"
                continue
            self._names.add(short)
            self.waiting.add({short: (point,)})
        new = [text for name, text in wrong.items() if name not in self._complaints]
        self._complaints.update(wrong)
        return [f"[report(): {text}]" for text in new]

    def add(self, told: Points) -> None:
        """Keep points until they are sent."""
        self.waiting.add(told)

    def take(self) -> dict[str, list[Point]]:
        """Return what waits, which no longer does."""
        taken, self.waiting = self.waiting, Metrics(UNSENT)
        return taken.points()


def number(value: object) -> float | None:
    """Read a number, or what has one, as tensors do; None if it is not finite.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, (str, bytes, bytearray)):
        with suppress(Exception):
            read = float(value)  # type: ignore[arg-type]
            return read if math.isfinite(read) else None
    raise TypeError(f"{reprlib.repr(value)} is no number")


def readable(told: object) -> Points:
    """Check series that came through a pipe, a file or a journal; ValueError if they are none."""
    if not isinstance(told, dict):
        raise ValueError("metrics are no mapping")
    return {
        str(name)[:NAME_LENGTH]: [_point(one) for one in points] for name, points in told.items()
    }


def _point(told: object) -> Point:
    x, value = cast("tuple[object, object]", told)
    if not isinstance(x, (int, float)) or not (value is None or isinstance(value, (int, float))):
        raise ValueError(f"{told!r} is no point")
    return x, None if value is None or not math.isfinite(value) else float(value)
