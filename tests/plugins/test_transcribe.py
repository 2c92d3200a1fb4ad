"""The example plugin `transcribe` writes down what real recordings say."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JobStatus, PluginManager
from tests.conditions import until
from tests.example_plugins import DATA, example

GARDEN = (
    "please open the door. the children are playing in the garden. we will go home in the evening"
)
WINTER = "it was a very cold winter. my mother will be happy to see you again"

pytestmark = pytest.mark.timeout(120)  # on a busy machine


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[PluginManager]:
    with example("transcribe", tmp_path) as manager:
        yield manager


async def test_a_recording_gives_its_words_with_progress_a_log_and_its_memory(
    manager: PluginManager,
) -> None:
    seen: list[float] = []
    async with JobQueue(manager) as queue:
        job = queue.submit_nowait("transcribe", DATA / "garden.wav")
        queue.subscribe(lambda event: seen.append(job.progress))
        found = await job
        assert found["text"] == GARDEN
        assert [one["text"] for one in found["sentences"]] == GARDEN.split(". ")
        times = [one[side] for one in found["sentences"] for side in ("start", "end")]
        assert times == sorted(times)
        assert (job.progress, job.status_message) == (1.0, "8.6 s heard")
        reported = [progress for progress in seen if progress >= 0]
        assert reported == sorted(reported)
        assert len({round(progress, 1) for progress in reported}) > 4
        assert [line.split(" s  ")[1] for line in job.logs().splitlines()] == GARDEN.split(". ")
        assert job.planned == {"ram_mib": 300.0}, "what its manifest asks for"

        assert (await queue.submit_nowait("transcribe", DATA / "winter.wav"))["text"] == WINTER
        again = await queue.submit_nowait("transcribe", DATA / "garden.wav")
        assert again["text"] == GARDEN, "whatever it heard before"


async def test_it_stops_by_itself_when_it_is_asked_to(manager: PluginManager) -> None:
    handle = manager.get_plugin("transcribe")
    assert handle is not None
    worker = handle.pid
    async with JobQueue(manager, cancel_timeout=30) as queue:
        job = queue.submit_nowait("transcribe", DATA / "garden.wav")
        await until(lambda: job.progress > 0.2, 60)
        job.cancel()
        await queue.wait_for_job(job, timeout=60)
        assert job.status is JobStatus.cancelled
        assert job.failure is not None
        assert job.failure.type_name.rpartition(".")[2] in ("StoppedError", "JobCancelled")
        assert (await queue.submit_nowait("transcribe", DATA / "winter.wav"))["text"] == WINTER
    assert handle.pid == worker, "it was not forced"


async def test_sentences_are_streamed_and_the_model_comes_back_after_a_release(
    manager: PluginManager,
) -> None:
    async def words() -> str:
        pieces = manager.execute_plugin_stream("transcribe", DATA / "winter.wav")
        return ". ".join([piece["text"] async for piece in pieces])

    assert await words() == WINTER
    assert await asyncio.to_thread(manager.evict, "transcribe") is None
    assert await words() == WINTER


async def test_what_it_cannot_read_is_said_with_what_to_do(
    manager: PluginManager, tmp_path: Path
) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as stereo:
        stereo.setparams((2, 2, 44_100, 0, "NONE", ""))
        stereo.writeframes(bytes(400))
    expected = {
        tmp_path / "stereo.wav": "44100 Hz, 2 channels, 16 bit, not 16000 Hz, 1 channel, 16 bit; "
        "make it one: ffmpeg -i stereo.wav -ar 16000 -ac 1 recording.wav",
        DATA / "notice.png": "is no WAV file",
        tmp_path / "nothing.wav": "FileNotFoundError",
    }
    async with JobQueue(manager) as queue:
        for path, message in expected.items():
            job = queue.submit_nowait("transcribe", path)
            await queue.wait_for_job(job, timeout=60)
            assert job.error is not None
            assert message in job.error
