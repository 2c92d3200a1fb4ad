"""The hosts beside JupyterLab, run for real: each shows the same cells in a page."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Route

from tests.browser.lab import (
    REPOSITORY,
    START_PATIENCE,
    Lab,
    Notebook,
    beside,
    end_server,
    wait_for_kernel,
)

Cells = dict[str, tuple[str, ...]]  # by the name of the notebook

MARIMO_SETTINGS = """
[tool.marimo.display]
theme = "system"
[tool.marimo.runtime]
auto_instantiate = true
"""
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)"
DARKEN = """() => window.jupyterapp.commands
  .execute("apputils:change-theme", { theme: "JupyterLab Dark" }).then(() => null)"""


class Shown:
    """A notebook in a page of a host, and what the page complained of and asked others for."""

    def __init__(self, context: BrowserContext, theirs: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.asked_elsewhere: list[str] = []
        self._theirs = re.compile(theirs)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._note(self.complaints, f"error: {error}"))
        self.page.on("websocket", lambda socket: self._hear_of(socket.url))
        context.route(lambda address: not _is_here(address), self._refuse)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(self.complaints, f"{message.text} {message.location['url']}")

    def _hear_of(self, socket: str) -> None:
        """No route knows of a socket."""
        if not socket.startswith("ws://127.0.0.1:"):
            self._note(self.asked_elsewhere, socket)

    def _refuse(self, route: Route) -> None:
        self._note(self.asked_elsewhere, route.request.url)
        route.abort()

    def _note(self, notes: list[str], text: str) -> None:
        if not self._theirs.search(text):
            notes.append(text)


def _is_here(address: str) -> bool:
    return address.startswith(("http://127.0.0.1:", "blob:", "data:"))


class Host:
    """A server with these notebooks. `theirs` is what it complains of and asks for by itself."""

    theirs = r"^$"

    def open(self, context: BrowserContext, name: str) -> Shown:
        """Show that notebook in a page of its own, with all its cells run or running."""
        raise NotImplementedError

    def reload(self, shown: Shown) -> None:
        """Load the page anew, as a person does who wants to find it as it was."""
        shown.page.reload()

    def darken(self, shown: Shown) -> None:
        """Show the page in dark, as a person does in this host."""
        shown.page.emulate_media(color_scheme="dark")

    def close(self) -> None:
        """End the server and every kernel."""
        raise NotImplementedError


class NotebookHost(Host):
    """Jupyter Notebook 7."""

    theirs = r"reading 'schema'"  # when it meets extensions that were made for JupyterLab alone

    def __init__(self, folder: Path, notebooks: Cells) -> None:
        self._lab = Lab(folder, app="notebook")
        self._notebooks = notebooks
        self._opened: list[Notebook] = []

    def open(self, context: BrowserContext, name: str) -> Shown:
        """Run all cells; return when they have ended."""
        shown = Shown(context, self.theirs)
        notebook = Notebook(self._lab, context, self._notebooks[name], page=shown.page)
        self._opened.append(notebook)
        notebook.run_all()
        return shown

    def reload(self, shown: Shown) -> None:
        """Save first: what was not saved is not there again."""
        shown.page.evaluate(SAVE)
        shown.page.reload()
        wait_for_kernel(shown.page)

    def darken(self, shown: Shown) -> None:
        """As the View menu does."""
        shown.page.evaluate(DARKEN)

    def close(self) -> None:
        """End the server and every kernel."""
        for notebook in self._opened:
            notebook.close()
        self._lab.close()


MADE = Path(REPOSITORY, "build", "hosts")


def need_hosts() -> Path:
    """Return where `.ci/make-hosts` has put some. Without them: skipped, with CI=true a failure."""
    if not (MADE / ".installed").exists():
        why = "no hosts beside those of .venv: run `make build/hosts/.installed`"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return MADE


class Server(Host):
    """A command that serves a folder on a port of ours until it is told to end."""

    def __init__(self, folder: Path, *command: str, packages: Path | None = None) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._log_path = folder / "host.log"
        environ = {
            **os.environ,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
            **beside(packages),
        }
        port = self.url.rpartition(":")[2]
        with self._log_path.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, f"--port={port}"],
                cwd=folder,
                env=environ,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log_path.read_text()[-2000:]
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"it did not start: {self._log_path.read_text()[-2000:]}")

    def close(self) -> None:
        """End the server and every kernel."""
        end_server(self._process)


class Marimo(Server):
    """marimo as `mode` says: "edit" shows the cells, "run" what they show. Theme: the system's."""

    def __init__(self, folder: Path, notebooks: Cells, mode: str) -> None:
        served = folder / "notebooks"
        served.mkdir()
        (served / "pyproject.toml").write_text(MARIMO_SETTINGS)
        for name, cells in notebooks.items():
            (served / f"{name}.py").write_text(_marimo_source(cells))
        quiet = ("--headless", "--no-token", "--skip-update-check")
        if mode == "run":
            quiet = ("--headless", "--no-token", "--session-ttl=1")
        super().__init__(folder, "marimo", "-q", mode, str(served), *quiet)

    def open(self, context: BrowserContext, name: str) -> Shown:
        """The cells run by themselves."""
        shown = Shown(context, self.theirs)
        shown.page.goto(f"{self.url}/?file={name}.py")
        return shown


class Voila(Server):
    """Voilà: a notebook as an app. Its theme is part of the address."""

    # It asks a CDN for its icons, says so when they do not come, and cannot load the extensions
    # that were made for the applications.
    theirs = (
        r"^https://cdn\.jsdelivr\.net/npm/@fortawesome/|Failed to load resource.*fortawesome"
        r"|shared module is not a function|/voila/api/shutdown/"
    )

    def __init__(self, folder: Path, notebooks: Cells) -> None:
        for name, cells in notebooks.items():
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            notebook.metadata.kernelspec = kernel
            nbformat.write(notebook, folder / f"{name}.ipynb")
        super().__init__(folder, "voila", str(folder), "--no-browser", "--Voila.ip=127.0.0.1")

    def open(self, context: BrowserContext, name: str) -> Shown:
        """Each page runs the cells in a kernel of its own."""
        shown = Shown(context, self.theirs)
        shown.page.goto(f"{self.url}/voila/render/{name}.ipynb")
        return shown

    def darken(self, shown: Shown) -> None:
        """Another address, and so another kernel."""
        shown.page.goto(f"{shown.page.url}?theme=dark")


def _marimo_source(cells: tuple[str, ...]) -> str:
    """The cells as marimo keeps them: it finds what each needs and gives by itself."""
    bodies = (textwrap.indent(cell.strip(), "    ") for cell in cells)
    functions = "\n\n".join(f"@app.cell\nasync def _():\n{body}\n" for body in bodies)
    return f"import marimo\n\napp = marimo.App()\n\n{functions}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
