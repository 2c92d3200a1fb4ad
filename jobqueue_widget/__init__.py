"""A queue of heavy jobs that lives in a notebook: run it, see it, control it.

Names are loaded when they are first used, so that a worker process that imports
`current_job` does not load the queue.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._api.lookback.since import Since
    from ._api.lookback.timeline import Timeline
    from ._api.rerun_warning import QueueReplacedWarning
    from ._api.rows import Rows
    from ._api.sweeps.group import JobGroup
    from ._api.sweeps.references import by_handle
    from ._core.jobs import BlockReason, Holder, JobFailure, JobStatus, NotKept
    from ._core.lanes.bars import TimelineBar
    from ._core.machine.learned import RunStats
    from ._persistence.sqlite.journal import SqliteJournal
    from ._persistence.sqlite.records import JournalRecord, read_journal
    from ._runtime.publish import JobEvent
    from ._runtime.storage.spans import QueuePause
    from ._runtime.storage.told.outputs import JobOutput
    from .child.job_context import JobCancelled, current_job, track
    from .child.plugins.interface import FileBackedDTO, PluginInterface
    from .errors import (
        InvalidArgumentError,
        InvalidManifestError,
        InvalidOptionError,
        InvalidTargetError,
        JobCancelledError,
        JobEvictedError,
        JobFailedError,
        JobNotFinishedError,
        JobQueueError,
        JournalError,
        JournalInUseError,
        JournalWarning,
        NotRestorableError,
        PluginBlockedError,
        PluginDisabledError,
        PluginError,
        PluginFailedError,
        PluginNotLoadedError,
        QueueClosedError,
        QueueExistsError,
        QueueIdleError,
        QueueStoppedError,
        ResultNotKeptError,
        UnknownJobError,
        UnpicklableJobError,
        UnsendableValueError,
        WaitTimeoutError,
    )
    from .executors.dask.executor import DaskExecutor
    from .executors.futures.executor import FuturesExecutor
    from .executors.ray.executor import RayExecutor
    from .job import Job
    from .plugins.manager import PluginManager
    from .plugins.manifests.manifest import PluginLoadWarning, PluginMeta
    from .plugins.schedulers import (
        PermissiveScheduler,
        QueueScheduler,
        ResourceScheduler,
        SafetyScheduler,
    )
    from .queue import JobQueue, QueueNotStartedWarning

__version__ = "0.1.0"

_HOMES = {
    "JobQueue": ".queue",
    "QueueNotStartedWarning": ".queue",
    "QueueReplacedWarning": "._api.rerun_warning",
    "Job": ".job",
    "JobGroup": "._api.sweeps.group",
    "Rows": "._api.rows",
    "Since": "._api.lookback.since",
    "Timeline": "._api.lookback.timeline",
    "TimelineBar": "._core.lanes.bars",
    "QueuePause": "._runtime.storage.spans",
    "JobEvent": "._runtime.publish",
    "JobOutput": "._runtime.storage.told.outputs",
    "JobStatus": "._core.jobs",
    "JobFailure": "._core.jobs",
    "BlockReason": "._core.jobs",
    "Holder": "._core.jobs",
    "RunStats": "._core.machine.learned",
    "current_job": ".child.job_context",
    "track": ".child.job_context",
    "JobCancelled": ".child.job_context",
    "FuturesExecutor": ".executors.futures.executor",
    "DaskExecutor": ".executors.dask.executor",
    "RayExecutor": ".executors.ray.executor",
    "JobQueueError": ".errors",
    "InvalidArgumentError": ".errors",
    "InvalidTargetError": ".errors",
    "InvalidOptionError": ".errors",
    "UnpicklableJobError": ".errors",
    "UnknownJobError": ".errors",
    "JobEvictedError": ".errors",
    "JobNotFinishedError": ".errors",
    "JobFailedError": ".errors",
    "JobCancelledError": ".errors",
    "WaitTimeoutError": ".errors",
    "QueueStoppedError": ".errors",
    "QueueClosedError": ".errors",
    "QueueIdleError": ".errors",
    "PluginManager": ".plugins.manager",
    "PluginLoadWarning": ".plugins.manifests.manifest",
    "PluginMeta": ".plugins.manifests.manifest",
    "PluginInterface": ".child.plugins.interface",
    "FileBackedDTO": ".child.plugins.interface",
    "ResourceScheduler": ".plugins.schedulers",
    "PermissiveScheduler": ".plugins.schedulers",
    "SafetyScheduler": ".plugins.schedulers",
    "QueueScheduler": ".plugins.schedulers",
    "PluginError": ".errors",
    "InvalidManifestError": ".errors",
    "PluginNotLoadedError": ".errors",
    "PluginDisabledError": ".errors",
    "PluginBlockedError": ".errors",
    "PluginFailedError": ".errors",
    "UnsendableValueError": ".errors",
    "QueueExistsError": ".errors",
    "JournalError": ".errors",
    "JournalInUseError": ".errors",
    "JournalWarning": ".errors",
    "NotRestorableError": ".errors",
    "ResultNotKeptError": ".errors",
    "NotKept": "._core.jobs",
    "SqliteJournal": "._persistence.sqlite.journal",
    "JournalRecord": "._persistence.sqlite.records",
    "read_journal": "._persistence.sqlite.records",
    "by_handle": "._api.sweeps.references",
}

__all__ = [
    "BlockReason",
    "DaskExecutor",
    "FileBackedDTO",
    "FuturesExecutor",
    "Holder",
    "InvalidArgumentError",
    "InvalidManifestError",
    "InvalidOptionError",
    "InvalidTargetError",
    "Job",
    "JobCancelled",
    "JobCancelledError",
    "JobEvent",
    "JobEvictedError",
    "JobFailedError",
    "JobFailure",
    "JobGroup",
    "JobNotFinishedError",
    "JobOutput",
    "JobQueue",
    "JobQueueError",
    "JobStatus",
    "JournalError",
    "JournalInUseError",
    "JournalRecord",
    "JournalWarning",
    "NotKept",
    "NotRestorableError",
    "PermissiveScheduler",
    "PluginBlockedError",
    "PluginDisabledError",
    "PluginError",
    "PluginFailedError",
    "PluginInterface",
    "PluginLoadWarning",
    "PluginManager",
    "PluginMeta",
    "PluginNotLoadedError",
    "QueueClosedError",
    "QueueExistsError",
    "QueueIdleError",
    "QueueNotStartedWarning",
    "QueuePause",
    "QueueReplacedWarning",
    "QueueScheduler",
    "QueueStoppedError",
    "RayExecutor",
    "ResourceScheduler",
    "ResultNotKeptError",
    "Rows",
    "RunStats",
    "SafetyScheduler",
    "Since",
    "SqliteJournal",
    "Timeline",
    "TimelineBar",
    "UnknownJobError",
    "UnpicklableJobError",
    "UnsendableValueError",
    "WaitTimeoutError",
    "__version__",
    "by_handle",
    "current_job",
    "read_journal",
    "track",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(home, __name__)
    except ModuleNotFoundError as error:
        if sys.platform != "emscripten" or error.name != "psutil":
            raise
        raise importlib.import_module("._threads.threadless", __name__).not_there(
            f"{name} cannot be had"
        ) from None
    value = getattr(module, name)
    if home == ".queue":
        display = importlib.import_module("._api.display_hook", __name__)
        display.register(lambda: importlib.import_module(".widget", __name__).PROVIDER)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook `%%job`, `%job`, `%jobs`. IPython calls it: `%load_ext jobqueue_widget`."""
    __getattr__("JobQueue")  # so that it is known how queues are shown
    importlib.import_module("._notebook.magics", __name__).load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take them away; jobs go on. IPython calls it: `%unload_ext jobqueue_widget`."""
    importlib.import_module("._notebook.magics", __name__).unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
