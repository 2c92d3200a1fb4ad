"""Plays every plugin under every system, compares the outcomes, and makes the table of them."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ecosystem import acts, gpu, inputs
from tests.ecosystem.play import DOES_NOT_APPLY, WORKS
from tests.ecosystem.subjects import NOT_RUN, SUBJECTS
from tests.ecosystem.systems import MIXED, OURS, SYSTEMS, THEIRS

REPOSITORY = Path(__file__).parents[2]
MADE = REPOSITORY / "build" / "ecosystem"
GPU = "with a GPU"
PLAYS = (*SUBJECTS, GPU)
WITH_MIXED = ("ffmpeg", "gemini")
"""Played also with our queue over their manager, of which the others have no more to say."""
PATIENCE = 150.0
NLTK_DATA = "data/data/cjm-text-plugin-nltk/nltk_data/tokenizers"

BEGIN, END = "<!-- outcomes: begin -->", "<!-- outcomes: end -->"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENTS = {"created_at", "updated_at", "job_id", "batch_key"}


@dataclass(frozen=True)
class Cell:
    """One act with one plugin: what came of it under each system."""

    play: str
    act: str
    outcomes: Mapping[str, Mapping[str, Any]]

    def state(self, system: str) -> str:
        return str(self.outcomes[system]["state"])

    @property
    def applies(self) -> bool:
        return any(self.state(system) != DOES_NOT_APPLY for system in self.outcomes)

    def judgement(self, system: str) -> str:
        """How a system of ours does beside theirs: same, differs, better, worse, neither."""
        if not self.applies:
            return "-"
        here, there = self.state(system) == WORKS, self.state(THEIRS) == WORKS
        if here and there:
            equal = self.outcomes[system]["value"] == self.outcomes[THEIRS]["value"]
            return "same" if equal else "**differs**"
        return "better" if here else "**worse**" if there else "neither"

    def complaint(self, system: str) -> str | None:
        """Why this cell must not be so; None if it may."""
        judgement = self.judgement(system)
        if judgement == "**worse**" or (system == OURS and judgement == "neither"):
            there = "works there" if judgement != "neither" else "works neither there"
            return f"{there}, and here: {self.outcomes[system].get('why')}"
        if judgement == "**differs**":
            there, here = (self.outcomes[one]["value"] for one in (THEIRS, system))
            return f"there: {json.dumps(there)}\nhere:  {json.dumps(here)}"
        return None


def acts_of(play: str) -> acts.Acts:
    return gpu.ACTS if play == GPU else acts.ACTS


@functools.cache
def _sounds() -> Path:
    folder = MADE / "inputs"
    if not (folder / "long.wav").exists():
        inputs.make(folder)
    return folder


def prepare(folder: Path) -> None:
    """A project folder as cjm-ctl would have made it there, and the inputs."""
    shutil.copytree(MADE / "project", folder / "project")
    for path in (folder / "project" / "data" / "manifests").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(MADE / "project"), str(folder / "project")))
    (folder / "inputs").mkdir()
    for sound in _sounds().iterdir():
        (folder / "inputs" / sound.name).symlink_to(sound)
    (folder / "home").mkdir()
    for name in ("punkt", "punkt_tab"):  # then it downloads nothing, and it reads neither
        (folder / "project" / NLTK_DATA / name).mkdir(parents=True)


@functools.cache
def outcomes(play: str) -> tuple[Cell, ...]:
    """All cells of one plugin; its systems play at the same time, each in its own process."""
    with tempfile.TemporaryDirectory(prefix="eco_", ignore_cleanup_errors=True) as name:
        systems = [one for one in SYSTEMS if one != MIXED or play in WITH_MIXED]
        folders = {system: Path(name).resolve() / system.split()[0] for system in systems}
        processes = {}
        try:
            for system, folder in folders.items():
                folder.mkdir()
                prepare(folder)
                if play == GPU:
                    gpu.prepare(folder / "project")
                processes[system] = _start(system, play, folder)
            for process in processes.values():
                process.wait(PATIENCE)
        finally:
            for process in processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()
        told = {system: _read(play, system, folder) for system, folder in folders.items()}
    return tuple(
        Cell(play, act, {system: told[system][act] for system in systems}) for act in acts_of(play)
    )


def _start(system: str, play: str, folder: Path) -> subprocess.Popen[bytes]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CJM_", "JOBQUEUE_"))
    }
    environ.update(HOME=str(folder / "home"), PYTHONPATH=str(REPOSITORY), PYTHONWARNINGS="default")
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.ecosystem.play", system, play, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environ,
        )


def _read(play: str, system: str, folder: Path) -> dict[str, Any]:
    log = (folder / "log").read_text(encoding="utf-8", errors="replace")
    kept = MADE / "logs" / f"{play.replace(' ', '-')}.{folder.name}.log"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(log, encoding="utf-8")
    path = folder / "outcomes.json"
    if not path.exists():
        raise RuntimeError(f"{play} under {system} came to no end:\n{log[-3_000:]}")
    text = _UUID.sub("UUID", path.read_text(encoding="utf-8").replace(str(folder), "HERE"))
    told: dict[str, Any] = json.loads(text)
    volatile = play in SUBJECTS and SUBJECTS[play].volatile
    for outcome in told.values():
        if "value" in outcome:
            value = _without_moments(outcome["value"])
            outcome["value"] = _form(value) if volatile else value
    return told


def _without_moments(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "…" if key in _MOMENTS and one is not None else _without_moments(one)
            for key, one in value.items()
        }
    return [_without_moments(one) for one in value] if isinstance(value, list) else value


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_form(one) for one in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def table(cells: Iterable[Cell]) -> str:
    """The outcomes as Markdown: a line per act, a column per plugin, a line per difference."""
    found = {(cell.play, cell.act): cell for cell in cells}
    plays = [play for play in PLAYS if play != GPU and any(key[0] == play for key in found)]
    lines = []
    if plays:
        lines += ["| what is done | " + " | ".join(plays) + " |", "|---" * (len(plays) + 1) + "|"]
    for act, (told, _) in acts.ACTS.items() if plays else ():
        row = [_both(found[play, act]) for play in plays]
        lines.append(f"| {told} | " + " | ".join(row) + " |")
    if any(play == GPU for play, _ in found):
        lines += ["", f"| {GPU}, their monitor and two models | |", "|---|---|"]
        lines += [f"| {told} | {_both(found[GPU, act])} |" for act, (told, _) in gpu.ACTS.items()]
    notes = [note for cell in found.values() for note in _notes(cell)]
    return "\n".join([*lines, "", *notes, *_not_run()])


def _both(cell: Cell) -> str:
    ours = cell.judgement(OURS)
    mixed = cell.judgement(MIXED) if MIXED in cell.outcomes else ours
    return ours if mixed == ours else f"{ours} ({MIXED}: {mixed})"


def _notes(cell: Cell) -> Iterable[str]:
    for system, outcome in cell.outcomes.items():
        if why := outcome.get("why"):
            why = re.sub(r"[\d.]+ s\b", "… s", why.replace("|", "/"))
            yield f"- {cell.play}, {cell.act}, {system}: {why}"


def _not_run() -> Iterable[str]:
    yield from (f"- {package}: not run, {why}" for package, why in NOT_RUN.items())


def write_into(page: Path, text: str) -> None:
    """Put the table between its two marks in this page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def agrees(page: Path, text: str) -> bool:
    """Whether the page has this table; the notes below it may differ in their words.

    What only we do there, they may have managed by chance: "better" and "same" are one.
    """
    within = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    return _rows(within) == _rows(text)


def _rows(text: str) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [row.replace("better", "same") for row in rows]
