"""Shows what a job displays in an output of the notebook, as that would show its own.

It is Jupyter's own output, with the trust that Jupyter gives it, and no part of our widget.
"""

from __future__ import annotations

import base64
import html
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from IPython.core.getipython import get_ipython

from ..._runtime.storage.told.outputs import JobOutput, revision_of
from ...job import Job
from ...queue import JobQueue
from ..outputs import Data, follow_cells, is_run_by_program, publish
from ..pacing import PACER

PERIOD = 0.5  # seconds between two drawings
BYTES_PER_SECOND = 500_000  # servers let through twice as much, as a rule
IN_BASE64 = ("image/png", "image/jpeg", "image/gif", "image/webp")
NOTHING: Data = {"text/plain": ""}
_of_programs: set[OutputsCell] = set()


def show_outputs(job: Job) -> None:
    """Show what a job has displayed so far, each as an output of the cell that runs."""
    for output in job.outputs:
        publish(dict(output.data), metadata=dict(output.metadata))


class OutputsCell:
    """One output of the cell that runs, with what a job displays: drawn anew until it has ended.

    The notebook shows each form as its own if the job has one output; several are joined as html.
    """

    def __init__(self, queue: JobQueue, job: Job) -> None:
        self._job = job
        self._id = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._drawn = 0
        self._not_before = 0.0  # by `time.monotonic`
        publish(NOTHING, self._id)
        follow_cells(self)
        self._by_program = is_run_by_program()
        if self._by_program:  # it takes what comes while a cell runs
            _of_programs.add(self)
            return
        PACER.join(self)
        self._stop_listening = queue._on_change(self._want)
        self._want()  # what has changed meanwhile

    def _want(self) -> None:
        PACER.ask(self, max(time.monotonic() + PERIOD, self._not_before))

    def turn(self) -> float | None:
        """Draw it anew, for the last time if the job has ended. In the thread of all widgets."""
        is_over = self._job.done
        if time.monotonic() >= self._not_before:  # else it was asked for before that was known
            self._not_before = time.monotonic() + self._draw() / BYTES_PER_SECOND
        elif revision_of(self._job._record) != self._drawn:
            return self._not_before - time.monotonic()
        if is_over:
            self._stop_listening()
            PACER.leave(self)
        return None

    def after_cell(self) -> None:
        """Draw at the end of a cell what is new, where a program runs the cells."""
        if self._by_program:
            is_over = self._job.done
            self._draw()
            if is_over:
                _of_programs.discard(self)

    def _draw(self) -> int:
        with self._lock:
            revision = revision_of(self._job._record)
            if revision == self._drawn:
                return 0
            self._drawn = revision
            outputs, lost = self._job.outputs, self._job.outputs_lost
            data, metadata = joined(outputs, lost)
            publish(data, self._id, update=True, metadata=metadata)
            return sum(len(form) for form in data.values() if isinstance(form, str))


def joined(outputs: Sequence[JobOutput], lost: int) -> tuple[Data, Data]:
    """Return one output for all of them: the only one as it is, or all of them as html."""
    if len(outputs) == 1 and not lost:
        return dict(outputs[0].data), dict(outputs[0].metadata)
    if not outputs and not lost:
        return NOTHING, {}
    were = "output was" if lost == 1 else "outputs were"
    said = f"{lost} more {were} not kept." if lost else ""
    parts = [as_html(output.data) for output in outputs]
    if said:
        parts.append(f"<p>{said}</p>")
    divided = "\n".join(f'<div style="margin-bottom: 8px">{part}</div>' for part in parts)
    texts = [text_of(output.data) for output in outputs]
    return {"text/html": divided, "text/plain": "\n".join(filter(None, [*texts, said]))}, {}


def as_html(data: Mapping[str, Any]) -> str:
    """Return the richest form as html, as a notebook would choose it."""
    if (found := data.get("text/html")) is not None:
        return _text(found)
    if (found := data.get("image/svg+xml")) is not None:
        kind, encoded = "image/svg+xml", base64.b64encode(_text(found).encode()).decode("ascii")
        return _picture(kind, encoded, data)
    for kind in IN_BASE64:
        if (found := data.get(kind)) is not None:
            return _picture(kind, _text(found), data)
    if (found := data.get("text/latex")) is not None:
        return html.escape(_text(found))  # which the page typesets
    if (found := data.get("application/json")) is not None:
        return f"<pre>{html.escape(json.dumps(found, indent=2))}</pre>"
    return f"<pre>{html.escape(text_of(data))}</pre>"


def _picture(kind: str, encoded: str, data: Mapping[str, Any]) -> str:
    text = html.escape(text_of(data), quote=True)
    source = html.escape("".join(encoded.split()), quote=True)
    return f'<img src="data:{kind};base64,{source}" alt="{text}">'


def text_of(data: Mapping[str, Any]) -> str:
    """Return the text of an output, or the source of its Markdown; "" if it has none."""
    return _text(data.get("text/markdown", data.get("text/plain", "")))


def _text(form: Any) -> str:
    return "".join(form) if isinstance(form, list) else str(form)


def is_notebook() -> bool:
    """True where there are outputs that can be written anew: not in a terminal."""
    return hasattr(get_ipython(), "kernel")
