"""What the plugins of one manager share: its I/O thread, a folder for large values, who listens."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._runtime.storage.spool import Spool
from .._threads.listeners import Listeners
from .._threads.locks import Lock
from .._threads.supervisor import Supervisor
from ..workers.environment import environment_for_plugins
from ..workers.guard import GUARD
from ..workers.process import WorkerProcess, end_now
from .manifests import capabilities

logger = logging.getLogger(__name__)

KIND = "plugins-"  # of folders for large results

_runtimes: weakref.WeakSet[PluginRuntime] = weakref.WeakSet()


class PluginRuntime:
    """What the plugins of one manager share, in use while one is loaded. Any thread."""

    def __init__(self, data_dir: Path, models_dir: Path | None, *, listed: bool = False) -> None:
        self.run_id = uuid.uuid4().hex[:8]
        self.io = Supervisor(f"plugins-{self.run_id}-io")
        self.lock = Lock()  # of all plugins, their slots and lines
        self.types: dict[str, type] = {}
        self.data_dir, self.models_dir = data_dir, models_dir
        self._listed = listed
        self.workers: set[WorkerProcess] = set()
        self.listeners = Listeners()
        self._spool = Spool(KIND)
        self._users = 0
        self._users_lock = Lock()
        _runtimes.add(self)
        _hook()

    @property
    def variables(self) -> Mapping[str, str]:
        """Variables by which plugins of the reference system find their folders."""
        variables = {"CJM_DATA_DIR": str(self.data_dir / "data")}
        if self.models_dir is not None:
            variables["CJM_MODELS_DIR"] = str(self.models_dir)
        return variables

    def environment(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        """Return the environment of a worker of this plugin that starts now."""
        own = {**self.variables, **(manifest.get("env_vars") or {})}
        own.update(capabilities.variables(manifest, self.data_dir, self.models_dir))
        asked_for = manifest.get("pass_env") or ()
        python = manifest["python_path"]
        return environment_for_plugins(own, python, asked_for, listed=self._listed)

    def spool(self) -> Path:
        """Return a private folder for large results, also removed if this process is killed."""
        folder = self._spool.path()
        GUARD.add_folder(str(folder))
        return folder

    # -- who listens ---------------------------------------------------------------------------

    def tell(self) -> None:
        """Tell the listeners that something changed. Without the lock."""
        for listener in self.listeners:
            try:
                listener()
            except Exception:
                logger.exception("a listener of the plugin manager failed: %r", listener)

    # -- who uses it -----------------------------------------------------------------------------

    def enter(self) -> None:
        """Note that a plugin is loaded, or about to be."""
        with self._users_lock.held:
            self._users += 1

    def leave(self) -> None:
        """Note that a plugin is gone; with the last one go thread and folder. No I/O thread."""
        with self._users_lock.held:
            self._users -= 1
            if not self._users:
                self.rest()

    # -- ends ----------------------------------------------------------------------------------

    def rest(self) -> None:
        """Give the thread and the folder back: nothing is loaded. Not on the I/O thread."""
        self.io.close()
        spool, self._spool = self._spool, Spool(KIND)
        spool.remove()

    def kill_now(self) -> None:
        """End every worker without the I/O thread: the interpreter or the manager goes."""
        end_now(self.workers)
        self._spool.remove()

    def close_dropped(self) -> None:
        """The manager was dropped with plugins loaded: end them, in the thread that holds them."""
        workers = list(self.workers)
        for worker in workers:
            worker.kill(None, "its manager was dropped")
        if workers:
            text = "a PluginManager was dropped with plugins loaded; call unload_all() before"
            warnings.warn(text, ResourceWarning, stacklevel=2)
            threading.Thread(target=self._rest_when_gone, daemon=True).start()

    def _rest_when_gone(self) -> None:
        deadline = time.monotonic() + 10.0
        while self.workers and time.monotonic() < deadline:
            time.sleep(0.02)
        self.rest()

    def forget_after_fork(self) -> None:
        """Forget thread and workers in a forked child: they are the parent's."""
        self.lock = Lock()
        self._users_lock, self._users = Lock(), 0
        self.io.after_fork()
        for worker in self.workers:
            worker.forget_after_fork()
        self.workers.clear()
        self.listeners = Listeners()
        self._spool = Spool(KIND)


@functools.cache
def _hook() -> None:
    """Register what is done at exit and after a fork, when the first manager is made."""
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _at_exit() -> None:
    for runtime in list(_runtimes):
        runtime.kill_now()


def _after_fork() -> None:
    runtimes = [runtime for runtime in _runtimes if runtime.workers]
    if runtimes:
        GUARD.forget_after_fork()
    for runtime in runtimes:
        runtime.forget_after_fork()
