"""Capabilities of cjm-substrate run here as there: calls, results, cancelling, configuration."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, PluginManager, QueueScheduler
from tests.conditions import until
from tests.crash.processes import alive
from tests.ecosystem.capabilities_for_tests import MADE, MANIFESTS, need_capabilities, results_there
from tests.example_plugins import DATA

PYSBD, FFMPEG = "cjm-capability-pysbd", "cjm-capability-ffmpeg"
GRAPH, MONITOR = "cjm-capability-graph-sqlite", "cjm-capability-monitor-nvidia"
TEXT = "Dr. Smith arrived at 5 p.m. on Jan. 5. He said: nothing new!  Mr. Jones, e.g., left."
SENTENCES = [
    "Dr. Smith arrived at 5 p.m. on Jan. 5.",
    "He said: nothing new!",
    "Mr. Jones, e.g., left.",
]
NODES = [
    {"id": "a", "label": "City", "properties": {"name": "Rome", "size": 2.8}},
    {"id": "b", "label": "City", "properties": {"name": "Ulm"}},
]
EDGES = [{"id": "e", "source_id": "a", "target_id": "b", "relation_type": "NORTH_OF"}]

pytestmark = pytest.mark.timeout(120)  # on a busy machine


def by_task(name: str, task: str, method: str, **kwargs: Any) -> dict[str, Any]:
    return {"name": name, "args": [], "kwargs": {"task": task, "method": method, **kwargs}}


CALLS = [
    by_task(PYSBD, "sentence_segmentation", "segment_text", text=TEXT),
    by_task(PYSBD, "sentence_segmentation", "segment_text", text=""),
    by_task(PYSBD, "sentence_segmentation", "segment_text", text=5),
    by_task(PYSBD, "sentence_segmentation", "no_such_method", text=TEXT),
    by_task(PYSBD, "no_such_task", "segment_text", text=TEXT),
    by_task(GRAPH, "graph-storage", "add_nodes", nodes=NODES),
    by_task(GRAPH, "graph-storage", "add_edges", edges=EDGES),
    by_task(GRAPH, "graph-storage", "get_node", node_id="a"),
    by_task(GRAPH, "graph-storage", "get_node", node_id="nobody"),
    by_task(GRAPH, "graph-storage", "find_nodes_by_label", label="City"),
    by_task(GRAPH, "graph-storage", "get_context", node_id="a", depth=1),
    by_task(GRAPH, "graph-storage", "get_schema"),
    by_task(FFMPEG, "media_processing", "get_info", file_path=str(DATA / "garden.wav")),
    by_task(
        FFMPEG,
        "media_processing",
        "convert",
        input_path=str(DATA / "garden.wav"),
        output_format="mp3",
        sample_rate=8000,
        control={"force": True},
    ),
    by_task(FFMPEG, "media_processing", "get_info", file_path="/no/such/file.wav"),
]
STAYS = [call for call in CALLS if call["kwargs"]["method"].startswith(("get_n", "get_c", "find"))]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Their data folder after the calls, and what they gave."""
    need_capabilities()
    folder = tmp_path_factory.mktemp("there")
    return folder, results_there(folder, CALLS)


@contextlib.contextmanager
def capabilities(folder: Path, *names: str, **settings: Any) -> Iterator[PluginManager]:
    """Our manager with these of theirs."""
    need_capabilities()
    with PluginManager(search_paths=[MANIFESTS], data_dir=folder, **settings) as manager:
        manager.discover_manifests()
        for name in names:
            meta = manager.get_discovered_meta(name)
            assert meta is not None
            assert manager.load_plugin(meta), manager.problems
        yield manager


@contextlib.contextmanager
def workload(folder: Path, **code: Any) -> Iterator[PluginManager]:
    """One on their base class, whose methods do what the real ones leave out."""
    need_capabilities()
    manifest = {
        "format_version": "2.0",
        "install": {
            "python_path": str(MADE / "envs" / "light" / "bin" / "python"),
            "env_vars": {"PYTHONPATH": str(Path(__file__).parents[1] / "plugins_for_tests")},
        },
        "code": {
            "name": "workload",
            "module": "capability",
            "class": "Workload",
            "config_schema": {"properties": {"flavour": {"default": "plain"}}},
            **code,
        },
    }
    with PluginManager(search_paths=[], data_dir=folder) as manager:
        assert manager.load_plugin(manifest), manager.problems
        yield manager


