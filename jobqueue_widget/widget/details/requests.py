"""Answers what a page asks about one job when somebody looks at it; nothing is in a trait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..._core.jobs import JobRecord
from ..._core.spec import JobSpec
from ..._core.texts.fitting import ends
from ..._runtime.storage.told.logs import part_of, times_of
from ..._runtime.storage.told.metrics import metric_names_of
from ..._runtime.storage.told.outputs import lost_outputs_of, output_count_of, revision_of
from ..._runtime.storage.told.samples import samples_of
from ..._secrets.arguments import described_parameters
from ...child.capture.series import Point
from ...job import Job
from ..checking import RequestError
from ..model import clipped
from ..texts import memory_text, visible
from .curves import told_curve, told_metrics
from .frames import users_frame
from .pieces import Piece, piece_of_output, piece_of_result

STATIC = Path(__file__).parents[2] / "static"
LOG_PART = 32_768
TRACEBACK_LIMIT = 65_536
WHOLE = 20_000  # characters of a text in the details
PARAMETERS = 100
INLINE = 192 << 10  # characters of forms that come with their list
FORM_PART = 256 << 10
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
        self._shown: tuple[object, list[Piece]] | None = None

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
        """Return what a job returned as a page can show it."""
        return _told_pieces(self._pieces(a["job"], "result"))

    def stack(self, a: Answer, cid: str) -> Answer:
        """Return where a running job is; asked in a thread, since it may take two seconds."""
        return {"text": visible(self._named(a["job"]).stack()[-TRACEBACK_LIMIT:])}

    def metrics(self, a: Answer, cid: str) -> Answer:
        """Return how all that a job measures stands, or all that is seen to be used by it."""
        return told_metrics(self._curves(a))

    def script(self, a: Answer, cid: str) -> Answer:
        """Return a script that is asked for when it is first needed: uPlot, to draw curves."""
        return {"text": (STATIC / f"{a['name']}.js").read_text(encoding="utf-8")}

    def curve(self, a: Answer, cid: str) -> Answer:
        """Return the points of one metric, by its place among them."""
        found = list(self._curves(a).values())
        if a["at"] >= len(found):
            raise RequestError("not_found", "that is not measured any more")
        return told_curve(found[a["at"]])

    def _curves(self, a: Answer) -> dict[str, list[Point]]:
        job = self._named(a["job"])
        return job.usage if a.get("of") == "usage" else job.metrics

    def outputs(self, a: Answer, cid: str) -> Answer:
        """Return what a job has displayed as a page can show it, and how many were not kept."""
        lost = lost_outputs_of(self._named(a["job"])._record)
        return {**_told_pieces(self._pieces(a["job"], "output")), "lost": lost}

    def form(self, a: Answer, cid: str) -> Answer:
        """Return a part of the text of one form of a result or an output."""
        pieces = self._pieces(a["job"], a["of"])
        found = pieces[a["at"]].form(a["form"]) if a["at"] < len(pieces) else None
        if found is None:
            raise RequestError("not_found", "that is no longer shown")
        size, end = len(found.body), a["from"] + FORM_PART
        if end >= size:
            self._shown = None  # it may be large; who asks again has lost the answer
        return {
            "from": a["from"],
            "next": min(size, end),
            "size": size,
            "body": found.body[a["from"] : end],
        }

    def _pieces(self, job_id: str, of: str) -> list[Piece]:
        """Make what is shown of a job; kept while a page asks for its parts one by one."""
        job = self._named(job_id)
        key = job_id, of, job.status, revision_of(job._record)
        shown = self._shown
        if shown is not None and shown[0] == key:
            return shown[1]
        pieces: list[Piece] = []
        if of == "output":
            pieces = [piece_of_output(output.data) for output in job.outputs]
        elif job._record.status.ended and job._record.result is not None:
            pieces = [piece_of_result(job._shown_result())]
        self._shown = key, pieces
        return pieces

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
    samples = samples_of(record)
    used = [] if samples is None else samples.names
    return {
        "log": getattr(record.log, "size", 0) > 0,
        "curves": len(metric_names_of(record)) + len(used),
        "output": output_count_of(record) + lost_outputs_of(record),
        "output_revision": revision_of(record),
        "error": record.failure is not None,
        "result": record.status.ended and record.result is not None,
    }


def _told_pieces(pieces: list[Piece]) -> Answer:
    """Return what a page is told of each piece, with the text of its first form if it is short."""
    room, items = INLINE, []
    for piece in pieces:
        item: Answer = {
            "forms": [form.told for form in piece.forms],
            "said": piece.said,
            "too_large": piece.too_large,
        }
        first = piece.forms[0].body if piece.forms else ""
        if len(first) <= min(room, INLINE // 4):
            item["body"] = first
            room -= len(first)
        items.append(item)
    return {"items": items}


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
