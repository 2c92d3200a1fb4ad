"""What one queue learns of its runs: kept here, and beside its journal if it has one."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._core.jobs import CANCELLED, COMPLETED, JobRecord
from ..._core.machine.learned import LONGEST_NAME, Learned, LearnedKey, RunStats
from ..._core.machine.resources import Amounts, ProcessMemory
from ..._core.spec import JobSpec
from ..._core.sweeps.eta import Durations
from ...errors import JobQueueError
from ...protocols import UsesPlugins

if TYPE_CHECKING:
    from ..engine_view import EngineView

logger = logging.getLogger(__name__)

SAVE_EVERY = 5.0  # seconds, while jobs end: what a killed kernel loses at most
Entries = list[tuple[LearnedKey, RunStats]]


class Kind(NamedTuple):
    """What durations are told apart by. Not by the target itself, which may have to be loaded."""

    kind: str
    name: str
    group: str | None


def kind_of(spec: JobSpec) -> Kind:
    """Return the kind of a job."""
    return Kind(spec.kind, spec.name, spec.options.group)


class Learning:
    """The figures of one queue. Any thread."""

    def __init__(self, engine: EngineView) -> None:
        self._engine = engine
        self._lock = engine.lock.inner()
        self._writing = engine.lock.inner()  # beside the other, which is never held for long
        self._learned: Learned[LearnedKey] = Learned()
        self._durations = Durations()
        self._key = os.urandom(32)
        self._save: Callable[[Entries], None] | None = None
        self._saved_at = -math.inf
        self._changed = False

    def keep(
        self,
        key: bytes | None,
        known: Iterable[tuple[LearnedKey, RunStats]],
        save: Callable[[Entries], None],
    ) -> None:
        """Begin with what an earlier kernel has learned, and save what is learned from now on.

        Args:
            key: makes marks of configurations that are the same in every kernel of this user;
                None: there is none, and what has a mark is not saved.
            known: what was learned.
            save: writes all of it. May block for a moment; never raises.
        """
        with self._lock.held:
            self._learned.put(known)
            if key is None:
                self._save = lambda entries: save([one for one in entries if not one[0].mark])
            else:
                self._key, self._save = key, save

    # -- whose figures they are ------------------------------------------------------------------

    def key_of(self, spec: JobSpec) -> LearnedKey | None:
        """A function, or a plugin with one configuration; None: nothing is learned of it."""
        identity = identity_of(spec)
        if identity is None or len(identity[0]) > LONGEST_NAME:
            return None
        name, told = identity
        if not told:
            return LearnedKey(name)
        data = told.encode("utf-8", "backslashreplace")
        return LearnedKey(name, hashlib.blake2b(data, key=self._key, digest_size=6).hexdigest())

    # -- learning ----------------------------------------------------------------------------------

    def note_end(self, job: JobRecord, started_at: float | None, ended_at: float) -> None:
        """Note how an attempt ended and how long it took."""
        if job.status is CANCELLED or started_at is None:
            return
        key = self.key_of(job.spec)
        seconds = ended_at - started_at
        with self._lock.held:
            kind = kind_of(job.spec)
            self._durations.note(kind, seconds)
            if kind.group is not None:
                self._durations.note(kind._replace(group=None), seconds)
            if key is not None:
                self._learned.note_end(key, seconds if job.status is COMPLETED else None)
                self._changed = True

    def durations(self, spec: JobSpec) -> Sequence[float]:
        """Return how many seconds the last runs of its like have taken, the shortest first.

        Those of its group in this kernel, or of all groups, failed ones too; else the mean that an
        earlier kernel has learned; else nothing.
        """
        with self._lock.held:
            kind = kind_of(spec)
            seen = self._durations.of(kind, kind._replace(group=None))
            if seen:
                return seen
            ending = f".{spec.name}"
            return [
                stats.mean_seconds
                for key, stats in self._learned.items()
                if stats.mean_seconds is not None and f".{key.name}".endswith(ending)
            ][-1:]

    def note_peak(self, spec: JobSpec, used: ProcessMemory) -> None:
        """Note the most that a run held."""
        key = self.key_of(spec)
        if key is not None:
            with self._lock.held:
                self._learned.note(key, used.ram_mib, sum(used.gpu_mib.values()))
                self._changed = True

    def need(self, spec: JobSpec) -> Amounts:
        """What to reserve for the next run; empty while nothing is known."""
        key = self.key_of(spec)
        with self._lock.held:
            return {} if key is None else self._learned.need(key)

    # -- telling and keeping -----------------------------------------------------------------------

    def told(self) -> dict[str, RunStats]:
        """All figures by name."""
        with self._lock.held:
            return {str(key): stats for key, stats in self._learned.items()}

    def look(self) -> None:
        """Write what is new, now and then. On the thread of the journal's `watch`."""
        if self._changed and self._engine.monotonic() - self._saved_at >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write what is new, if there is anywhere to write it."""
        if not self._changed:
            return
        with self._writing.held:
            with self._lock.held:
                save, entries = self._save, self._learned.items()
                self._changed = False
                self._saved_at = self._engine.monotonic()
            if save is not None:
                save(entries)

    def after_fork(self) -> None:
        """In a forked child the file is the parent's."""
        self._lock = self._engine.lock.inner()
        self._writing = self._engine.lock.inner()
        self._save = None


def identity_of(spec: JobSpec) -> tuple[str, str] | None:
    """A function's dotted name, or a plugin's and its configuration as text ("" for none).

    None for a function of an earlier kernel that did not come back.
    """
    if spec.kind == "plugin":
        executor = spec.executor
        config = executor.config_of(spec.name) if isinstance(executor, UsesPlugins) else None
        if not config:
            return spec.name, ""
        try:
            return spec.name, json.dumps(config, sort_keys=True, default=repr)
        except (TypeError, ValueError):
            return spec.name, repr(config)
    try:
        target: Any = spec.target
    except JobQueueError:  # it will fail, in words
        return None
    while isinstance(target, functools.partial):
        target = target.func
    name = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', spec.name)}"
    return name, ""