async def outcomes_here(manager: PluginManager, calls: list[dict[str, Any]]) -> list[Any]:
    found = []
    async with JobQueue(manager) as queue:
        for call in calls:
            job = queue.submit_nowait(call["name"], *call["args"], **call["kwargs"])
            await queue.wait_for_job(job, timeout=60)
            found.append([job.status.value, job.result])
    return found


def comparable(value: Any, folder: Path) -> Any:
    """Without times, and wherever the data folder is."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if key not in ("created_at", "updated_at")}
        return {key: comparable(one, folder) for key, one in kept.items()}
    if isinstance(value, list):
        return [comparable(one, folder) for one in value]
    return value.replace(str(folder), "DATA") if isinstance(value, str) else value


async def test_a_task_gives_here_what_their_own_queue_gives(
    there: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, told = there
    with capabilities(tmp_path, PYSBD, GRAPH, FFMPEG) as manager:
        here = await outcomes_here(manager, CALLS)
    for call, mine, theirs in zip(CALLS, here, told, strict=True):
        expected = [theirs["status"], comparable(theirs["result"], folder)]
        assert comparable(mine, tmp_path) == expected, call
    assert {status for status, _ in here} == {"completed", "failed"}


async def test_what_they_have_stored_is_found_here(
    there: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, told = there
    with capabilities(folder, GRAPH) as manager:
        here = await outcomes_here(manager, STAYS)
    theirs = [one for call, one in zip(CALLS, told, strict=True) if call in STAYS]
    assert here == [[one["status"], one["result"]] for one in theirs], "with the times, too"


async def test_a_method_is_called_by_its_name(tmp_path: Path) -> None:
    with capabilities(tmp_path, PYSBD, GRAPH, FFMPEG) as manager:
        async with JobQueue(manager) as queue:
            for call in (
                queue.submit_nowait(PYSBD, "segment_text", text=TEXT),
                queue.submit_nowait(PYSBD, "segment_text", TEXT),
                queue.submit_nowait(PYSBD, method="segment_text", text=TEXT),
            ):
                spans = (await call)["spans"]
                assert [TEXT[one["start_char"] : one["end_char"]] for one in spans] == SENTENCES
            assert (await queue.submit_nowait(GRAPH, "get_schema"))["node_labels"] == []
            info = await queue.submit_nowait(FFMPEG, "get_info", file_path=DATA / "winter.wav")
            assert info["audio_streams"][0]["sample_rate"] == 16_000
        assert manager.execute_plugin(PYSBD, "is_available") is True
        assert await manager.execute_plugin_async(PYSBD, "is_available") is True


@dataclasses.dataclass
class Span:
    start_char: int
    end_char: int


@dataclasses.dataclass
class Found:
    spans: list[Span]
    metadata: dict[str, Any]


async def test_a_registered_class_comes_as_itself_by_method_and_by_task(tmp_path: Path) -> None:
    module = "cjm_capability_primitives.sentence_segmentation"
    with capabilities(tmp_path, PYSBD) as manager:
        manager.register_type(Found, f"{module}.SentenceSegmentationResult")
        manager.register_type(Span, f"{module}.SentenceSpan")
        expected = Found([Span(0, 3), Span(4, 7)], {"sentence_count": 2, "language": "en"})
        task = {"task": TASK, "method": "segment_text"}
        assert manager.execute_plugin(PYSBD, "segment_text", "Hi. Ho.") == expected
        assert manager.execute_plugin(PYSBD, text="Hi. Ho.", **task) == expected


TASK = "sentence_segmentation"
REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((), {}, "TypeError: .*: the call names no method; it has: is_available, segment_text"),
    (("segment",), {}, "LookupError: .* no method 'segment'; it has: is_available, segment_text"),
    (("_load_segmenter",), {}, "LookupError: .* no method '_load_segmenter'; it has: .*"),
    (("config_class",), {}, "LookupError: .* no method 'config_class'; it has: .*"),
    (("name",), {}, "LookupError: .* no method 'name'; it has: .*"),
    ((5,), {}, "LookupError: .* no method 5; it has: .*"),
    ((), {"task": "transcription", "method": "x"}, f"LookupError: .*; it has: {TASK}"),
    ((), {"task": TASK, "method": "x"}, f"LookupError: task '{TASK}' .*; it has: segment_text"),
    ((), {"task": TASK}, f"TypeError: task '{TASK}' is called with method=… and every .*"),
    (("x",), {"task": TASK, "method": "segment_text"}, f"TypeError: task '{TASK}' .*'x'.*"),
    (("segment_text",), {"text": 5}, "CapabilityInputError: Unsupported text input type.*"),
]


async def test_what_cannot_be_called_says_what_can(tmp_path: Path) -> None:
    with capabilities(tmp_path, PYSBD) as manager:
        async with JobQueue(manager) as queue:
            for args, kwargs, message in REFUSED:
                job = queue.submit_nowait(PYSBD, *args, **kwargs)
                await queue.wait_for_job(job)
                assert job.status is JobStatus.failed
                assert re.fullmatch(message, str(job.error)), job.error
                assert await queue.submit_nowait(PYSBD, "is_available"), "the next one runs"


@pytest.fixture
def long_recording(tmp_path: Path) -> Path:
    """Six hours of silence, which take no room on the disk."""
    rate, size = 16_000, 6 * 3600 * 16_000 * 2
    head = (b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size)
    path = tmp_path / "long.wav"
    path.write_bytes(struct.pack("<4sI4s4sIHHIIHH4sI", *head))
    os.truncate(path, 44 + size)
    return path


async def test_a_conversion_is_cancelled_in_the_middle_and_the_next_one_runs(
    long_recording: Path, tmp_path: Path
) -> None:
    with capabilities(tmp_path, FFMPEG) as manager:
        handle = manager.get_plugin(FFMPEG)
        assert handle is not None
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait(
                FFMPEG, "convert", long_recording, str(tmp_path), output_format="mp3"
            )
            after = queue.submit_nowait(
                FFMPEG, "convert", DATA / "garden.wav", str(tmp_path), output_format="flac"
            )
            await until(lambda: job.progress > 0.001)
            running = [one for one in family(handle.pid) if one.name() == "ffmpeg"]
            assert running
            job.cancel()
            await queue.wait_for_job(job)
            assert job.status is JobStatus.cancelled
            assert not living(running), "it is gone when that is said"
            assert (await after)["metadata"]["output_format"] == "flac"
            assert after.progress == 1.0
            assert f"Converted {DATA / 'garden.wav'} -> " in after.logs()
            assert "Converted" not in job.logs()


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if alive(process.pid)]


def has_begun(job: Job) -> bool:
    return job.progress > 0


def family(pid: int | None) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_asking_to_stop_is_heard_by_what_asks(tmp_path: Path) -> None:
    with workload(tmp_path) as manager:
        handle = manager.get_plugin("workload")
        assert handle is not None
        worker = handle.pid
        async with JobQueue(manager, cancel_timeout=30) as queue:
            for method in ("check", "child"):
                job = queue.submit_nowait("workload", method)
                await until(partial(has_begun, job))
                children = family(worker)
                job.cancel()
                await queue.wait_for_job(job)
                assert job.status is JobStatus.cancelled, method
                assert job.failure is None or job.failure.type_name.endswith("JobCancelled")
                assert not living(children), method
                assert await queue.submit_nowait("workload", "check", 0.05) == "whole"
        assert handle.pid == worker, "it was not forced"


async def test_a_deaf_one_is_forced_and_comes_back_as_it_was_configured(tmp_path: Path) -> None:
    with workload(tmp_path) as manager:
        manager.update_plugin_config("workload", {"flavour": "sour"})
        async with JobQueue(manager, cancel_timeout=0.2) as queue:
            job = queue.submit_nowait("workload", "deaf")
            await until(partial(has_begun, job))
            job.cancel()
            await queue.wait_for_job(job)
            assert job.status is JobStatus.cancelled
            assert await queue.submit_nowait("workload", "seen") == [{"flavour": "sour"}, []]


async def test_a_new_configuration_reaches_it_as_a_change(tmp_path: Path) -> None:
    german = "Das gilt z. B. für Ulm. Am 5. Mai war Markt."
    with capabilities(tmp_path, PYSBD) as manager, workload(tmp_path) as other:
        async with JobQueue(manager) as queue:
            found: Any = await queue.submit_nowait(PYSBD, "segment_text", german)
            assert found["metadata"]["language"] == "en"
            assert manager.update_plugin_config(PYSBD, {"language": "de"})
            found = await queue.submit_nowait(PYSBD, "segment_text", german)
            assert found["metadata"] == {"language": "de", "sentence_count": 2}
            assert manager.get_plugin_config(PYSBD) == {"language": "de"}
            meta = manager.get_discovered_meta(PYSBD)
            assert manager.load_plugin(meta, {"language": "fr"}, instance_id="french")
            assert (await queue.submit_nowait("french", "segment_text", german))["metadata"] == {
                "language": "fr",
                "sentence_count": 4,
            }
            schema = manager.get_plugin_config_schema(PYSBD)
            assert schema is not None
            assert schema["properties"]["language"]["default"] == "en"
        before, after = {"flavour": "plain"}, {"flavour": "sour"}
        assert other.update_plugin_config("workload", after)
        assert other.execute_plugin("workload", "seen") == [after, [[before, after]]]


async def test_its_worker_is_given_what_its_manifest_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED_ON", "kernel")
    monkeypatch.setenv("CJM_MODELS_DIR", "/models")
    wanted: list[dict[str, Any]] = [
        {"name": "PASSED_ON", "default": None},
        {"name": "KEPT_THERE", "secret": True},
        {"name": "MODELS", "default": "${CJM_MODELS_DIR}/sound"},
    ]
    (tmp_path / "secrets").mkdir()
    kept = {"__default__": {"workload": {"KEPT_THERE": "secret"}}}
    (tmp_path / "secrets" / "secrets.json").write_text(json.dumps(kept))
    with workload(tmp_path, worker_env=wanted) as manager:
        names = ("PASSED_ON", "KEPT_THERE", "MODELS")
        found = manager.execute_plugin("workload", "variables", "CAPABILITY_DATA_DIR", *names)
    assert found == {
        "folder": True,
        "CAPABILITY_DATA_DIR": str(tmp_path / "data" / "workload"),
        "PASSED_ON": "kernel",
        "KEPT_THERE": "secret",
        "MODELS": "/models/sound",
    }


async def test_what_belongs_to_the_call_is_no_argument(tmp_path: Path) -> None:
    told: dict[str, Any] = {"run_id": "run 7", "actor": "me", "control": {"force": True}}
    with workload(tmp_path) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("workload", "envelope", **told)
            assert await job == ["run 7", "me", {"force": True}, True]
            assert await queue.submit_nowait("workload", "envelope") == [None, None, {}, True]
            assert await queue.submit_nowait("workload", "places") == [
                {"name": "Rome", "size": 3},
                {"name": "Ulm", "size": 1},
            ]
            job = queue.submit_nowait("workload", "check", 0.05)
            assert await job == "whole"
            assert job.status_message == "step 4"


async def test_a_method_that_gives_an_iterator_is_read_piece_by_piece(tmp_path: Path) -> None:
    with workload(tmp_path) as manager:
        pieces = manager.execute_plugin_stream("workload", "count", 3)
        assert [piece["size"] async for piece in pieces] == [0, 1, 2]
        pieces = manager.execute_plugin_stream("workload", "check", seconds=0)
        assert [piece async for piece in pieces] == ["whole"]
        async with contextlib.aclosing(
            manager.execute_plugin_stream("workload", method="count", limit=10**9)
        ) as pieces:
            assert [(await anext(pieces))["size"] for _ in range(9)] == list(range(9))
        assert await manager.execute_plugin_async("workload", "check", 0) == "whole"


async def test_it_is_unloaded_and_evicted_as_other_plugins_are(tmp_path: Path) -> None:
    with capabilities(tmp_path, PYSBD, GRAPH, scheduler=QueueScheduler()) as manager:
        handle = manager.get_plugin(GRAPH)
        assert handle is not None
        async with JobQueue(manager) as queue:
            call: dict[str, Any] = {"task": "graph-storage", "method": "add_nodes", "nodes": NODES}
            assert await queue.submit_nowait(GRAPH, **call) == ["a", "b"]
            worker = psutil.Process(handle.pid)
            assert manager.evict(GRAPH) is None
            assert not alive(worker.pid)
            assert handle.pid is None
            labels = await queue.submit_nowait(GRAPH, "get_schema")
            assert labels["counts"] == {"City": 2}, "loaded again, over the same data"
            worker = psutil.Process(handle.pid)
            assert manager.unload_plugin(GRAPH)
            assert not alive(worker.pid)
            assert await queue.submit_nowait(PYSBD, "is_available"), "the other stays"


async def test_their_monitor_is_asked_for_its_figures(tmp_path: Path) -> None:
    with capabilities(tmp_path, PYSBD, MONITOR, scheduler=QueueScheduler()) as manager:
        manager.register_system_monitor(MONITOR)
        figures = manager.system_monitor.execute("get_system_status")
        assert figures["memory_total_mb"] == pytest.approx(psutil.virtual_memory().total / 2**20)
        assert figures["gpu_total_memory_mb"] >= 0
        assert isinstance(manager.execute_plugin(MONITOR, "list_processes"), list)
        async with JobQueue(manager) as queue:
            assert await queue.submit_nowait(PYSBD, "is_available")
