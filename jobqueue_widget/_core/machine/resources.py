"""Keeps who has reserved how much memory and how many processors, and decides if a job fits.

Amounts are named with their unit: `ram_mib` and `gpu_mib` are MiB (2**20 bytes), `cpus` are
processors, `gpus` are whole GPUs that no other job of ours may use meanwhile. Free is the lesser of
two amounts: what the machine says is free, less what is reserved and not used yet; and what the
machine has, less all that is reserved.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..outcomes import EMPTY_AMOUNTS, BlockReason, Holder

RAM, GPU, CPUS, GPUS = NAMES = ("ram_mib", "gpu_mib", "cpus", "gpus")
HOLDERS_NAMED = 2

Amounts = Mapping[str, float]
PluginKey = tuple[int, str]  # the id of a host in this process, and the plugin's name there


# -- what is known of the machine --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GpuStats:
    """One GPU's memory."""

    total_mib: float
    free_mib: float
    name: str = ""
    uuid: str = field(default="", compare=False)  # its name for the driver


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """The memory that a process and its descendants hold; `gpu_mib` by the number of the GPU."""

    ram_mib: float = 0.0
    gpu_mib: Mapping[int, float] = field(default_factory=dict)


NOTHING = ProcessMemory()


@dataclass(frozen=True, slots=True)
class MachineStats:
    """One reading of the machine, as this process may use it (a container's limits if in one).

    `gpus` is None while they cannot be read though there may be some; `gpu_note` says why there are
    none or why they cannot be read. `processes`: by the pid of the root of each tree asked for;
    `cpu_seconds`: what these trees have used of processors so far.
    `monitored`: the GPUs are those that a monitor of the user's tells of. `gpu_use_known`: what
    `processes` hold on GPUs was read, too.
    """

    ram_total_mib: float
    ram_available_mib: float
    cpus: float
    cpus_busy: float = 0.0
    gpus: tuple[GpuStats, ...] | None = ()
    gpu_note: str = ""
    processes: Mapping[int, ProcessMemory] = field(default_factory=dict)
    cpu_seconds: Mapping[int, float] = field(default_factory=dict)
    monitored: bool = False
    gpu_use_known: bool = True


def clean(amounts: Mapping[str, object]) -> Amounts:
    """Return the valid amounts; a host or a journal may say anything."""
    found: dict[str, float] = {}
    for name in NAMES:
        value = amounts.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value) and value > 0:
            found[name] = float(value)
    return found


