"""The example plugin `gemini-vision`, with a server of our own in the place of Google's."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import Job, JobQueue, JobStatus
from tests.conditions import until
from tests.example_plugins import DATA, example

KEY = "k-3y-of-this-test"

pytestmark = pytest.mark.timeout(120)  # on a busy machine


class Service(ThreadingHTTPServer):
    """Answers as Gemini does, piece by piece; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.may_go_on = threading.Event()
        self.may_go_on.set()


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["x-goog-api-key"]
        self.server.asked.append({"path": self.path, "key": key, "body": body})
        self.send_response(self.server.status)
        self.end_headers()
        if self.server.status != 200:
            error = {"code": self.server.status, "message": "API key not valid", "status": "NO"}
            self.wfile.write(json.dumps({"error": error}).encode())
            return
        for text in ("A receipt ", "of a bakery."):
            part = {"content": {"role": "model", "parts": [{"text": text}]}}
            self.wfile.write(f"data: {json.dumps({'candidates': [part]})}\r\n\r\n".encode())
            self.wfile.flush()
            self.server.may_go_on.wait(60)

    def log_message(self, format: str, *args: object) -> None:
        """Into no test's output."""


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever, args=(0.02,))
    thread.start()
    yield service
    service.may_go_on.set()
    service.shutdown()
    thread.join()
    service.server_close()


def config(service: Service) -> dict[str, Any]:
    return {"model": "gemini-test", "base_url": f"http://127.0.0.1:{service.server_port}"}


async def ended(queue: JobQueue, *args: object) -> Job:
    job = queue.submit_nowait("gemini-vision", *args)
    await queue.wait_for_job(job, timeout=60)
    return job


async def test_an_image_and_a_question_give_the_answer_and_the_key_is_nowhere(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    image = DATA / "receipt.png"
    with example("gemini-vision", tmp_path, config(service)) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, image, "What is it?")
            assert job.result == "A receipt of a bakery."
            assert job.status_message == "A receipt of a bakery."
            pieces = manager.execute_plugin_stream("gemini-vision", image)
            assert [piece async for piece in pieces] == ["A receipt ", "of a bakery."]

            service.status = 400
            refused = await ended(queue, image)
            assert refused.status is JobStatus.failed
            assert "Gemini refused: 400 API key not valid" in str(refused.error)
            handle = manager.get_plugin("gemini-vision")
            assert handle is not None
            assert refused.failure is not None
            told = [
                " ".join(psutil.Process(handle.pid).cmdline()),
                manager.get_plugin_logs("gemini-vision", lines=1000),
                json.dumps(manager.get_plugin_config("gemini-vision")),
                json.dumps(queue.get_state(), default=str),
                job.logs() + repr(job) + repr(refused) + refused.failure.traceback,
            ]
    assert KEY not in "".join(told)

    (first, second, _) = service.asked
    assert first["key"] == KEY
    assert first["path"].startswith("/v1/models/gemini-test:streamGenerateContent")
    picture, question = first["body"]["contents"][0]["parts"]
    assert base64.urlsafe_b64decode(picture["inlineData"]["data"]) == image.read_bytes()
    assert picture["inlineData"]["mime_type"] == "image/png"
    assert question == {"text": "What is it?"}
    assert second["body"]["contents"][0]["parts"][1] == {"text": "What is in this image?"}


async def test_a_wait_for_the_network_is_cancelled_without_force(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    service.may_go_on.clear()
    with example("gemini-vision", tmp_path, config(service)) as manager:
        handle = manager.get_plugin("gemini-vision")
        assert handle is not None
        worker = handle.pid
        async with JobQueue(manager, cancel_timeout=30) as queue:
            job = queue.submit_nowait("gemini-vision", DATA / "notice.png")
            await until(lambda: job.status_message == "A receipt ", 60)
            job.cancel()
            await queue.wait_for_job(job, timeout=60)
            assert job.status is JobStatus.cancelled
        assert handle.pid == worker


async def test_what_cannot_be_asked_is_said_and_nothing_is_sent(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with example("gemini-vision", tmp_path, config(service)) as manager:
        async with JobQueue(manager) as queue:
            assert "is no image" in str((await ended(queue, DATA / "garden.wav")).error)
            job = await ended(queue, DATA / "notice.png")
            assert "there is no GEMINI_API_KEY: set it in the environment" in str(job.error)
    assert service.asked == []
