"""Runs a notebook in a real kernel and shows in the terminal what it prints, while it prints it.

    python examples/run_demo.py examples/01_first_queue.ipynb

Ends with 0 if every cell ran, 1 if one failed, 130 after Ctrl-C. The kernel never outlives it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

SECONDS_TO_START = 60


@asynccontextmanager
async def running_kernel(folder: Path) -> AsyncIterator[AsyncKernelClient]:
    """A client of a fresh kernel that works in `folder` and keeps its own files to itself."""
    with TemporaryDirectory(prefix="demo-") as private:
        transport = "ipc" if os.name == "posix" else "tcp"  # no port is opened where that can be
        manager = AsyncKernelManager(connection_file=f"{private}/kernel.json", transport=transport)
        await manager.start_kernel(cwd=str(folder), env={**os.environ, "IPYTHONDIR": private})
        try:
            client = manager.client()
            client.start_channels()
            try:
                await client.wait_for_ready(timeout=SECONDS_TO_START)
                yield client
            finally:
                client.stop_channels()
        finally:
            await manager.shutdown_kernel()


def show(message: dict[str, Any]) -> None:
    """Show one message of the kernel as a terminal can."""
    content = message["content"]
    match message["msg_type"]:
        case "stream":
            print(content["text"], end="", flush=True)
        case "execute_result" | "display_data":
            print(content["data"].get("text/plain", ""), flush=True)
        case "error":
            print("\n".join(content["traceback"]), file=sys.stderr, flush=True)


def show_headings(markdown: str) -> None:
    """Show the headings of a text cell; the rest of it is for those who open the notebook."""
    for line in markdown.splitlines():
        if line.startswith("#"):
            print(f"\n{line.lstrip('# ')}\n{'-' * len(line.lstrip('# '))}", flush=True)


async def run(path: Path) -> int:
    """Run the cells from top to bottom up to the first that fails; returns the exit status."""
    async with running_kernel(path.parent) as client:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                show_headings(cell.source)
                continue
            reply = await client.execute_interactive(
                cell.source, allow_stdin=False, output_hook=show
            )
            if reply["content"]["status"] != "ok":
                print(f"\n{path.name}: the cell above failed", file=sys.stderr)
                return 1
    return 0


async def run_until_told_to_stop(path: Path) -> int:
    """As `run`; SIGTERM ends it as Ctrl-C does."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await run(path)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Run a notebook in a real kernel, live.")
    parser.add_argument("notebook", type=Path)
    try:
        return asyncio.run(run_until_told_to_stop(parser.parse_args().notebook.resolve()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped; the kernel and its jobs are gone", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
