"""A plugin that answers questions about images, by Google's Gemini.

The key is the variable GEMINI_API_KEY of the kernel. It is in no configuration, log or command
line: the manifest only names the variable (`pass_env`). It runs under
`jobqueue_widget.PluginManager` and under the manager of `cjm-plugin-system`.
"""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cjm_plugin_system.core.interface import PluginInterface
from google import genai
from google.genai import errors, types


class GeminiVision(PluginInterface):
    """Sends one image and one question at a time.

    It has no `cancel` of its own: JobCancelled, which is raised in a plugin without one, also ends
    its wait for the network.
    """

    name = "gemini-vision"
    version = "1.0.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """See `config_schema` in plugin.json for what can be configured."""
        defaults = {"model": "gemini-2.5-flash", "base_url": "", "timeout": 60}
        self._config = {**defaults, **(config or {})}

    def get_config_schema(self) -> dict[str, Any]:
        """As the manifest has it."""
        manifest = json.loads(Path(__file__).with_name("plugin.json").read_text(encoding="utf-8"))
        schema: dict[str, Any] = manifest["config_schema"]
        return schema

    def get_current_config(self) -> dict[str, Any]:
        """What it works with now."""
        return self._config

    def execute(self, path: str, question: str = "What is in this image?") -> str:
        """The answer to a question about an image."""
        return "".join(self.execute_stream(path, question))

    def execute_stream(self, path: str, question: str = "What is in this image?") -> Iterator[str]:
        """The answer, piece by piece as it comes.

        Raises:
            FileNotFoundError, ValueError: nothing was sent.
            RuntimeError: the service refused, and why.
        """
        image = read_image(path)
        self.report_progress(-1.0, "waiting for the answer")
        answer = ""
        with self._client() as client:
            try:
                for piece in client.models.generate_content_stream(
                    model=self._config["model"], contents=[image, question]
                ):
                    if piece.text:
                        answer += piece.text
                        self.report_progress(-1.0, answer[-80:])
                        yield piece.text
            except errors.APIError as error:
                raise RuntimeError(f"Gemini refused: {error.code} {error.message}") from None
        if not answer:
            raise RuntimeError("Gemini gave no answer; it may have been held back as unsafe")

    def _client(self) -> genai.Client:
        """For one call: a key that was changed meanwhile holds from the next worker on."""
        key = os.environ.get("GEMINI_API_KEY")
        if not key:
            raise ValueError(
                "there is no GEMINI_API_KEY: set it in the environment of the kernel, never in a "
                "cell that is saved, then manager.reload_plugin('gemini-vision')"
            )
        config = self._config
        options = types.HttpOptions(
            base_url=config["base_url"] or None, timeout=int(config["timeout"] * 1000)
        )
        return genai.Client(api_key=key, vertexai=False, http_options=options)

    def cleanup(self) -> None:
        """Nothing is kept between calls."""


def read_image(path: str) -> types.Part:
    """An image as it is sent.

    Raises:
        ValueError: by its name it is none.
    """
    kind, _ = mimetypes.guess_type(path)
    if not (kind or "").startswith("image/"):
        raise ValueError(f"{path} is no image, by its name")
    return types.Part.from_bytes(data=Path(path).read_bytes(), mime_type=str(kind))
