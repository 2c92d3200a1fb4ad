"""Every place where something of a job may be seen or kept, as one text each."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import re
import string
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobqueue_widget import Job, JobQueue, read_journal
from jobqueue_widget.__main__ import main
from jobqueue_widget.errors import JobQueueError
from jobqueue_widget.widget.cells.displayed import joined
from jobqueue_widget.widget.static_table import job_html
from tests.journals import as_if_killed

RUN = re.compile("[A-Za-z0-9]{6,}")


def canary(rng: random.Random) -> tuple[str, str]:
    """A secret with everything in it that is ever escaped, and the part of it that never is."""
    core = "".join(rng.choices(string.ascii_letters + string.digits, k=12))
    return f"k/{core[:3]}\"'ä {core}&\\<=%\n{core[::-1]}z", core


def texts_of(queue: JobQueue, journal: Path, events: list[object]) -> dict[str, str]:
    """What each outlet of the queue shows now."""
    jobs = queue.jobs()
    state, frame = queue.widget.get_state(), queue.to_pandas()
    found = {
        "html": queue.to_html(),
        "bundle": str(queue._repr_mimebundle_()),
        "saved widget state": json.dumps(state, default=str, ensure_ascii=False),
        "rows": str([queue.window(w, 0, 10_000).rows for w in ("running", "pending", "history")]),
        "state": str(queue.get_state()),
        "pandas": frame.to_csv(),
        "pandas, as Python": str(frame.to_dict()),
        "events": str(events),
        "repr": str(jobs),
        "commands": subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout,
        "journal": _bytes_below(journal.parent),
        "journal of a killed kernel": _bytes_below(as_if_killed(journal).parent),
        "journal, read": str(read_journal(journal)),
        "terminal": _printed_by(str(journal)),
        "terminal, as JSON": _printed_by(str(journal), "--json"),
    }
    for ending in ("csv", "json", "jsonl"):
        found[ending] = queue.export(journal.parent.parent / f"jobs.{ending}").read_text()
    for job in jobs:
        for name, text in _texts_of_job(job).items():
            found[name] = found.get(name, "") + text
    return found


def _texts_of_job(job: Job) -> dict[str, str]:
    raised = ""
    if job.done:
        with contextlib.suppress(JobQueueError):
            job.get_result()
        try:
            job.get_result()
        except JobQueueError as error:
            raised = "".join(traceback.format_exception(error))
    return {
        "log": job.logs(10_000),
        "log by bytes": job.read_log(0, 10**6)[1].decode("utf-8", "replace"),
        "outputs": "".join(f"{output.data} {output.metadata}" for output in job.outputs),
        "outputs as one": str(joined(job.outputs, job.outputs_lost)),
        "error": f"{job.error} {job.failure} {job.failure and job.failure.traceback}",
        "raised": raised,
        "message": job.status_message,
        "arguments": job.describe_arguments(10_000),
        "cell of a job": job_html(job),
    }


def _printed_by(*arguments: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0
    return printed.getvalue()


@contextlib.contextmanager
def what_is_logged() -> Iterator[list[str]]:
    """All that anybody logs in this process meanwhile, with tracebacks."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(logging.Formatter().format(record))

    root, handler = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _bytes_below(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def hits(texts: dict[str, str], cores: dict[str, str]) -> list[str]:
    """Which shape is seen where: any six characters of it in a row."""
    shapes = {
        part[at : at + 6]: shape
        for shape, core in cores.items()
        for part in (core, core[::-1])
        for at in range(len(core) - 5)
    }
    found = set()
    for outlet, text in texts.items():
        for run in set(RUN.findall(text)):  # a canary's core is of such characters alone
            pieces = (run[at : at + 6] for at in range(len(run) - 5))
            found |= {f"{shapes[piece]} in {outlet}" for piece in pieces if piece in shapes}
    return sorted(found)


def add(queue: JobQueue, name: str, call: Any, secret: str, fails: bool) -> None:
    """Submit it, to a worker if it can be sent to one."""
    made = call(secret)
    for options in (made.options, {**made.options, "executor": "thread"}):
        with contextlib.suppress(JobQueueError):
            view = queue.options(**options)
            view.submit_nowait(made.target, secret.encode().hex(), fails, *made.args, **made.kwargs)
            return
    raise AssertionError(f"{name} cannot be submitted")
