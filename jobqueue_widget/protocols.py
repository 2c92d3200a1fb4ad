"""Every extension point of the queue, on one page.

Two rules make executors small. Everything here is *pushed*: `launch` returns at once and the end of
the work is told through `Reporter.ended`, exactly once, from whatever thread saw it; so a blocked
event loop never hides that a job has ended. And `ask_to_stop`/`kill` return at once, from any
thread: they start the stop, `ended` confirms it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ._core.jobs import BlockReason, Outcome
from ._core.machine.resources import MachineStats
from ._core.machine.told import Figures
from ._core.spec import JobSpec
from ._core.stored import (
    Changes,
    Contents,
    KeptFunction,
    KeptResult,
    KeptTold,
    Session,
    StoredRequest,
)
from .child.capture.series import Points

Request = StoredRequest  #: as journals of others import it


class Reporter(Protocol):
    """What one attempt of a job tells the queue through. Any thread, never raises.

    What comes after `ended` is counted and ignored.
    """

    job_id: str
    attempt: int

    @property
    def priority(self) -> int:
        """Priority of the job now, for engines that have an order of their own."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The GPUs that were reserved for the job, as CUDA_VISIBLE_DEVICES names them."""

    @property
    def forwards(self) -> bool:
        """True if other jobs take the result: then it is best left as it was packed."""

    def phase(self, text: str | None, where: str | None = None) -> None:
        """Tell what the attempt does before its body runs ("starting", …); None: the body runs.

        `where`: the machine or worker that has it, once known; shown as `job.where`.
        """

    def progress(self, fraction: object, message: object = None) -> None:
        """Report progress: `fraction` is 0.0-1.0 (else clamped), or None for "amount unknown"."""

    def metrics(self, points: Points, *, anew: bool = False) -> None:
        """Append what the work has measured, by name; `anew`: in the place of all there was."""

    def log(self, data: bytes | str) -> None:
        """Append output of the job to its log."""

    def output(self, told: dict[str, Any], body: bytes) -> None:
        """Keep what the job displays beside its log; as `child/displays/account.py` makes it."""

    def ended(self, outcome: Outcome) -> None:
        """Tell how the work has ended, once it is really gone. Frees the lane."""

    def kill_failed(self, reason: str) -> None:
        """Tell that `kill` could not end the work. The lane stays taken until `ended` is told."""


class Execution(Protocol):
    """One attempt of one job in flight."""

    can_be_killed: bool

    def ask_to_stop(self) -> bool:
        """Ask the work to stop. Any thread, returns at once. False: this target cannot listen."""

    def kill(self) -> None:
        """Force the work to end. Any thread, returns at once; `ended` or `kill_failed` follows."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a thread or task of a job is now: file or cell, line and function, innermost last."""

    name: str
    frames: tuple[tuple[str, int, str], ...]


TellStacks = Callable[[Sequence[Stack] | None, str], None]
"""Called once with the stacks of a job, or with None and why there are none."""


@runtime_checkable
class TellsStack(Protocol):
    """An execution that can tell where its code is, without disturbing it."""

    def ask_stack(self, tell: TellStacks) -> None:
        """Ask, from any thread; `tell` is called on any thread, now or soon, or never."""


class IoThread(Protocol):
    """The one thread per queue that drains worker pipes and keeps timers. For any thread."""

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Run the callback on the I/O thread soon, in order of the calls."""

    def call_later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        """Run the callback on the I/O thread after `seconds`; returns what cancels it."""

    def watch(self, fd: int, on_readable: Callable[[], object]) -> None:
        """Call back on the I/O thread whenever `fd` can be read. Replaces an earlier callback."""

    def watch_writable(self, fd: int, on_writable: Callable[[], object] | None) -> None:
        """Call back whenever `fd` can be written; None ends it."""

    def unwatch(self, fd: int) -> None:
        """Forget `fd` (both directions). Must come before the fd is closed."""


class ExecutorContext(Protocol):
    """What an executor may use of the runtime between `open` and `close`."""

    loop: asyncio.AbstractEventLoop
    io: IoThread
    queue_name: str
    run_id: str
    max_result_bytes: int | None
    env: Mapping[str, str] | None
    recycle_after: int | None

    @property
    def cancel_timeout(self) -> float:
        """Seconds between asking a job to stop and forcing it; may change."""

    @property
    def progress_poll_interval(self) -> float:
        """Seconds between polls of a plugin's progress; may change."""

    @property
    def max_running(self) -> int:
        """Number of lanes that the queue has now."""

    def call_on_loop(self, callback: Callable[..., object], *args: object) -> None:
        """Run the callback on the owner loop soon. Any thread; dropped if the loop is gone."""

    def spool_dir(self) -> Path:
        """Return a private folder (0700) for large files, removed with the queue. Any thread."""


