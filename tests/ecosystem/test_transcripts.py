"""A transcript of the author's plugin: a dataclass of a package that the kernel does not have."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, PluginManager
from tests.ecosystem.outcomes import prepare
from tests.ecosystem.subjects import WHISPER
from tests.ecosystem.systems import THEIRS, system
from tests.ecosystem.test_outcomes import need_environments

pytestmark = pytest.mark.timeout(170)
MODEL = {"model": "large-v3", "device": "cpu"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need_environments()
    assert importlib.util.find_spec("cjm_transcription_plugin_system") is None
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("CJM_DATA_DIR", raising=False)
    return tmp_path


def call(folder: Path) -> dict[str, Any]:
    return {"audio": str(folder / "inputs" / "speech.wav")}


def loaded(manager: Any) -> Any:
    metas = manager.discover_manifests()
    (whisper,) = (meta for meta in metas if meta.name == WHISPER.package)
    assert manager.load_plugin(whisper, MODEL)
    return manager


async def test_a_transcript_is_what_the_reference_gives_and_survives_a_restart(
    project: Path,
) -> None:
    theirs = loaded(system(THEIRS).PluginManager())
    there = theirs.execute_plugin(WHISPER.package, **call(project))
    theirs.unload_all()
    journal = project / "runs.db"
    with loaded(PluginManager()) as manager:
        async with JobQueue(manager, journal=journal) as queue:
            job = queue.submit_nowait(WHISPER.package, **call(project))
            here = await job
        await queue.close()
    assert type(here) is dict
    assert here["text"]
    assert here == there
    after = JobQueue(journal=journal)  # as the next kernel has it: no manager, no plugin
    assert after[job.id].result == here
    assert after[job.id].status.value == "completed"
    await after.close()
