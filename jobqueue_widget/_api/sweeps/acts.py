"""Acts on many jobs at once for a queue and its groups: map, retry, cancel, hold, wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, cast

from ..._core import events as ev
from ..._core.jobs import JobRecord
from ..._core.spec import JobOptions
from ..._core.sweeps.group import Group
from ..._core.sweeps.groups import latest
from ..._runtime.engine import Engine
from ..._runtime.engine_view import do_all
from ..._runtime.storage.learning import kind_of
from ..._runtime.sweeps.keyed import accept, accept_retries, is_new
from ..._threads.kernel import can_nest, run_nested
from ...child.job_context import current_job
from ...errors import JobQueueError, QueueClosedError, WaitTimeoutError
from ...job import Job
from ..callers.targets import classify
from ..display_hook import hearing
from ..options import check_choice, check_text, seconds_or_none
from ..outlook import outlook
from ..submission import Submission
from .arrivals import Arrivals, countdown, within
from .drawing import Drawing, Made, iterator_of, noted
from .group import JobGroup
from .keys import KeyMaker
from .labels import LabelFunction, own_label


class Acts:
    """The part of `Control` that acts on many jobs."""

    engine: Engine
    queue: Callable[[], object | None]
    submission: Submission
    drawings: list[Drawing]

    if TYPE_CHECKING:

        def handle(self, record: JobRecord) -> Job: ...
        async def wait_for(self, record: JobRecord, timeout: float | None) -> None: ...
        def wait_blocking(self, records: list[JobRecord], timeout: float | None) -> None: ...
        def _say_what_is_lost(self, records: Sequence[JobRecord]) -> None: ...
        def _told_of_retry(
            self, record: JobRecord, again: JobRecord, latest: bool
        ) -> Iterable[str]: ...

    # -- submitting ------------------------------------------------------------------------------

    def map(
        self,
        function: object,
        iterables: tuple[Iterable[Any], ...],
        options: JobOptions,
        priority: int,
        label: LabelFunction | None = None,
    ) -> JobGroup:
        """Enqueue a job per tuple of items, the first `ahead` of them at once, all or none."""
        self.engine.life.check_open()
        make, keys = self.submission.record, self._keys(function, options, each=True)
        iterators = map(iterator_of, iterables)
        items = zip(*iterators, strict=False)  # as the built-in map: the shortest one ends it
        own = own_label(label, options, function, len(iterables))

        def made_of(item: tuple[Any, ...], options: JobOptions) -> Made:
            return make(function, item, {}, own(options, item), priority, keys)

        first: list[tuple[Any, ...]] = []
        try:
            made = [made_of(item, options) for item in noted(islice(items, options.ahead), first)]
        except JobQueueError as error:
            error.add_note(
                f"it is item {len(first) - 1:,} of the map, from 0 on; none is submitted"
            )
            raise
        rest = [] if len(made) < options.ahead else list(islice(items, 1))
        total = _length(iterables)
        while True:
            given = (function, options, priority)
            found = self._map_made(
                made, chain(rest, items), bool(rest), given, keys, made_of, total
            )
            if found is not None:
                return found
            made = [made_of(item, options) for item in first]

    def _map_made(
        self,
        made: list[Made],
        items: Iterator[tuple[Any, ...]],
        is_long: bool,
        given: tuple[object, JobOptions, int],
        keys: KeyMaker | None,
        make: Callable[[tuple[Any, ...], JobOptions], Made],
        total: int | None,
    ) -> JobGroup | None:
        """Enqueue the first jobs of a map, and the rest as there is room; None: look again."""
        function, options, priority = given
        records = [record for record, _ in made]
        new = records if keys is None else [record for record in records if is_new(record)]
        self._say_what_is_lost(new)
        name = new[0].spec.options.group if new else options.group
        if name is None:
            name = self._name_before(records) or _made_up(records, function)
            options = self._named(new, options, name)
        group = Group(name, is_known=is_long, counts_gone=is_long)
        for record in new:
            record.groups = (group,)
        if not is_long:
            jobs = self._accept(made, keys, group)
            return None if jobs is None else JobGroup(self, name, group, jobs)

        for place, record in enumerate(records):
            if keys is None or is_new(record):
                record.spec.options = replace(record.spec.options, item=(place, total))

        def one(item: tuple[Any, ...], place: int) -> Made:
            return make(item, replace(options, item=(place, total)))

        def refused(item: tuple[Any, ...], place: int, why: str) -> JobRecord:
            placed = replace(options, item=(place, total))
            return self.submission.refused(function, item, placed, priority, why)

        drawing = Drawing(
            self.engine,
            kind_of(records[0].spec),
            group,
            items,
            options,
            total,
            one,
            refused,
            self.handle,
            self.drawings,
        )
        return JobGroup(self, name, group, None, drawing) if drawing.begin(made) else None

    def submit_keyed(
        self,
        target: object,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: JobOptions,
        priority: int,
    ) -> Job:
        """Enqueue a job with a key, or return the one that stands for it."""
        keys = self._keys(target, options)
        while True:
            made = [self.submission.record(target, args, kwargs, options, priority, keys)]
            self._say_what_is_lost([record for record, _ in made])
            found = self._accept(made, keys, options.group)
            if found is not None:
                return found[0]

    def _keys(self, target: object, options: JobOptions, *, each: bool = False) -> KeyMaker | None:
        if options.key is None:
            return None
        classify(target)  # refuses what is none, before it is digested
        return self.submission.maker_of(options, target, each=each)

    def _accept(
        self, made: list[Made], keys: KeyMaker | None, group: Group | str | None
    ) -> list[Job] | None:
        """Enqueue jobs, or take those that stand for known keys; None: look again."""
        jobs = [self.handle(record) for record, _ in made]  # so what they returned stays
        if keys is None or not keys.found_again:
            self.engine.submit(made)
            return jobs
        standing = accept(self.engine, made, group)
        if standing is None:
            return None
        for record in standing:
            before = self.engine.state.jobs.get(record.retry_of or "")
            if before is not None and before.retried_by is record:
                self.handle(before)._next = self.handle(record)
        return list(map(self.handle, standing))

    def _name_before(self, records: Sequence[JobRecord]) -> str | None:
        """Return the name that was made up when the first of these was submitted before."""
        if not records or records[0].spec.options.key is None:
            return None
        before = self.engine.state.jobs.get(records[0].retry_of or records[0].id)
        name = None if before is None else before.spec.options.group
        is_made_up = name is not None and name.startswith(f"{records[0].spec.name} #")
        return name if is_made_up else None

    @staticmethod
    def _named(records: Sequence[JobRecord], options: JobOptions, name: str) -> JobOptions:
        """Give the jobs of a map their group; return the options of those that come later."""
        named = replace(options, group=name)
        for record in records:  # all alike, but for texts in which secrets were hidden
            same = record.spec.options is options
            record.spec.options = named if same else replace(record.spec.options, group=name)
        return named

    def retry_several(
        self, records: Sequence[JobRecord], name: str, with_latest: bool = False
    ) -> JobGroup:
        """Submit the same again, all or none; the new jobs are a group.

        What somebody else has tried again meanwhile is left out.
        """
        while True:
            group = Group(f"{name} (tried again)")
            left = [job for job in records if job.retried_by is None]
            jobs = self._retry(left, with_latest, group)
            if jobs is not None:
                return JobGroup(self, name, group, jobs)

    def _retry(
        self,
        records: Sequence[JobRecord],
        with_latest: bool,
        group: Group | None,
        make: Callable[[JobRecord], JobRecord] | None = None,
    ) -> list[Job] | None:
        """Submit the same again; None: another try has begun or ended meanwhile, look again."""
        made: list[tuple[JobRecord, tuple[JobRecord, ...]]] = []
        repeated: dict[JobRecord, JobRecord] = {}
        if make is None:
            make = self.submission.as_now if with_latest else self.submission.again
        before = _tries(records)
        for record in records:
            again = make(record)
            if not before[record][1]:  # a copy: it does not take that one's place
                again.spec.options = replace(again.spec.options, group=None)
            if group is not None:
                again.groups = (group,)
            for words in self._told_of_retry(record, again, with_latest):
                self.engine.log_of(again).write(f"[{words}]\n")
            made.append((again, self.submission.parents_again(again.spec)))
            repeated[again] = record
        jobs = list(map(self.handle, repeated))
        followed = [pair for pair in zip(records, jobs, strict=True) if pair[0].groups]
        if made and not accept_retries(
            self.engine, made, repeated, lambda: _tries(records) == before
        ):
            return None
        for record, job in followed:
            self.handle(record)._next = job
        return jobs

    # -- acts ------------------------------------------------------------------------------------

    def end_drawings(
        self, scope: str, tag: str | None = None, error: Exception | None = None
    ) -> None:
        """Submit no more items of long maps, where their pending jobs are to be cancelled."""
        with self.engine.lock.held:
            drawings = self.drawings_of(scope, tag)
        for drawing in drawings:
            drawing.end(error)

    def drawings_of(self, scope: str, tag: str | None) -> list[Drawing]:
        """List the long maps whose pending jobs are meant. Under the lock."""
        drawings = [] if scope == "running" else self.drawings
        return [one for one in drawings if tag is None or tag in one.tags]

    def close_drawings(self) -> None:
        """End what a closed queue would have drawn, also if an iterable has nothing to give now."""
        self.end_drawings(
            "all", error=QueueClosedError("the queue was closed before all was drawn")
        )

    def cancel_several(
        self, records: Sequence[JobRecord], force: bool, timeout: float | None, reason: str
    ) -> int:
        """Cancel jobs, pending ones first; return how many are cancelled or asked to stop."""
        limit = seconds_or_none("timeout", timeout)
        if limit is None:
            limit = self.engine.settings.cancel_timeout
        check_text("reason", reason)
        self.engine.life.handle_lost_loop()
        chosen = sorted(dict.fromkeys(records), key=lambda record: record.entry is None)
        return do_all(
            self.engine,
            (
                ev.CancelRequested(record, force, limit, told_text(record, reason))
                for record in chosen
            ),
        )

    def hold_several(
        self,
        records: Callable[[], Sequence[JobRecord]],
        seconds: float | None,
        then: Literal["release", "cancel"],
        drawings: Sequence[Drawing],
    ) -> int:
        """Hold pending jobs, and what would still be drawn of them; return how many."""
        check_choice("then", then, ("release", "cancel"))
        limit = seconds_or_none("seconds", seconds)
        for drawing in drawings:  # first: what it has drawn is among the records
            drawing.hold(limit, then)
        return do_all(self.engine, (ev.Held(record, limit, then) for record in records()))

    def release_several(self, records: Sequence[JobRecord]) -> int:
        """Release held jobs; return how many were pending."""
        return do_all(self.engine, (ev.Released(record) for record in records))

    # -- waiting ---------------------------------------------------------------------------------

    async def wait_for_group(
        self, group: Group, records: Sequence[JobRecord], timeout: float | None
    ) -> None:
        """Wait until these jobs, which are the group's, have ended; on any loop."""
        engine, timeout = self.engine, seconds_or_none("timeout", timeout)
        if current_job().id in engine.state.running:  # then it may wait for what waits for it
            for record in records:
                await self.wait_for(record, timeout)
            return
        engine.life.handle_lost_loop()
        waiter = engine.waiters.for_group(group)
        try:
            await within(timeout, waiter)
        except TimeoutError:
            raise _too_slow(engine, group, records, timeout) from None
        finally:
            engine.waiters.forget_group(waiter, group)

    def wait_for_group_blocking(
        self,
        group: Group,
        records: Callable[[], Sequence[JobRecord]],
        timeout: float | None,
        drawings: Callable[[], Sequence[Drawing]],
    ) -> None:
        """Do the same in a thread, or in a plain cell of the loop's own thread."""
        engine, timeout = self.engine, seconds_or_none("timeout", timeout)
        if current_job().id in engine.state.running:
            self._wait_in_a_job(group, records, timeout, drawings)
            return
        if not group.open_count:
            return
        engine.life.handle_lost_loop()
        if self.runs_here():
            run_nested(lambda: self.wait_for_group(group, records(), timeout))
            return
        waiter = engine.waiters.for_group(group)
        try:
            if not waiter.wait_blocking(timeout):
                raise _too_slow(engine, group, records(), timeout)
        finally:
            engine.waiters.forget_group(waiter, group)

    def _wait_in_a_job(
        self,
        group: Group,
        records: Callable[[], Sequence[JobRecord]],
        timeout: float | None,
        drawings: Callable[[], Sequence[Drawing]],
    ) -> None:
        """Wait for one after the other, as they may wait for this job; and for what is drawn."""
        left = countdown(timeout, self.engine.monotonic)
        while True:
            drawing = next(iter(drawings()), None)
            known = 0 if drawing is None else drawing.drawn
            if found := list(records()):
                self.wait_blocking(found, left())
            if drawing is None or not group.open_count:
                return
            more = drawing.more(known)
            try:
                if self.runs_here():
                    run_nested(partial(within, left(), more))
                elif not more.wait_blocking(left()):
                    raise TimeoutError
            except TimeoutError:
                raise _too_slow(self.engine, group, found, timeout) from None

    def as_completed(
        self, records: Sequence[JobRecord], timeout: float | None, drawing: Drawing | None = None
    ) -> Arrivals:
        """Give each of these jobs, or of those of a long map, when it has ended."""
        return Arrivals(self, records, seconds_or_none("timeout", timeout), drawing)

    def runs_here(self) -> bool:
        """True if this thread must run a loop while it waits.

        That of the owner loop must. With a private loop jobs go on by themselves, but the clicks of
        a page arrive on the kernel's loop, which runs here.
        """
        return self.engine.life.is_on_loop_thread or (hearing() is not None and can_nest())


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return how many tuples of items there are; None if one does not tell."""
    if not all(isinstance(one, Sized) for one in iterables):
        return None
    try:
        return min(len(cast("Sized", one)) for one in iterables)
    except Exception:  # a bar or a loader over what has no length
        return None


def _tries(records: Sequence[JobRecord]) -> dict[JobRecord, tuple[JobRecord, bool]]:
    """Return the latest try of each, and whether it has ended."""
    return {record: (last := latest(record), last.status.ended) for record in records}


def told_text(job: JobRecord, text: str) -> str:
    """Return a text as it may be kept with a job: without secrets."""
    return text if job.spec.secrets is None else job.spec.secrets.hide(text)


def _made_up(records: Sequence[JobRecord], function: object) -> str:
    """Name a group: no other one of the queue has this number, nor of its journal."""
    if not records:
        return f"{classify(function)[1]} (empty)"
    return f"{records[0].spec.name} #{records[0].number}"


def _too_slow(
    engine: Engine, group: Group, records: Sequence[JobRecord], timeout: float | None
) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"{group.open_count:,} jobs of {group.name!r} have not ended after {timeout:g} s; "
        f"{outlook(engine, records)}"
    )