class Executor(Protocol):
    """A kind of place where jobs run. Knows nothing of queues, priorities or status."""

    can_kill: bool  # whether its executions can be forced to end

    @property
    def name(self) -> str:
        """Name of the executor, as rows show it."""

    @property
    def capacity(self) -> int | None:
        """Number of jobs that can run here at once, now; None = no limit of its own."""

    def prepare(self, spec: JobSpec) -> object:
        """Check and pack the job at submit, in the caller's thread; becomes `spec.payload`.

        Raises:
            JobQueueError: the job cannot run here (what, why, cure). Nothing is enqueued.
        """

    def open(self, context: ExecutorContext) -> None:
        """Bind to the queue's loop and I/O thread. Owner loop. May follow a `close`."""

    def launch(self, spec: JobSpec, reporter: Reporter) -> Execution:
        """Start one attempt. Owner loop; returns at once; trouble goes to `reporter`."""

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return why this job may not start now; None = it may. Owner loop, pure, quick."""

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` (any thread) on any change that could unblock a job or change capacity."""

    async def close(self) -> None:
        """Give everything back: processes, threads, files. Idempotent."""


@runtime_checkable
class LaunchesAnywhere(Protocol):
    """An executor whose `launch` and `blocked_by` may also be called off the owner loop, once open.

    Its jobs go on starting while a cell blocks the loop.
    """

    launches_anywhere: bool


@runtime_checkable
class SupportsEmergencyStop(Protocol):
    """An executor whose work would outlive the loop or the interpreter."""

    def kill_all_now(self) -> bool:
        """End all work now, within 1 s, without a loop. Any thread. May be opened again after.

        Returns:
            True if nothing of it is left; else each execution still tells its end.
        """

    def after_fork(self) -> None:
        """Forget everything in a forked child, without touching what is the parent's."""


@runtime_checkable
class TakesPacked(Protocol):
    """An executor whose payload is a pickled function and call, as `workers.packing` makes them.

    Its jobs come back from a journal without being unpickled in this process.
    """

    def payload_of(self, function: Any, call: bytes) -> object:
        """Return the payload that `prepare` would make."""


@runtime_checkable
class SetsSurroundings(Protocol):
    """An executor whose jobs have a folder and an environment of their own (`env=`, `cwd=`)."""

    sets_surroundings: bool


@runtime_checkable
class SharesFiles(Protocol):
    """An executor whose jobs can open what this user has on this machine.

    Results that its jobs take as arguments are passed on to them as files.
    """

    shares_files: bool


@runtime_checkable
class KeepsDetached(Protocol):
    """An `ExecutorContext` of a queue that may have jobs which outlive their kernel."""

    detached: object  #: where they have their folders, or why they cannot be

    def deadline_left(self, job_id: str) -> float | None:
        """Return the seconds until a job's deadline, if it has one that has not passed."""


class LeavesExecution(Execution, Protocol):
    """One attempt of one job that can go on without this process."""

    def leave(self) -> None:
        """Follow it no more; nothing is told from now on. Any thread."""


@runtime_checkable
class RunsDetached(Protocol):
    """An executor whose jobs may outlive their kernel (`detached=True`)."""

    def reserve(self, job_id: str, attempt: int) -> None:
        """Make what an attempt needs outside of this process, before its launch is written down."""

    def adopt(self, spec: JobSpec, reporter: Reporter, asked: bool) -> LeavesExecution:
        """Follow an attempt that was started before; returns at once, `reporter` is told.

        `asked`: somebody wanted it to stop. It is asked again only if that had not reached it.
        """


@runtime_checkable
class SupportsRestart(Protocol):
    """An executor that keeps warm workers."""

    def restart_workers(self) -> None:
        """Replace idle workers now and busy ones after their job. Any thread."""


