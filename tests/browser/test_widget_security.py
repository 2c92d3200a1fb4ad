"""Hostile texts and messages: nothing runs, nothing is made, nothing leaves the page, no crash."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from jobqueue_widget import JobQueue
from jobqueue_widget.widget.view import STATIC
from tests.browser.conftest import Fresh
from tests.browser.lab import Lab, Notebook
from tests.browser.payloads import GUARD, PAYLOADS, VERDICT, Elements
from tests.browser.widget import SETUP, add_cell, button, press_in, region, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

JOBS = """
import asyncio, dataclasses, pandas
from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import BlockReason
from jobqueue_widget.testing import inspect
from tests.browser.payloads import PAYLOADS
def at(n):
    return PAYLOADS[n % len(PAYLOADS)]
class Said:
    def __init__(self, text):
        self.text = text
    def __repr__(self):
        return self.text
def named(function, name):
    function.__name__ = function.__qualname__ = name
    return function
def failing(n):
    def fails(*args, **kwargs):
        from IPython.display import display
        print(at(n))
        current_job().report(**{at(n + 1)[:70]: 1.0, at(n + 2)[:70]: float("nan")})
        mimes = ("text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain", at(n))
        display({mime: at(n + place) for place, mime in enumerate(mimes)}, raw=True)
        display({"application/json": {at(n): [at(n + 1)]}}, raw=True)
        current_job().report(0.5, at(n + 1))
        raise type(at(n + 2).replace("\\0", ""), (Exception,), {})(at(n + 3))
    return named(fails, at(n + 4))
def framed(n):
    return pandas.DataFrame({at(n): [at(n + 1)], at(n + 2) + " ": [at(n + 3)]})
for n, text in enumerate(PAYLOADS):
    marked = queue.options(label=text, tags=[at(n + 5)])
    marked.submit_nowait(failing(n), at(n + 6), Said(at(n + 7)))
    queue.submit_nowait(named(lambda n=n: Said(at(n)), at(n + 8)))
    queue.submit_nowait(framed, n)
await queue.join()
"""
BANNERS = """
queue.pause()
blocked = queue.options(label="blocked").submit_nowait(framed, 0)
for text in PAYLOADS:
    engine = inspect(queue).engine
    engine.settings = dataclasses.replace(engine.settings, name=text)
    queue.resume()
    queue.pause(text)
    engine.do(ev.Blocked(blocked._record, BlockReason(text)))
    await asyncio.sleep(0.15)
