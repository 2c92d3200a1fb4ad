"""Several outputs of a job as one: each in the form that a notebook would choose."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue_widget import JobOutput
from jobqueue_widget._core.texts.hiding import Secrets
from jobqueue_widget._runtime.storage.told.outputs import KeptOutputs, outputs_of
from jobqueue_widget.child.displays.account import packed
from jobqueue_widget.widget.cells import displayed
from jobqueue_widget.widget.cells.displayed import NOTHING, as_html, joined

SVG = base64.b64encode(b"<svg/>").decode()


@pytest.mark.parametrize(
    ("data", "html"),
    [
        ({"text/html": ["<b>", "x</b>"], "image/png": "aGk="}, "<b>x</b>"),
        (
            {"image/png": "aG\nk=", "text/plain": 'a "figure" <x>'},
            '<img src="data:image/png;base64,aGk=" alt="a &quot;figure&quot; &lt;x&gt;">',
        ),
        (
            {"image/svg+xml": "<svg/>", "text/plain": ""},
            f'<img src="data:image/svg+xml;base64,{SVG}" alt="">',
        ),
        ({"image/png": '"><script>', "text/plain": ""}, "&quot;&gt;&lt;script&gt;"),
        ({"text/latex": "$a<b$", "text/plain": "m"}, "$a&lt;b$"),
        (
            {"application/json": {"a": "<b>"}, "text/plain": "x"},
            "<pre>{\n  &quot;a&quot;: &quot;&lt;b&gt;&quot;\n}</pre>",
        ),
        ({"text/markdown": "*m* <b>", "text/plain": "x"}, "<pre>*m* &lt;b&gt;</pre>"),
        ({"application/x-own": 1, "text/plain": "<x>"}, "<pre>&lt;x&gt;</pre>"),
        ({"application/x-own": 1}, "<pre></pre>"),
    ],
)
def test_each_form(data: dict[str, Any], html: str) -> None:
    found = as_html(data)
    assert html in found
    assert "<script" not in found


def test_what_no_worker_of_ours_sends_is_nothing() -> None:
    hides = Secrets(frozenset({"hunter2-hunter2"}), uncountable=False, warning="")
    for body in (b"no json", b"3", b"[1]", b"[1, 2]", b"\xff"):
        for secrets, lost in ((None, 0), (hides, 1)):
            kept = KeptOutputs()
            kept.take(1, {"id": "x" * 10_000}, body, secrets)
            assert (kept.read(), kept.lost) == ([], lost)
    kept = KeptOutputs()
    odd: list[dict[str, Any]] = [{"clear": 7}, {"lost": []}, {"update": {}, "id": []}, {}]
    for told in odd:
        kept.take(1, told, b"", None)
    assert kept.read() == []


def test_one_is_itself_and_several_are_joined_and_counted() -> None:
    one, two = JobOutput({"text/html": "1", "text/plain": "a"}, {"m": 1}), JobOutput({"x": 2})
    assert joined([], 0) == (NOTHING, {})
    assert joined([one], 0) == ({"text/html": "1", "text/plain": "a"}, {"m": 1})
    data, metadata = joined([one, two], 12)
    assert metadata == {}
    assert data["text/plain"] == "a\n12 more outputs were not kept."
    assert data["text/html"].index(">1<") < data["text/html"].index("12 more outputs were not kept")
    assert "1 more output was not kept." in joined([one], 1)[0]["text/plain"]


class Job:
    """What an output needs of a job."""

    def __init__(self) -> None:
        self.done = False
        self.outputs_lost = 0
        self._record: Any = SimpleNamespace(outputs=KeptOutputs())

    @property
    def outputs(self) -> list[JobOutput]:
        return outputs_of(self._record)

    def shows(self, size: int) -> None:
        body = packed({"text/html": "x" * size}, {})
        self._record.outputs.take(1, {"id": "", "update": False}, body, None)


class Clock:
    """The time, and whoever asks for a turn, in place of those of all widgets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def join(self, one: object) -> None:
        """Count nobody."""

    leave = join

    def ask(self, one: object, at: float) -> None:
        self.asked.append(at - self.now)


def test_much_is_drawn_seldom_and_the_last_is_always(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, job, drawn = Clock(), Job(), list[int]()
    monkeypatch.setattr(displayed, "PACER", clock)
    monkeypatch.setattr(displayed, "time", clock)
    monkeypatch.setattr(displayed, "is_run_by_program", lambda: False)
    monkeypatch.setattr(
        displayed, "publish", lambda data, *_, **__: drawn.append(len(data.get("text/html", "")))
    )
    wants: list[Any] = []

    def on_change(want: Any) -> Any:
        wants.append(want)
        return wants.clear

    queue: Any = SimpleNamespace(_on_change=on_change)
    cell = displayed.OutputsCell(queue, job)  # type: ignore[arg-type]
    job.shows(2_000_000)
    assert cell.turn() is None
    job.shows(1)
    wants[0]()
    assert clock.asked == [0.5, 4.0], "2 MB are half of what a server lets through in 4 s"
    assert cell.turn() == 4.0, "asked for earlier"
    job.done = True
    assert cell.turn() == 4.0
    clock.now += 4
    assert cell.turn() is None
    assert wants == []
    assert [drawn[0], drawn[1]] == [0, 2_000_000]
    assert len(drawn) == 3
    assert cell.turn() is None
    assert len(drawn) == 3, "nothing is new"