@runtime_checkable
class SupportsPluginLogs(Protocol):
    """A host that keeps a log per plugin."""

    def get_plugin_logs(self, name: str, lines: int = ...) -> str:
        """Return the last `lines` lines of that plugin's log."""


class PluginExecution(Execution, Protocol):
    """One attempt of one job in flight in a plugin."""

    def kill_now(self) -> bool:
        """End the attempt within a second, without a loop. Any thread. True: nothing is left."""


@runtime_checkable
class LaunchesPlugins(Protocol):
    """A host that runs jobs of a queue by itself: pushed progress, exact logs, real ends.

    Without it a queue calls `execute_plugin_async` and watches from outside. Any thread.
    """

    def prepare_plugin(self, spec: JobSpec) -> object:
        """Check and pack the arguments at submit; becomes `spec.payload`.

        Raises:
            JobQueueError: an argument cannot be sent. Nothing is enqueued.
        """

    def launch_plugin(
        self, spec: JobSpec, reporter: Reporter, context: ExecutorContext
    ) -> PluginExecution:
        """Start one attempt; returns at once; trouble goes to `reporter`."""

    def plugin_blocked_by(self, name: str) -> BlockReason | None:
        """Return why a job of this plugin may not start now (all workers busy); None: it may."""

    def plugin_configuration(self, name: str) -> object:
        """Return what a job of this plugin would be configured with; None: not known; quick."""

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back (any thread) when a plugin was loaded, unloaded or freed; returns its end."""


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """One worker of a plugin that is there now. `last_used` is in seconds of `time.monotonic`.

    `executed`: since it was loaded or freed, so that it may hold what its plugin asks for.
    """

    name: str
    pid: int | None
    busy: bool
    last_used: float
    executed: bool = True


@runtime_checkable
class OffersResources(Protocol):
    """A host that says what its plugins need and can free what idle ones hold. Any thread."""

    def requirements(self, name: str) -> Mapping[str, float]:
        """Return what a plugin's manifest asks for, `ram_mib` and `gpu_mib`, as far as given."""

    def loaded(self) -> list[LoadedPlugin]:
        """Return the workers that are there now."""

    def evict(self, name: str) -> str | None:
        """Free what an idle plugin holds; blocks until that is done.

        By its own `release()` if it has one, else by ending its workers; it stays registered and is
        loaded again, with the same configuration, when it is next used.

        Returns:
            None if it is done, else why not: "busy" if the plugin executes.
        """

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back (any thread) when a plugin was loaded, unloaded or freed; returns its end."""


@runtime_checkable
class HasMonitor(Protocol):
    """An `OffersResources` whose user may have registered a system monitor. Any thread."""

    @property
    def is_firm(self) -> bool:
        """False if what a manifest asks for beyond this machine is a wish: it runs all the same."""

    def figures(self, pids: Collection[int]) -> Figures | None:
        """Return the monitor's figures, with what each of these processes holds on GPUs.

        None if there is no monitor, or no answer. Blocks for some seconds at most.
        """


class ResourceSource(Protocol):
    """Source of the figures about this machine."""

    def read(self, pids: Collection[int]) -> MachineStats:
        """Look once, also at what each of these processes and its descendants hold.

        Called on a thread of its own, never twice at a time; should take milliseconds.
        """


@runtime_checkable
class UsesPlugins(Protocol):
    """An executor over a plugin host; `offers` is that host, if it offers resources."""

    offers: OffersResources | None

    def config_of(self, name: str) -> object:
        """Return the configuration that the plugin was last known to have; None: not known."""


@runtime_checkable
class KeepsWorkers(Protocol):
    """An executor with warm workers that may hold memory between two jobs."""

    workers: OffersResources

    def worker_for(self, spec: JobSpec) -> str | None:
        """Return the name, in `workers`, of the warm worker that this job would get now."""


@runtime_checkable
class AdmitsByItself(Protocol):
    """An executor whose jobs take nothing of this machine; it reads `resources` in its own way."""

    admits_by_itself: bool


@runtime_checkable
class HasProcess(Protocol):
    """An execution in a process of its own, which can be measured."""

    @property
    def pid(self) -> int | None:
        """Process id of the root of its process tree; None while there is none. Any thread."""


MimeBundle = tuple[dict[str, Any], dict[str, Any]]
"""Data and metadata for a front end, keyed by mime type."""


class DisplayProvider(Protocol):
    """Draws a queue or a job in a notebook; the package registers the widget's."""

    def shown_queue(self, queue: Any) -> Any:
        """Return what is shown of a queue: `.widget`, `.bundle()` and `.outputs.show()`."""

    def cell_widget(self, queue: Any, job: Any = None) -> Any:
        """Make an ipywidget of the queue or the job for one cell, which ends with the cell."""

    def new_widget(self, queue: Any) -> Any:
        """Make one more ipywidget of the queue, which ends with its page or the queue."""

    def shown_job(self, queue: Any, job: Any) -> Any:
        """Return what is shown of a job: the same, with its live progress cell as the widget.

        `.show()` shows it with what the job has displayed, `.follow_outputs()` what comes.
        """

    def shown_group(self, queue: Any, group: Any) -> Any:
        """Return what is shown of a group: the same, with its live cell as the widget."""

    def group_html(self, group: Any) -> str:
        """Return a static, escaped, script-free drawing of a group as it is now."""

    def to_html(self, queue: Any) -> str:
        """Return a static, escaped, script-free table of the queue as it is now."""


