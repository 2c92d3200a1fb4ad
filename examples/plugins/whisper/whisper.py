"""A plugin that writes down what is said in recordings of many languages, with faster-whisper.

It needs weights on disk and never downloads them by itself: a job that waits for a gigabyte without
having been asked is no help. It runs under `jobqueue_widget.PluginManager` and under the manager of
`cjm-plugin-system`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cjm_plugin_system.core.interface import PluginInterface


class StoppedError(Exception):
    """It was asked to stop, and did."""


class Whisper(PluginInterface):
    """Keeps the model until it is released."""

    name = "whisper"
    version = "1.0.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._model: Any = None
        self._asked_to_stop = threading.Event()

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """See `config_schema` in plugin.json for what can be configured."""
        defaults = {"model": "", "device": "auto", "compute_type": "default"}
        self._config = {**defaults, **(config or {})}
        self._model = None

    def get_config_schema(self) -> dict[str, Any]:
        """As the manifest has it."""
        manifest = json.loads(Path(__file__).with_name("plugin.json").read_text(encoding="utf-8"))
        schema: dict[str, Any] = manifest["config_schema"]
        return schema

    def get_current_config(self) -> dict[str, Any]:
        """What it works with now."""
        return self._config

    def execute(self, path: str, language: str | None = None) -> dict[str, Any]:
        """The text of a recording, and each sentence with its start and end in seconds.

        Args:
            path: any format that FFmpeg reads.
            language: such as "en"; default: it is recognized.
        """
        sentences = list(self.execute_stream(path, language))
        return {"text": " ".join(one["text"] for one in sentences), "sentences": sentences}

    def execute_stream(self, path: str, language: str | None = None) -> Iterator[dict[str, Any]]:
        """Each sentence as soon as it is known: `text`, and `start` and `end` in seconds."""
        self._asked_to_stop.clear()
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no recording {path}")
        if self._model is None:
            self.report_progress(-1.0, "loading the model")
            self._model = self._load()
        found, about = self._model.transcribe(path, language=language)
        for one in found:  # recognized while they are asked for
            if self._asked_to_stop.is_set():
                raise StoppedError(f"stopped after {one.start:.1f} of {about.duration:.1f} s")
            text = one.text.strip()
            print(f"{one.start:6.2f} s  {text}")  # into the log of the job
            self.report_progress(min(1.0, one.end / about.duration), text)
            yield {"text": text, "start": one.start, "end": one.end}

    def _load(self) -> Any:
        from faster_whisper import WhisperModel

        config = self._config
        return WhisperModel(
            find_weights(config["model"] or os.environ.get("WHISPER_MODEL") or "tiny"),
            device=config["device"],
            compute_type=config["compute_type"],
            local_files_only=True,
        )

    def cancel(self) -> None:
        """Called in another thread while `execute` runs."""
        self._asked_to_stop.set()

    def release(self) -> None:
        """Let go of the model, and of what it holds on the GPU; the next call loads it again."""
        self._model = None

    def cleanup(self) -> None:
        """Before the end."""
        self.release()


def find_weights(model: str) -> str:
    """The folder with the weights of a model.

    They are looked for in CJM_MODELS_DIR (the manager's `models_dir`) and in Hugging Face's cache.

    Args:
        model: its size, such as "base", or a folder.

    Raises:
        ValueError: there is no such size.
        FileNotFoundError: the weights are not there; the message says how to get them.
    """
    from faster_whisper.utils import available_models, download_model
    from huggingface_hub import constants

    if os.sep in model:
        if (Path(model) / "model.bin").is_file():
            return model
        raise FileNotFoundError(
            f"there are no weights in {model}: a folder with model.bin, config.json and "
            "tokenizer.json is needed, as in https://huggingface.co/Systran/faster-whisper-tiny"
        )
    if model not in available_models():
        raise ValueError(f"there is no model {model!r}; {', '.join(available_models())}")
    places, get_it = [constants.HF_HUB_CACHE], f"hf download Systran/faster-whisper-{model}"
    if models := os.environ.get("CJM_MODELS_DIR"):
        own = os.path.join(models, f"faster-whisper-{model}")
        if os.path.exists(os.path.join(own, "model.bin")):
            return own
        places, get_it = [own, *places], f"{get_it} --local-dir {own}"
    try:
        cached: str = download_model(model, local_files_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"the weights of Whisper {model!r} are not on this machine: not in "
            f"{' and not in '.join(places)}. Nothing is downloaded by itself; get them once with: "
            f"{get_it}"
        ) from None
    return cached
