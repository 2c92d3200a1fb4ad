"""README is read in one go: it is short, and so are its sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name_of, pages, sentences

README = ROOT / "README.md"
OTHERS = [ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY")]


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_the_first_screen_says_what_it_is_and_how_to_have_it() -> None:
    parts = ["pip install", "make demo", "make test", "examples/widget.png", "JobQueue("]
    text = "\n".join(README.read_text().splitlines()[:40])
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    first = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert first is not None
    assert first[1].splitlines()[-1] == "queue"


@pytest.mark.parametrize("page", [*pages(), *OTHERS], ids=name_of)
def test_no_sentence_is_longer_than_30_words(page: Path) -> None:
    long = [one for one in sentences(page.read_text()) if len(one.split()) > 30]
    assert long == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One two. Three?\nFour `a. b` five!", ["One two.", "Three?", "Four CODE five!"]),
        ("- one\n  two\n- three\n\nfour", ["one two", "three", "four"]),
        ("| a b | c. d |\n|---|---|\n| e | f |", ["a b", "c.", "d", "e", "f"]),
        ("# A\n[b c](d.md) e\n```text\nf\n```\n1. g", ["A", "b c e", "g"]),
    ],
)
def test_what_a_sentence_is(text: str, found: list[str]) -> None:
    assert sentences(text) == found
