"""The folders of the example plugins run under the manager of the reference system, too."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue
from tests.example_plugins import DATA, MANIFESTS, need_environments
from tests.plugins.test_ocr import NOTICE
from tests.plugins.test_transcribe import WINTER
from tests.reference import load, reference_manager


@pytest.mark.timeout(180)  # on a busy machine
async def test_they_give_the_same_words_there(tmp_path: Path) -> None:
    """Its worker needs its own package in the plugin's environment: it is added behind it."""
    need_environments()
    theirs = sysconfig.get_paths()["purelib"]
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("transcribe", "ocr"):
        manifest = json.loads((MANIFESTS / f"{name}.json").read_text())
        manifest["env_vars"]["PYTHONPATH"] += f":{theirs}"
        (folder / f"{name}.json").write_text(json.dumps(manifest))
    with reference_manager(tmp_path / "reference", plugins=()) as manager:
        manager.search_paths.append(folder)
        manager.discover_manifests()
        load(manager, "transcribe")
        load(manager, "ocr")
        async with JobQueue(manager) as queue:
            heard = queue.submit_nowait("transcribe", str(DATA / "winter.wav"))
            read = queue.submit_nowait("ocr", str(DATA / "notice.png"))
            assert (await heard)["text"] == WINTER
            assert (await read)[0]["text"] == NOTICE
