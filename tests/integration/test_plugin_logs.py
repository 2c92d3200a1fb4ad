"""Log records of plugins: in their log from INFO on, with time and level, each of them once."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, PluginManager
from tests.own_manager import own_manifest

OURS = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[([A-Z]+)\] (.*)$")


@contextmanager
def talker(folder: Path, configure: str = "") -> Iterator[PluginManager]:
    manifest = own_manifest("talker", "Talker", module="talker", config_schema=None)
    config = {"configure": configure} if configure else {"anything": 1}
    with PluginManager(search_paths=[], data_dir=folder) as manager:
        assert manager.load_plugin(manifest, config)
        yield manager


def lines_of(manager: PluginManager) -> list[str]:
    return manager.get_plugin_logs("talker", 1000).splitlines()


def without_time(lines: list[str]) -> list[str]:
    """Ours as `INFO text`, whatever else as it is."""
    return [OURS.sub(r"\1 \2", line) for line in lines]


async def test_records_from_info_on_are_in_the_plugin_s_log_and_in_the_job_s(
    tmp_path: Path,
) -> None:
    with talker(tmp_path) as manager:
        loaded = ["INFO imported", "INFO made", "INFO configured"]
        assert without_time(lines_of(manager)) == loaded
        async with JobQueue(manager) as queue:
            told = []
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL):
                for name in ("", "talker", "talker.inner", "another.library"):
                    job = queue.submit_nowait("talker", "say", f"by {name}", level, name)
                    await job
                    shown = [f"{logging.getLevelName(level)} by {name}"]
                    assert without_time(job.logs().splitlines()) == shown * (level > logging.DEBUG)
                    told += shown * (level > logging.DEBUG)
        assert without_time(lines_of(manager)) == loaded + told


CONFIGURED = {
    "basic": ["mine: x"],
    "debug": ["mine: x"],
    "force": ["mine: x"],
    "twice": ["mine: x"],
    "wrongly": ["INFO x"],
    "quiet": [],
    "root_handler": ["mine: x"],
    "own_handler": ["mine: x"],
    "strict_handler": ["INFO x"],
    "no_propagation": ["mine: x"],
    "null": ["INFO x"],
    "file": ["INFO x"],
    "dictionary": ["mine: x"],
    "dictionary_of_its_own": ["INFO x"],
}


@pytest.mark.parametrize("later", [False, True], ids=["at load", "in a call"])
@pytest.mark.parametrize("how", CONFIGURED)
def test_what_a_plugin_configures_itself_holds_and_no_line_comes_twice(
    how: str, later: bool, tmp_path: Path
) -> None:
    with talker(tmp_path, "" if later else how) as manager:
        if later:
            manager.execute_plugin("talker", "configure", how)
        for level in (logging.DEBUG, logging.INFO):
            before = len(lines_of(manager))
            manager.execute_plugin("talker", "say", "x", level)
            shown = CONFIGURED[how] if level == logging.INFO or how == "debug" else []
            assert without_time(lines_of(manager)[before:]) == shown


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (["module_functions"], ["INFO by the module", "WARNING of the module"]),
        (["odd_text"], ["INFO \\udcff\0 ü"]),
        (["without_a_stream", "none"], ["INFO said anyway"]),
        (["without_a_stream", "closed"], ["INFO said anyway"]),
        (["without_a_stream", "elsewhere"], []),
        (["bar"], ["INFO in the bar 0", "INFO in the bar 1", "beside the bar"]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_records_are_shown_once_whatever_the_call_does(
    act: list[str], expected: list[str], tmp_path: Path
) -> None:
    with talker(tmp_path) as manager:
        before = len(lines_of(manager))
        manager.execute_plugin("talker", *act)
        assert without_time(lines_of(manager)[before:]) == expected
        manager.execute_plugin("talker", "say", "and the next call")
        assert without_time(lines_of(manager)[-1:]) == ["INFO and the next call"]


def test_tracebacks_warnings_and_mistakes_are_there(tmp_path: Path) -> None:
    with talker(tmp_path) as manager:
        for act in ("fail", "warn", "badly_formatted"):
            manager.execute_plugin("talker", act)
        log = "\n".join(without_time(lines_of(manager)))
        assert "ERROR it went wrong\nTraceback (most recent call last):" in log
        assert "LookupError: on purpose" in log
        assert "UserWarning: take care" in log
        assert "--- Logging error ---" in log
        assert "Message: '%d of %d'" in log


def test_a_redirected_stream_has_what_is_said_meanwhile(tmp_path: Path) -> None:
    with talker(tmp_path) as manager:
        text = manager.execute_plugin("talker", "redirected")
        assert without_time(text.splitlines()) == ["INFO elsewhere"]
        assert without_time(lines_of(manager)[-1:]) == ["INFO here"]
