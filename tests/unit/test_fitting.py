"""Texts that are too long are cut so that rows can still be told apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from jobqueue_widget._core.texts.fitting import LINE, fit, fit_all

FOLDERS = st.lists(
    st.sampled_from(
        ["data", "home", "ada", "2024", "interviews", "session-12", "raw files", "été"]
    ),
    max_size=16,
)
NAMES = st.from_regex(r"[a-z]{1,12}_[0-9]{1,4}\.(wav|parquet|mp3)", fullmatch=True)
PATHS = st.builds(
    lambda start, folders, name: start + "/".join([*folders, name]),
    st.sampled_from(["/", "./", "", "https://example.org/", "s3://bucket/"]),
    FOLDERS,
    NAMES,
)
WINDOWS_PATHS = st.builds(
    lambda folders, name: "C:\\" + "\\".join([*folders, name]), FOLDERS, NAMES
)
URLS = st.builds(lambda path, query: f"https://example.org/{path}?{query}", PATHS, st.text())
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
VALUES = PATHS.map(repr) | WINDOWS_PATHS.map(repr) | NUMBERS.map(repr) | st.text().map(repr)
CALLS = st.dictionaries(
    st.sampled_from(["source", "target", "learning_rate", "epochs", "optimizer", "seed", "x"]),
    VALUES,
).map(lambda given: ", ".join(f"{name}={value}" for name, value in given.items()))
FRAMES = st.lists(st.floats(0, 1), min_size=1, max_size=9).map(
    lambda column: "name score " + " ".join(f"{at} x {value}" for at, value in enumerate(column))
)
LABELS = st.text(
    st.sampled_from("ab /…\u0301\u200d\ufe0f👩👧🏽🇩🇪🇫한각क्षिน้ำ\u0600\r\n")
    | st.characters(codec="utf-8"),
    max_size=120,
)
TEXTS = st.one_of(PATHS, WINDOWS_PATHS, URLS, VALUES, CALLS, FRAMES, LABELS)


@st.composite
def neighbours(draw: st.DrawFn) -> list[str]:
    """Some of one kind that differ little, among others."""
    texts = draw(st.lists(TEXTS, min_size=1, max_size=4))
    base = draw(TEXTS) + draw(TEXTS) + draw(TEXTS)
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(base)))
        stop = draw(st.integers(start, min(len(base), start + 3)))
        texts.append(base[:start] + draw(st.text(max_size=3)) + base[stop:])
    return draw(st.permutations(texts))


def boundaries(text: str) -> set[int]:
    """Where one character, as it is read, ends and another begins."""
    found, at = {0}, 0
    for letter in iter_graphemes(text):
        at += len(letter)
        found.add(at)
    return found


def is_cut_of(shown: str, text: str) -> bool:
    """True if it is parts of the text in their order, with "…" for what lies between."""
    parts = [re.escape(part) for part in shown.split("…")]
    found = re.fullmatch("(?s)" + "(.+)".join(f"(?:{part})" for part in parts), text)
    return found is not None and all(
        edge in boundaries(text) for group in range(1, len(parts)) for edge in found.span(group)
    )


@settings(phases=[Phase.explicit, Phase.generate])
@given(neighbours(), st.sampled_from([LINE, LINE, 28, 120]))
@example(["a" * 200 + "b" + "c" * 200, "a" * 200 + "d" + "c" * 200], LINE)
@example(["a" * 80, "a" * 81, "a" * 82, "a" * 79 + "…"], LINE)
def test_what_differs_is_shown_to_differ(texts: list[str], limit: int) -> None:
    shown = fit_all(texts, limit)
    for text, line in zip(texts, shown, strict=True):
        assert len(line) <= limit
        assert "……" not in line.replace(text, "") or "……" in text
        if len(text) <= limit:
            assert line == text
    clusters = [max(map(len, iter_graphemes(text)), default=0) for text in texts]
    if max(clusters) <= 8:
        assert len(set(shown)) == len(set(texts))


@given(TEXTS.filter(lambda text: "…" not in text), st.sampled_from([LINE, 40, 20, 5]))
def test_a_cut_is_marked_and_never_within_a_character(text: str, limit: int) -> None:
    shown = fit(text, limit)
    assert len(shown) <= limit
    assert "……" not in shown
    assert shown == text if len(text) <= limit else is_cut_of(shown, text)


@given(st.lists(PATHS | WINDOWS_PATHS, min_size=1, max_size=5))
def test_the_end_of_a_path_is_kept(paths: list[str]) -> None:
    for path, shown in zip(paths, fit_all(paths), strict=True):
        assert shown.endswith(re.split(r"[/\\]", path)[-1])
    for path, shown in zip(paths, fit_all([repr(path) for path in paths]), strict=True):
        assert shown.endswith(re.split(r"[/\\]", path)[-1] + "'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "'/home/ada/projects/interviews/2024/session-12/raw/field/garden_talk_final_v2.wav'",
            "'/home/ada/projects/…/2024/session-12/raw/field/garden_talk_final_v2.wav'",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/home/ada/2024/talk_03.mp3'",
            "FileNotFoundError: … 2] No such file or directory: '/home/ada/2024/talk_03.mp3'",
        ),
    ],
)
def test_a_line_alone(text: str, shown: str) -> None:
    assert fit(text) == shown


def test_a_sentence_does_not_lose_a_word_in_its_middle() -> None:
    text = "it cannot be restored: secret values are never written; submit it once more, please"
    assert fit(text) == text[:79] + "…"


def test_a_sweep_shows_what_is_swept() -> None:
    folder, rest = "/common/folder/of/many/parts", "epochs=40, batch=64, optimizer='adamw'"
    rates = [f"data='{folder}/train.parquet', rate={rate}, {rest}" for rate in (0.1, 0.01)]
    for line, rate in zip(fit_all(rates), (0.1, 0.01), strict=True):
        assert f"rate={rate}" in line
        assert "train.parquet'" in line
