"""The author's plugins that are run, and what each is given to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.ecosystem import inputs, service

Call = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """One plugin: calls that work, one that fails, one that takes long."""

    package: str
    calls: tuple[Call, ...]
    bad: Call
    complaint: str
    """What the plugin says of the bad call."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What it is loaded with; empty: the defaults of its schema."""
    change: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""
    """What its log has after the calls."""
    slow: Call | None = None
    underway: Callable[[Path], bool] | None = None
    """Whether the slow call is in the middle, seen from outside; gets the folder of the inputs."""
    steps: Call | None = None
    """A call that reports its progress."""
    sound: Call | None = None
    """A call with "SOUND", which may be a path or an object that saves itself."""
    volatile: bool = False
    """Results are figures of this moment: only their form is compared."""


def converters(sound: Path) -> list[psutil.Process]:
    """The processes of ffmpeg that read this file."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        here = process.info
        alive = here["name"] == "ffmpeg" and here["status"] != psutil.STATUS_ZOMBIE
        if alive and str(sound) in (here["cmdline"] or ()):
            found.append(process)
    return found


MONITOR = Subject(
    package="cjm-system-monitor-nvidia",
    calls=({"command": "get_system_status"},),
    bad={"command": "reboot"},
    complaint="Unknown command: reboot",
    volatile=True,
)

SQLITE = Subject(
    package="cjm-graph-plugin-sqlite",
    calls=(
        {"action": "add_nodes", "nodes": inputs.NODES},
        {"action": "add_edges", "edges": inputs.EDGES},
        {"action": "get_schema"},
        {"action": "get_context", "node_id": "node-2", "depth": 2},
        {"action": "find_nodes_by_label", "label": "Quote"},
        {
            "action": "find_nodes_by_source",
            "source_ref": inputs.NODES[3]["sources"][0],
        },
        {"action": "update_node", "node_id": "node-1", "properties": {"seen": True}},
        {"action": "get_node", "node_id": "node-1"},
        {"action": "delete_nodes", "node_ids": ["node-5"]},
        {"action": "export_graph"},
    ),
    bad={"action": "get_node"},
    complaint="node_id",
    change={"readonly": True},
    says="Initializing SQLite Graph at",
    slow={"action": "add_nodes", "nodes": inputs.MANY_NODES},
)

NLTK = Subject(
    package="cjm-text-plugin-nltk",
    calls=({"action": "split_sentences", "text": inputs.TEXT},),
    bad={"action": "translate", "text": inputs.TEXT},
    complaint="Unknown action: translate",
    change={"language": "german"},
    says="Saved result to DB",
    slow={"action": "split_sentences", "text": inputs.LONG_TEXT},
)

FFMPEG = Subject(
    package="cjm-media-plugin-ffmpeg",
    calls=(
        {"action": "get_info", "file_path": "INPUTS/film.mp4"},
        {"action": "convert", "input_path": "INPUTS/speech.wav", "output_format": "mp3"},
        {"action": "extract_segment", "input_path": "INPUTS/speech.wav", "start": 0.5, "end": 1.5},
        {"action": "extract_audio", "input_path": "INPUTS/film.mp4"},
    ),
    bad={"action": "convert", "input_path": "INPUTS/noise.wav", "output_format": "mp3"},
    complaint="noise.wav",
    change={"default_audio_bitrate": "128k"},
    says="Converted ",
    slow={
        "action": "convert",
        "input_path": "INPUTS/long.wav",
        "output_format": "mp3",
        "sample_rate": 48_000,
        "channels": 2,
        "bitrate": "320k",
    },
    underway=lambda folder: bool(converters(folder / "long.wav")),
    steps={
        "action": "segment_audio",
        "input_path": "INPUTS/speech.wav",
        "boundaries": [{"start": at / 4, "end": at / 4 + 0.25} for at in range(10)],
    },
    sound={"action": "get_info", "file_path": "SOUND"},
)

GEMINI = Subject(
    package="cjm-transcription-plugin-gemini",
    calls=({"audio": "INPUTS/speech.wav"}, {"audio": "INPUTS/speech.wav", "use_streaming": True}),
    bad={"audio": "INPUTS/nothing.wav"},
    complaint="nothing.wav",
    change={"temperature": 0.5},
    says="Transcribing with Gemini model",
    slow={"audio": "INPUTS/speech.wav", "prompt": f"Answer {service.WAIT}."},
    underway=lambda _: bool(service.Service.waiting),
    sound={"audio": "SOUND"},
)

WHISPER = Subject(
    package="cjm-transcription-plugin-whisper",
    calls=({"audio": "INPUTS/speech.wav"},),
    bad={"audio": "INPUTS/noise.wav"},
    complaint="noise.wav",
    change={"language": "de"},
    says="Transcription completed",
    slow={"audio": "INPUTS/long.wav"},
    underway=lambda folder: (folder / "long.wav.heard").exists(),
    sound={"audio": "SOUND"},
)

SUBJECTS = {
    "monitor": MONITOR,
    "sqlite": SQLITE,
    "nltk": NLTK,
    "ffmpeg": FFMPEG,
    "gemini": GEMINI,
    "whisper": WHISPER,
}

NOT_RUN = {
    "the models of cjm-transcription-plugin-whisper": "torch and whisper are stand-ins",
    "cjm-transcription-plugin-voxtral-hf": "needs weights from a hub",
    "cjm-media-plugin-silero-vad": "needs torch and weights from a hub",
    "cjm-media-plugin-demucs": "needs torch and weights from a hub",
}
