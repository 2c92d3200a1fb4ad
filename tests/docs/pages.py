"""The pages of the manual, and README: their code blocks, and what each page needs to run them."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs"
FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1\n", re.MULTILINE | re.DOTALL)
SHOWN = {"json", "shell", "text"}  # for reading; `text` behind code is what that prints


@dataclass(frozen=True)
class Block:
    """Python of a page, and what it says that is printed."""

    code: str
    prints: str | None


def pages() -> list[Path]:
    """README and each page of the manual, but for those that show a file of elsewhere."""
    found = [ROOT / "README.md", *sorted(MANUAL.rglob("*.md"))]
    return [
        page for page in found if not page.read_text().startswith(("notebook: ", "```{include}"))
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def languages(page: Path) -> set[str]:
    return {match[2] for match in FENCE.finditer(page.read_text(encoding="utf-8"))}


def blocks(page: Path) -> list[Block]:
    """What is Python, each with the block behind it if that is what it prints."""
    text = page.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    found = []
    for number, fence in enumerate(fences):
        if fence[2] != "python":
            continue
        after = fences[number + 1] if number + 1 < len(fences) else None
        is_output = (
            after is not None
            and after[2] == "text"
            and not text[fence.end() : after.start()].strip()
        )
        found.append(Block(fence[3], after[3] if after is not None and is_output else None))
    return found


def manual_example(name: str) -> ModuleType:
    """A module that a page shows as a whole."""
    spec = importlib.util.spec_from_file_location(name, MANUAL / "howto" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What stands before the code of a page, as a reader would have it there already.
A_PLUGIN = """
import json, os, sys
from pathlib import Path

Path("plugins").mkdir()
Path("plugins/my_plugin.py").write_text('''
class Transcribe:
    name, version = "transcribe", "1.0"
    def initialize(self, config=None): self.config = config
    def execute(self, path, language): return f"{path} {self.config['model']} {language}"
    def execute_stream(self, path, language): yield from self.execute(path, language).split()
    def get_current_config(self): return self.config
    def get_config_schema(self): return {}
    def cleanup(self): pass
''')
Path("plugins/transcribe.json").write_text(json.dumps({
    "name": "transcribe", "module": "my_plugin", "class": "Transcribe",
    "python_path": sys.executable,
    "env_vars": {"PYTHONPATH": str(Path("plugins").absolute())}, "config_schema": {},
}))
"""
BEFORE = {
    "README.md": A_PLUGIN,
    "docs/howto/plugins.md": A_PLUGIN,
    "docs/howto/new_executor.md": f"""
import sys
sys.path.insert(0, {str(MANUAL / "howto")!r})
""",
    "docs/howto/training.md": f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "docs" / "doubles")!r})

import keras
model, x, y = keras.Model(), [1.0, 2.0], [3.0, 4.0]
module = loader = network = dataset = None
""",
    "docs/howto/engines.md": """
import os
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
""",
}
NOT_HERE = {"docs/coming-from-cjm-plugin-system.md"}  # tests/integration/test_migration.py
ENGINES = {"docs/howto/engines.md"}  # which say a thing or two by themselves


def sentences(text: str) -> list[str]:
    """Those of a page: its code left out, each item and each cell of a table by itself."""
    text = re.sub(r"<!-- outcomes: begin -->.*<!-- outcomes: end -->", "", text, flags=re.DOTALL)
    text = FENCE.sub("\n\n", text + "\n")
    text = re.sub(r"`[^`]+`", "CODE", text)
    text = re.sub(r"!?\[([^]]*)]\([^)]*\)", r"\1", text)
    text = re.sub(r"^#+ (.*)$", r"\n\n\1\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*([-*]|\d+\.|>)\s+", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\|[-|: ]+\|$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\|(.*)\|$", lambda row: row[0].replace("|", "\n\n"), text, flags=re.MULTILINE)
    text = text.replace("*", "")
    paragraphs = re.split(r"\n\s*\n", text)
    found = [
        part for one in paragraphs for part in re.split(r"(?<=[.!?])\s+", " ".join(one.split()))
    ]
    return [one for one in found if one]
