"""Starts and ends the guardian, one per process, which runs while there are workers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from .environment import missing_folder

logger = logging.getLogger(__name__)

RESTART_SECONDS = 1.0  # at least, between two starts
SCRIPT = Path(__file__).parents[1] / "child" / "guardian.py"
PACKAGES = str(Path(psutil.__file__).parents[1])  # a folder with psutil in it


class Guard:
    """Starts the guardian with the first worker, and ends it with the last.

    A thread waits for its death and starts another: what killed it may kill the kernel next.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: dict[int, str] = {}
        self._folders: set[str] = set()

    def add(self, group: int, worker_id: str) -> None:
        """Add a worker that begins."""
        with self._changed:
            self._groups[group] = worker_id
            if not self._say(f"+{group} {worker_id}\n"):
                self._restart()

    def remove(self, group: int) -> None:
        """Remove a worker that has ended, with all that it had started."""
        with self._changed:
            self._groups.pop(group, None)
            if self._groups:
                self._say(f"-{group}\n")
            else:
                self._end()

    def add_folder(self, path: str) -> None:
        """Add a folder to be removed if the kernel is killed."""
        with self._changed:
            if path not in self._folders:
                self._folders.add(path)
                self._say(f"d{path}\n")

    def forget_after_fork(self) -> None:
        """Close a forked child's end of the pipe, so that the guardian sees the parent end."""
        self._changed = threading.Condition()
        process, self._process = self._process, None
        self._groups.clear()
        self._folders.clear()
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.returncode = 0  # not our child, so never wait for it

    def _say(self, text: str) -> bool:
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            return False
        try:
            os.write(process.stdin.fileno(), text.encode())
        except OSError:
            return False
        return True

    def _restart(self) -> None:
        self._drop()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), PACKAGES],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                cwd=missing_folder(),
            )
            threading.Thread(
                target=self._replace, args=(self._process,), name="jobqueue-guard", daemon=True
            ).start()
        except Exception as error:  # the worker has no guardian; the next one tries again
            logger.warning(
                "no guardian: if this kernel is killed, workers may outlive it: %s", error
            )
            self._drop()
            return
        for group, worker_id in self._groups.items():
            self._say(f"+{group} {worker_id}\n")
        for folder in self._folders:
            self._say(f"d{folder}\n")

    def _replace(self, process: subprocess.Popen[bytes]) -> None:
        """Start another guardian when it has died, unless it was let go."""
        began = time.monotonic()
        process.wait()
        rest = RESTART_SECONDS - (time.monotonic() - began)
        with self._changed:
            let_go = self._changed.wait_for(lambda: self._process is not process, rest)
            if not let_go and self._groups:
                logger.info("the guardian of this kernel's workers died: another one is started")
                self._restart()

    def _end(self) -> None:
        for folder in self._folders:
            self._say(f"f{folder}\n")
        self._drop()

    def _drop(self) -> None:
        process, self._process = self._process, None
        self._changed.notify_all()
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(2.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


GUARD = Guard()
