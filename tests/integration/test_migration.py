"""The page for users of the reference system: what it says runs, in a real kernel, with both."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.integration.test_examples import execute, notebook_of

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-cjm-plugin-system.md"
PLUGIN = """
from dataclasses import dataclass
from cjm_plugin_system.core.interface import PluginInterface

@dataclass
class Counted:
    words: int
    longest: str
    parts: tuple

class Words(PluginInterface):
    name, version = "words", "1.0"
    def initialize(self, config=None): self.config = dict(config or {})
    def execute(self, text):
        words = text.split()
        return Counted(len(words), max(words, key=len), tuple(words[:2]))
    def get_config_schema(self): return {"properties": {}}
    def get_current_config(self): return self.config
    def cleanup(self): pass
"""


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one plugin of the reference system, whose module lies beside the notebook."""
    (tmp_path / "words.py").write_text(PLUGIN)
    manifest = {
        "name": "words",
        "version": "1.0",
        "module": "words",
        "class": "Words",
        "python_path": sys.executable,
    }
    folder = tmp_path / ".cjm" / "manifests"
    folder.mkdir(parents=True)
    (folder / "words.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CJM_DATA_DIR", raising=False)
    return tmp_path


def what_it_prints(code: str, folder: Path) -> list[str]:
    (printed,) = execute(notebook_of(code), folder).values()
    return printed.splitlines()


def test_only_the_imports_differ_in_the_two_minute_migration() -> None:
    theirs, ours = blocks()
    assert "cjm_plugin_system" in theirs
    assert "cjm_plugin_system" not in ours
    _, _, after_theirs = theirs.partition("\n\n")
    _, _, after_ours = ours.partition("\n\n")
    assert after_theirs == after_ours


@pytest.mark.timeout(120)
def test_the_two_minute_migration_prints_the_same(project: Path) -> None:
    theirs, ours = (what_it_prints(block, project) for block in blocks())
    assert ours == ["completed {'words': 6, 'longest': 'not', 'parts': ['to', 'be']}", "1"]
    assert [line for line in theirs if not line.startswith("[") and line] == ours  # but its log