# -- what is wanted and what is held -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """The need of a job, without amounts of zero.

    `holds` is what its plugin's worker has already, `place` the GPUs that it is on and stays on.
    `declared`: a manifest asks for it, not the job; then what cannot be checked is left out.
    """

    job_id: str
    title: str
    need: Amounts
    plugin: PluginKey | None = None
    holds: ProcessMemory = NOTHING
    place: tuple[int, ...] = ()
    declared: bool = False


@dataclass(slots=True)
class Reservation:
    """The reservation of a job; `used` is what its processes held at the last reading.

    `devices`: names of GPUs whose numbers are not known yet.
    """

    request: ResourceRequest
    gpus: tuple[int, ...]
    used: ProcessMemory = NOTHING
    devices: Collection[str] = ()

    def ram(self) -> float:
        """Return the reserved MiB of memory."""
        return self.request.need.get(RAM, 0.0)

    def gpu(self, number: int, stats: GpuStats) -> float:
        """Return the reserved MiB of a GPU: all if the job has it to itself."""
        if number not in self.gpus:
            return 0.0
        return stats.total_mib if GPUS in self.request.need else self.request.need.get(GPU, 0.0)


@dataclass(frozen=True, slots=True)
class Told:
    """The sums of all that is reserved, and of what of it was not yet in use."""

    ram_mib: float
    ram_unused_mib: float
    cpus: float
    gpu_mib: list[float]
    gpu_unused_mib: list[float]


@dataclass(frozen=True, slots=True)
class IdlePlugin:
    """A loaded plugin without work; `last_used` only puts plugins in an order."""

    key: PluginKey
    name: str
    holds: ProcessMemory
    last_used: float


# -- what is decided ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """The job may start on these GPUs, which are reserved for it until its end.

    `devices` names the GPUs as CUDA does. `need` is what was reserved; `unchecked` says by the name
    of a resource why it was not.
    """

    gpus: tuple[int, ...] = ()
    need: Amounts = field(default_factory=dict, compare=False)
    devices: tuple[str, ...] = field(default=(), compare=False)
    unchecked: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Impossible:
    """This machine can never give that much; `short` is what it lacks."""

    text: str
    short: Amounts = field(default_factory=dict, compare=False)


Decision = Admitted | BlockReason | Impossible


class Ledger:
    """Who has reserved what. Each attempt to start is one `decide`, which changes nothing."""

    def __init__(self) -> None:
        self._reserved: dict[str, Reservation] = {}
        self._left: list[Reservation] = []  # released, and no reading has begun since

    def reserve(self, request: ResourceRequest, gpus: tuple[int, ...]) -> None:
        """Reserve what `decide` has just admitted."""
        assert request.job_id not in self._reserved, f"{request.job_id} has a reservation"
        self._reserved[request.job_id] = Reservation(request, gpus)

    def take_over(self, request: ResourceRequest, devices: Collection[str]) -> None:
        """Reserve what a job has that runs already, with these GPUs, as `Admitted.devices`."""
        self.release(request.job_id)  # of a queue of this process that has left it
        self._reserved[request.job_id] = Reservation(request, (), devices=devices)

    def find_devices(self, stats: MachineStats) -> None:
        """Find the GPUs that jobs have which were taken over, now that the machine was read."""
        numbers = {_device(number, gpu): number for number, gpu in enumerate(stats.gpus or ())}
        for held in self._reserved.values():
            if held.devices and numbers:
                held.gpus = tuple(numbers[one] for one in held.devices if one in numbers)
                held.devices = ()

    def release(self, job_id: str) -> bool:
        """Release the reservation of a job whose work has ended; False if it had none.

        It counts until the next reading, as the job's worker may keep memory not read so far.
        """
        held = self._reserved.pop(job_id, None)
        if held is not None:
            self._left.append(held)
        return held is not None

    def left(self) -> list[Reservation]:
        """Return released reservations; a reading that begins now shows what they left."""
        return list(self._left)

    def looked(self, left: Iterable[Reservation]) -> None:
        """Drop released reservations, now that a reading shows what they left."""
        gone = set(map(id, left))
        self._left = [held for held in self._left if id(held) not in gone]

    def note_use(self, job_id: str, used: ProcessMemory) -> None:
        """Note what the processes of a job hold."""
        reservation = self._reserved.get(job_id)
        if reservation is not None:
            reservation.used = used

    def reservations(self) -> Iterable[Reservation]:
        """Return all reservations, oldest first."""
        return self._reserved.values()

    def uses_plugin(self, plugin: PluginKey) -> bool:
        """True if an admitted job runs the plugin, or is about to."""
        return any(held.request.plugin == plugin for held in self._reserved.values())

    def told(self, stats: MachineStats) -> Told:
        """Sum up what is reserved and unused, to be shown."""
        held, gpus = list(self._reserved.values()), list(enumerate(stats.gpus or ()))
        return Told(
            ram_mib=sum(one.ram() for one in held),
            ram_unused_mib=sum(max(0.0, one.ram() - one.used.ram_mib) for one in held),
            cpus=sum(one.request.need.get(CPUS, 0.0) for one in held),
            gpu_mib=[sum(one.gpu(number, gpu) for one in held) for number, gpu in gpus],
            gpu_unused_mib=[
                sum(max(0.0, one.gpu(n, gpu) - one.used.gpu_mib.get(n, 0.0)) for one in held)
                for n, gpu in gpus
            ],
        )

    # -- deciding ----------------------------------------------------------------------------

    def decide(
        self,
        request: ResourceRequest,
        stats: MachineStats,
        idle: Sequence[IdlePlugin] = (),
        beside: ResourceRequest | None = None,
    ) -> Decision:
        """Decide if a job may start now, while the need of `beside`, a waiting job, is kept free.

        Loaded plugins without work (`idle`) are only to be named as holders.
        """
        verdict = impossible(request.need, stats)
        if verdict is not None:
            return verdict
        need = request.need
        have: dict[str, float] = {}
        gpus: tuple[int, ...] | None = ()
        if RAM in need:
            have[RAM] = self._free_ram(request, stats, beside)
        if CPUS in need:
            have[CPUS] = self._free_cpus(stats, beside)
        if GPU in need or GPUS in need:
            if stats.gpus is None:
                return BlockReason(
                    f"needs {_amount(need, GPU)}; {stats.gpu_note}", need, EMPTY_AMOUNTS
                )
            gpus = self._choose_gpus(request, stats, beside, have)
        short = [name for name in NAMES if name in have and have[name] < need[name]]
        if not short and gpus is not None:
            known = stats.gpus or ()
            return Admitted(gpus, devices=tuple(_device(n, known[n]) for n in gpus))
        return self._blocked(request, have, short, idle, stats)

    def _free_ram(
        self, request: ResourceRequest, stats: MachineStats, beside: ResourceRequest | None
    ) -> float:
        promised = sum(held.ram() for held in self._reserved.values())
        unused = sum(max(0.0, held.ram() - held.used.ram_mib) for held in self._live(request))
        own = min(request.holds.ram_mib, request.need[RAM])
        kept = 0.0 if beside is None else beside.need.get(RAM, 0.0)
        kept_live = max(0.0, kept - (0.0 if beside is None else beside.holds.ram_mib))
        return min(
            stats.ram_available_mib - unused - kept_live + own,
            stats.ram_total_mib - promised - kept,
        )

    def _live(self, request: ResourceRequest) -> Iterator[Reservation]:
        """List reservations, also released ones of other plugins that no reading shows yet."""
        yield from self._reserved.values()
        for held in self._left:
            if held.request.plugin is None or held.request.plugin != request.plugin:
                yield held

    def _free_cpus(self, stats: MachineStats, beside: ResourceRequest | None) -> float:
        promised = sum(held.request.need.get(CPUS, 0.0) for held in self._reserved.values())
        kept = 0.0 if beside is None else beside.need.get(CPUS, 0.0)
        return stats.cpus - promised - kept

    def _choose_gpus(
        self,
        request: ResourceRequest,
        stats: MachineStats,
        beside: ResourceRequest | None,
        have: dict[str, float],
    ) -> tuple[int, ...] | None:
        """Choose the GPUs to use; None if none will do. Notes in `have` what is free.

        One GPU must hold all of `gpu_mib`: the one its plugin is on already, else the fullest that
        still fits. A GPU that is kept for the job `beside` is not touched.
        """
        assert stats.gpus is not None
        free = {
            number: self._free_gpu(number, gpu, request) for number, gpu in enumerate(stats.gpus)
        }
        if beside is not None and (GPU in beside.need or GPUS in beside.need):
            fullest_last = sorted(free, key=lambda number: free[number], reverse=True)
            for number in fullest_last[: max(1, math.ceil(beside.need.get(GPUS, 1)))]:
                kept = stats.gpus[number].total_mib if GPUS in beside.need else beside.need[GPU]
                free[number] -= kept
        want = request.need.get(GPU, 0.0)
        if request.place:
            free = {number: amount for number, amount in free.items() if number in request.place}
        if GPUS in request.need:
            whole = [
                number
                for number in free
                if free[number] >= want
                and not any(number in held.gpus for held in self._reserved.values())
            ]
            have[GPUS] = float(len(whole))
            count = math.ceil(request.need[GPUS])
            if want and len(whole) < count:
                have[GPU] = max(0.0, sorted(free.values(), reverse=True)[count - 1])
            return tuple(whole[:count]) if len(whole) >= count else None
        fitting = [number for number in free if free[number] >= want]
        have[GPU] = max(free.values(), default=0.0)
        if not fitting:
            return None
        return (min(fitting, key=lambda number: (free[number], number)),)

    def _free_gpu(self, number: int, gpu: GpuStats, request: ResourceRequest) -> float:
        promised = sum(held.gpu(number, gpu) for held in self._reserved.values())
        unused = sum(
            max(0.0, held.gpu(number, gpu) - held.used.gpu_mib.get(number, 0.0))
            for held in self._live(request)
        )
        own = min(request.holds.gpu_mib.get(number, 0.0), request.need.get(GPU, 0.0))
        return min(gpu.free_mib - unused + own, gpu.total_mib - promised)

    # -- saying why not ------------------------------------------------------------------------

    def _blocked(
        self,
        request: ResourceRequest,
        have: Mapping[str, float],
        short: list[str],
        idle: Sequence[IdlePlugin],
        stats: MachineStats,
    ) -> BlockReason:
        shown = {name: _floor(have[name], name) for name in have}
        parts = [f"{_amount(request.need, name)}, {_number(shown[name])} free" for name in short]
        holders = self._holders(request, short[0], idle, stats)
        told = [str(holder) for holder in holders[:HOLDERS_NAMED]]
        if len(holders) > HOLDERS_NAMED:
            told.append(f"{len(holders) - HOLDERS_NAMED} more hold the rest")
        elif not told:
            told.append("other programs use the rest")
        text = f"needs {' and '.join(parts)}; {'; '.join(told)}"
        return BlockReason(text, dict(request.need), shown, tuple(holders))

    def _holders(
        self, request: ResourceRequest, name: str, idle: Sequence[IdlePlugin], stats: MachineStats
    ) -> list[Holder]:
        """List who holds what is missing, the largest first."""
        found: list[Holder] = []
        for held in self._reserved.values():
            if name == GPU:
                amount = sum(held.gpu(n, gpu) for n, gpu in enumerate(stats.gpus or ()))
            elif name == GPUS:
                amount = float(len(held.gpus))
            else:
                amount = held.request.need.get(name, 0.0)
            if amount > 0:
                found.append(Holder(held.request.title, name, amount, idle=False))
        if name in (RAM, GPU):
            for plugin in idle:
                holds = plugin.holds
                amount = holds.ram_mib if name == RAM else sum(holds.gpu_mib.values())
                if plugin.key != request.plugin and amount >= 1:
                    found.append(Holder(plugin.name, name, math.floor(amount), idle=True))
        return sorted(found, key=lambda holder: -holder.amount)


def _device(number: int, gpu: GpuStats) -> str:
    """Name a GPU as CUDA does."""
    return gpu.uuid or str(number)


def impossible(need: Amounts, stats: MachineStats) -> Impossible | None:
    """Say why this machine can never give that much, and what it lacks; None if it can."""
    limits: dict[str, float] = {RAM: stats.ram_total_mib, CPUS: stats.cpus}
    if stats.gpus:
        limits[GPU] = max(gpu.total_mib for gpu in stats.gpus)
        limits[GPUS] = float(len(stats.gpus))
    elif stats.gpus is not None and (need.get(GPU) or need.get(GPUS)):
        wanted = _amount(need, GPU if need.get(GPU) else GPUS)
        why = f"no GPU is known here ({stats.gpu_note or 'there is none'})"
        short = {name: need[name] for name in (GPU, GPUS) if need.get(name)}
        return Impossible(f"needs {wanted}, and {why}", short)
    for name, limit in limits.items():
        if need.get(name, 0.0) > limit:
            missing = need[name] - limit
            return Impossible(
                f"needs {_amount(need, name)}, this machine can give {_number(limit)}: "
                f"{_number(missing)} too much; lower what it asks for ({name})",
                {name: missing},
            )
    return None


# -- words -------------------------------------------------------------------------------------

_UNITS = {RAM: "MiB RAM", GPU: "MiB GPU", CPUS: "processors", GPUS: "whole GPUs"}


def _amount(need: Amounts, name: str) -> str:
    return f"{_number(need.get(name, 0.0))} {_UNITS[name]}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def _floor(value: float, name: str) -> float:
    """Round an amount down, so that texts do not change with each reading by a few MiB."""
    if name in (CPUS, GPUS):
        return max(0.0, value)
    return max(0.0, math.floor(value / 10) * 10 if value >= 100 else math.floor(value))
