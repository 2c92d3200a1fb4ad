"""A real JupyterLab server and notebooks opened in it, for the browser tests."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import BrowserContext, Page, TimeoutError

REPOSITORY = str(Path(__file__).parents[2])
START_PATIENCE = 90.0
CELLS_ENDED = """unfinished => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model);
  return cells.slice(0, cells.length - unfinished).every(
    cell => cell.executionCount !== null && cell.executionState === "idle"
  );
}"""

WHAT_CELLS_SAY = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => [
  cell.model.executionCount, cell.model.executionState, cell.outputArea?.node.innerText.slice(-2000)
])"""

REPLACE_CELLS = """sources => {
  const notebook = window.jupyterapp.shell.currentWidget.content.model.sharedModel;
  const cells = sources.map(source => ({ cell_type: "code", source, metadata: {} }));
  notebook.transact(() => {
    notebook.deleteCellRange(0, notebook.cells.length);
    notebook.insertCells(0, cells);
  });
}"""


def beside(packages: Path | None) -> dict[str, str]:
    """Variables by which Python and Jupyter find what stands in a folder of `need_hosts`, too."""
    found = {"PYTHONPATH": os.pathsep.join(map(str, filter(None, (REPOSITORY, packages))))}
    if packages is not None:
        found["JUPYTER_PATH"] = str(packages / "share" / "jupyter")
        found["JUPYTER_CONFIG_PATH"] = str(packages / "etc" / "jupyter")
    return found


class Lab:
    """JupyterLab, or Notebook, on a free port of the loopback interface, with own folders."""

    def __init__(
        self,
        folder: Path,
        app: str = "jupyterlab",
        packages: Path | None = None,
        base_url: str = "/",
    ) -> None:
        self.app = app
        self.root = folder / "root"
        self.root.mkdir()
        self.runtime = folder / "runtime"
        self.token = uuid.uuid4().hex
        self._log_path = folder / "lab.log"
        settings = folder / "settings"
        news = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text('{"fetchNews": "false"}')  # else a dialog asks, above what is tested
        environ = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            **beside(packages),
        }
        command = [
            *(sys.executable, "-m", app, "--no-browser", "--allow-root", "--port=0"),
            *("--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self.token}"),
            *(f"--ServerApp.root_dir={self.root}", "--expose-app-in-browser"),
            f"--ServerApp.base_url={base_url}",
        ]
        if app == "jupyterlab":
            command += [
                "--LabApp.news_url=",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ]
        with self._log_path.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=log, stderr=log
            )
        self.url = self._wait_until_ready()

    def _wait_until_ready(self) -> str:
        info = self.runtime / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log_path.read_text()[-2000:]
            try:
                url: str = json.loads(info.read_text())["url"].rstrip("/")
                urllib.request.urlopen(f"{url}/api/status?token={self.token}", timeout=2).close()
            except (OSError, ValueError):
                time.sleep(0.05)
            else:
                return url
        raise AssertionError(f"{self.app} did not start: {self._log_path.read_text()[-2000:]}")

    @property
    def log(self) -> str:
        """What the server and its kernels have said so far."""
        return self._log_path.read_text()

    def sessions(self) -> list[dict[str, Any]]:
        """The open notebooks and their kernels."""
        address = f"{self.url}/api/sessions?token={self.token}"
        with urllib.request.urlopen(address, timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def end_session(self, session: str) -> None:
        """Shut a notebook's kernel down."""
        address = f"{self.url}/api/sessions/{session}?token={self.token}"
        request = urllib.request.Request(address, method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()

    def close(self) -> None:
        """End the server and every kernel."""
        end_server(self._process)


def end_server(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, so that it ends its kernels; kill it if it does not."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_kernel(page: Page, patience: float = 60_000) -> None:
    """Wait until the notebook in this page is there and its kernel is idle."""
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=patience,
    )


class Notebook:
    """A notebook of these cells, open in a page, with a kernel of its own."""

    def __init__(
        self,
        lab: Lab,
        context: BrowserContext,
        cells: tuple[str, ...],
        page: Page | None = None,
    ) -> None:
        self._lab = lab
        self._context = context
        self.name = f"t{uuid.uuid4().hex[:8]}.ipynb"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.metadata.kernelspec = kernel
        nbformat.write(notebook, lab.root / self.name)
        self.said: list[str] = []
        self.page = self.open_page(page)
        self._client: BlockingKernelClient | None = None

    def open_page(self, page: Page | None = None) -> Page:
        """Open it (again) in a tab; wait for its kernel.

        Rarely, JupyterLab does not hear of a kernel that has started, before any
        cell has run in it; a person loads the page again then, and so does this.
        """
        page = page or self._context.new_page()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"pageerror: {error}"))
        place = f"doc/workspaces/{uuid.uuid4().hex}/tree"  # in Notebook a page is one notebook
        if self._lab.app == "notebook":
            place = "notebooks"
        page.goto(f"{self._lab.url}/{place}/{self.name}?token={self._lab.token}")
        try:
            wait_for_kernel(page, 30_000)
        except TimeoutError:
            page.reload()
            wait_for_kernel(page)
        return page

    def run_all(self, unfinished: int = 0, patience: float = 60_000) -> None:
        """Run every cell; wait until all but the last `unfinished` have ended.

        JupyterLab sends a cell when the one before it has ended, so a question asked any sooner
        comes in between them, and what it asks for may not be there yet.
        """
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); return null; }"
        )
        try:
            self.page.wait_for_function(CELLS_ENDED, arg=unfinished, timeout=patience)
        except TimeoutError as error:
            error.add_note(json.dumps(self.page.evaluate(WHAT_CELLS_SAY), indent=1))
            raise

    def replace(self, *cells: str, unfinished: int = 0) -> None:
        """Put these cells in the place of all there are, and run them; the kernel stays."""
        self.page.evaluate(REPLACE_CELLS, list(cells))
        self.run_all(unfinished)

    def value_of(self, expression: str) -> Any:
        """The value of a Python expression (a literal) in the notebook's kernel."""
        reply = self._kernel().execute(
            "0",
            user_expressions={"value": expression},
            store_history=False,
            reply=True,
            timeout=30,
        )
        answer = reply["content"]["user_expressions"]["value"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def _kernel(self) -> BlockingKernelClient:
        if self._client is None:
            kernel = next(
                one["kernel"]["id"] for one in self._lab.sessions() if one["path"] == self.name
            )
            path = self._lab.runtime / f"kernel-{kernel}.json"
            self._client = BlockingKernelClient(connection_file=str(path))
            self._client.load_connection_file()
            self._client.start_channels(shell=True, iopub=False, stdin=False, hb=False)
        return self._client

    def close(self) -> None:
        """Shut its kernel down."""
        if self._client is not None:
            self._client.stop_channels()
        for session in self._lab.sessions():
            if session["path"] == self.name:
                self._lab.end_session(session["id"])
