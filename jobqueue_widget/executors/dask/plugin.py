"""What is sent to Dask workers so that they can run our jobs: a plugin, and the package if need be.

Both are pickled by value: the scheduler, which carries them, has nothing of ours installed.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ... import errors

PACKAGE = Path(errors.__file__).parent
SHIPPED = (".py", ".sql", ".json")  # all but the front end


@functools.cache
def sources() -> dict[str, bytes]:
    """Return what a worker needs of this package, compressed, by path; about 250 kB."""
    paths = [path for path in PACKAGE.rglob("*") if path.suffix in SHIPPED]
    return {str(path.relative_to(PACKAGE)): zlib.compress(path.read_bytes()) for path in paths}


def make_plugin() -> Any:
    """Make a `WorkerPlugin` that opens our agent in each worker, now and when one joins."""
    from distributed import WorkerPlugin

    from ... import __version__ as version

    class JobQueuePlugin(WorkerPlugin):  # type: ignore[misc, unused-ignore]
        """The plugin that Dask runs in each worker."""

        name = f"jobqueue_widget-{version}"
        idempotent = True

        def __init__(self, files: dict[str, bytes]) -> None:
            self.version = version
            self.files = files
            self.agent: Any = None

        def setup(self, worker: Any) -> None:
            """Import the package; where it is not installed, from what came along."""
            try:
                import jobqueue_widget
            except ImportError:
                import os
                import sys
                import zlib

                folder = os.path.join(worker.local_directory, "jobqueue-shipped")
                for path, data in self.files.items():
                    target = os.path.join(folder, "jobqueue_widget", path)
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with open(target, "wb") as file:
                        file.write(zlib.decompress(data))
                sys.path.append(folder)
                import jobqueue_widget
            if jobqueue_widget.__version__ == self.version:
                from jobqueue_widget.executors.dask.agent import WorkerAgent

                self.agent = WorkerAgent(worker)

        def teardown(self, worker: Any) -> None:
            """Close the agent, as the worker ends."""
            if self.agent is not None:
                self.agent.close()

        def transition(self, key: Any, start: Any, finish: Any, **_: Any) -> None:
            """Tell the agent that a task of the worker has changed."""
            if self.agent is not None:
                self.agent.task_left(key, finish)

    return JobQueuePlugin(sources())


def make_lease() -> Callable[..., None]:
    """Return the task that holds a slot: what Dask sees of us."""
    from ... import __version__ as version

    def jobqueue(lease: str, kernel: str, topic: str, lanes: int, settings: dict[str, Any]) -> None:
        try:
            import jobqueue_widget
            from jobqueue_widget.executors.dask.agent import worker_agent
        except ImportError as error:
            raise RuntimeError(f"jobqueue_widget cannot be imported here: {error}") from error
        there = worker_agent()
        if there is None:
            raise RuntimeError(
                f"this worker has jobqueue_widget {jobqueue_widget.__version__}, the kernel has "
                f"{version}: install the same version on both"
            )
        there.hold(lease, kernel, topic, lanes, settings)

    jobqueue.__module__ = "__main__"  # so that it is pickled by value
    return jobqueue
