"""What every test gets: a loop for coroutine tests, a leak check, one seed, a place for figures."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import settings
from jupyter_core.utils import ensure_event_loop

from tests.leaks import PATIENCE, Resources
from tests.schedules.loop import OtherThread

NOTES = pytest.StashKey[list[str]]()

settings.register_profile("quick", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=1, help="of every random choice in the tests")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOTES] = []


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.getoption("--seed")
    return f"seed: {seed} (the same choices again: --seed={seed})"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if notes := terminalreporter.config.stash[NOTES]:
        terminalreporter.section("figures")
        for note in notes:
            terminalreporter.write_line(note)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of the run; use `random.Random(f"{seed} what for")`, never the global one."""
    return int(pytestconfig.getoption("--seed"))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Call it with a sentence of counts; they are printed together at the end of the run."""
    notes = request.config.stash[NOTES]
    name = request.node.nodeid.partition("::")[2]
    return lambda text: notes.append(f"{name}: {text}")


@pytest.fixture
def thread() -> Iterator[OtherThread]:
    """The one that is not the loop's, for tests on virtual time."""
    other = OtherThread()
    yield other
    other.close()


@pytest.fixture(scope="module")
def loop_of_the_client() -> Iterator[None]:
    """For blocking clients of kernels, which share a loop that they never close."""
    loop = ensure_event_loop()  # jupyter_core keeps it for the thread: no test leaves it behind
    yield
    loop.close()


# -- coroutine tests ---------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_…` on a loop of its own, which must be empty afterwards."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}
    asyncio.run(_complete(pyfuncitem.obj(**arguments)))
    gc.collect()  # a task whose error nobody looked at complains now, not in a later test
    return True


async def _complete(test: Awaitable[None]) -> None:
    await test
    deadline = time.monotonic() + PATIENCE
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        if time.monotonic() > deadline:
            pytest.fail(f"the test left tasks behind: {left}")
        await asyncio.sleep(0.01)


# -- leaks -------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files of other programs are none of the leak check's business.

    Its name is short: Ray's sockets below it may have 107 letters, and pytest's own folder for the
    session has a user, a count and more in its name.
    """
    with (
        tempfile.TemporaryDirectory(prefix="test_", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("JOBQUEUE_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test after which a thread, process, descriptor, folder or unseen error is left."""
    before = Resources.now()
    complaints = _Complaints()
    logging.getLogger("asyncio").addHandler(complaints)
    try:
        yield
    finally:
        logging.getLogger("asyncio").removeHandler(complaints)
    left = before.wait_for_what_is_new_to_go() + complaints.heard
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


class _Complaints(logging.Handler):
    """Keeps what asyncio says about tasks that were lost and errors that nobody looked at."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"asyncio: {record.getMessage()}")
