"""No outlet shows a secret of a job, in whatever shape the job has it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget._core.texts import hiding
from jobqueue_widget._secrets import finder, functions, shapes, tables
from tests.journals import opened, running
from tests.security.outlets import add, canary, hits, texts_of, what_is_logged
from tests.security.shapes import CALLS, VALUES, Call, nested, speak

pytestmark = pytest.mark.filterwarnings("ignore:.*will not survive a restart")

ROUNDS = 20
Calls = dict[str, Callable[[str], Call]]


async def seen(calls: Calls, path: Path, rng: random.Random) -> list[str]:
    """Run them, one that returns and one that fails of each, and look everywhere."""
    folder = path / "journal"
    folder.mkdir()
    journal = folder / "runs.db"
    cores: dict[str, str] = {}
    events: list[object] = []
    with what_is_logged() as logged:
        async with running(journal, max_running=2) as queue:
            queue.subscribe(lambda event: events.append((event.type, dict(event.payload))))
            queue.pause()
            for name, call in calls.items():
                for end in ("returns", "fails"):
                    secret, core = canary(rng)
                    cores[f"{name} ({end})"] = core
                    add(queue, name, call, secret, end == "fails")
            found = hits(texts_of(queue, journal, events), cores)
            queue.resume()
            await queue.join()
            (folder / "killed-1").rename(path / "while pending")
            found += hits(texts_of(queue, journal, events), cores)
            queue.widget.close()
        (folder / "killed-1").rename(path / "at the end")
        with opened(journal) as again:
            restored = texts_of(again, journal, events)
            again.widget.close()
    return (
        found
        + hits({f"restored {name}": text for name, text in restored.items()}, cores)
        + hits({"kernel's log": "\n".join(logged)}, cores)
    )


@pytest.mark.timeout(300)
async def test_no_shape_is_seen_anywhere(tmp_path: Path, seed: int) -> None:
    assert await seen(CALLS, tmp_path, random.Random(f"{seed} shapes")) == []


def heaps(rng: random.Random, count: int) -> Calls:
    """So many shapes, no two of them alike, each somewhere in a heap of containers."""
    found: Calls = {}
    for name in rng.sample(list(VALUES), count):
        wrap = rng.getrandbits(32)

        def call(value: str, name: str = name, wrap: int = wrap) -> Call:
            return Call(speak, (nested(VALUES[name], value, random.Random(wrap)),))

        found[f"{name}, {wrap}"] = call
    return found


@pytest.mark.timeout(300)
async def test_none_is_seen_that_is_nested_in_others(tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"{seed} heaps")
    assert await seen(heaps(rng, 8), tmp_path, rng) == []


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_of_thousands_none_is_seen(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    rng = random.Random(f"{seed} many heaps")
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert await seen(heaps(rng, len(VALUES)), folder, rng) == []
        shutil.rmtree(folder)
    note(f"{2 * ROUNDS * len(VALUES):,} jobs, each of {len(VALUES)} shapes in {ROUNDS} heaps")


def _never(*_: Any, **__: Any) -> bool:
    return True


def _without_slots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shapes, "_slots", lambda _: ())
    patch.setattr(shapes, "_of_its_pickle", lambda _: ())  # where they are found a second time


PLANTED: dict[str, tuple[list[str], Callable[[pytest.MonkeyPatch], None]]] = {
    "slots are not looked at": (
        ["dataclass with slots", "attrs", "slots of a base, private"],
        _without_slots,
    ),
    "classes are not looked into": (
        ["class of a cell", "method's global"],
        lambda patch: patch.setattr(shapes, "of_class", lambda _: ()),
    ),
    "frames are not looked into": (
        ["frame", "series"],
        lambda patch: patch.setattr(shapes, "of_table", lambda *_: ()),
    ),
    "a list of one is taken for plain": (
        ["mapping in a mapping", "deque"],
        lambda patch: patch.setattr(finder, "_are_plain", _never),
    ),
    "functions are taken for simple": (
        ["global", "closure"],
        lambda patch: patch.setattr(finder, "says_nothing", _never),
    ),
    "code is not read": (
        ["text in its code", "keyword in its code"],
        lambda patch: patch.setattr(functions, "literals_in", lambda _: ()),
    ),
    "texts are looked for as they are only": (
        ["by keyword"],
        lambda patch: patch.setattr(finder, "forms_of", lambda text: [text]),
    ),
    "failures pass as they are": (
        ["by keyword"],
        lambda patch: patch.setattr(hiding.Secrets, "_hide_in_failure", lambda _, told: told),
    ),
    "names of columns are not asked": (
        ["frame"],
        lambda patch: patch.setattr(tables, "looks_secret", lambda _: False),
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
async def test_an_undone_fix_is_seen(
    plant: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, undo = PLANTED[plant]
    undo(monkeypatch)
    functions._said_by.cache_clear()
    found = await seen({name: CALLS[name] for name in names}, tmp_path, random.Random(seed))
    functions._said_by.cache_clear()
    assert {one.partition(" (")[0] for one in found} == set(names)
