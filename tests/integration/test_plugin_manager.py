"""PluginManager with real plugins in real workers: loading, calling, configuring, ending."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest

from jobqueue_widget import (
    PermissiveScheduler,
    PluginDisabledError,
    PluginFailedError,
    PluginLoadWarning,
    PluginManager,
    PluginNotLoadedError,
    ResultNotKeptError,
    UnsendableValueError,
)
from tests.conditions import until
from tests.crash.processes import alive, wait_until
from tests.own_manager import ROOT, load, own_manager, own_manifest, write_manifests
from tests.plugins_for_tests.toolbox import Word


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[PluginManager]:
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        yield manager


def pid_of(manager: PluginManager, name: str = "toolbox") -> int:
    handle = manager.get_plugin(name)
    assert handle is not None
    assert handle.pid is not None
    return handle.pid


def release(path: Path) -> None:
    """Let a stubborn call of the toolbox end."""
    Path(f"{path}.released").touch()


def until_there(path: Path) -> int:
    """Until the plugin has written its process id."""
    wait_until(lambda: path.exists() and path.read_text(), 20)
    return int(path.read_text())


# -- loading -------------------------------------------------------------------------------------


def test_a_plugin_is_loaded_in_a_worker_with_its_own_interpreter(manager: PluginManager) -> None:
    about = manager.execute_plugin("toolbox", "about")
    assert about["pid"] == pid_of(manager) != os.getpid()
    assert [meta.name for meta in manager.list_plugins()] == ["toolbox"]
    assert manager.get_plugin_meta("toolbox") is manager.get_discovered_meta("toolbox")
    assert "toolbox" in repr(manager.get_plugin("toolbox"))
    assert manager.get_plugin("nobody") is None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"python_path": "/no/such/python"}, ["could not be started", "/no/such/python"]),
        ({"python_path": "/bin/false"}, ["exited with code 1 before it was ready"]),
        ({"module": "no_such_module"}, ["ModuleNotFoundError", "no_such_module"]),
        ({"class": "NoSuchClass"}, ["AttributeError", "NoSuchClass"]),
        ({"class": "NeverLoads"}, ["FileNotFoundError: no model at /nowhere", "in __init__"]),
        ({"class": "DiesWhileLoading"}, ["exited with code 7", "loading a broken library"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_plugin_that_cannot_be_loaded_says_why_at_once(
    change: dict[str, str], reasons: list[str], note: Callable[[str], None]
) -> None:
    manager = PluginManager(search_paths=[])
    manifest = own_manifest("toolbox", "Toolbox", **change)
    begun = time.monotonic()
    with pytest.warns(PluginLoadWarning) as told:
        assert manager.load_plugin(manifest) is False
    seconds = time.monotonic() - begun
    note(f"told after {seconds:.2f} s")
    assert seconds < 5, "promised within a second on an idle machine"
    text = str(told[0].message)
    assert all(reason in text for reason in reasons), text
    assert manager.list_plugins() == []
    with pytest.raises(PluginNotLoadedError, match="is not loaded \\("):
        manager.execute_plugin("toolbox")


def test_what_is_no_plugin_is_refused(manager: PluginManager) -> None:
    with pytest.raises(ValueError, match="one worker or more"):
        manager.load_plugin(own_manifest("toolbox", "Toolbox"), workers=0)
    with pytest.raises(PluginNotLoadedError, match="'nobody' is not loaded; there are: toolbox"):
        manager.execute_plugin("nobody")
    assert manager.unload_plugin("nobody") is False
    assert manager.reload_plugin("nobody") is False
    assert manager.update_plugin_config("nobody", {}) is False
    assert manager.enable_plugin("nobody") is False
    assert manager.get_plugin_config("nobody") is None
    assert manager.get_plugin_stats("nobody") is None
    assert manager.get_plugin_logs("../../etc/passwd") == ""
    assert manager.evict("nobody") == "not loaded"


def test_loading_again_replaces_what_was_loaded(manager: PluginManager) -> None:
    before = pid_of(manager)
    assert load(manager, "toolbox", {"flavour": "new"})
    assert not alive(before)
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "new"}


def test_every_plugin_can_be_loaded_at_once(tmp_path: Path) -> None:
    folder = write_manifests(tmp_path / "manifests")
    for name in ("never", "dies", "hangs"):
        (folder / f"{name}.json").unlink()
    with PluginManager(search_paths=[folder]) as manager:
        loaded = manager.load_all({"toolbox": {"flavour": "sharp"}})
        assert loaded == {"monitor": True, "plain": True, "toolbox": True, "workload": True}
        assert manager.get_plugin_config("toolbox") == {"flavour": "sharp"}
        assert manager.get_plugin_config("workload") == {"flavour": "plain"}, "its default"
        assert set(manager.get_all_plugin_configs()) == set(loaded)
        assert manager.execute_plugin("plain", 1) == ["plain", 1]


def test_a_lazy_plugin_starts_with_its_first_call(manager: PluginManager) -> None:
    assert load(manager, "plain", lazy=True)
    assert [one.name for one in manager.loaded()] == ["toolbox"]
    assert manager.execute_plugin("plain", 1) == ["plain", 1]
    assert sorted(one.name for one in manager.loaded()) == ["plain", "toolbox"]


def test_unloading_cleans_up_and_leaves_nothing(tmp_path: Path) -> None:
    config = {"cleaned": str(tmp_path / "cleaned")}
    with own_manager(tmp_path, plugins=["toolbox"], config=config) as manager:
        pid = pid_of(manager)
        assert manager.unload_plugin("toolbox")
        assert not alive(pid)
        assert (tmp_path / "cleaned").exists()
        assert manager.get_plugin("toolbox") is None
        assert load(manager, "toolbox"), "and it can be loaded again"
        assert manager.execute_plugin("toolbox", "echo", 1) == 1


def test_a_cleanup_that_stays_is_ended(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=["toolbox"], config={"stays": True}) as manager:
        pid = pid_of(manager)
        assert manager.unload_plugin("toolbox")
        assert not alive(pid)


def test_unloading_ends_a_call_that_runs(manager: PluginManager, tmp_path: Path) -> None:
    with ended_by(manager.unload_all, manager, "stubborn", tmp_path) as error:
        assert "was unloaded" in str(error())


class ended_by:
    """Inside, a call of the toolbox has been ended by something; it gives the error."""

    def __init__(
        self, end: Callable[[], object], manager: PluginManager, what: str, folder: Path
    ) -> None:
        self._end = end
        self._manager = manager
        self._what = what
        self._path = folder / "pid"
        self._errors: list[BaseException] = []

    def __enter__(self) -> Callable[[], BaseException]:
        def call() -> None:
            try:
                self._manager.execute_plugin("toolbox", self._what, path=str(self._path))
            except PluginFailedError as error:
                self._errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        pid = until_there(self._path)
        self._end()
        thread.join(20)
        assert not alive(pid)
        return lambda: self._errors[0]

    def __exit__(self, *_: object) -> None:
        assert len(self._errors) == 1


def test_reloading_keeps_the_configuration_and_replaces_the_process(
    manager: PluginManager, tmp_path: Path
) -> None:
    manager.update_plugin_config("toolbox", {"flavour": "sharp"})
    before = pid_of(manager)
    assert manager.reload_plugin("toolbox")
    assert pid_of(manager) != before
    assert not alive(before)
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "sharp"}
    assert manager.reload_plugin("toolbox", {"flavour": "new"})
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "new"}
    with ended_by(lambda: manager.reload_plugin("toolbox"), manager, "spin", tmp_path) as error:
        assert "it is reloaded" in str(error())
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "new"}


def test_a_worker_that_died_while_idle_is_replaced_at_the_next_call(
    manager: PluginManager,
) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = pid_of(manager)
        os.kill(before, number)
        wait_until(lambda: not manager.loaded(), 10)
        assert manager.execute_plugin("toolbox", "echo", 1) == 1
        assert pid_of(manager) != before


def test_a_disabled_plugin_stays_loaded_and_is_refused(manager: PluginManager) -> None:
    assert manager.disable_plugin("toolbox")
    with pytest.raises(PluginDisabledError, match="enable_plugin"):
        manager.execute_plugin("toolbox")
    assert manager.enable_plugin("toolbox")
    assert manager.execute_plugin("toolbox", "echo", 1) == 1


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [(1, (2,)), {1: {2: 3}}, {1, 2}, b"\0\xff", [1.5, float("inf")], "\ud800", 2**80, None],
    ids=repr,
)
def test_arguments_and_results_stay_what_they_were(manager: PluginManager, value: Any) -> None:
    again = manager.execute_plugin("toolbox", "echo", [value])[0]
    assert (type(again), again) == (type(value), value)
    assert manager.execute_plugin("toolbox", "echo", value=value) == {"value": value}


def test_arrays_come_back_as_arrays(manager: PluginManager) -> None:
    found = manager.execute_plugin("toolbox", "numpy")
    assert numpy.array_equal(found["grid"], numpy.arange(6.0).reshape(2, 3))
    assert type(found["one"]) is numpy.float32
    grid = numpy.asfortranarray(numpy.random.default_rng(1).random((300, 200)))
    again = manager.execute_plugin("toolbox", "echo", grid)
    assert numpy.array_equal(again, grid)
    assert again.flags.f_contiguous


def test_large_values_go_both_ways(manager: PluginManager) -> None:
    size = 100 * 2**20
    assert len(manager.execute_plugin("toolbox", "zeros", size)) == size
    assert manager.execute_plugin("toolbox", "kinds", bytes(size), 1) == [
        "builtins.bytes",
        "builtins.int",
    ]


def test_a_registered_dataclass_is_one_again(manager: PluginManager) -> None:
    as_there = {"text": "x", "box": [1, 2], "more": {3: b"\0\xff"}}
    assert manager.execute_plugin("toolbox", "word", "x") == as_there
    manager.register_type(Word, "toolbox.Word")
    word = manager.execute_plugin("toolbox", "word", "x")
    assert word == Word("x", (1, 2), {3: b"\0\xff"})
    assert manager.execute_plugin("toolbox", "kinds", word) == ["toolbox.Word"]


def test_what_cannot_be_sent_back_is_refused_by_name_and_the_worker_lives(
    manager: PluginManager,
) -> None:
    pid = pid_of(manager)
    assert manager.execute_plugin("toolbox", "secret") == {"a": [1, 2, 3, {"text": "x"}]}
    with pytest.raises(ResultNotKeptError, match=r"result is a method.*it was method <bound"):
        manager.execute_plugin("toolbox", "code")
    assert pid_of(manager) == pid


def test_what_cannot_be_sent_is_refused_before_anything_runs(manager: PluginManager) -> None:
    with pytest.raises(UnsendableValueError, match=r"plugin 'toolbox': args\[1\]\[2\] is a"):
        manager.execute_plugin("toolbox", "echo", [1, 2, threading.Lock()])
    with pytest.raises(UnsendableValueError, match=r"'toolbox': name\['x'\] is a"):
        manager.execute_plugin("toolbox", "echo", name={"x": sys.stdout})


def test_files_and_paths_are_given_as_paths(manager: PluginManager, tmp_path: Path) -> None:
    class Recording:
        def to_temp_file(self) -> str:
            return str(tmp_path / "recording.wav")

    given = (Recording(), tmp_path)
    assert manager.execute_plugin("toolbox", "echo", [1], file=Recording()) == [1]
    assert manager.execute_plugin("toolbox", "kinds", *given) == ["builtins.str"] * 2
    assert manager.execute_plugin("toolbox", "echo", file=Recording()) == {
        "file": str(tmp_path / "recording.wav")
    }
    inside = manager.execute_plugin("toolbox", "echo", [tmp_path])
    assert inside == [tmp_path], "inside a value it stays a Path"


def test_no_keyword_collides(manager: PluginManager) -> None:
    odd = {"self": 1, "plugin_name": 2, "name": 3, "config": 4, "args": 5}
    assert manager.execute_plugin("toolbox", what="echo", **odd) == odd


def test_an_error_keeps_its_type_message_and_traceback(manager: PluginManager) -> None:
    with pytest.raises(PluginFailedError, match="LookupError: as it was told") as caught:
        manager.execute_plugin("toolbox", "fail")
    failure = caught.value.failure
    assert (failure.type_name, failure.message) == ("LookupError", "as it was told")
    assert "in do_fail" in failure.traceback
    assert "plugin_worker.py" not in failure.traceback


@pytest.mark.parametrize(
    ("call", "reason"),
    [(("exit", 3), "exited with code 3"), (("kill", int(signal.SIGSEGV)), "ended by SIGSEGV")],
    ids=str,
)
def test_the_death_of_a_worker_is_told_and_healed(
    manager: PluginManager, call: tuple[str, int], reason: str
) -> None:
    with pytest.raises(PluginFailedError, match=reason):
        manager.execute_plugin("toolbox", *call)
    assert manager.execute_plugin("toolbox", "echo", 1) == 1


# -- answers while it executes -------------------------------------------------------------------


@pytest.mark.parametrize("what", ["sleep", "stubborn"])
async def test_questions_are_answered_while_it_executes(
    manager: PluginManager, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    manager.update_plugin_config("toolbox", {"flavour": "sharp"})
    call = asyncio.create_task(manager.execute_plugin_async("toolbox", what, path=str(path)))
    await until(path.exists)
    handle = manager.get_plugin("toolbox")
    assert handle is not None
    begun = time.monotonic()
    assert manager.get_plugin_config("toolbox") == {"flavour": "sharp"}
    assert manager.get_plugin_config_schema("toolbox") == {
        "properties": {"flavour": {"type": "string"}}
    }
    assert handle.health() == {"pid": handle.pid, "busy": True}
    assert handle.is_alive()
    stats = manager.get_plugin_stats("toolbox")
    assert stats is not None
    assert stats["memory_rss_mb"] > 1
    assert stats["pid"] == handle.pid
    assert time.monotonic() - begun < 5, "none of them waits for the call"
    assert manager.loaded()[0].busy
    assert manager.evict("toolbox") == "busy"
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not any(one.busy for one in manager.loaded()))


async def test_a_worker_whose_interpreter_is_held_answers_nothing_and_is_forced(
    manager: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobqueue_widget.plugins.handle.ANSWER_PATIENCE", 0.3)
    monkeypatch.setattr("jobqueue_widget.plugins.calls.STOP_PATIENCE", 0.3)
    path = tmp_path / "pid"
    manager.update_plugin_config("toolbox", {"flavour": "sharp"})
    call = asyncio.create_task(manager.execute_plugin_async("toolbox", "spin", str(path)))
    await until(path.exists)
    pid = pid_of(manager)
    await asyncio.sleep(0.3)
    handle = manager.get_plugin("toolbox")
    assert handle is not None
    assert not handle.is_alive()
    assert manager.get_plugin_config("toolbox") == {"flavour": "sharp"}, "what it was given"
    assert manager.get_plugin_stats("toolbox") is not None
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not alive(pid))
    assert await manager.execute_plugin_async("toolbox", "config") == {"flavour": "sharp"}


async def test_progress_is_known_while_it_runs(manager: PluginManager) -> None:
    handle = manager.get_plugin("toolbox")
    assert handle is not None
    await manager.execute_plugin_async("toolbox", "report", 0.5, "half")
    assert await handle.get_progress_async() == {"progress": 0.5, "message": "half"}
    await manager.execute_plugin_async("toolbox", "report", -1.0, "who knows")
    assert handle.get_progress() == {"progress": -1.0, "message": "who knows"}
    await manager.execute_plugin_async("toolbox", "echo")
    assert handle.get_progress() == {"progress": 0.0, "message": ""}


async def test_cancelling_from_outside_asks_the_plugin(
    manager: PluginManager, tmp_path: Path
) -> None:
    handle = manager.get_plugin("toolbox")
    assert handle is not None
    assert handle.cancel() is False, "nothing runs"
    path = tmp_path / "pid"
    call = asyncio.create_task(handle.execute_async("aware", str(path)))
    await until(path.exists)
    assert await handle.cancel_async()
    assert await call == "stopped by itself"


# -- configuration -------------------------------------------------------------------------------


def test_a_configuration_is_taken_at_once_or_refused(manager: PluginManager) -> None:
    assert manager.update_plugin_config("toolbox", {"flavour": "sharp"})
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "sharp"}
    pid = pid_of(manager)
    with pytest.warns(PluginLoadWarning, match="there is no such flavour"):
        assert manager.update_plugin_config("toolbox", {"flavour": "impossible"}) is False
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "sharp"}
    assert pid_of(manager) == pid


def test_a_configuration_that_cannot_be_sent_changes_nothing(manager: PluginManager) -> None:
    wrong = {"model": {"lock": threading.Lock()}}
    pid = pid_of(manager)
    changes: list[Callable[[], object]] = [
        lambda: manager.update_plugin_config("toolbox", wrong),
        lambda: manager.reload_plugin("toolbox", wrong),
        lambda: load(manager, "toolbox", wrong),
    ]
    for change in changes:
        with pytest.raises(UnsendableValueError, match=r"config\['model'\]\['lock'\] is a"):
            change()
    assert manager.execute_plugin("toolbox", "config") == {"flavour": "plain"}
    assert pid_of(manager) == pid


def test_an_interrupt_stops_the_call_or_the_loading(manager: PluginManager, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background

    def interrupt_when(path: Path) -> threading.Thread:
        def run() -> None:
            wait_until(path.exists, 20)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    thread = interrupt_when(tmp_path / "pid")
    with pytest.raises(KeyboardInterrupt):
        manager.execute_plugin("toolbox", "polite", str(tmp_path / "pid"))
    thread.join()
    assert manager.execute_plugin("toolbox", "echo", 1) == 1
    thread = interrupt_when(tmp_path / "began")
    with pytest.raises(KeyboardInterrupt):
        load(manager, "hangs", {"began": str(tmp_path / "began")})
    thread.join()
    signal.signal(signal.SIGINT, before)
    assert [one.name for one in manager.loaded()] == ["toolbox"]


async def test_a_busy_plugin_takes_its_configuration_before_its_next_call(
    manager: PluginManager, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    call = asyncio.create_task(manager.execute_plugin_async("toolbox", "stubborn", str(path)))
    await until(path.exists)
    assert manager.update_plugin_config("toolbox", {"flavour": "later"})
    release(path)
    assert await call == "released"
    assert await manager.execute_plugin_async("toolbox", "config") == {"flavour": "later"}


# -- concurrency ---------------------------------------------------------------------------------


async def test_calls_of_one_plugin_run_one_after_the_other(manager: PluginManager) -> None:
    calls = [manager.execute_plugin_async("toolbox", "echo", n) for n in range(30)]
    assert await asyncio.gather(*calls) == list(range(30))
    assert len(manager.loaded()) == 1


async def test_workers_run_as_many_calls_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "together"
    folder.mkdir()
    with own_manager(tmp_path, plugins=["toolbox"], workers=3) as manager:
        assert len(manager.loaded()) == 3
        calls = [manager.execute_plugin_async("toolbox", "together", str(folder), 3)] * 1
        calls += [
            manager.execute_plugin_async("toolbox", "together", str(folder), 3) for _ in range(2)
        ]
        assert len(set(await asyncio.gather(*calls))) == 3


# -- streams -------------------------------------------------------------------------------------


async def test_a_stream_comes_piece_by_piece(manager: PluginManager) -> None:
    pieces = [piece async for piece in manager.execute_plugin_stream("toolbox", "count", 100)]
    assert pieces == [(n, {n: "piece"}) for n in range(100)]
    assert [p async for p in manager.execute_plugin_stream("toolbox", "count", 0)] == []


async def test_a_plugin_without_a_stream_gives_one_piece(manager: PluginManager) -> None:
    assert load(manager, "plain")
    assert [p async for p in manager.execute_plugin_stream("plain", 7)] == [["plain", 7]]


async def test_the_plugin_is_not_far_ahead_of_its_reader(
    manager: PluginManager, tmp_path: Path
) -> None:
    path = tmp_path / "at"
    stream = manager.execute_plugin_stream("toolbox", "count", 1000, str(path))
    async for number, _ in stream:
        if number == 10:
            await asyncio.sleep(0.3)
            assert int(path.read_text()) <= number + 6
            break
    await stream.aclose()
    assert await manager.execute_plugin_async("toolbox", "echo", 1) == 1


@pytest.mark.parametrize(
    ("what", "args", "before", "message"),
    [
        ("fail", (3,), [0, 1, 2], "LookupError: as it was told"),
        ("code", (), [1], "chunk 1 is a method"),
    ],
)
async def test_a_stream_that_fails_says_so_after_its_last_piece(
    manager: PluginManager, what: str, args: tuple[int, ...], before: list[int], message: str
) -> None:
    pieces = []

    async def read() -> None:
        async for piece in manager.execute_plugin_stream("toolbox", what, *args):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(PluginFailedError, match=message):
        await read()
    assert pieces == before


async def test_leaving_a_stream_stops_the_plugin(manager: PluginManager, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    stream = manager.execute_plugin_stream("toolbox", "for_ever", str(closed))
    assert await anext(stream) == pid_of(manager)
    await stream.aclose()
    await until(closed.exists)
    await until(lambda: not any(one.busy for one in manager.loaded()))


# -- logs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["print", "C", "write"])
def test_the_log_has_what_was_printed_when_the_call_has_ended(
    manager: PluginManager, how: str
) -> None:
    for number in range(3):
        manager.execute_plugin("toolbox", "say", f"line {number}", how)
        assert manager.get_plugin_logs("toolbox", lines=1) == f"line {number}\n"
    assert manager.get_plugin_logs("toolbox", lines=2) == "line 1\nline 2\n"
    manager.unload_plugin("toolbox")
    assert "line 2" in manager.get_plugin_logs("toolbox"), "kept when it is unloaded"


def test_the_log_is_bounded_and_takes_any_bytes(manager: PluginManager) -> None:
    manager.execute_plugin("toolbox", "say", "x" * 5_000_000)
    manager.execute_plugin("toolbox", "say", "\ud800 end")
    text = manager.get_plugin_logs("toolbox", lines=10)
    assert len(text) < 1_200_000
    assert text.endswith("\\ud800 end\n")


# -- freeing memory ------------------------------------------------------------------------------


def test_eviction_releases_first_and_ends_the_worker_if_that_was_done(
    manager: PluginManager, tmp_path: Path
) -> None:
    manager.update_plugin_config("toolbox", {"released": str(tmp_path / "released")})
    changes: list[int] = []
    unsubscribe = manager.on_change(lambda: changes.append(1))
    pid = pid_of(manager)
    assert manager.evict("toolbox") is None
    assert (tmp_path / "released").exists()
    assert alive(pid)
    assert changes
    assert manager.evict("toolbox") is None
    assert not alive(pid)
    assert manager.loaded() == []
    assert manager.execute_plugin("toolbox", "config")["released"], "it reloads by itself"
    assert manager.loaded()[0].pid not in (pid, None)
    unsubscribe()


def test_eviction_of_a_plugin_without_release_ends_its_worker(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=["plain"]) as manager:
        pid = pid_of(manager, "plain")
        assert manager.evict("plain") is None
        assert not alive(pid)
        assert manager.execute_plugin("plain", 1) == ["plain", 1]


def test_requirements_are_those_of_the_manifest(tmp_path: Path) -> None:
    needs = {"requires_gpu": True, "min_gpu_vram_mb": 512, "min_system_ram_mb": 256}
    with own_manager(tmp_path, plugins=["plain"], resources=needs) as manager:
        assert manager.requirements("plain") == {"ram_mib": 256.0, "gpu_mib": 512.0}
        assert manager.requirements("nobody") == {}
        manager.scheduler = PermissiveScheduler()
        assert manager.requirements("plain") == {}, "the user said that everything may start"


# -- the ends ------------------------------------------------------------------------------------

SCRIPT = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}]
from tests.own_manager import own_manifest
from jobqueue_widget import PluginManager
manager = PluginManager(search_paths=[])
assert manager.load_plugin(own_manifest("toolbox", "Toolbox"))
print(manager.get_plugin("toolbox").pid, flush=True)
"""


