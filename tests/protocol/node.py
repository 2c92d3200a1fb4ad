"""The front end's half of a run: one Node process that hosts pages, a JSON line each way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
FRONT_END = REPOSITORY / "js"
ESBUILD = FRONT_END / "node_modules" / ".bin" / "esbuild"


def missing() -> str:
    """Why there can be no front end here; "" if there can."""
    if shutil.which("node") is None:
        return "no Node here: install Debian's packages nodejs and npm"
    if not ESBUILD.exists():
        return "the front end's tools are not installed: make js"
    return ""


def compile_client(front_end: Path, folder: Path) -> Path:
    """The pages' program, made from that copy of js/."""
    program = folder / "client.mjs"
    command = [str(ESBUILD), str(front_end / "test" / "fuzz" / "client.ts"), "--bundle"]
    options = ["--platform=node", "--format=esm", "--target=node20", "--log-level=warning"]
    subprocess.run([*command, *options, f"--outfile={program}"], check=True, cwd=front_end)
    return program


class Node:
    """Pages that live in a Node process."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            ["node", os.fspath(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, command: str) -> dict[str, Any]:
        """What one command, a line of JSON, leads to."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(command + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the pages' process has ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
