"""The jobs of a group as a sequence: the latest try of each item, by its place."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, SupportsIndex, overload

from ..._core.jobs import JobRecord
from ..._core.sweeps.groups import jobs_of, latest
from ...job import Job
from .references import Handle

if TYPE_CHECKING:
    from ..._core.sweeps.group import Group
    from ..._runtime.engine import Engine
    from .drawing import Drawing

OF_LISTS = frozenset(
    {"append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort"}
)


class HasJobs(Protocol):
    """What a group needs of its queue to find its jobs."""

    engine: Engine
    drawings: list[Drawing]

    def handle(self, record: JobRecord) -> Job: ...


class Members(Sequence[Job], Handle):
    """A sequence of jobs that equals a list of the same jobs."""

    __hash__ = None  # type: ignore[assignment]  # as a list: it equals one
    __slots__ = ("__weakref__", "_control", "_drawing", "_group", "_jobs", "_name")

    def __init__(
        self,
        control: HasJobs,
        name: str,
        group: Group | None,
        jobs: Sequence[Job] | None,
        drawing: Drawing | None = None,
    ) -> None:
        self._control = control
        self._name = name
        self._group = group  # counts these jobs; None: the one that the queue has by this name
        self._jobs = None if jobs is None else tuple(jobs)  # held, so that their results are kept
        self._drawing = drawing  # of a long map, whose jobs are kept as the queue keeps them

    def _records(self) -> list[JobRecord]:
        """List the latest try of each item."""
        if self._jobs is not None:
            return [latest(job._record) for job in self._jobs]
        if self._drawing is not None:
            return self._drawing.records()
        with self._control.engine.lock.held:
            group = self._named()
            return [] if group is None else jobs_of(group)

    def _members(self) -> Sequence[Job]:
        if self._drawing is not None:
            self._drawing.check_drawn()
            self._drawing.check_whole()
        return self._handles()

    def _counted(self) -> Group | None:
        """Return what counts its jobs; None: the queue keeps none of this name."""
        return self._group or self._named()

    def _drawings(self) -> list[Drawing]:
        """List the long maps whose items are jobs of this group and are not all submitted yet."""
        with self._control.engine.lock.held:
            return self._drawn_on()

    def _drawn_on(self) -> list[Drawing]:  # under the lock
        if self._group is not None:
            return [] if self._drawing is None else [self._drawing]
        return [one for one in self._control.drawings if one.group.name == self._name]

    def _named(self) -> Group | None:
        return self._control.engine.state.groups.named.get(self._name)

    def _handles(self, records: Iterable[JobRecord] | None = None) -> list[Job]:
        handle = self._control.handle
        return [handle(record) for record in (self._records() if records is None else records)]

    @overload
    def __getitem__(self, index: SupportsIndex) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return self._handles(self._records()[index])
        if isinstance(index, str):
            raise TypeError("a group has its jobs by their place, like runs[3]; queue[…] takes ids")
        if self._drawing is not None:
            return self._control.handle(self._drawing.record(operator.index(index)))
        try:
            if self._jobs is None:
                return self._control.handle(self._records()[index])
            return self._control.handle(latest(self._jobs[index]._record))
        except IndexError:
            raise IndexError(
                f"{index} is no item of {self._name!r}, which has {len(self):,} (from 0 on)"
            ) from None

    def __len__(self) -> int:
        if self._drawing is not None:
            return len(self._drawing)
        return len(self._records() if self._jobs is None else self._jobs)

    def __iter__(self) -> Iterator[Job]:
        if self._drawing is not None:
            return map(self._control.handle, self._drawing)
        return iter(self._handles())

    def __reversed__(self) -> Iterator[Job]:
        return reversed(self._handles())

    def __contains__(self, job: object) -> bool:
        return isinstance(job, Job) and any(one is job._record for one in self._records())

    def __add__(self, other: object) -> list[Job]:
        if not isinstance(other, (list, Members)):
            return NotImplemented
        return [*self, *other]

    def __radd__(self, other: object) -> list[Any]:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __mul__(self, times: SupportsIndex) -> list[Job]:
        return self._handles() * times

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, Members)):
            return NotImplemented
        return self is other or self._handles() == list(other)

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """Return the place of a job.

        Raises:
            ValueError: it is not in the group.
            TypeError: it is no job.
        """
        jobs = self._handles()
        return jobs.index(_checked(value, "index"), start, len(jobs) if stop is None else stop)

    def count(self, value: object) -> int:
        """Return how often a job is in the group; `counts` says how many have which status.

        Raises:
            TypeError: it is no job.
        """
        return self._handles().count(_checked(value, "count"))

    def __getattr__(self, name: str) -> NoReturn:
        hint = ""
        if name in OF_LISTS:
            hint = ": a group does not change by itself; list(group) gives a list"
        raise AttributeError(f"a JobGroup has no {name!r}{hint}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError(
            "a JobGroup stays in its process and cannot be pickled: pass its results, `await group`"
        )


def _checked(value: object, method: str) -> Job:
    if not isinstance(value, Job):
        raise TypeError(
            f"{method} takes a job, not {type(value).__name__}; "
            "`counts` of a group says how many jobs have which status"
        )
    return value