"""
# Opens every ended job and each of its tabs; true when all that was asked for has come.
OPEN_ALL = """async ([from, to]) => {
  const root = document.querySelector('.jqw');
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const until = async (what) => {
    for (let tries = 0; tries < 600; tries += 1) {
      if (what()) return;
      await frame();
    }
    throw new Error(`did not come: ${what}`);
  };
  const grid = root.querySelector('[role="rowgroup"][aria-label="Finished"]');
  const row = index => grid.querySelector(`[aria-posinset="${index + 1}"][data-job-id]`);
  const texts = [];
  for (let index = from; index < to; index += 1) {
    root.querySelector('.jqw-scroller').scrollTop = Math.max(0, index * 28 - 28);
    await until(() => row(index) !== null);
    row(index).click();
    await until(() => row(index)?.getAttribute('aria-selected') === 'true');
    for (const tab of root.querySelectorAll('.jqw-details [role="tab"]')) {
      tab.click();
      await until(() => !root.querySelector('[role="tabpanel"]').innerText.startsWith('Loading'));
      await frame();
      for (const form of root.querySelectorAll('.jqw-piece-forms button')) form.click();
      texts.push(root.querySelector('[role="tabpanel"]').innerText);
    }
    texts.push(root.innerText);
  }
  return texts.join("");
}"""


def test_no_text_of_anybody_becomes_more_than_text(
    fresh: Fresh, standing_notebook: Notebook, lab: Lab
) -> None:
    strangers: list[str] = []

    def note(request: Any) -> None:
        if not request.url.startswith((lab.url, "data:", "blob:")) and request.failure != "csp":
            strangers.append(request.url)  # what a frame's policy forbids is told, but not sent

    for event in ("requestfailed", "requestfinished"):
        standing_notebook.page.on(event, note)
    notebook = fresh(
        JOBS, setup=SETUP.replace("cancel_timeout", "max_history=1000, cancel_timeout")
    )
    page = notebook.page
    jobs = 3 * len(PAYLOADS)
    until_value(notebook, "queue.window('history', 0, 1).total", jobs)
    page.evaluate(GUARD)
    finished = region(notebook).get_by_role("rowgroup", name="Finished")
    expect(region(notebook).get_by_role("row", name="Finished", exact=True)).to_have_text(
        f"Finished {jobs}"
    )
    assert finished.get_by_role("row").first.get_attribute("aria-setsize") == str(jobs)
    seen = "".join(page.evaluate(OPEN_ALL, [n, min(n + 20, jobs)]) for n in range(0, jobs, 20))
    assert "onerror=window.hacked" in seen
    assert not set("\u202e\u2067\x00\x1b\x9b") & set(seen)
    button(notebook, "Kinds of failure").click()
    kinds = region(notebook).get_by_role("menuitem")
    expect(kinds.filter(has_text="onerror=window.hacked").first).to_be_visible()
    kinds.filter(has_text="onerror=window.hacked").first.click()
    expect(region(notebook).get_by_role("button", name="Kinds of failure")).to_contain_text("=")
    for _ in range(2):  # it is a filter whose words are the kernel's
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(drawn))")
    region(notebook).get_by_role("radio", name=re.compile("^All ")).click()
    region(notebook).get_by_role("searchbox").fill(PAYLOADS[0][:150])
    expect(finished.get_by_role("row").first).to_be_visible()
    add_cell(notebook, BANNERS)
    assert page.evaluate(VERDICT) == {"hacked": 0, "made": []}
    assert strangers == []


def test_the_static_table_holds_any_text_as_text(browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    usual = Elements(table("plain", ["plain"])).found
    for at in range(0, len(PAYLOADS), 24):
        html = table(PAYLOADS[at], PAYLOADS[at : at + 24])
        assert Elements(html).found == usual
        assert not set("\u202e\u2067\x00\x1b\x9b") & set(html)
        page.set_content(html)
        tags = page.evaluate("[...document.body.querySelectorAll('*')].map(n => n.localName)")
        assert set(tags) == {tag for tag, _ in usual}
        assert page.evaluate("window.hacked === undefined")
    assert asked == []
    page.close()


class Said:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def table(name: str, texts: list[str]) -> str:
    queue = JobQueue(name=name)
    queue.pause()
    with warnings.catch_warnings(action="ignore"):  # it is never started
        for text in texts:
            queue.options(label=text, tags=[text]).submit_nowait(abs, Said(text))
    return queue.to_html()


TOLD: dict[str, Any] = {
    "job": {
        "has": {"curves": 1, "log": True, "output": 3, "error": True, "result": True},
        "parameters": [["x", "2", True, True]],
        "failure": {"type": "ValueError", "message": "no"},
        "frame": {"file": "a.py", "line": 2, "name": "f", "code": "f()"},
        "traceback": "Traceback",
    },
    "log": {"from": 0, "next": 4, "text": "text", "end": True, "times": [[0, 1.8e9]]},
    "result": {"items": [{"forms": [["json", 3, "", ""]], "body": "[2]"}]},
    "metrics": {"series": [["loss", 1, 1, 2, 2, "2"]], "by": "step"},
    "curve": {"x": [0, 1], "y": [2, 1]},
    "outputs": {
        "items": [
            {"forms": [["html", 4, "", ""]], "body": "<b>b"},
            {"forms": [["svg", 5, "", ""]], "body": "<svg>"},
            {"forms": [["image", 4, "image/png", ""]], "body": "aGk="},
        ]
    },
}
POLICY = "script-src 'self' blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'"
LOADER = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
const of = async (name) => (await fetch(name)).text();
const state = JSON.parse(await of("state.json"));
const url = URL.createObjectURL(new Blob([await of("widget.js")], { type: "text/javascript" }));
const { default: widget } = await import(url);
document.head.append(Object.assign(document.createElement("style"), {
  textContent: await of("widget.css"),
}));
window.sent = [];
const told = JSON.parse(await of("told.json"));
const listeners = [];
const model = {
  get: (name) => state[name],
  on: (name, listener) => { if (name === "msg:custom") listeners.push(listener); },
  off() {},
  send({ cid, rid, op }) {
    sent.push({ op });
    const answer = { t: "res", cid, rid, ok: true, v: told[op] };
    if (op in told) setTimeout(() => listeners.forEach((listener) => listener(answer)));
  },
};
widget.initialize({ model });
widget.render({ model, el: document.getElementById("cell") });
"""


class _Strict(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def strict_page(tmp_path: Path) -> None:
    """The bundle as anywidget loads it, with what Python tells of a queue."""
    queue = JobQueue(name="strict")
    queue.pause("to be read")
    with warnings.catch_warnings(action="ignore"):  # it is never started
        queue.options(label="waits").submit_nowait(abs, 2)
    told = ("view", "summary", "running", "head", "history", "job", "resources", "features")
    state = queue.widget.get_state(told)
    queue.widget.close()
    (tmp_path / "state.json").write_text(json.dumps(state))
    plot = {"text": (STATIC / "plot.js").read_text(encoding="utf-8")}
    (tmp_path / "told.json").write_text(json.dumps({**TOLD, "script": plot}))
    (tmp_path / "page.js").write_text(LOADER)
    (tmp_path / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><div id="cell"></div>'
        '<script type="module" src="page.js"></script>'
    )
    for name in ("widget.js", "widget.css"):
        (tmp_path / name).write_bytes((STATIC / name).read_bytes())


@pytest.fixture
def strict_address(strict_page: None, tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(_Strict, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_strict_content_security_policy_is_kept(browser: Browser, strict_address: str) -> None:
    page: Page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(strict_address)
    view = page.get_by_role("region", name="Job queue strict")
    view.get_by_text("waits").click()
    details = view.get_by_role("tablist", name="Details")
    expect(details.get_by_role("tab")).to_have_count(6)
    for tab in ("Curves", "Log", "Output", "Error", "Result", "Overview"):
        view.get_by_role("tab", name=tab).click()
        expect(view.get_by_role("tabpanel")).not_to_contain_text("Loading")
        if tab == "Curves":
            expect(view.locator("canvas").first).to_be_visible()
    press_in(view, "Resume queue")
    page.wait_for_function("sent.some((message) => message.op === 'resume')")
    assert page.evaluate("violations") == []
    assert errors == []
    page.close()
