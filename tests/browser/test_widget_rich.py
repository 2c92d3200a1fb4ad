"""Outputs and results in a real browser: each form as it is meant, and no more than that."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.browser.payloads import GUARD, PAYLOADS, REACHING, THERE, VERDICT
from tests.browser.test_widget_views import row, sent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4"
        "890000000d49444154789c6360f8cf500f0003860180a3d3d4fb0000000049454e44ae426082"
    )
).decode()
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><path d='M0 0h9'/></svg>"


def show(page: Page, *pieces: dict[str, Any], of: str = "Output") -> None:
    """Let the finished job h2 have these pieces, and open their tab."""
    if of == "Output":
        page.evaluate("(pieces) => { kernel.outputs.h2 = pieces; }", list(pieces))
    else:
        page.evaluate("(piece) => { kernel.results.h2 = piece; }", pieces[0])
    row(page, "h2").locator(".jqw-what").click()
    page.get_by_role("tab", name=of).click()
    page.wait_for_function(
        "!document.querySelector('[role=tabpanel]').innerText.includes('Loading')"
    )


class Attacker:
    """A server that hears who asks it for anything; a browser tells of what it forbids, too."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.asked: list[str] = []

    def there(self, text: str) -> str:
        """Lead to this server what leads to an attacker."""
        return text.replace(THERE, self.address)


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    class Hears(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.asked.append(self.path)
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hears) as server:
        heard = Attacker(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield heard
        server.shutdown()


def test_each_form_is_shown_as_what_it_is(opened: Opener) -> None:
    page = opened(width=1200)
    show(
        page,
        {"forms": [["image", PIXEL, "image/png"]], "said": "one pixel"},
        {"forms": [["svg", SVG]], "said": "a square"},
        {"forms": [["json", json.dumps({"a": [1, None, "x"], "b": {"c": 2.5}})]]},
        {"forms": [["text", "plain \x1b[31mred\x1b[0m <b>"]]},
        {"forms": [["html", "<p>paged</p>"], ["text", "as text"]]},
    )
    panel = page.get_by_role("tabpanel")
    for name, width in (("one pixel", 1), ("a square", 40)):
        picture = panel.get_by_role("img", name=name)
        assert picture.evaluate("async (node) => { await node.decode(); return node.naturalWidth }")
        assert picture.evaluate("(node) => node.naturalWidth") == width
    expect(panel.locator(".jqw-json")).to_contain_text("a: ▾ [3 members]")
    expect(panel.locator(".jqw-json")).to_contain_text("c: 2.5")
    expect(panel.locator("pre")).to_have_text("plain red <b>")
    outer = page.frame_locator("iframe[title='Output 5 of whisper']")
    expect(outer.frame_locator("iframe").locator("p")).to_have_text("paged")
    panel.get_by_role("button", name="Text: Output 5 of whisper").click()
    expect(panel.locator("pre").last).to_have_text("as text")
    assert panel.locator("iframe").count() == 0


def test_html_is_as_dark_as_the_page(opened: Opener) -> None:
    page = opened()
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.body.className = document.body.dataset.theme = 'dark'")
    show(page, {"forms": [["html", "<p>text</p>"]]}, of="Result")
    text = page.frame_locator(".jqw-frame-of-html").frame_locator("iframe").locator("p")
    letters = text.evaluate("(node) => getComputedStyle(node).color")
    assert letters == page.locator(".jqw-pieces").evaluate("(node) => getComputedStyle(node).color")


def test_html_follows_when_the_theme_changes(opened: Opener) -> None:
    page = opened()
    show(page, {"forms": [["html", "<p>text</p>"]]}, {"forms": [["html", "<p>more</p>"]]})
    text = page.frame_locator(".jqw-frame-of-html >> nth=1").frame_locator("iframe").locator("p")
    expect(text).to_have_text("more")
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.body.className = document.body.dataset.theme = 'dark'")
    letters = page.locator(".jqw-pieces").evaluate("(node) => getComputedStyle(node).color")
    expect(text).to_have_css("color", letters)


def test_a_large_form_comes_in_parts(opened: Opener) -> None:
    page = opened()
    whole = "x" * 600_000
    show(page, {"forms": [["text", "short"], ["html", f"<p id=p>{whole}</p>"]]}, of="Result")
    page.get_by_role("button", name="Page: Result of whisper").click()
    text = page.frame_locator(".jqw-frame-of-html").frame_locator("iframe").locator("#p")
    expect(text).to_have_text(whole)
    assert [a["from"] for a in sent(page, "form")] == [0, 262_144, 524_288]


def test_what_was_not_kept_or_is_too_large_is_said(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.lost = 3")
    show(page, {"forms": [["text", "a"]], "too_large": ["html of 12.0 MB"]})
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("html of 12.0 MB: too large to be shown here")
    expect(panel).to_contain_text("3 more were not kept.")


def test_what_a_job_displays_comes_while_it_runs_and_the_rest_stays(opened: Opener) -> None:
    page = opened()
    page.evaluate("kernel.outputs.r1 = [{forms: [['html', '<p>first</p>']]}]")
    row(page, "r1").locator(".jqw-what").click()
    page.get_by_role("tab", name="Output").click()
    first = page.locator(".jqw-frame-of-html").first
    expect(first).to_be_visible()
    first.evaluate("(node) => { node.dataset.stays = 'yes'; }")
    page.evaluate("kernel.outputs.r1.push({forms: [['text', 'second']]})")
    expect(page.get_by_role("tabpanel").locator("pre")).to_have_text("second")
    expect(first).to_have_attribute("data-stays", "yes")


def test_a_long_list_is_drawn_so_many_members_at_a_time(opened: Opener) -> None:
    page = opened()
    show(page, {"forms": [["json", json.dumps([*range(250)])]]}, of="Result")
    tree = page.locator(".jqw-json")
    tree.get_by_role("button", name="▸ [250 members]").click()
    expect(tree.locator(".jqw-json-member")).to_have_count(101)
    tree.get_by_role("button", name="150 more").click()
    tree.get_by_role("button", name="50 more").click()
    expect(tree.locator(".jqw-json-member")).to_have_count(251)


@pytest.mark.parametrize("kind", ["html", "svg", "image", "json", "table", "text"])
def test_no_form_runs_fetches_or_leads_away(opened: Opener, kind: str, attacker: Attacker) -> None:
    page = opened(width=1200)
    page.evaluate(GUARD)
    texts = [attacker.there(text) for text in (*REACHING, *PAYLOADS)]
    for at in range(0, len(texts), 50):
        bodies = texts[at : at + 50]
        if kind == "json":
            bodies = [json.dumps({text: [text]}) for text in bodies]
        if kind == "table":
            bodies = [
                json.dumps({"columns": [text], "rows": [[text]], "text": text}) for text in bodies
            ]
        mime = 'image/png" onerror="window.hacked=1' if at else "image/png"
        pieces = [{"forms": [[kind, body, mime]], "said": body[:200]} for body in bodies]
        page.evaluate("document.querySelector('[aria-label=\"Close details\"]')?.click()")
        row(page, "h1").locator(".jqw-what").click()
        show(page, *pieces)
        expect(page.locator(".jqw-piece")).to_have_count(len(pieces))
        page.wait_for_timeout(400)  # what would be asked for has been by then
    assert page.evaluate(VERDICT) == {"hacked": 0, "made": []}
    assert attacker.asked == []
    page.evaluate("(address) => fetch(address + '/heard')", attacker.address)
    assert attacker.asked == ["/heard"]  # so it would have heard


def test_what_a_frame_links_to_is_not_gone_to(opened: Opener, attacker: Attacker) -> None:
    page = opened(width=1200)
    there = attacker.address
    links = {
        "itself": f"<a href='{there}/self' ping='{there}/ping'>go</a>",
        "parent": f"<a target=_parent href='{there}/parent'>go</a>",
        "top": f"<a target=_top href='{there}/top'>go</a>",
        "blank": f"<a target=_blank href='{there}/blank'>go</a>",
        "form": f"<form action='{there}/form'><button>go</button></form>",
        "download": f"<a download href='{there}/file'>go</a>",
        "script": "<a href='javascript:top.hacked=1'>go</a>",
        "base": f"<base target=_top href='{there}/'><a href=x>go</a>",
    }
    opens: list[object] = []
    page.context.on("page", lambda opened: opens.append(opened))
    for html in links.values():
        page.evaluate("document.querySelector('[aria-label=\"Close details\"]')?.click()")
        row(page, "h1").locator(".jqw-what").click()
        show(page, {"forms": [["html", html]]})
        inner = page.frame_locator(".jqw-frame-of-html").frame_locator("iframe")
        inner.get_by_text("go").click()
        page.wait_for_timeout(300)
    assert attacker.asked == []
    assert opens == []
    assert page.evaluate("window.hacked === undefined")
