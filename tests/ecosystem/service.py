"""A stand-in for the Gemini service on 127.0.0.1, as far as the author's transcriber asks it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

KEY = "a-key-of-the-kernel"
MODEL = "gemini-2.5-flash"
WAIT = "slowly"
"""A prompt with this word is not answered before the caller has gone (or 40 seconds)."""


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    waiting: ClassVar[list[str]] = []
    closing: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        if self._may():
            model = {
                "name": f"models/{MODEL}",
                "supportedGenerationMethods": ["generateContent"],
                "outputTokenLimit": 4_096,
            }
            self._answer({"models": [model]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._may():
            return
        parts = [part for content in body["contents"] for part in content["parts"]]
        prompt = "".join(part.get("text", "") for part in parts)
        sounds = [part["inlineData"] for part in parts if "inlineData" in part]
        heard = [
            f"{len(base64.urlsafe_b64decode(one['data']))} bytes of {one['mime_type']}"
            for one in sounds
        ]
        if WAIT in prompt:
            self.waiting.append(prompt)
            self.closing.wait(40)
        words = ["I heard ", *heard, "."]
        if ":streamGenerateContent" in self.path:
            text = "".join(f"data: {json.dumps(_candidate(word))}\r\n\r\n" for word in words)
            self._send(200, text, "text/event-stream")
        else:
            self._answer(_candidate("".join(words)))

    def _may(self) -> bool:
        if self.headers.get("x-goog-api-key") == KEY:
            return True
        error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}
        self._answer({"error": error}, 400)
        return False

    def _answer(self, data: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(data), "application/json")

    def _send(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def _candidate(text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": "STOP"}]}


@contextmanager
def gemini() -> Iterator[dict[str, str]]:
    """The service, and the variables by which a kernel's user points to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": address}
    finally:
        Service.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
