"""A real server that culls idle kernels: one with jobs stays, unless it was opted out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

REPOSITORY = str(Path(__file__).parents[2])
PATIENCE = 40.0
TIMEOUT = 3  # seconds without activity after which the server culls
JOB = """
import time
from jobqueue_widget import JobQueue
from jobqueue_widget._runtime import alive
alive.INTERVAL = 1.0
queue = await JobQueue({settings}).start()
def sleeper():
    time.sleep(600)
job = queue.submit_nowait(sleeper);
"""

pytestmark = pytest.mark.timeout(120)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


class Server:
    """A Jupyter server on a free port, whose culler looks every second."""

    def __init__(self, folder: Path) -> None:
        self._runtime = folder / "runtime"
        self._token = uuid.uuid4().hex
        environ = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHONPATH": REPOSITORY,
        }
        command = [
            *(sys.executable, "-m", "jupyter_server", "--allow-root", "--port=0"),
            *("--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self._token}"),
            *(f"--ServerApp.root_dir={folder}", "--MappingKernelManager.cull_interval=1"),
            f"--MappingKernelManager.cull_idle_timeout={TIMEOUT}",
        ]
        with (folder / "server.log").open("w") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        info = self._runtime / f"jpserver-{self._process.pid}.json"
        until(info.exists)
        until(info.read_text)
        self._url = json.loads(info.read_text())["url"].rstrip("/")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self._url}/api/{path}", body, method=method)
        request.add_header("Authorization", f"token {self._token}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def start_kernel(self, code: str) -> str:
        """The id of a kernel in which this code has run, from a client that the server misses."""
        kernel: str = self._ask("POST", "kernels", b"{}")["id"]
        connection = self._runtime / f"kernel-{kernel}.json"
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels(iopub=True, stdin=False, hb=False)
        try:
            client.wait_for_ready(timeout=PATIENCE)
            reply = client.execute(code, reply=True, timeout=PATIENCE)
            assert reply["content"]["status"] == "ok", reply["content"]
        finally:
            client.stop_channels()
        return kernel

    def kernels(self) -> dict[str, datetime]:
        """When each kernel that lives was last active."""
        found = self._ask("GET", "kernels")
        return {one["id"]: datetime.fromisoformat(one["last_activity"]) for one in found}

    def end_kernel(self, kernel: str) -> None:
        """Shut it down."""
        self._ask("DELETE", f"kernels/{kernel}")

    def close(self) -> None:
        """End it and its kernels."""
        self._process.terminate()
        self._process.wait(PATIENCE)


@pytest.fixture(scope="module")
def server(loop_of_the_client: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def test_a_kernel_is_not_culled_while_jobs_run_that_nobody_watches(server: Server) -> None:
    kernel = server.start_kernel(JOB.format(settings=""))
    began = server.kernels()[kernel]
    until(lambda: (server.kernels()[kernel] - began).total_seconds() > 2 * TIMEOUT)
    server.end_kernel(kernel)


def test_it_is_culled_when_nothing_runs_or_will_and_when_the_queue_was_opted_out(
    server: Server,
) -> None:
    kept = JOB.format(settings="")
    opted_out = JOB.format(settings="keep_kernel_alive=False")
    ended = "job.cancel(force=True)\nawait queue.join()"
    paused = "queue.pause()\nqueue.submit_nowait(sleeper)\njob.cancel(force=True);"
    started = {server.start_kernel(c) for c in (opted_out, f"{kept}{ended}", f"{kept}{paused}")}
    until(lambda: not started & server.kernels().keys())
