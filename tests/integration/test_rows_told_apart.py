"""Rows of jobs that differ look different, in every outlet that has only so much room."""

from __future__ import annotations

import asyncio
import csv
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue_widget import JobQueue
from jobqueue_widget.__main__ import main
from jobqueue_widget.widget.model import QueueSource

CANARY = "Xq7canaryZ"
DEEP = "/mnt/storage/recordings/2024-interviews/session-012/microphone-left/raw-and-uncut/"
FEW = settings(max_examples=100)


def hear(source: object, *rest: object, **more: object) -> None:
    """Never run here."""


names = st.from_regex(r"[a-zé_]{1,30}[0-9]{1,3}\.(wav|mp3)", fullmatch=True)
folders = st.sampled_from([DEEP, DEEP[:40], "", "s3://bucket/" + DEEP])
paths = st.tuples(folders, st.sampled_from(["", "a/", "b/"]), names).map("".join)
urls = st.builds(
    "https://example.org{}?page={}&user=ada".format,
    paths.map(lambda path: f"/{path}"),
    st.integers(),
)
frames = st.lists(st.integers(0, 9), min_size=1, max_size=9).map(
    lambda column: pd.DataFrame({"speaker": "somebody", "score": column})
)
lists = st.lists(st.integers(0, 3), min_size=30, max_size=60)
prompts = st.tuples(st.just("Say it again. " * 20), st.text(max_size=2), st.just("Please." * 30))
values = st.one_of(
    paths, paths.map(Path), urls, frames, lists, st.text(), prompts.map("".join), st.floats()
)
more = st.dictionaries(
    st.sampled_from(["learning_rate", "model", "optimizer", "seed", "target"]), values, max_size=4
)
calls = st.tuples(st.lists(values, min_size=1, max_size=2), more)


@st.composite
def neighbours(draw: st.DrawFn) -> list[tuple[list[Any], dict[str, Any]]]:
    """Calls of one function: a sweep over one argument or two, or over anything."""
    args, kwargs = draw(calls)
    swept = draw(st.sampled_from(["seed", "learning_rate", "source"]))
    found = [draw(calls)]
    found += [
        ([value, *args[1:]], kwargs) if swept == "source" else (args, {**kwargs, swept: value})
        for value in draw(st.lists(values, max_size=5))
    ]
    return draw(st.permutations(found))


async def outlets(
    given: Sequence[tuple[list[Any], dict[str, Any]]], folder: Path | None = None
) -> dict[str, list[str]]:
    """What each outlet shows of jobs that wait, in their order."""
    async with JobQueue() as queue:
        queue.pause()
        jobs = [queue.submit_nowait(hear, *args, **kwargs) for args, kwargs in given]
        table = re.findall(r"<tr><td[^>]*>(.*?)</td>", queue.to_html(), re.DOTALL)
        head = QueueSource(queue).state()["head"]
        found = {
            "whole": [job.describe_arguments(20_000) for job in jobs],
            "widget": [row["args"] for row in head],
            "window": [row["args"] for row in queue.window("pending", 0, 99).rows],
            "html": [html.unescape(cell).removeprefix("<b>hear</b> ") for cell in table],
        }
        if folder is not None:
            with queue.export(folder / "jobs.csv").open(newline="") as file:
                found["csv"] = [row["arguments"] for row in csv.DictReader(file)]
        queue.cancel_all("all")
    return found


@given(neighbours())
@FEW
def test_different_arguments_are_shown_differently(given: list[Any]) -> None:
    found = asyncio.run(outlets(given))
    whole = found.pop("whole")
    for outlet, shown in found.items():
        assert len(shown) == len(whole), outlet
        assert len(set(shown)) == len(set(whole)), outlet
        for line, text in zip(shown, whole, strict=True):
            assert len(line) <= 80, outlet
            assert line == text or len(text) > 80 or outlet == "html", outlet


@given(neighbours(), st.text(max_size=60))
@FEW
def test_a_secret_does_not_come_back_in_what_is_left_of_a_line(given: list[Any], salt: str) -> None:
    hidden = [
        ([*args, {"password": f"{salt}{CANARY}{at}"}], {**kwargs, "api_key": f"{CANARY}{salt}"})
        for at, (args, kwargs) in enumerate(given)
    ]
    found = asyncio.run(outlets(hidden))
    assert not [text for shown in found.values() for text in shown if CANARY[2:8] in text]


@pytest.mark.parametrize("count", [1, 2, 40])
async def test_rows_of_files_show_the_files(count: int, tmp_path: Path) -> None:
    given = [([Path(f"{DEEP}part-a/talk_{at:02}.wav")], {"model": "large"}) for at in range(count)]
    found = await outlets(given, tmp_path)
    assert found["csv"] == found["whole"]
    for outlet in ("widget", "window", "html"):
        for at, line in enumerate(found[outlet]):
            assert f"talk_{at:02}.wav'), model='large'" in line, outlet
            assert line.count("…") == 1


@pytest.mark.parametrize("outlet", ["widget", "html", "text"])
async def test_long_labels_and_errors_are_told_apart(outlet: str) -> None:
    def fail(path: str) -> None:
        raise FileNotFoundError(2, "No such file or directory", path)

    async with JobQueue(executor="thread") as queue:
        jobs = []
        for at in range(4):
            label = (
                f"every recording of the interviews of 2024, all the sessions: {at} of four, once"
            )
            path = f"{DEEP}{at}/talk_of_the_evening.wav"
            jobs.append(queue.options(label=label).submit_nowait(fail, path))
        await asyncio.gather(*jobs, return_exceptions=True)
        if outlet == "widget":
            rows = QueueSource(queue).state()["history"]
            shown = [f"{row['title']} {row['error']}" for row in rows]
            assert all(len(row["title"]) <= 80 and len(row["error"]) <= 80 for row in rows)
        else:
            bundle = queue._repr_mimebundle_()[0]
            told = bundle["text/plain"] if outlet == "text" else html.unescape(bundle["text/html"])
            shown = re.findall(r"every.*?\.wav'", told, re.DOTALL)
            queue.widget.close()
    assert len(set(shown)) == 4
    for at, line in enumerate(reversed(shown)):
        assert f"{at} of four" in line
        assert f"{at}/talk_of_the_evening.wav'" in line


async def test_the_command_line_shows_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path) as queue:
        queue.pause()
        for at in range(3):
            queue.submit_nowait(hear, f"{DEEP}talk_{at}.wav", model="large")
    assert main([str(path)]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"talk_\d\.wav", told) == ["talk_0.wav", "talk_1.wav", "talk_2.wav"]
