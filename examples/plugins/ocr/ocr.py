"""A plugin that reads the text in images, with rapidocr on onnxruntime.

It runs under `jobqueue_widget.PluginManager` and under the manager of `cjm-plugin-system`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cjm_plugin_system.core.interface import PluginInterface


class StoppedError(Exception):
    """It was asked to stop, and did."""


class Ocr(PluginInterface):
    """Reads one image after the other."""

    name = "ocr"
    version = "1.0.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._engine: Any = None
        self._asked_to_stop = threading.Event()

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """See `config_schema` in plugin.json for what can be configured."""
        self._config = {"min_score": 0.5, "threads": 2, **(config or {})}
        self._engine = None

    def get_config_schema(self) -> dict[str, Any]:
        """As the manifest has it."""
        manifest = json.loads(Path(__file__).with_name("plugin.json").read_text(encoding="utf-8"))
        schema: dict[str, Any] = manifest["config_schema"]
        return schema

    def get_current_config(self) -> dict[str, Any]:
        """What it works with now."""
        return self._config

    def execute(self, *paths: str) -> list[dict[str, Any]]:
        """Of each image its `path`, its `text`, and its `lines` with `text`, `score` and `box`."""
        return list(self.execute_stream(*paths))

    def execute_stream(self, *paths: str) -> Iterator[dict[str, Any]]:
        """The same, each image as soon as it has been read."""
        self._asked_to_stop.clear()
        for path in paths:
            if not Path(path).is_file():
                raise FileNotFoundError(f"there is no image {path}")
        if self._engine is None:
            self.report_progress(0.0, "loading the models")
            self._engine = self._load()
        for number, path in enumerate(paths):
            if self._asked_to_stop.is_set():
                raise StoppedError(f"stopped after {number} of {len(paths)} images")
            self.report_progress(number / len(paths), f"reading {Path(path).name}")
            lines = self._read(path)
            print(f"{Path(path).name}: {len(lines)} lines")  # into the log of the job
            yield {"path": path, "text": text_of(lines), "lines": lines}
        self.report_progress(1.0, f"{len(paths)} images read")

    def _load(self) -> Any:
        from rapidocr import RapidOCR  # takes a second or two: not before there is work

        return RapidOCR(
            params={
                "Global.log_level": "warning",
                "Global.text_score": self._config["min_score"],
                "EngineConfig.onnxruntime.intra_op_num_threads": self._config["threads"],
            }
        )

    def _read(self, path: str) -> list[dict[str, Any]]:
        found = self._engine(path)
        if found.txts is None:  # no text in it
            return []
        return [
            {"text": text, "score": round(float(score), 3), "box": box_of(corners)}
            for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True)
        ]

    def cancel(self) -> None:
        """Called in another thread while `execute` runs. The image at hand is not waited for."""
        self._asked_to_stop.set()

    def release(self) -> None:
        """Let go of the models; the next call loads them again."""
        self._engine = None

    def cleanup(self) -> None:
        """Before the end."""
        self.release()


def box_of(corners: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what four corners enclose, in pixels."""
    across, down = zip(*((int(x), int(y)) for x, y in corners), strict=True)
    return min(across), min(down), max(across), max(down)


def text_of(lines: list[dict[str, Any]]) -> str:
    """What stands beside one another in one line, from left to right."""
    rows: list[list[dict[str, Any]]] = []
    for line in sorted(lines, key=lambda one: one["box"][1]):
        _, top, _, bottom = rows[-1][0]["box"] if rows else (0, 0, 0, -1)
        middle = (line["box"][1] + line["box"][3]) / 2
        if top <= middle <= bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return "\n".join(
        " ".join(one["text"] for one in sorted(row, key=lambda one: one["box"][0])) for row in rows
    )
