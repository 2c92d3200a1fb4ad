"""Answers what a page asks about one job when somebody looks at it; nothing is in a trait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..._core.jobs import JobRecord
from ..._core.spec import JobSpec
from ..._core.texts.fitting import ends
from ..._runtime.storage.told.logs import part_of, times_of
from ..._runtime.storage.told.metrics import metric_names_of
from ..._runtime.storage.told.outputs import lost_outputs_of, output_count_of
from ..._secrets.arguments import described_parameters
from ...job import Job
from ..model import clipped, memory_text
from ..results import show_result
from ..texts import visible
from .frames import users_frame

LOG_PART = 32_768
TRACEBACK_LIMIT = 65_536
WHOLE = 20_000  # characters of a text in the details
PARAMETERS = 100
PARAMETER = 4_000  # characters of one
TRIES = 20
SAID = ("error", "cancel_reason", "note", "block_reason")

Answer = dict[str, Any]


class DetailRequests:
    """The part of a widget's server that tells of single jobs; whoever has it finds them."""

    def __init__(
        self, named: Callable[[str], Job], all_records: Callable[[], Iterable[JobRecord]]
    ) -> None:
        self._named = named
        self._all_records = all_records

    def log(self, a: Answer, cid: str) -> Answer:
        """Return a part of what the job printed, and when its lines came as far as that is known.

        The places of `times` are characters of `text`.
        """
        log = self._named(a["job"])._record.log
        start, data, size = part_of(log, a["from"], a.get("max", LOG_PART))
        if start + len(data) < size:  # no character is cut in two
            data = data[: _whole_characters(data)]
        text, end = _text(data), start + len(data)
        marks = times_of(log, start, end)
        times = [[len(_text(data[: at - start])), round(when, 1)] for at, when in marks]
        return {"from": start, "next": end, "text": text, "end": end >= size, "times": times}

    def has(self, a: Answer, cid: str) -> Answer:
        """Return which parts of the details have content: a page looks again and again."""
        return contents_of(self._named(a["job"]))

    def job(self, a: Answer, cid: str) -> Answer:
        """Return the texts of a job, of which rows have a part, and what has content."""
        job = self._named(a["job"])
        failure = job.failure
        trace = failure.traceback[-TRACEBACK_LIMIT:] if failure is not None else ""
        told = None
        if failure is not None:
            told = {
                "type": visible(failure.type_name),
                "message": visible(failure.message[:4_000]),
                "exit_code": failure.exit_code,
                "signal": failure.signal_name,
            }
        row = job.as_row()
        record = job._record
        parameters = described_parameters(record.spec, PARAMETERS + 1, PARAMETER)
        return {
            "row": clipped([dict(row)])[0],
            "failure": told,
            "traceback": trace,
            "frame": users_frame(trace),
            "memory": memory_text(job),
            "said": _on_a_line(next(filter(None, map(row.get, SAID)), "")),
            "title": _on_a_line(row["title"]),
            "kwargs_text": visible(job.describe_arguments(WHOLE)),
            "parameters": [
                [visible(name), visible(text), is_named, is_literal]
                for name, text, is_named, is_literal in parameters[:PARAMETERS]
            ],
            "more_parameters": len(parameters) > PARAMETERS,
            "target": _target_text(record.spec),
            "tries": self._tries(record),
            "has": contents_of(job),
        }

    def result(self, a: Answer, cid: str) -> Answer:
        """Return the result as a page can show it."""
        job = self._named(a["job"])
        if job.status.value != "completed" and job.partial_result is None:
            return {"kind": "none"}
        return show_result(job._shown_result())

    def _tries(self, record: JobRecord) -> list[Answer]:
        """List the tries of the same, oldest first, with this one: those that are kept."""
        jobs = {one.id: one for one in self._all_records()}
        later: dict[str, JobRecord] = {}
        for one in jobs.values():
            if one.retry_of is not None:
                later[one.retry_of] = max(one, later.get(one.retry_of, one), key=_number)
        found = [record]
        while len(found) < TRIES and (before := jobs.get(found[0].retry_of or "")) is not None:
            found.insert(0, before)
        while len(found) < 2 * TRIES and (after := later.get(found[-1].id)) is not None:
            found.append(after)
        return [{"id": one.id, "status": one.status.value} for one in found if len(found) > 1]


def contents_of(job: Job) -> Answer:
    """Return of which parts of a job's details there is anything to see."""
    record = job._record
    return {
        "log": getattr(record.log, "size", 0) > 0,
        "curves": len(metric_names_of(record)),
        "output": output_count_of(record) + lost_outputs_of(record),
        "error": record.failure is not None,
        "result": record.status.ended and record.result is not None,
    }


def _number(record: JobRecord) -> int:
    return record.number


def _target_text(spec: JobSpec) -> str:
    """Return the target as it is typed in a submit."""
    return visible(repr(spec.name) if spec.kind == "plugin" else spec.name)


def _whole_characters(data: bytes) -> int:
    """Return where the last character begins if the end of it is not there, else the end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # it begins a character
            needed = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if needed > back and back < len(data) else len(data)
    return len(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _on_a_line(text: str) -> str:
    return " ".join(visible(ends(text, WHOLE // 2)).split())
