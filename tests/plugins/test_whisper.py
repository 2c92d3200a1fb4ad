"""The example plugin `whisper`: with weights it transcribes, without it says how to get them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JobStatus, PluginManager
from tests.example_plugins import DATA, example

pytestmark = pytest.mark.timeout(180)  # on a busy machine


async def test_without_weights_it_says_what_is_missing_and_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("WHISPER_MODEL", raising=False)
    models = tmp_path / "models"
    expected = {
        "base": f"hf download Systran/faster-whisper-base --local-dir {models}/faster-whisper-base",
        "gigantic": "there is no model 'gigantic'; tiny",
        str(tmp_path / "mine"): f"there are no weights in {tmp_path}/mine: a folder with model.bin",
    }
    with example("whisper", tmp_path, models_dir=models) as manager:
        async with JobQueue(manager) as queue:
            for model, message in expected.items():
                assert manager.update_plugin_config("whisper", {"model": model})
                job = queue.submit_nowait("whisper", DATA / "garden.wav")
                await queue.wait_for_job(job, timeout=60)
                assert job.status is JobStatus.failed
                assert message in str(job.error)
    assert not list((tmp_path / "cache").rglob("*.bin"))
    assert not models.exists()


def write_weights(manager: PluginManager, folder: Path) -> None:
    meta = manager.get_plugin_meta("whisper")
    assert meta is not None
    python, program = meta.manifest["python_path"], Path(__file__).with_name("random_whisper.py")
    subprocess.run([python, str(program), str(folder)], check=True)


async def test_weights_in_a_folder_are_loaded_and_heard_with(tmp_path: Path) -> None:
    """With a model of random numbers, so that only what it says is nonsense."""
    folder = tmp_path / "models" / "faster-whisper-tiny"
    folder.mkdir(parents=True)
    with example("whisper", tmp_path, models_dir=tmp_path / "models") as manager:
        write_weights(manager, folder)
        async with JobQueue(manager) as queue:
            for model, language in ((str(folder), "en"), ("tiny", None)):
                assert manager.update_plugin_config("whisper", {"model": model, "device": "cpu"})
                job = queue.submit_nowait("whisper", DATA / "garden.wav", language)
                heard = await job
                assert re.fullmatch(r"(word\d+ ?)+", heard["text"])
                assert heard["sentences"]
                assert all(one["start"] < one["end"] for one in heard["sentences"])
                assert job.logs().count("word") == heard["text"].count("word")
                assert job.progress > 0
                assert str(job.status_message).startswith("word")


async def test_a_recording_is_transcribed_where_weights_are_and_refused_where_not(
    tmp_path: Path,
) -> None:
    """Weights: in the folder that WHISPER_MODEL names, or in the cache of Hugging Face."""
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
    named = os.environ.get("WHISPER_MODEL") or "tiny"
    places = [Path(named), *cache.glob(f"models--Systran--faster-whisper-{named}/snapshots/*")]
    has_weights = any((place / "model.bin").is_file() for place in places)
    with example("whisper", tmp_path) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("whisper", DATA / "garden.wav", language="en")
            await queue.wait_for_job(job, timeout=150)
            if has_weights:
                assert "playing in the garden" in job.result["text"]
                assert job.progress > 0.9
            else:
                assert "Nothing is downloaded by itself; get them once with: " in str(job.error)
