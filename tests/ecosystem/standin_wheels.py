"""Packs stand-ins for torch and openai-whisper as wheels, so that pip can resolve what needs them:

python -m tests.ecosystem.standin_wheels DIR
"""  # noqa: D415 - a command line ends the sentence

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

STANDINS = Path(__file__).parent / "standins"
PACKAGES = {"torch": "torch", "openai_whisper": "whisper"}
VERSION = "0+standin"


def pack(distribution: str, module: str, folder: Path) -> None:
    """Write one wheel with this module into the folder."""
    information = f"{distribution}-{VERSION}.dist-info"
    files = {
        f"{module}.py": (STANDINS / f"{module}.py").read_text(encoding="utf-8"),
        f"{information}/METADATA": "Metadata-Version: 2.1\n"
        f"Name: {distribution.replace('_', '-')}\nVersion: {VERSION}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests.ecosystem\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(folder / f"{distribution}-{VERSION}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


if __name__ == "__main__":
    for distribution, module in PACKAGES.items():
        pack(distribution, module, Path(sys.argv[1]))
