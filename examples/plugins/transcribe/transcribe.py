"""A plugin that writes down what is said in English recordings, with pocketsphinx.

It runs under `jobqueue_widget.PluginManager` and under the manager of `cjm-plugin-system`.
"""

from __future__ import annotations

import json
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cjm_plugin_system.core.interface import PluginInterface
from pocketsphinx import Decoder, Segmenter

RATE = 16_000  # samples a second, of two bytes each: what the model was trained with
PIECE = RATE // 4 * 2  # a quarter of a second, in bytes: so soon it notices that it shall stop


class StoppedError(Exception):
    """It was asked to stop, and did."""


class Transcribe(PluginInterface):
    """Finds the sentences by the silence between them and recognizes one after the other."""

    name = "transcribe"
    version = "1.0.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._decoder: Any = None
        self._level = ""  # what the decoder takes for silence, before it has heard anything
        self._asked_to_stop = threading.Event()

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """See `config_schema` in plugin.json for what can be configured."""
        self._config = {"strictness": 0, **(config or {})}

    def get_config_schema(self) -> dict[str, Any]:
        """As the manifest has it."""
        manifest = json.loads(Path(__file__).with_name("plugin.json").read_text(encoding="utf-8"))
        schema: dict[str, Any] = manifest["config_schema"]
        return schema

    def get_current_config(self) -> dict[str, Any]:
        """What it works with now."""
        return self._config

    def execute(self, path: str) -> dict[str, Any]:
        """The text of a WAV file, and each sentence with its start and end in seconds."""
        sentences = list(self.execute_stream(path))
        return {"text": ". ".join(one["text"] for one in sentences), "sentences": sentences}

    def execute_stream(self, path: str) -> Iterator[dict[str, Any]]:
        """Each sentence as soon as it is known: `text`, and `start` and `end` in seconds."""
        self._asked_to_stop.clear()
        if self._decoder is None:
            self.report_progress(0.0, "loading the model")
            self._decoder = Decoder(samprate=RATE, loglevel="FATAL")
            self._level = self._decoder.get_cmn()
        self._decoder.set_cmn(
            self._level
        )  # the same file gives the same text, whatever came before
        with open_recording(path) as recording:
            seconds = recording.getnframes() / RATE
            segmenter = Segmenter(sample_rate=RATE, vad_mode=self._config["strictness"])
            for segment in segmenter.segment(Samples(recording)):
                text = self._recognize(segment, seconds)
                if text:
                    start, end = round(segment.start_time, 2), round(segment.end_time, 2)
                    print(f"{start:6.2f} s  {text}")  # into the log of the job
                    yield {"text": text, "start": start, "end": end}
        self.report_progress(1.0, f"{seconds:.1f} s heard")

    def _recognize(self, segment: Any, seconds: float) -> str:
        """What is said between two silences."""
        decoder = self._decoder
        decoder.start_utt()
        try:
            for start in range(0, len(segment.pcm), PIECE):
                if self._asked_to_stop.is_set():
                    raise StoppedError(f"stopped after {segment.start_time:.1f} of {seconds:.1f} s")
                decoder.process_raw(segment.pcm[start : start + PIECE])
                heard = segment.start_time + start / 2 / RATE
                self.report_progress(heard / seconds, self._so_far())
        finally:
            decoder.end_utt()
        return self._so_far()

    def _so_far(self) -> str:
        found = self._decoder.hyp()
        return found.hypstr if found else ""

    def cancel(self) -> None:
        """Called in another thread while `execute` runs."""
        self._asked_to_stop.set()

    def release(self) -> None:
        """Let go of the model; the next call loads it again."""
        self._decoder = None

    def cleanup(self) -> None:
        """Before the end."""
        self.release()


class Samples:
    """A recording as the segmenter reads it: by bytes."""

    def __init__(self, recording: wave.Wave_read) -> None:
        self._recording = recording

    def read(self, size: int) -> bytes:
        """The next samples."""
        return self._recording.readframes(size // 2)


def open_recording(path: str) -> wave.Wave_read:
    """A WAV file with one channel of 16-bit samples at 16 kHz.

    Raises:
        ValueError: it is something else; the message says how to make it one.
    """
    cure = f"make it one: ffmpeg -i {Path(path).name} -ar {RATE} -ac 1 recording.wav"
    try:
        recording = wave.open(path, "rb")  # noqa: SIM115 - the caller closes it
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file ({error}); {cure}") from None
    found = (recording.getframerate(), recording.getnchannels(), recording.getsampwidth())
    if found != (RATE, 1, 2):
        recording.close()
        rate, channels, width = found
        what = f"{rate} Hz, {channels} channels, {8 * width} bit"
        raise ValueError(f"{path} has {what}, not {RATE} Hz, 1 channel, 16 bit; {cure}")
    return recording
