"""Jobs among the arguments of other jobs: each stands for its result, and is waited for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..._core.spec import NOTHING
from ..._core.texts.fitting import fit
from ..._runtime.storage.places import Args, Replacing, holds
from ...child.calls.references import ResultOf
from ...child.wire import PLAIN_TYPES
from ...errors import (
    InvalidArgumentError,
    InvalidOptionError,
    NotRestorableError,
    UnpicklableJobError,
)
from ...workers.packing import is_packed

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._core.spec import JobOptions, JobSpec
    from ..._core.state import QueueState

FEW = 200  # members of containers that are looked at before the arguments are pickled
TITLE = 40  # characters of a job's title that are shown in its place
CURE = "by_handle(job) passes the handle itself"


class Handle:
    """What stands for a result where it is an argument: a `Job`, or a sequence of jobs."""

    __slots__ = ()

    def _members(self) -> Sequence[Handle] | None:
        """Return the jobs that it stands for; None: it is one itself."""
        return None

    def _taken(self) -> tuple[object, JobRecord]:
        """Return the engine of its queue, and its record."""
        raise NotImplementedError


class ByHandle:
    """Stands for a job that is an argument itself; see `by_handle`."""

    __slots__ = ("handle",)

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    def __repr__(self) -> str:
        return f"by_handle({self.handle!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a job cannot be sent to another process")


def by_handle(job: Handle) -> ByHandle:
    """Pass a job to another one as it is: its handle, not its result. Nothing is waited for.

    Only where both run in this process, in threads or as coroutines, can a handle be used.

    Args:
        job: a `Job`, or what `map` returns.

    Raises:
        InvalidArgumentError: it is no job.

    Example:
        ```python
        watched = queue.submit_nowait(pow, 2, 10)
        threads = queue.options(executor="thread")
        job = threads.submit_nowait(lambda one: one.title, by_handle(watched))
        assert await job == "pow"
        ```
    """
    if not isinstance(job, Handle):
        raise InvalidArgumentError(f"by_handle takes a job, not {type(job).__name__}")
    return ByHandle(job)


KINDS = (Handle, ByHandle, ResultOf)


Prepare = Callable[["JobSpec"], object]
Made = tuple["JobRecord", tuple["JobRecord", ...]]


class Taken(NamedTuple):
    """Arguments with what stands for results, the places of these by id, and their jobs."""

    args: Args
    kwargs: Mapping[str, object]
    places: Mapping[str, int] = NOTHING
    jobs: tuple[JobRecord, ...] = ()

    def parents(self, options: JobOptions, after: tuple[JobRecord, ...]) -> tuple[JobRecord, ...]:
        """Return what a job waits for: those of `after`, and those whose results it takes.

        Raises:
            InvalidOptionError: it shall run however the jobs before it end.
        """
        if options.after_failure == "run":
            raise InvalidOptionError(
                'after_failure="run" does not go with a job as an argument: without its result '
                "there is nothing to call the function with; name it in after= and pass "
                "by_handle(job)"
            )
        return tuple(dict.fromkeys((*after, *self.jobs)))


def not_yet(spec: JobSpec) -> None:
    """Leave the arguments of a plugin's call to its launch, when the results are there."""


class References:
    """Finds jobs in the arguments of one queue's jobs."""

    def __init__(self, engine: object, state: QueueState) -> None:
        self._engine = engine
        self._state = state
        self._known: weakref.WeakValueDictionary[str, JobRecord] = weakref.WeakValueDictionary()

    def taken(
        self, args: Args, kwargs: Mapping[str, object], *, with_key: bool = False
    ) -> Taken | None:
        """Return the arguments with what stands for results in the places of jobs.

        None if they are too many to look for jobs before it is known that there are any. With a
        key that is looked up first, all are looked at.

        Raises:
            InvalidArgumentError: a job is another queue's, or stands in a set or is a key.
        """
        if PLAIN_TYPES.issuperset(map(type, args)) and (
            not kwargs or PLAIN_TYPES.issuperset(map(type, kwargs.values()))
        ):
            return Taken(args, kwargs)
        found = holds((*args, *kwargs.values()), KINDS, None if with_key else FEW)
        if found is None:
            return None
        return self._replaced(args, kwargs) if found else Taken(args, kwargs)

    def made(self, make: Callable[[Taken], Made], args: Args, kwargs: Mapping[str, object]) -> Made:
        """Make a job with many arguments: pickling finds one among them much more quickly.

        Raises:
            InvalidArgumentError: as `taken`; and all that `make` raises.
        """
        try:
            made = make(Taken(args, kwargs))
        except UnpicklableJobError:
            if not holds((*args, *kwargs.values()), KINDS):
                raise
        else:
            if is_packed(made[0].spec.payload) or not holds((*args, *kwargs.values()), KINDS):
                return made
        return make(self._replaced(args, kwargs))

    def parents(self, spec: JobSpec) -> tuple[JobRecord, ...]:
        """Return the jobs whose results a job takes, by which it is tried once more.

        Raises:
            NotRestorableError: one is not kept any more.
        """
        return tuple(self._kept(job_id, spec) for job_id in spec.takes)

    def _kept(self, job_id: str, spec: JobSpec) -> JobRecord:
        found = self._state.jobs.get(job_id) or self._known.get(job_id)
        if found is None:
            raise NotRestorableError(
                f"{spec.name!r} takes the result of job {job_id}, which is no longer kept: "
                "submit both again"
            )
        return found

    def _replaced(self, args: Args, kwargs: Mapping[str, object]) -> Taken:
        standing: dict[str, ResultOf] = {}
        jobs: list[JobRecord] = []

        def stands_for(record: JobRecord) -> ResultOf:
            known = standing.get(record.id)
            if known is None:
                title = fit(record.spec.title, TITLE)
                known = standing[record.id] = ResultOf(len(standing), record.id, title)
                jobs.append(record)
                self._known[record.id] = record
            return known

        def replace(value: Handle | ByHandle | ResultOf) -> object:
            if isinstance(value, ByHandle):
                return value.handle
            if isinstance(value, ResultOf):
                record = self._state.jobs.get(value.id) or self._known.get(value.id)
                if record is None:
                    raise NotRestorableError(
                        f"the result of {value.title} (job {value.id}) is an argument, and that "
                        "job is no longer kept: submit both again"
                    )
                return stands_for(record)
            members = value._members()
            if members is not None:
                return [replace(one) for one in members]
            engine, record = value._taken()
            if engine is not self._engine:
                raise InvalidArgumentError(
                    f"{_named(record)} is a job of another queue, whose result this one cannot "
                    f"wait for: pass `await job`, or submit both to one queue; {CURE}"
                )
            return stands_for(record)

        found = Replacing(KINDS, replace, _refuse).arguments(args, kwargs)
        places = {job_id: one.place for job_id, one in standing.items()}
        return Taken(*found, places or NOTHING, tuple(jobs))


def _refuse(where: str) -> NoReturn:
    raise InvalidArgumentError(
        f"a job stands in {where}, where its result could not be put in its place: pass a list, a "
        f"tuple or the values of a dictionary; {CURE}"
    )


def _named(job: JobRecord) -> str:
    return f"{fit(job.spec.title, TITLE)!r} ({job.id})"