class Journal(Protocol):
    """Keeps a queue. Plain values go in and out: a journal knows nothing of pickles or jobs.

    One queue at a time has it, between `open` and `close`. The recorder calls `write` from any
    thread, one call at a time; what it was given is kept when it returns.
    """

    @property
    def place(self) -> str:
        """Name of the journal, for messages and to find the queue that has it; "" for none."""

    def open(self, session: Session) -> Contents:
        """Take the journal for this session, and read it.

        Raises:
            JournalError: it cannot be used; the message says why and what to do.
        """

    def write(self, changes: Changes) -> None:
        """Keep all changes or none. Any exception: nothing was kept; the queue goes on."""

    def request(self, number: int) -> StoredRequest | None:
        """Return the request of the job with this number."""

    def function(self, digest: bytes) -> KeptFunction | None:
        """Return a function that some job refers to."""

    def result(self, job_id: str) -> KeptResult | None:
        """Return the result of an ended job."""

    def log(self, job_id: str) -> bytes:
        """Return the end of what a job printed."""

    def told(self, job_id: str) -> KeptTold:
        """Return what else it has told."""

    def mark_incomplete(self) -> None:
        """Note a failed `write`: later sessions must not trust what is pending. Never raises."""

    def mark_complete(self) -> None:
        """Note that what was missing is written, or that its user has looked. Never raises."""

    def close(self) -> None:
        """Let go of the journal. Idempotent, never raises."""


@runtime_checkable
class NoticesLoss(Protocol):
    """A journal that knows when somebody else has changed or removed what it writes."""

    def lost(self) -> str:
        """Return what has happened to the journal, in words, or "". Quick: asked every 0.4 s."""

    def renew(self) -> tuple[bool, str]:
        """Begin anew; return if all that was written is there again, and what was found and kept.

        Any exception: it cannot begin anew now, and refuses to write until it can.
        """


# With what these protocols speak of, so that it can be imported from here.
__all__ = [
    "AdmitsByItself",
    "BlockReason",
    "Changes",
    "Contents",
    "DisplayProvider",
    "Execution",
    "Executor",
    "ExecutorContext",
    "Figures",
    "HasMonitor",
    "HasProcess",
    "IoThread",
    "JobSpec",
    "Journal",
    "KeepsDetached",
    "KeepsWorkers",
    "KeptFunction",
    "KeptResult",
    "KeptTold",
    "LaunchesAnywhere",
    "LaunchesPlugins",
    "LeavesExecution",
    "LoadedPlugin",
    "MachineStats",
    "MimeBundle",
    "NoticesLoss",
    "OffersResources",
    "Outcome",
    "PluginExecution",
    "Reporter",
    "Request",
    "ResourceSource",
    "RunsDetached",
    "Session",
    "SetsSurroundings",
    "SharesFiles",
    "StoredRequest",
    "SupportsEmergencyStop",
    "SupportsPluginLogs",
    "SupportsRestart",
    "TakesPacked",
    "UsesPlugins",
]
