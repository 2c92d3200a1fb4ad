"""A plugin that starts processes in every way, and ends, or is ended, in every way."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jobqueue_widget import JobCancelled, current_job

SLEEP = ["/bin/sleep", "600"]
STUBBORN = ["/bin/sh", "-c", "trap '' HUP INT TERM; exec sleep 600"]
DAEMON = f"import subprocess; subprocess.Popen({SLEEP}, start_new_session=True)"


class Starter:
    """Starts a helper of its own in `initialize`, and in `execute` what it is told to."""

    name = "starter"
    version = "1"

    def __init__(self) -> None:
        self.helper: Any = None
        self.kept: list[Any] = []

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        helper = (config or {}).get("helper")
        if helper == "process":
            self.helper = subprocess.Popen(SLEEP)
        if helper == "fork server":
            context = multiprocessing.get_context("forkserver")
            self.helper = context.Process(target=time.sleep, args=(600,))
            self.helper.start()
        if helper == "server":  # its children are its own affair
            self.helper = subprocess.Popen(
                ["/bin/sh", "-c", "while read x; do sleep 600 & done"], stdin=subprocess.PIPE
            )
        if (config or {}).get("impossible"):
            self.kept.append(subprocess.Popen(SLEEP))
            raise ValueError("no such configuration")

    def cleanup(self) -> None:
        logging.info("cleaned up")

    def execute(self, kind: str = "nothing", then: str = "return", path: str = "") -> Any:
        start = getattr(self, "start_" + kind.replace(" ", "_"))
        self.kept.append(start())
        if path:
            Path(path).touch()
        return self.go_on(then)

    def execute_stream(self, kind: str, then: str) -> Iterator[Any]:
        start = getattr(self, "start_" + kind.replace(" ", "_"))
        self.kept.append(start())
        yield "begun"
        yield self.go_on(then)

    def go_on(self, then: str) -> Any:
        if then == "raise":
            raise ValueError("on purpose")
        if then == "exit":
            raise SystemExit(3)
        if then == "wait for it":
            self.kept[-1].finished.wait(20)
        if then == "sleep":
            time.sleep(600)
        while then == "deaf":
            try:
                time.sleep(600)
            except JobCancelled:
                continue
        if then == "swallow":
            try:
                time.sleep(600)
            except JobCancelled:
                return "swallowed"
        if then == "look":
            while not current_job().cancel_requested:
                time.sleep(0.005)
            return "seen"
        return os.getpid()

    # -- ways to start something -----------------------------------------------------------------

    def start_nothing(self) -> None:
        return None

    def start_popen(self) -> Any:
        return subprocess.Popen(SLEEP)

    def start_new_session(self) -> Any:
        return subprocess.Popen(SLEEP, start_new_session=True)

    def start_no_environment(self) -> Any:
        return subprocess.Popen(SLEEP, start_new_session=True, env={})

    def start_daemon(self) -> Any:
        subprocess.run([sys.executable, "-c", DAEMON], check=True, start_new_session=True)

    def start_pipeline(self) -> Any:
        return subprocess.Popen(["/bin/sh", "-c", "sleep 600 | cat | cat > /dev/null"])

    def start_stubborn(self) -> Any:
        return subprocess.Popen(STUBBORN)

    def start_stopped(self) -> Any:
        return subprocess.Popen(["/bin/sh", "-c", "kill -STOP $$"])

    def start_fork(self) -> Any:
        pid = os.fork()
        if not pid:
            time.sleep(600)
            os._exit(0)
        return pid

    def start_multiprocessing(self) -> Any:
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        return process

    def start_spawned(self) -> Any:
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
        process.start()
        return process

    def start_fork_server(self) -> Any:
        process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(600,))
        process.start()
        return process

    def start_thread_pool(self) -> Any:
        pool = ThreadPoolExecutor(2)
        for _ in range(8):
            pool.submit(subprocess.run, SLEEP)
        return pool

    def start_shell_system(self) -> Any:
        thread = threading.Thread(target=os.system, args=("sleep 600; true",))
        thread.start()
        return thread

    def start_endless(self) -> Any:
        """A thread whose work never ends: only the end of its process ends it."""

        def again() -> None:
            while True:
                subprocess.run(SLEEP)

        thread = threading.Thread(target=again)
        thread.start()
        return thread

    def start_one_after_the_other(self) -> Any:
        """A daemon thread that goes on with the next when one has ended."""

        def convert() -> None:
            while True:
                subprocess.run(SLEEP)
                time.sleep(0.05)

        thread = threading.Thread(target=convert, daemon=True)
        thread.start()
        return thread

    def start_timer(self, *, daemon: bool = False) -> Any:
        timer = threading.Timer(0.5, subprocess.Popen, [SLEEP])
        timer.daemon = daemon
        timer.start()
        return timer

    def start_daemon_timer(self) -> Any:
        return self.start_timer(daemon=True)

    def start_computing(self) -> Any:
        def compute() -> None:
            while True:
                sum(range(1000))

        thread = threading.Thread(target=compute)
        thread.start()
        return thread

    def start_idle_pool(self) -> Any:
        """Threads that wait for work are none."""
        pool = ThreadPoolExecutor(1)
        pool.submit(time.sleep, 0).result()
        return pool

    def start_child_of_the_server(self) -> Any:
        assert self.helper is not None
        self.helper.stdin.write(b"x\n")
        self.helper.stdin.flush()


class Cancellable(Starter):
    """Has a cancel() of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.Event()

    def cancel(self) -> None:
        self._asked.set()

    def go_on(self, then: str) -> Any:
        if then == "until cancel":
            self._asked.wait(600)
            self._asked.clear()
            return "what there was"
        return super().go_on(then)
