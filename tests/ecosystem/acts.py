"""What is done with each plugin, in this order; each act gives a value that is compared.

They are written against the reference's interface alone, as a user's notebook is: the same lines
run on every system of systems.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conditions import until
from tests.crash.processes import alive
from tests.ecosystem.subjects import Call, Subject, converters

PATIENCE = 45.0


class DoesNotApplyError(Exception):
    """This plugin has nothing that could be tried so."""


@dataclass
class Stage:
    """A plugin under one system, and what the acts before this one have left."""

    subject: Subject
    system: Any
    inputs: Path
    manager: Any = None
    queue: Any = None
    found: Any = None
    ended: list[Any] = field(default_factory=list)
    cancelled: Any = None
    left_running: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.subject.package

    def filled(self, call: Call, sound: Any = None) -> dict[str, Any]:
        """The call with the real paths of the inputs, and `sound` for "SOUND"."""
        text = json.dumps(dict(call))
        filled = json.loads(text.replace("INPUTS", str(self.inputs)))
        return {name: sound if value == "SOUND" else value for name, value in filled.items()}

    async def run(self, call: Call, sound: Any = None) -> Any:
        """The job of this call, ended."""
        number = await self.queue.submit(self.name, **self.filled(call, sound))
        return await self.queue.wait_for_job(number, timeout=PATIENCE)

    async def work(self, call: Call, sound: Any = None) -> Any:
        """The result of a call that must complete."""
        job = await self.run(call, sound)
        assert job.status.value == "completed", f"{job.status.value}: {job.error}"
        self.ended.append(job)
        return job.result

    def pid(self) -> int:
        return int(self.manager.get_plugin_stats(self.name)["pid"])


Act = Callable[[Stage], Awaitable[object]]
Acts = dict[str, tuple[str, Act]]
"""Name → what a reader is told about it, and the act."""


def entering(acts: Acts) -> Callable[[str], Callable[[Act], Act]]:
    """A decorator that enters functions there, with what a reader is told."""

    def act(told: str) -> Callable[[Act], Act]:
        def enter(function: Act) -> Act:
            acts[function.__name__.replace("_", " ")] = (told, function)
            return function

        return enter

    return act


ACTS: Acts = {}
act = entering(ACTS)


def applies(condition: object) -> None:
    if not condition:
        raise DoesNotApplyError


@act("`PluginManager()` finds the manifests through `cjm.yaml`")
async def discover(stage: Stage) -> object:
    stage.manager = stage.system.PluginManager()
    stage.manager.discover_manifests()
    stage.found = stage.manager.get_discovered_meta(stage.name)
    if stage.found is None:
        seen = [one.name for one in stage.manager.discovered]
        stage.manager = stage.system.PluginManager(search_paths=[Path.cwd() / "data/manifests"])
        stage.manager.discover_manifests()  # so that the other acts tell something of their own
        stage.found = stage.manager.get_discovered_meta(stage.name)
        raise AssertionError(f"found only {seen}")
    found = stage.found
    return [
        sorted(one.name for one in stage.manager.discovered),
        sorted(stage.manager.get_discovered_categories()),
        [found.name, found.version, found.category, found.interface, found.package_name],
        found.config_schema,
    ]


@act("`load_plugin(meta)`, keys from the kernel's environment")
async def load(stage: Stage) -> object:
    loaded = stage.manager.load_plugin(stage.found, dict(stage.subject.config) or None)
    assert loaded is True, f"load_plugin gave {loaded!r}: {_why(stage)}"
    stage.queue = stage.system.JobQueue(
        stage.manager, cancel_timeout=1.0, progress_poll_interval=0.2
    )
    await stage.queue.start()
    handle = stage.manager.get_plugin(stage.name)
    return [handle.name, handle.version, [one.name for one in stage.manager.list_plugins()]]


def _why(stage: Stage) -> str:
    return str(stage.manager.get_plugin_logs(stage.name))[-300:]


@act("current configuration and its schema")
async def configuration(stage: Stage) -> object:
    return [
        stage.manager.get_plugin_config(stage.name),
        stage.manager.get_plugin_config_schema(stage.name),
        sorted(stage.manager.get_all_plugin_configs()),
    ]


@act("jobs on real input complete with the same results")
async def execute(stage: Stage) -> object:
    return [await stage.work(call) for call in stage.subject.calls]


@act("`execute_plugin` and `execute_plugin_async` of the manager")
async def execute_directly(stage: Stage) -> object:
    call = stage.filled(stage.subject.calls[-1])
    return [
        await asyncio.to_thread(stage.manager.execute_plugin, stage.name, **call),
        await stage.manager.execute_plugin_async(stage.name, **call),
    ]


@act("the progress that the plugin reports is seen on the running job")
async def progress(stage: Stage) -> object:
    applies(stage.subject.steps)
    assert stage.subject.steps is not None
    seen: list[tuple[float, str]] = []
    number = await stage.queue.submit(stage.name, **stage.filled(stage.subject.steps))
    job = stage.queue.get_job(number)

    def ended() -> bool:
        if job.status.value == "running":
            seen.append((job.progress, job.status_message))
        return job.status.value in ("completed", "failed", "cancelled")

    await until(ended, PATIENCE)
    assert job.status.value == "completed", job.error
    assert any(0 < part < 1 and words for part, words in seen), f"saw only {sorted(set(seen))}"
    shares = [part for part, _ in seen]
    assert shares == sorted(shares), "it went back"
    return [job.progress, job.result["segment_count"]]


@act("a path, and an object that saves itself (`FileBackedDTO`), as arguments")
async def arguments(stage: Stage) -> object:
    applies(stage.subject.sound)
    assert stage.subject.sound is not None
    speech = stage.inputs / "speech.wav"

    class Recording:
        def to_temp_file(self) -> str:
            return str(speech)

    return [await stage.work(stage.subject.sound, sound) for sound in (speech, Recording())]


@act("`execute_plugin_stream` gives the same pieces")
async def stream(stage: Stage) -> object:
    call = stage.filled(stage.subject.calls[0])
    return [piece async for piece in stage.manager.execute_plugin_stream(stage.name, **call)]


@act("what the plugin logs is in `get_job_logs` and `get_plugin_logs`")
async def logs(stage: Stage) -> object:
    applies(stage.subject.says)
    words = stage.subject.says
    whole = stage.manager.get_plugin_logs(stage.name, lines=1_000)
    assert words in whole, f"get_plugin_logs has no {words!r}: {whole[-200:]!r}"
    texts = [stage.queue.get_job_logs(job.id, lines=1_000) for job in stage.ended]
    # A plugin that says it before a job began says it only in the plugin's log.
    from_jobs = any(words in text for text in texts)
    assert from_jobs or words.startswith("Init"), f"get_job_logs has no {words!r}"
    return True


@act("it writes into the database that its manifest names")
async def data(stage: Stage) -> object:
    path = stage.found.manifest.get("db_path")
    applies(path and not stage.subject.volatile)  # the monitor has one and keeps nothing there
    rows = _rows(Path(path))
    assert any(rows.values()), f"no rows in {path}: {rows}"
    return rows


def _rows(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
        names = sorted(name for (name,) in database.execute(query))
        return {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names
        }


@act("`update_plugin_config` while it is loaded")
async def update(stage: Stage) -> object:
    applies(stage.subject.change)
    before = stage.pid()
    assert stage.manager.update_plugin_config(stage.name, dict(stage.subject.change)) is True
    assert stage.pid() == before, "another process"
    return stage.manager.get_plugin_config(stage.name)


@act("a job that fails, with the plugin's own words")
async def fail(stage: Stage) -> object:
    job = await stage.run(stage.subject.bad)
    assert job.status.value == "failed", f"{job.status.value}: {job.result!r}"
    assert stage.subject.complaint in job.error, job.error
    return [job.status.value, job.result]


@act("a waiting job is cancelled without having run")
async def cancel_waiting(stage: Stage) -> object:
    first, second = [
        await stage.queue.submit(stage.name, **stage.filled(stage.subject.calls[0]))
        for _ in range(2)
    ]
    assert await stage.queue.cancel(second) is True
    jobs = [await stage.queue.wait_for_job(one, timeout=PATIENCE) for one in (first, second)]
    assert await stage.queue.cancel(second) is False
    return [[job.status.value, job.error] for job in jobs]


@act("a running job is cancelled, in the middle of its work")
async def cancel_running(stage: Stage) -> object:
    slow = stage.subject.slow
    applies(slow)
    assert slow is not None
    number = await stage.queue.submit(stage.name, **stage.filled(slow))
    job = stage.queue.get_job(number)
    async with asyncio.timeout(PATIENCE):
        while not job.completed_at and not _is_underway(stage, job):
            await asyncio.sleep(0.05)  # looking at all processes is not for nothing
    assert job.status.value == "running", f"{job.status.value}: {job.error}"
    assert await stage.queue.cancel(number) is True
    job = await stage.queue.wait_for_job(number, timeout=PATIENCE)
    stage.left_running = [process.pid for process in converters(stage.inputs / "long.wav")]
    stage.cancelled = job
    assert job.status.value == "cancelled", job.status.value
    return [job.status.value, job.result, job.error]


def _is_underway(stage: Stage, job: Any) -> bool:
    underway = stage.subject.underway
    return job.status.value == "running" and (underway is None or underway(stage.inputs))


@act("nothing that the cancelled job had started runs when its row says *cancelled*")
async def nothing_left(stage: Stage) -> object:
    applies(stage.subject.slow and stage.subject.slow.get("action") == "convert")
    assert stage.cancelled is not None, "it was not cancelled"
    for process in converters(stage.inputs / "long.wav"):
        process.kill()
    assert not stage.left_running, "ffmpeg went on converting"
    return True


@act("the next job runs")
async def next_job(stage: Stage) -> object:
    return await stage.work(stage.subject.calls[0])


@act("`disable_plugin`, `enable_plugin`")
async def switch(stage: Stage) -> object:
    call = stage.subject.calls[0]
    assert stage.manager.disable_plugin(stage.name) is True
    refused = await stage.run(call)
    assert stage.manager.enable_plugin(stage.name) is True
    await stage.work(call)
    assert "disabled" in refused.error, refused.error
    return refused.status.value


@act("`reload_plugin`: another process, the same configuration")
async def reload(stage: Stage) -> object:
    before, configuration = stage.pid(), stage.manager.get_plugin_config(stage.name)
    assert stage.manager.reload_plugin(stage.name) is True
    assert stage.pid() != before, "the same process"
    assert not alive(before), "the old process lives"
    assert stage.manager.get_plugin_config(stage.name) == configuration
    await stage.work(stage.subject.calls[0])
    return configuration


@act("`unload_plugin`: its process is gone, jobs for it fail")
async def unload(stage: Stage) -> object:
    pid = stage.pid()
    assert stage.manager.unload_plugin(stage.name) is True
    assert not alive(pid), "its process lives"
    assert stage.manager.get_plugin(stage.name) is None
    job = await stage.run(stage.subject.calls[0])
    assert "not loaded" in job.error, job.error
    return [job.status.value, [one.name for one in stage.manager.list_plugins()]]


@act("after its process was killed it works again, at the latest for the second job")
async def killed(stage: Stage) -> object:
    assert stage.manager.load_plugin(stage.found, dict(stage.subject.config) or None) is True
    os.kill(stage.pid(), signal.SIGKILL)
    await stage.run(stage.subject.calls[0])
    return await stage.work(stage.subject.calls[0])
