"""What a user is told of secrets: at submit, in the row, after a restart; and what is refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from jobqueue_widget import InvalidOptionError, JobQueue, JournalWarning, QueueIdleError
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._secrets.finder import MOST, Search, search
from tests.journals import opened, running
from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

LOST = "will not survive a restart"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def stem(token: str) -> str:
    return token[:3]


def log_in(user: object, password: str = "", *, note: str = "") -> None:
    """Takes a secret."""


def fails(password: str) -> NoReturn:
    raise ValueError(f"wrong: {password}")


class Closed:
    @property
    def __dict__(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("no")

    def __repr__(self) -> str:
        return "Closed(hunter-2)"


class Account:
    def __init__(self) -> None:
        self.api_key = "hunter-2"

    def work(self) -> None:
        """Has all that the account has."""


# -- said at submit, and in the row ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "args", "said"),
    [
        (stem, ("hf_AbCdEf",), "argument 'token' looks secret"),
        (log_in, ("ada", "hunter-2"), "argument 'password' looks secret"),
        (log_in, (Account(),), "argument 'user' holds 'api_key', which looks secret"),
        (log_in, (Closed(),), "argument 'user' cannot be searched for secrets"),
        (pow, ({"pwd": "hunter-2"}, 2), "argument 'base' holds 'pwd', which looks secret"),
        (Account().work, (), "its function holds 'api_key', which looks secret"),
    ],
)
def test_what_only_looks_secret_is_said_once_and_in_the_row(
    target: Callable[..., Any], args: tuple[object, ...], said: str, path: Path
) -> None:
    with opened(path) as queue:
        with pytest.warns(JournalWarning, match=re.escape(said)) as heard:
            jobs = [queue.submit_nowait(target, *args) for _ in range(3)]
        told = [one for one in heard if one.category is JournalWarning]
        assert len(told) == 1
        assert str(told[0].message).endswith(f"this job {LOST}; options(secret=False) keeps it")
        assert told[0].filename == __file__
        assert [job.note for job in jobs] == [LOST] * 3
        assert jobs[0].as_row()["note"] == LOST
        assert LOST in queue.to_html()
        assert "hunter-2" not in queue.to_html()
    with opened(path) as again:
        assert all(job.held for job in again.jobs())


@pytest.mark.parametrize("options", [{}, {"secret": False}, {"secret": True}, {"secret": "token"}])
def test_what_the_user_has_decided_is_not_said_again(options: dict[str, Any], path: Path) -> None:
    with opened(path) as queue, warnings.catch_warnings():
        warnings.simplefilter("error")
        value = "hf_AbCdEf" if options else "walking"
        job = queue.options(**options).submit_nowait(stem, value)
        is_kept = not options.get("secret")
        assert job.note == (None if is_kept else LOST)
        assert (value in queue.to_html()) == is_kept
    with opened(path) as again:
        assert again.jobs()[0].held == (not is_kept)
        assert again.jobs()[0].args == (value,) if is_kept else True


def test_without_a_journal_nothing_is_said() -> None:
    queue = JobQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("error", JournalWarning)
        job = queue.submit_nowait(stem, "hf_AbCdEf")
    assert job.note is None
    assert job.describe_arguments() == "•••"


async def test_a_plain_word_called_token_runs_after_a_restart(path: Path) -> None:
    with opened(path) as queue:
        queue.submit_nowait(stem, "walking")
    async with running(path, on_restore="run") as again:
        await again.join()
        assert again.jobs()[0].result == "wal"


@pytest.mark.filterwarnings("ignore:.*will not survive")
async def test_who_waits_is_told_of_jobs_that_cannot_run_again(path: Path) -> None:
    with opened(path) as queue:
        queue.submit_nowait(log_in, "ada", "hunter-2")
        queue.submit_nowait(stem, "walking")
    async with running(path, on_restore="run") as again:
        with pytest.raises(QueueIdleError) as told:
            await again.join()
        assert str(told.value) == (
            "1 pending, none can start: 1 job cannot run again (arguments cannot be restored: "
            "secret values are never written; submit the job again); cancel() takes it away"
        )
        again.cancel_all("pending")
        await again.join()


# -- what cannot be looked for, or is changed later ------------------------------------------------


async def test_the_error_that_is_raised_here_tells_no_secret() -> None:
    async with JobQueue() as queue:
        job = queue.options(secret="password").submit_nowait(fails, "hunter-2")
        await queue.wait_for_job(job)
        assert job.error == "ValueError: wrong: •••"
        assert job.failure is not None
        assert job.failure.exception is None
        assert "hunter-2" not in job.logs() + job.failure.traceback


def test_what_is_put_into_an_argument_later_is_hidden_too() -> None:
    queue, config = JobQueue(), {"login": {"password": "hunter-2"}}
    job = queue.submit_nowait(log_in, config)
    config["login"]["password"] = "hunter-3"
    config["api_key"] = "hunter-4"  # type: ignore[assignment]
    assert "hunter" not in queue.to_html() + str(job.as_dict()) + job.describe_arguments()


@pytest.mark.parametrize(
    "value",
    [
        [{"a": [number]} for number in range(MOST)],
        {"passwords": [f"secret-{number}" for number in range(5_000)]},
        {"password": "x" * 100_000},
    ],
    ids=["more than is looked at", "more than is looked for", "longer than is looked for"],
)
def test_what_is_too_much_is_hidden_as_a_whole(value: object) -> None:
    spec = JobSpec("j", "function", log_in, "f", (value,))
    found = Search(spec)
    spec.secrets = found.secrets()
    assert spec.secrets is not None
    assert found.uncountable == (
        "more than is looked at" not in spec.secrets.warning and not found.args[0].closed
    )


def ordinary() -> dict[str, object]:
    frame = pd.DataFrame({"n": np.arange(10**6), "word": ["walking"] * 10**6})
    return {
        "array": np.zeros(10**7),
        "frame": frame,
        "frame with a column of objects": frame.assign(word=frame.word.astype(object)),
        "series": frame.word,
        "numbers": list(range(10**5)),
        "numbers by text": {str(n): n for n in range(10**5)},
        "pairs": [(f"word {n}", 0.5) for n in range(10**5)],
        "records": [{"id": n, "text": "x"} for n in range(10**5)],
        "bytes": b"x" * 10**8,
    }


@pytest.mark.parametrize("name", ordinary())
def test_ordinary_arguments_are_looked_through_in_few_steps(name: str) -> None:
    spec = JobSpec("j", "function", log_in, "f", (ordinary()[name],))
    found = search(spec)
    if found is not None:  # None: one look was enough
        assert found.secrets() is None
        assert MOST - found._left < 10**5 / 2


# -- names that are misspelt -----------------------------------------------------------------------


def takes_any(**more: object) -> None:
    """Only what it is given tells its names."""


@pytest.mark.parametrize(
    ("target", "secret", "kwargs", "message"),
    [
        (log_in, "pasword", {}, "'log_in' has no argument 'pasword'; did you mean 'password'?"),
        (log_in, ["user", "pin"], {}, "no argument 'pin'; it has: note, password, user"),
        (takes_any, "pin", {"pen": 1}, "no argument 'pin'; did you mean 'pen'?"),
        ("plugin", "api_kee", {"api_key": 1}, "no argument 'api_kee'; did you mean 'api_key'?"),
    ],
)
def test_a_name_that_is_no_argument_is_refused(
    target: Any, secret: Any, kwargs: dict[str, Any], message: str
) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError, match=re.escape(message)):
        queue.options(secret=secret).submit_nowait(target, **kwargs)
    assert not queue.jobs()


@pytest.mark.parametrize("secret", ["user", "note", ["user", "password"]])
def test_a_name_that_is_one_is_taken_also_where_it_is_not_given(secret: Any) -> None:
    assert JobQueue().options(secret=secret).submit_nowait(log_in, "ada").describe_arguments()


# -- in a notebook ---------------------------------------------------------------------------------

CELL = """
API_KEY = "hunter-in-the-cell"; import dataclasses, os
@dataclasses.dataclass(slots=True)
class Login: password: str
def double(x): return 2 * x
def use(login): return len(login.password)
job = queue.submit_nowait(double, 4); queue.submit_nowait(use, Login("hunter-in-a-field"))
queue.submit_nowait(lambda x: API_KEY, 1); queue.pause()
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


def test_what_else_a_cell_holds_is_not_in_the_journal(kernel: Kernel, path: Path) -> None:
    kernel.run(f"from jobqueue_widget import JobQueue; queue = JobQueue(journal={str(path)!r})")
    kernel.run(CELL)
    assert kernel.value_of("[job.note for job in queue.jobs()]") == [None, LOST, LOST]
    assert "hunter" not in kernel.value_of("queue.to_html()")
    kernel.run("await queue.start(); queue.resume(); await queue.join()")
    assert kernel.value_of("job.result") == 8
    kernel.run("await queue.stop()")
    written = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    assert b"hunter" not in written
    assert b"def double(x): return 2 * x" in written
