"""Jobs with keys: which job a submit must be given, told by what has become of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from jobqueue_widget._core.jobs import JobStatus, NotKept

from .executor import Broken
from .onlookers import Onlooker
from .taking import Handed, thrown

if TYPE_CHECKING:
    from jobqueue_widget._core.spec import JobSpec

    from .world import Tracked, World

TEXTS = ("x", "y", "z")


def kept(world: World, text: str) -> Iterator[Tracked]:
    """The jobs with a key that the queue keeps; first the one that was accepted last."""
    known = world.engine.state.jobs
    return (one for one in reversed(world.by_text.get(text, ())) if one.record.id in known)


def newest(world: World, text: str) -> Tracked | None:
    """The job that counts for a key."""
    return next(kept(world, text), None)


def standing(job: Tracked | None) -> Tracked | None:
    """The job that another submit must be given, if this is the newest; None: a new one."""
    return job if job is not None and _stands(job) else None


def _stands(tracked: Tracked) -> bool:
    record = tracked.record
    if record.status is JobStatus.completed:
        return type(tracked.value) is not NotKept
    return not record.status.ended and not _is_lost(tracked)


def _is_lost(tracked: Tracked) -> bool:
    return tracked.cannot_run and tracked.record.held and not tracked.record.status.ended


def _goes_with(tracked: Tracked, lost: Sequence[Tracked]) -> bool:
    """Whether it waits for one of these, and is cancelled with it."""
    if tracked.record.status.ended:
        return False
    return any(one in lost or _goes_with(one, lost) for one in tracked.parents)


def check_launch(world: World, tracked: Tracked) -> None:
    """Nothing runs twice under one key, unless somebody has asked for just that."""
    if tracked.text is None or tracked.before is not None:
        return  # it was judged in the kernel that accepted it, which knew them all
    same = world.by_text[tracked.text]
    if any(one.is_anyway for one in same):
        return  # the newest counts, and an older one may run beside it
    known = world.engine.state.jobs
    for other in same[: same.index(tracked)][-1:]:  # what counted until then
        if other.record.id in known and _stands(other):
            world.complain(f"job {tracked.number} runs, and {other.number} has the same key")


@dataclass(eq=False)
class Call:
    """One submit of some keys that is under way, and what must come of it as things stand now."""

    world: World
    texts: tuple[str, ...]
    found: dict[str, list[Tracked | None]] = field(default_factory=dict)  # when a job was made
    expected: dict[str, Tracked | None] = field(default_factory=dict)
    go: dict[str, list[Tracked]] = field(default_factory=dict)  # newer ones, cancelled by then
    known: set[str] = field(default_factory=set)  # the ids of what the queue keeps by then
    was_disturbed: bool = False

    def look(self) -> None:
        """See what stands for each key. After the last look the queue accepts, in one step."""
        known = self.world.engine.state.jobs
        last = [newest(self.world, text) for text in self.texts]
        lost = [one for one in last if one is not None and _is_lost(one)]  # and will be replaced
        for text in self.texts:
            jobs = list(kept(self.world, text))
            self.go[text] = list(takewhile(lambda one: _goes_with(one, lost), jobs))
            self.expected[text] = standing(next(iter(jobs[len(self.go[text]) :]), None))
        self.known = {tracked.job.id for tracked in self.world.jobs.values()} & known.keys()

    def preparing(self, spec: JobSpec) -> None:
        """A job is made for a key for which nothing stands: it may be another try of what does."""
        for text in self.texts if len(self.texts) == 1 else (str(spec.args[0]),):
            self.found.setdefault(text, []).append(newest(self.world, text))


class Asker(Onlooker):
    """One who submits with keys, and knows what that must give."""

    async def submit_with_key(self) -> None:
        """One job; now and then with results among its arguments, or run again all the same."""
        self.ask_for(self.dice.choice(TEXTS))

    def ask_for(self, text: str) -> None:
        """Submit one job with this key."""
        dice, world = self.dice, self.world
        options = self._options(text)
        handed = Handed((text,))
        if dice.random() < 0.2 and (one := self.some_job()) is not None:
            handed = thrown(dice, one, self.some_job() or one)
        view = self.queue.options(**options, priority=dice.choice((-1, 0, 0, 5)))
        args, kwargs = handed.with_each(lambda one: one.job)
        found = self._called((text,), lambda: [self.call(view.submit_nowait, len, *args, **kwargs)])
        if found is not None:
            call, jobs = found
            self._judge(call, jobs, [text], [handed], anyway="rerun" in options)
        world.keys_asked.add(text)

    async def map_with_keys(self) -> None:
        """Several at once, some of them perhaps twice."""
        count = self.dice.choice((2, 3, 4))
        self.ask_for_all([self.dice.choice(TEXTS) for _ in range(count)])

    def ask_for_all(self, texts: list[str], *, anyway: bool = True) -> None:
        """Submit one job for each text, by which it has its key, as a map."""
        options = self._options("{0}", anyway=anyway)
        view = self.queue.options(**options)
        found = self._called(tuple(dict.fromkeys(texts)), lambda: self.call(view.map, len, texts))
        if found is None:
            return
        call, group = found
        handed = [Handed((text,)) for text in texts]
        self._judge(call, list(group), texts, handed, anyway="rerun" in options)
        self.world.groups.append(group)
        self.world.keys_asked.update(texts)

    def _options(self, text: str, *, anyway: bool = True) -> dict[str, Any]:
        options: dict[str, Any] = {"key": text, "group": self.dice.choice((None, None, "a", "b"))}
        if self.world.journal is None or self.dice.random() < 0.1:
            options["executor"] = self.dice.choice(self.world.executors)
        if anyway and self.dice.random() < 0.1:
            options["rerun"] = True
        return options

    def _called(self, texts: tuple[str, ...], submit: Any) -> tuple[Call, Any] | None:
        world = self.world
        accepted = world.engine.state.totals.accepted
        call = Call(world, texts)
        call.look()
        world.calls.append(call)
        try:
            return call, submit()
        except Broken:
            if not call.was_disturbed:
                self.expect(world.engine.state.totals.accepted, accepted, "a refused submit")
            return None
        finally:
            world.calls.remove(call)

    def _judge(
        self, call: Call, jobs: list[Any], texts: list[str], handed: list[Handed], *, anyway: bool
    ) -> None:
        """Each is given what stands for its key, or a new job, which then does."""
        world = self.world
        self.expect(len(jobs), len(texts), "the jobs of a submit with keys")
        expected = {} if anyway else dict(call.expected)
        for text, jobs_of in call.go.items():
            if any(one.record.id in world.engine.state.jobs for one in jobs_of):
                expected.pop(text, None)  # cancelled, and still the newest
        by_id = {tracked.job.id: tracked for tracked in world.jobs.values()}
        for job, text, given in zip(jobs, texts, handed, strict=True):
            right = expected.get(text)
            if right is not None:
                said = by_id.get(job.id)
                if said is not right and said is not right.latest:
                    number = world.number_of(job.id)
                    world.complain(f"the key {text} gave {number}, and right was {right.number}")
                right.was_asked_for = True
                continue
            if job.id in by_id:
                world.complain(f"the key {text} gave {by_id[job.id].number}, right was a new job")
                continue
            last = by_id.get(job.retry_of or "")
            if last not in ([None] if anyway else call.found[text]):
                world.complain(f"the key {text} gave a retry of {job.retry_of}")
            new = world.track(job, handed=given, text=text, is_anyway=anyway)
            by_id[job.id] = expected[text] = new
            if anyway:
                del expected[text]  # each of them runs
            elif last is not None and last.job.id in call.known:
                _take_its_place(last.latest, new)


def _take_its_place(last: Tracked, new: Tracked) -> None:
    if last.record.spec.options.group == new.record.spec.options.group:
        last.next = new


def disturb(world: World, call: Call) -> None:
    """While a job is made for a key, others submit the same, or end what stood for it."""
    call.was_disturbed = True
    text = world.dice.choice(call.texts)
    world.note(f"somebody comes between, with {text}")
    world.outside.thread.run(_disturb, world, text)


def _disturb(world: World, text: str) -> None:
    fate = world.dice.random()
    tracked = newest(world, world.dice.choice(TEXTS))
    if fate < 0.5 or tracked is None:
        Asker(world).ask_for(text)
    elif fate < 0.9:
        running = tracked.record.status is JobStatus.running
        tracked.told_asked |= world.queue.cancel_nowait(tracked.job, timeout=0.0) and running
    else:
        world.dice.choice(world.executors).end_one()
