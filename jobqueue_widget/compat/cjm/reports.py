"""Reads what a plugin tells while it runs: its progress, and its part of the host's log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from ...protocols import ExecutorContext, Reporter, SupportsPluginLogs
from .calls import guarded, in_thread
from .shared import HostSession

logger = logging.getLogger(__name__)

ASIDE_PATIENCE = 2.0  # seconds for the host's quick calls (configuration, progress, log)
LINES = 2_000  # of a log that is no file
LOG_READ = 1 << 20  # bytes of one that is, at a time


async def aside(what: str, call: Callable[..., Any], *args: Any) -> Any:
    """Call the host quickly, in a thread and bounded; None if it fails or hangs."""
    try:
        return await asyncio.wait_for(in_thread(call, *args), ASIDE_PATIENCE)
    except Exception as error:
        logger.debug("%s: %r", what, error)
        return None


class PluginReports:
    """Reports of one run of one plugin. On the host's loop."""

    def __init__(self, session: HostSession, name: str, plugin: Any, reporter: Reporter) -> None:
        self._session = session
        self._name = name
        self._plugin = plugin
        self._reporter = reporter
        self._stale: tuple[object, object] | None = None
        self._log = HostLog(session.host, name, plugin)

    async def begin(self) -> None:
        """Remember what is there before the run: none of it is this job's."""
        self._stale = await self._progress_now()
        await aside(f"log of plugin {self._name}", self._log.skip)

    async def poll(
        self, context: ExecutorContext, over: asyncio.Event, is_started: Callable[[], bool]
    ) -> None:
        """Report log and progress until the run is over; leave a poll that hangs then to itself."""
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), context.progress_poll_interval)
                return
            if is_started():
                await self.report_log()
                await self.report_progress(over.is_set)

    async def report_progress(self, is_late: Callable[[], bool] = lambda: False) -> None:
        """Report what the plugin says, unless it still says what it said before this run."""
        found = await self._progress_now()
        if found is None or is_late():
            return
        try:
            has_changed = found != self._stale
        except Exception as error:  # what it says is not ours, nor how that compares
            logger.debug("progress of plugin %s: %r", self._name, error)
            has_changed = True
        if has_changed:
            self._stale = None
            self._reporter.progress(*found)

    async def _progress_now(self) -> tuple[object, object] | None:
        """Ask the plugin; None also while an earlier question, which holds a thread, is open."""
        plugin, unanswered = self._plugin, self._session.unanswered
        ask_async = getattr(plugin, "get_progress_async", None)
        ask = getattr(plugin, "get_progress", None)
        if self._name in unanswered:
            return None

        def ask_once() -> Any:
            unanswered.add(self._name)
            try:
                assert callable(ask)
                return ask()
            finally:
                unanswered.discard(self._name)

        try:
            if callable(ask_async):
                answer = await asyncio.wait_for(guarded(ask_async), ASIDE_PATIENCE)
            elif callable(ask):
                answer = await asyncio.wait_for(in_thread(ask_once), ASIDE_PATIENCE)
            else:
                return None
            return (answer.get("progress"), answer.get("message"))
        except Exception as error:
            logger.debug("progress of plugin %s: %r", self._name, error)
            return None

    async def report_log(self) -> None:
        """Report what has come since the last time; the log before this run is not its own."""
        added = await aside(f"log of plugin {self._name}", self._log.read)
        if added:
            self._reporter.log(added)


class HostLog:
    """The log that a host keeps of one plugin, read from where it stood. May block."""

    def __init__(self, host: Any, name: str, plugin: Any) -> None:
        self._host = host
        self._name = name
        self._path: Any = getattr(plugin, "log_path", None)
        self._lock = threading.Lock()
        self._place = 0  # in the file
        self._known = ""  # of a log that is no file

    def skip(self) -> None:
        """Go to its end."""
        while self.read():
            continue

    def read(self) -> bytes | str:
        """Return what is new, as far as it can be told from what was there before."""
        if not self._lock.acquire(blocking=False):
            return ""  # an earlier read hangs
        try:
            return self._read()
        finally:
            self._lock.release()

    def _read(self) -> bytes | str:
        path = self._path
        if isinstance(path, (str, os.PathLike)) and os.path.isfile(path):
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._place:
                    self._place = 0  # it was begun anew
                file.seek(self._place)
                data = file.read(LOG_READ)
                self._place += len(data)
            return data
        if not isinstance(self._host, SupportsPluginLogs):
            return ""
        before = self._known
        self._known = now = str(self._host.get_plugin_logs(self._name, lines=LINES))
        place = 0
        while not now.startswith(before[place:]):  # so many lines of its head were cut off
            place = before.find("\n", place) + 1 or len(before)
        return now[len(before) - place :]