def run_script(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_script_that_forgets_to_unload_ends_and_leaves_nothing() -> None:
    script = run_script("manager.execute_plugin('toolbox', 'echo', 1)")
    out, err = script.communicate(timeout=30)
    assert (script.returncode, err) == (0, "")
    wait_until(lambda: not alive(int(out)), 2)


@pytest.mark.parametrize("what", ["echo", "sleep", "spin"])
def test_nothing_outlives_a_killed_kernel(what: str) -> None:
    with run_script(f"manager.execute_plugin('toolbox', {what!r})\ninput()") as script:
        assert script.stdout is not None
        pid = int(script.stdout.readline())
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        time.sleep(0.2)
        script.kill()
        wait_until(lambda: not any(map(alive, family)), 5)


def test_a_forked_child_leaves_the_plugins_to_its_parent() -> None:
    script = run_script(
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    raise SystemExit(len(manager.loaded()) and 4)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "assert manager.execute_plugin('toolbox', 'echo', 7) == 7\n"
        "raise SystemExit(status)\n"
    )
    _, err = script.communicate(timeout=30)
    assert (script.returncode, err) == (0, "")


def test_a_manager_that_is_dropped_ends_its_plugins(tmp_path: Path) -> None:
    folder = write_manifests(tmp_path / "manifests")
    manager = PluginManager(search_paths=[folder])
    manager.discover_manifests()
    assert load(manager, "toolbox")
    pid = pid_of(manager)
    held = [manager]
    del manager
    with pytest.warns(ResourceWarning, match="unload_all"):
        drop(held)
    wait_until(lambda: not alive(pid), 10)


def drop(held: list[PluginManager]) -> None:
    held.clear()
    gc.collect()


def test_the_same_manifest_file_is_loaded_from_disk(tmp_path: Path) -> None:
    manifest = own_manifest("plain", "Plain")
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(manifest))
    with PluginManager(search_paths=[tmp_path]) as manager:
        assert manager.load_all() == {"plain": True}
