"""Real sound and text to work on: speech by espeak-ng, an hour of it by sox, a film by ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "It was not amused!",
    "Was the dog asleep?",
)
TEXT = " ".join(SENTENCES)
LONG_TEXT = TEXT * 30_000
"""Nearly three megabytes: seconds of work for a splitter of sentences."""

NODES: list[dict[str, Any]] = [
    {
        "id": f"node-{index}",
        "label": "Quote" if index % 2 else "Person",
        "properties": {"words": SENTENCES[index % 3], "place": index},
        "sources": [
            {
                "plugin_name": "whisper",
                "table_name": "transcriptions",
                "row_id": f"row-{index}",
                "content_hash": "sha256:" + "0" * 64,
            }
        ],
    }
    for index in range(6)
]
EDGES: list[dict[str, Any]] = [
    {
        "id": f"edge-{index}",
        "source_id": f"node-{index}",
        "target_id": f"node-{index + 1}",
        "relation_type": "NEXT",
        "properties": {"weight": 0.5},
    }
    for index in range(5)
]
MANY_NODES: list[dict[str, Any]] = [
    {"id": f"many-{index}", "label": "Many", "properties": {"place": index}}
    for index in range(60_000)
]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def make(folder: Path) -> None:
    """Write speech.wav, film.mp4 and long.wav, and noise.wav, which is no sound at all."""
    folder.mkdir(parents=True, exist_ok=True)
    speech, film, long = (str(folder / name) for name in ("speech.wav", "film.mp4", "long.wav"))
    _run("espeak-ng", "-w", speech, TEXT)
    _run("sox", speech, "-r", "8000", long, "repeat", "600")
    picture = ("-f", "lavfi", "-i", "testsrc=duration=4:size=128x96:rate=5")
    _run("ffmpeg", "-v", "error", *picture, "-i", speech, "-c:a", "aac", "-shortest", film)
    (folder / "noise.wav").write_text("this is no sound", encoding="utf-8")
