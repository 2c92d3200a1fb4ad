"""Decides which jobs of this process may use how much of the machine: one ledger for all queues.

It is asked at each attempt to start a job that needs something. What it admits is reserved until
the job's work has ended. The machine is read on a thread of its own, one reading at a time, so that
a driver that hangs holds up neither a loop nor the jobs that need nothing of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from .._core.jobs import BlockReason
from .._core.machine.eviction import plan_eviction
from .._core.machine.learned import Learned
from .._core.machine.rescue import unloading_text, who_makes_room
from .._core.machine.resources import (
    NOTHING,
    Admitted,
    Amounts,
    IdlePlugin,
    Impossible,
    Ledger,
    MachineStats,
    PluginKey,
    ProcessMemory,
    ResourceRequest,
    Told,
    impossible,
)
from .._threads.locks import Lock
from ..protocols import OffersResources, ResourceSource
from .plugin_hosts import Hosts
from .plugin_memory import Loaded, at_most, by_plugin, evict, figures_of, workers_of
from .unloading import ROOM_KEPT, Room, Unloading

logger = logging.getLogger(__name__)

FRESH = 2.0  # seconds for which figures of the machine are used
FORGOTTEN = 60.0  # seconds for which `_doubted` keeps a job
PATIENCE = 5.0  # seconds without figures after which jobs are told that there is no answer

MEASURING = BlockReason("the machine's memory is being read")

Aside = Callable[[Callable[[], None]], None]


class Party(Protocol):
    """What the admission uses of a queue."""

    def processes(self) -> Mapping[str, int]:
        """Return the pids of running jobs that have a process, by job id. Any thread."""
        ...

    def on_look(self, stats: MachineStats | None) -> None:
        """Take new figures of the machine; None if it could not be read. Any thread."""


class Admission:
    """The ledger of a process and the figures that it decides by. Any thread.

    Args:
        make_source: makes the source of figures, at the first reading, on the thread that reads.
        monotonic: the clock.
        aside: runs a callback where it may block.
    """

    def __init__(
        self,
        make_source: Callable[[], ResourceSource],
        monotonic: Callable[[], float] = time.monotonic,
        aside: Aside | None = None,
    ) -> None:
        self._make_source = make_source
        self._monotonic = monotonic
        self._aside = aside or _in_a_thread
        self._reset()

    def _reset(self) -> None:
        self._lock = Lock()
        self._ledger = Ledger()
        self._learned: Learned[str] = Learned()
        self._source: ResourceSource | None = None
        self._stats: MachineStats | None = None
        self._problem = ""
        self._begun_at = self._done_at = float("-inf")  # when the last reading began and ended
        self._changed_at = float("-inf")  # when something was last released or unloaded
        self._looking_since: float | None = None
        self._look_again = self._wanted = False  # `_wanted`: a job is blocked
        self._parties: dict[int, Party] = {}
        self._hosts = Hosts()
        self._loaded: dict[PluginKey, Loaded] = {}
        self._unloading = Unloading()
        self._doubted: dict[str, float] = {}  # when a job was first found to ask for too much
        self._places: dict[PluginKey, tuple[int, ...]] = {}  # the GPUs that plugins were given

    def after_fork(self) -> None:
        """Begin anew in a forked child, where every job and plugin is the parent's."""
        self._reset()

    # -- who takes part ------------------------------------------------------------------------

    def enter(self, party: Party) -> None:
        """Tell this queue of each reading of the machine."""
        with self._lock.held:
            self._parties[id(party)] = party

    def leave(self, party: Party) -> None:
        """Tell this queue no more."""
        with self._lock.held:
            self._parties.pop(id(party), None)

    def add_host(self, offers: OffersResources) -> None:
        """Count one more queue that uses a plugin host, whose idle plugins may be unloaded."""
        with self._lock.held:
            host = self._hosts.add(offers)
        if host is not None:
            host.subscribe(self.look)
            self.look()

    def remove_host(self, offers: OffersResources) -> None:
        """Count one queue fewer that uses a plugin host; forget it after the last."""
        with self._lock.held:
            host = self._hosts.remove(offers)
            if host is None:
                return
            for key in [key for key in self._loaded if key[0] == id(offers)]:
                del self._loaded[key]
        host.unsubscribe()

    # -- looking at the machine ----------------------------------------------------------------

    def look(self) -> None:
        """Read the machine on another thread; a call during a reading makes it read once more."""
        with self._lock.held:
            if self._looking_since is not None:
                self._look_again = True
                return
            self._looking_since, self._look_again = self._monotonic(), False
        try:
            self._aside(self._look)
        except RuntimeError:
            self._looking_since = None  # no thread could be started: the next call tries again

    def look_once(self) -> None:
        """Read the machine, unless a reading goes on that began after the last release."""
        since = self._looking_since
        if since is None or since < self._changed_at:
            self.look()

    def _look(self) -> None:
        """Read the machine; on its own thread, as plugin hosts and drivers may block."""
        with self._lock.held:
            begun, left = self._monotonic(), self._ledger.left()
            parties, hosts = list(self._parties.values()), self._hosts.all()
        processes: dict[str, int] = {}
        for party in parties:
            processes.update(party.processes())
        plugins = [(host.offers, plugin) for host in hosts for plugin in workers_of(host.offers)]
        pids = {*processes.values(), *(plugin.pid for _, plugin in plugins if plugin.pid)}
        told = {id(host.offers): figures_of(host.offers, pids) for host in hosts}
        stats, problem = None, ""
        try:
            if self._source is None:
                self._source = self._make_source()
            stats = self._source.read(pids)
        except Exception as error:
            problem = f"the machine's memory cannot be read: {type(error).__name__}: {error}"
            logger.warning(problem)
        loaded = {} if stats is None else by_plugin(plugins, stats, told)
        with self._lock.held:
            for host in hosts:
                host.figures = told[id(host.offers)]
            self._stats, self._problem = stats, problem
            self._begun_at, self._done_at = begun, self._monotonic()
            if stats is not None:
                self._ledger.looked(left)
                self._ledger.find_devices(stats)
                for key in [key for key in self._places if key not in loaded]:
                    if not self._ledger.uses_plugin(key):
                        del self._places[key]
                for job_id, pid in processes.items():
                    self._ledger.note_use(job_id, stats.processes.get(pid, NOTHING))
                self._loaded = loaded
                for held in self._ledger.reservations():
                    worker = loaded.get(held.request.plugin) if held.request.plugin else None
                    if worker is not None and worker.measured:  # the job itself may show no process
                        held.used = worker.holds
            again, self._look_again = self._look_again, False
            self._looking_since = self._monotonic() if again else None
            self._wanted = False
            parties = list(self._parties.values())
            seen = None if stats is None else self._hosts.as_told(stats, None)
        for party in parties:
            party.on_look(seen)
        if again:
            self._aside(self._look)

    # -- one attempt to start ------------------------------------------------------------------

    def ask(
        self,
        wanted: ResourceRequest,
        *,
        beside: ResourceRequest | None = None,
        may_evict: bool = False,
    ) -> Admitted | BlockReason | Impossible:
        """Decide if a job may start now, and reserve what it needs if so.

        The need of `beside`, a waiting job, is kept free. With `may_evict` idle plugins may be
        unloaded for it.

        Returns:
            `MEASURING` while there are no fresh figures; `Party.on_look` tells when there are.
        """
        room: Room | None = None
        with self._lock.held:
            request, unchecked = self._completed(wanted)
            if beside is not None:
                beside, _ = self._completed(beside)
            decision = self._decide(request, beside, is_cut=bool(unchecked))
            if isinstance(decision, Admitted):
                decision = replace(decision, need=request.need, unchecked=unchecked)
                if request.need:
                    self._ledger.reserve(request, decision.gpus)
                if request.plugin is not None and decision.gpus:
                    self._places[request.plugin] = decision.gpus
                if self._unloading.room_for(request.job_id) is not None:
                    self._unloading.room = None
                return decision
            if isinstance(decision, Impossible):
                return decision
            self._wanted = True
            if decision is not MEASURING:
                room = self._plan_room(request, decision, beside) if may_evict else None
                current = self._unloading.room_for(request.job_id)
                if current is not None and current.until is None:
                    decision = replace(decision, text=current.text)
        if room is not None:
            self._aside(lambda: self._make_room(room))
        elif decision is MEASURING:
            self.look_once()
        return decision

    def take_over(self, wanted: ResourceRequest, devices: Collection[str]) -> None:
        """Reserve what a job has that runs already, whatever is free."""
        with self._lock.held:
            request, _ = self._completed(wanted)
            self._ledger.take_over(request, devices)
            if self._stats is not None:
                self._ledger.find_devices(self._stats)

    def _completed(self, wanted: ResourceRequest) -> tuple[ResourceRequest, Mapping[str, str]]:
        """Add what its plugin's worker holds to a request; leave out what cannot be checked.

        Returns:
            The request, and why needs were left out, by the name of the resource.
        """
        plugin = wanted.plugin
        of_manifest = plugin if wanted.declared else None
        need, unchecked = self._hosts.checkable(wanted.need, of_manifest, self._stats)
        loaded = self._loaded.get(plugin) if plugin is not None else None
        is_known = loaded is not None and loaded.measured and not loaded.busy
        holds = loaded.holds if loaded is not None and is_known else NOTHING
        place = tuple(holds.gpu_mib) if loaded is not None and loaded.gpu_measured else ()
        if plugin is not None and not place:
            place = self._places.get(plugin, ())
        return replace(wanted, need=need, holds=holds, place=place), unchecked

    def _decide(
        self, request: ResourceRequest, beside: ResourceRequest | None, *, is_cut: bool
    ) -> Admitted | BlockReason | Impossible:
        now, stats = self._monotonic(), self._stats
        room = self._unloading.current(now)
        if room is not None and room.request.job_id != request.job_id:
            beside = beside or room.request
        if request.plugin in self._unloading.going:
            return BlockReason("its plugin is being unloaded; it is loaded again then")
        if stats is None or now - self._done_at > FRESH:
            if self._looking_since is not None and not self._is_looking(now):
                return BlockReason("the machine's memory cannot be read: no answer", request.need)
            if self._problem and now - self._done_at <= FRESH:
                return BlockReason(self._problem, request.need)
            return MEASURING
        stats = self._hosts.as_told(stats, request.plugin)
        decision = self._ledger.decide(request, stats, self._idle(), beside)
        if isinstance(decision, BlockReason) and self._begun_at < self._changed_at:
            return MEASURING  # something was released since, which may be enough
        if (is_cut or isinstance(decision, Impossible)) and self._is_in_doubt(request.job_id, now):
            return MEASURING  # a monitor that tells of more may just have been registered
        self._doubted.pop(request.job_id, None)
        return decision

    def _is_in_doubt(self, job_id: str, now: float) -> bool:
        """True while a reading goes on and none that began after the job's first call has ended."""
        self._doubted = {k: at for k, at in self._doubted.items() if now - at < FORGOTTEN}
        since = self._doubted.setdefault(job_id, now)
        return self._begun_at < since and self._is_looking(now)

    def _is_looking(self, now: float) -> bool:
        return self._looking_since is not None and now - self._looking_since <= PATIENCE

    def _idle(self) -> list[IdlePlugin]:
        return [
            IdlePlugin(plugin.key, plugin.name, plugin.holds, plugin.last_used)
            for plugin in self._loaded.values()
            if not plugin.busy and not self._ledger.uses_plugin(plugin.key)
        ]

    def impossible(self, wanted: ResourceRequest) -> Impossible | None:
        """Say why this machine can never give that much; None if it can, or nobody knows yet."""
        with self._lock.held:
            if self._stats is None:
                return None
            request, _ = self._completed(wanted)
            return impossible(request.need, self._hosts.as_told(self._stats, request.plugin))

    @property
    def has_looked(self) -> bool:
        """True once the machine was read and no reading goes on that may change its size."""
        return self._stats is not None and not self._is_looking(self._monotonic())

    def release(self, job_id: str) -> None:
        """Give back what a job has reserved, once its work has ended or was never started."""
        with self._lock.held:
            if not self._ledger.release(job_id):
                return
            self._changed_at = self._monotonic()
            wanted = self._wanted
        if wanted:
            self.look()

    # -- unloading what is idle ----------------------------------------------------------------

    def _plan_room(
        self, request: ResourceRequest, reason: BlockReason, beside: ResourceRequest | None
    ) -> Room | None:
        """Choose what to unload for a job, if that lets it start; for one job at a time."""
        now, stats = self._monotonic(), self._stats
        if stats is None or self._unloading.current(now) is not None:
            return None
        stats = self._hosts.as_told(stats, request.plugin)
        idle = self._unloading.willing(self._idle(), now)
        victims = plan_eviction(self._ledger, request, stats, idle, beside)
        if not victims and not stats.gpu_use_known:
            # Their declared needs are too small, but they may hold more: assume all that is used.
            most = [at_most(plugin, self._loaded[plugin.key], stats) for plugin in idle]
            victims = plan_eviction(self._ledger, request, stats, most, beside)
        if not victims:
            return None
        self._unloading.room = Room(request, victims, unloading_text(reason, victims), now)
        return self._unloading.room

    def _make_room(self, room: Room) -> None:
        """Unload the chosen plugins one after the other; blocks."""
        for victim in room.victims:
            if not self._unload(victim.key, room):
                break
        with self._lock.held:
            now = self._monotonic()
            self._changed_at, room.until = now, now + ROOM_KEPT
        self.look()

    def _unload(self, key: PluginKey, room: Room | None = None) -> bool:
        """Have a host unload a plugin; blocks. False if in use, not needed or refused."""
        host_id, name = key
        with self._lock.held:
            is_over = room is not None and self._unloading.room is not room
            if is_over or key in self._unloading.going or self._ledger.uses_plugin(key):
                return False
            host = self._hosts.get(host_id)
            self._unloading.going.add(key)
        problem = "its host is gone" if host is None else evict(host.offers, name)
        with self._lock.held:
            self._unloading.ended(key, problem, self._monotonic())
            if problem is None:
                self._places.pop(key, None)
        return problem is None

    # -- after a job ran out of memory -----------------------------------------------------------

    def who_makes_room(self, own: PluginKey | None, short: Amounts | None) -> list[IdlePlugin]:
        """List idle plugins of all hosts that would be unloaded for a job, but not its own."""
        with self._lock.held:
            return who_makes_room(self._idle(), own, short)

    def unload_idle(
        self, own: PluginKey | None, short: Amounts | None, told: Callable[[tuple[str, ...]], None]
    ) -> None:
        """Unload these plugins on another thread; call `told` with the names of those that went."""

        def unload() -> None:
            victims = self.who_makes_room(own, short)
            gone = tuple(victim.name for victim in victims if self._unload(victim.key))
            with self._lock.held:
                self._changed_at = self._monotonic()
            told(gone)
            self.look()

        self._aside(unload)

    # -- what was learned ----------------------------------------------------------------------

    def learn(self, key: str, used: ProcessMemory) -> None:
        """Note the most that an ended run has held."""
        with self._lock.held:
            self._learned.note(key, used.ram_mib, sum(used.gpu_mib.values()))

    def learned_need(self, key: str) -> Amounts:
        """Return what to reserve for the next run; empty while nothing is known."""
        with self._lock.held:
            return self._learned.need(key)

    # -- for who looks on ----------------------------------------------------------------------

    def seen(self) -> tuple[MachineStats, Told, list[IdlePlugin]] | None:
        """Return the last figures, what is reserved and what is idle; None before there are any."""
        with self._lock.held:
            stats = self._stats
            if stats is None:
                return None
            stats = self._hosts.as_told(stats, None)
            return stats, self._ledger.told(stats), self._idle()


def _in_a_thread(callback: Callable[[], None]) -> None:
    threading.Thread(target=callback, name="jobqueue-resources", daemon=True).start()
