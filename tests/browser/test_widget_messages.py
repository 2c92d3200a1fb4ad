"""Hostile messages of a page through the real comm: answered by a code or ignored, nothing done."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from playwright.sync_api import expect

from jobqueue_widget._api.schema import SCHEMA
from jobqueue_widget.widget.checking import RequestError, check
from tests.browser.conftest import Fresh
from tests.browser.lab import Lab
from tests.browser.widget import press, region, submit, until_status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

MESSAGES = 2_000
BATCH = 200  # so many, then a pause: the server lets 1,000 messages a second through
CODES = {"bad_request", "unknown_op", "not_found", "stale", "forbidden", "gone", "too_large"}
# With well-formed arguments these would act, rightly: they get others only.
ACTS_WITHOUT_ARGUMENTS = {"pause", "resume", "start", "clear_history", "undo_clear"}
LISTEN = """id => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  const comm = kernel._comms.get(id);
  const before = comm.onMsg;
  window.answers = [];
  comm.onMsg = message => {
    const { content } = message.content.data;
    if (content?.t === "res" && String(content.cid).startsWith("fuzz")) answers.push(content);
    return before(message);
  };
  window.fuzz = content => comm.send({ method: "custom", content });
}"""
SEND = "text => { for (const message of JSON.parse(text)) fuzz(message); }"


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


JUNK: list[Any] = [
    *(None, True, False, 0, -1, 2**53, -(2**70), 1e308, 0.5, "", "x", "x" * 90, "__proto__"),
    *(
        "constructor",
        "../../etc/passwd",
        "\0",
        "\u202e",
        "\ud800",
        "<img src=x onerror=alert(1)>",
        [],
        [[]],
    ),
    *({}, {"__proto__": {"t": "req"}}, {"toString": 1}, ["cancel"], nested(200)),
    {"job": {"job": {"job": []}}},
]


class Fuzz:
    """Makes messages of every kind that no honest page sends."""

    def __init__(self, choices: random.Random, jobs: list[str]) -> None:
        self.choices = choices
        self.jobs = [*jobs, "j-unknown", "__proto__", "", "x" * 64]
        self.sent = 0

    def message(self) -> Any:
        self.sent += 1
        if self.sent % 400 == 0:
            return {**self.envelope(), "op": "list", "a": {"view": {"text": "x" * 300_000}}}
        kinds = (self.no_request, self.torn, self.unknown, self.wrong, self.stray)
        return self.choices.choice(kinds)()

    def envelope(self) -> dict[str, Any]:
        rid = self.sent if self.choices.random() < 0.9 else self.choices.randint(1, self.sent)
        return {"t": "req", "cid": f"fuzz-{self.sent % 7}", "rid": f"fuzz-{rid}"}

    def no_request(self) -> Any:
        """Not even an object, or one with a name of its own."""
        given = self.choices.choice(JUNK)
        return given if self.choices.random() < 0.5 else {"id": "top", "t": given, "op": "cancel"}

    def torn(self) -> Any:
        """A request that lacks a member or has one of another type."""
        whole = {**self.envelope(), "op": "cancel", "a": {"job": self.jobs[0]}}
        name = self.choices.choice(list(whole))
        if self.choices.random() < 0.3:
            del whole[name]
        else:
            whole[name] = self.choices.choice([None, 7, [], True, 0.5])
        return whole

    def unknown(self) -> Any:
        """An operation that there is not, or that is none of a page's."""
        names = ("", "stop", "close", "__init__", "_cancel", "handle", "eval", "CANCEL", "cancel ")
        return {**self.envelope(), "op": self.choices.choice(names), "a": {"job": self.jobs[0]}}

    def wrong(self) -> Any:
        """A real operation with arguments of other types and sizes."""
        op = self.choices.choice(sorted(SCHEMA["ops"].keys() - ACTS_WITHOUT_ARGUMENTS))
        members = SCHEMA["ops"][op]["properties"]
        a = {name: self.choices.choice(JUNK) for name in members if self.choices.random() < 0.8}
        a["job" if "job" not in members else "more"] = self.choices.choice(JUNK)
        return {**self.envelope(), "op": op, "a": a, "id": "top"}

    def stray(self) -> Any:
        """A well-formed act on a job that there is not, or that has ended."""
        op = self.choices.choice(["cancel", "hold", "release", "priority", "move", "retry"])
        jobs = self.jobs[1:] if op == "retry" else self.jobs
        a: dict[str, Any] = {"job": self.choices.choice(jobs)}
        if op == "priority":
            a["value"] = self.choices.randint(-9, 9)
        if op == "move":
            a[self.choices.choice(["before", "after"])] = self.choices.choice(self.jobs)
        return {**self.envelope(), "op": op, "a": a}


def fits(message: Any) -> bool:
    """Has it an address to answer to?"""
    try:
        check(message, SCHEMA["message"], "message")
    except RequestError:
        return False
    return True


def test_two_thousand_hostile_messages_change_nothing(fresh: Fresh, lab: Lab, seed: int) -> None:
    notebook = fresh(submit("ended", "fails"), "await queue.join()", submit("waits", "sleeper"))
    until_status(notebook, "waits", "running")
    notebook.value_of("[queue.options(label=f'p{n}').submit_nowait(pow, 2, n).id for n in (1, 2)]")
    ended = notebook.value_of("[queue['ended'].id]")
    before = notebook.value_of("queue.get_state()")
    page = notebook.page
    page.evaluate(LISTEN, notebook.value_of("queue.widget.model_id"))
    fuzz = Fuzz(random.Random(f"{seed} hostile messages"), ended)
    messages = [fuzz.message() for _ in range(MESSAGES)]
    for at in range(0, MESSAGES, BATCH):
        page.evaluate(SEND, json.dumps(messages[at : at + BATCH]))
        asked = sum(map(fits, messages[: at + BATCH]))
        page.wait_for_function("asked => answers.length >= asked", arg=asked)
    answers = page.evaluate("answers")
    assert len(answers) == sum(map(fits, messages)) > MESSAGES / 3
    assert {answer["e"]["code"] for answer in answers if not answer["ok"]} <= CODES
    assert notebook.value_of("queue.get_state()") == before
    errors = '[data-mime-type$="error"], [data-mime-type$="stderr"]'
    expect(page.locator(f".jp-OutputArea :is({errors})")).to_have_count(0)
    assert "Traceback" not in lab.log
    press(notebook, "Remove p1")  # the buttons are heard as before
    until_value(notebook, "queue['p1'].held", True)
    expect(region(notebook).get_by_role("button", name="Undo").first).to_be_visible()
