"""The subjects of the contract, and the table of what each of them turned out to promise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from tests.contract import bodies
from tests.contract.subjects import ENGINES, ON_WINDOWS, SUBJECTS, Subject
from tests.engines.dask_processes import dask_processes, settle
from tests.engines.ray_processes import ray_processes

TABLE = pytest.StashKey[dict[str, dict[str, bool]]]()

Promise = Callable[[str, bool], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(TABLE, {})


@pytest.fixture(scope="session", autouse=True)
def trackers() -> None:
    """Pools of processes keep one small process each, which lives as long as the interpreter."""
    if sys.platform == "win32":
        return  # where nothing has to be unlinked
    from loky.backend import resource_tracker as of_loky

    resource_tracker.ensure_running()
    of_loky.ensure_running()


@pytest.fixture(scope="module", autouse=True)
def engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The engines that the module's tests need, real ones in processes of their own.

    For one module: what they keep open here, sockets above all, would be seen by later tests.
    """
    wanted = {
        item.callspec.params.get("subject")
        for item in _with_parameters(request.session)
        if item.module is request.module
    }
    with ExitStack() as stack:
        if "dask" in wanted:
            folder = tmp_path_factory.mktemp("dask")
            client = stack.enter_context(dask_processes(folder)).client()
            stack.callback(client.close)
            settle(client)
            ENGINES["dask"] = client
        if "ray" in wanted:
            stack.enter_context(ray_processes())
        yield
        ENGINES.clear()


def _with_parameters(session: pytest.Session) -> list[Any]:
    return [item for item in session.items if hasattr(item, "callspec")]


@pytest.fixture(params=ON_WINDOWS if sys.platform == "win32" else SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Each executor in turn."""
    folder = tmp_path / "subject"
    folder.mkdir()
    with SUBJECTS[request.param](folder) as one:
        yield one
        for place in (tmp_path, *tmp_path.iterdir()):
            if place.is_dir():
                bodies.release(place)  # what a failed test has left, as a pool waits for its calls


@pytest.fixture
def promise(subject: Subject, request: pytest.FixtureRequest) -> Promise:
    """Call it with a promise and whether this executor gives it, once that has been shown."""
    table = request.config.stash[TABLE]
    return lambda text, given: table.setdefault(text, {}).update({subject.name: given})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table = terminalreporter.config.stash.get(TABLE, {})
    if not table:
        return
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    width = max(map(len, table))
    terminalreporter.section("what each executor promises")
    for number, name in enumerate(names, 1):
        terminalreporter.write_line(f"{number} = {name}")
    terminalreporter.write_line(" " * width + "".join(f"{n:>6}" for n in range(1, len(names) + 1)))
    for text, row in table.items():
        cells = ({True: "yes", False: "no", None: "?"}[row.get(name)] for name in names)
        terminalreporter.write_line(f"{text:<{width}}" + "".join(f"{cell:>6}" for cell in cells))
