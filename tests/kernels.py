"""Real kernels of several versions of ipykernel, and a page's clicks in them without a page."""

from __future__ import annotations

import ast
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.crash.processes import wait_until

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / ".venv-kernels"
VERSIONS = ("7.4", "7.3", "6.31")  # the environment's own, and those that `make` puts beside it
PATIENCE = 30.0


def search_path(version: str) -> str:
    """PYTHONPATH of a kernel of that version. Without it: skipped, and with CI=true a failure.

    What stands on ours comes before the repository: another copy of the package is tested then.
    """
    ours = [path for path in (os.environ.get("PYTHONPATH"), str(REPOSITORY)) if path]
    if version == VERSIONS[0]:
        return os.pathsep.join(ours)
    older = FOLDER / version
    if not (FOLDER / ".installed").exists():
        why = f"no ipykernel {version} here: run `make {FOLDER.name}/.installed`"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return os.pathsep.join((str(older), *ours))


class Kernel:
    """One kernel and one client of it. `environ`: what differs from ours; None: it is not there."""

    def __init__(
        self,
        version: str,
        *,
        cwd: Path | None = None,
        environ: Mapping[str, str | None] | None = None,
    ) -> None:
        ours = {**os.environ, "PYTHONPATH": search_path(version), **(environ or {})}
        env = {name: value for name, value in ours.items() if value is not None}
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=env, cwd=str(cwd or Path.cwd()))
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels(stdin=False, hb=False)
        self._client.wait_for_ready(timeout=PATIENCE)
        self.heard: list[dict[str, Any]] = []
        found = str(self.value_of("__import__('ipykernel').__version__"))
        assert found.startswith(version), found

    def send(self, code: str) -> str:
        """Run a cell; its id. Does not wait for it. Cells behind it run also if it fails."""
        cell: str = self._client.execute(code, stop_on_error=False)
        return cell

    def run(self, code: str) -> None:
        """Run a cell to its end; it must not fail."""
        reply = self.reply_to(self.send(code))
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))

    def value_of(self, expression: str) -> Any:
        """The value of a Python expression (a literal)."""
        asked = self._client.execute("0", user_expressions={"value": expression}, silent=True)
        answer = self.reply_to(asked)["user_expressions"]["value"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def reply_to(self, cell: str) -> dict[str, Any]:
        """The content of the reply to a cell, others' before it are dropped."""
        while True:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == cell:
                content: dict[str, Any] = reply["content"]
                return content

    def send_comm(self, comm: str, data: dict[str, Any]) -> None:
        """What a page sends on a comm, to the main shell."""
        self.send_message("comm_msg", {"comm_id": comm, "data": data})

    def send_message(self, kind: str, content: dict[str, Any]) -> str:
        """Any message to the main shell; its id."""
        message = self._client.session.msg(kind, content)
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def click(self, comm: str, op: str, **arguments: object) -> str:
        """A request of a page; its id."""
        rid = uuid.uuid4().hex
        content = {"t": "req", "cid": "page", "rid": rid, "op": op, "a": arguments}
        self.send_comm(comm, {"method": "custom", "content": content})
        return rid

    def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first message on iopub, also among those heard before, that fulfils it."""
        for message in self.heard:
            if condition(message):
                return message
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            self.heard.append(message)
            if condition(message):
                return message
        raise AssertionError("it was never said")

    def until_idle_after(self, cell: str) -> None:
        """The kernel has done with this cell."""
        self.until(
            lambda message: (
                message["parent_header"].get("msg_id") == cell
                and message["content"].get("execution_state") == "idle"
            )
        )

    def until_printed(self, text: str) -> dict[str, Any]:
        """The message with this in a cell's output."""
        return self.until(lambda m: m["msg_type"] == "stream" and text in m["content"]["text"])

    def printed(self) -> str:
        """All that cells have printed so far."""
        return "".join(m["content"]["text"] for m in self.heard if m["msg_type"] == "stream")

    def interrupt(self) -> None:
        """What the Interrupt button does."""
        self._manager.interrupt_kernel()

    def shut_down(self) -> None:
        """What "Shut Down Kernel" does: it may say goodbye."""
        self._manager.shutdown_kernel()

    def until_dead(self) -> None:
        """Its process has ended."""
        wait_until(lambda: not self.is_alive, PATIENCE)

    @property
    def is_alive(self) -> bool:
        """False once its process has ended."""
        return self._manager.is_alive()

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
