"""Several outputs of a job as one: each in the form that a notebook would choose."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from jobqueue_widget import JobOutput
from jobqueue_widget._core.texts.hiding import Secrets
from jobqueue_widget._runtime.storage.outputs import KeptOutputs
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
