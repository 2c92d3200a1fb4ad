"""The example plugin `ocr` reads what real images say."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue_widget import JobQueue
from tests.example_plugins import DATA, example

RECEIPT = "Corner Bakery\n2 loaves of bread 7.80\n1 apple cake 4.50\nTotal 12.30\nThank you"
NOTICE = "Quiet please\nThe library closes\nat six this evening\nOpen again on Monday"


@pytest.mark.timeout(180)  # on a busy machine
async def test_images_give_their_words_and_what_is_no_image_an_error(tmp_path: Path) -> None:
    messages: list[str] = []
    with example("ocr", tmp_path) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("ocr", DATA / "receipt.png", DATA / "notice.png")
            queue.subscribe(lambda event: messages.append(job.status_message))
            receipt, notice = await job
            assert receipt["text"] == RECEIPT
            assert notice["text"] == NOTICE
            assert notice["path"] == str(DATA / "notice.png")
            assert all(line["score"] > 0.9 for line in receipt["lines"])
            tops = [line["box"][1] for line in notice["lines"]]
            assert tops == sorted(tops)
            assert (job.progress, job.status_message) == (1.0, "2 images read")
            order = [one for one in dict.fromkeys(messages) if one.startswith("reading")]
            assert order == ["reading receipt.png", "reading notice.png"]
            assert job.logs() == "receipt.png: 8 lines\nnotice.png: 4 lines\n"
            assert job.planned == {"ram_mib": 600.0}, "what its manifest asks for"

            for path in (DATA / "garden.wav", tmp_path / "nothing.png"):
                wrong = queue.submit_nowait("ocr", path)
                await queue.wait_for_job(wrong, timeout=60)
                assert path.name in str(wrong.error)
