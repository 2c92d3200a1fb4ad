"""Plugin hosts that a test can make unwell, and hosts with other abilities."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from jobqueue_widget.testing import FakePlugin, FakePluginHost
from tests.contract import bodies
from tests.crash.processes import alive


class Unwell(FakePlugin):
    """A plugin whose calls do what the test tells them; a call that is not told is answered."""

    def __init__(self, host: UnwellHost, *args: Any) -> None:
        super().__init__(*args)
        self._host = host

    def cancel(self) -> None:
        self._host.meet("cancel")
        super().cancel()

    def get_progress(self) -> dict[str, object]:
        answer: dict[str, object] = self._host.meet("get_progress", super().get_progress())
        return answer

    def get_current_config(self) -> object:
        return self._host.meet("get_current_config", super().get_current_config())


class UnwellHost(FakePluginHost):
    """A fake host; `moods` says how each call of it goes, and `over` ends those that hang."""

    def __init__(self, **functions: Callable[..., object]) -> None:
        self.moods: dict[str, Callable[[], object]] = {}
        self.over = threading.Event()
        super().__init__(**(functions or {"one": bodies.in_plugin, "two": bodies.in_plugin}))

    def meet(self, call: str, answer: Any = None) -> Any:
        mood = self.moods.get(call)
        return answer if mood is None else mood()

    async def meet_async(self, call: str, answer: Any = None) -> Any:
        if self.moods.get(call) == self.hang:
            await asyncio.Event().wait()
        return self.meet(call, answer)

    def hang(self) -> None:
        self.over.wait(30)

    def make_plugin(self, name: str, config: object) -> FakePlugin:
        return Unwell(self, self._functions[name], self._logs[name], config)

    def reload_plugin(self, name: str, config: object = None) -> bool:
        mood = self.moods.get("reload_plugin")
        if mood is None:
            return super().reload_plugin(name, config)
        self.reloads.append((name, config))
        return bool(mood())


class Scheduler:
    """Lets plugins wait for resources, as those of the reference do."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def on_execution_start(self, plugin: str) -> None:
        self.started.append(plugin)


class HostWithScheduler(UnwellHost):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler()
        self._has_room = False

    def make_room(self) -> None:
        self._has_room = True

    async def execute_plugin_async(self, plugin: str, /, *args: Any, **kwargs: Any) -> object:
        self.meet("wait")
        while not self._has_room:
            await asyncio.sleep(0.005)
        self.scheduler.on_execution_start(plugin)
        return await super().execute_plugin_async(plugin, *args, **kwargs)


class InlineHost(UnwellHost):
    """Runs plugins on its own loop, which is blocked meanwhile."""

    async def execute_plugin_async(self, plugin: str, /, *args: Any, **kwargs: Any) -> object:
        return self._plugins[plugin].run(args, kwargs)


class StubbornHost(UnwellHost):
    """Never gives up an execution."""

    async def execute_plugin_async(self, plugin: str, /, *args: Any, **kwargs: Any) -> object:
        while not self.over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.005)
        return None


class MinimalHost:
    """The three calls, and no more."""

    def __init__(self, **functions: Callable[..., object]) -> None:
        self._host = FakePluginHost(**functions)
        self.get_plugin = self._host.get_plugin
        self.execute_plugin_async = self._host.execute_plugin_async
        self.reload_plugin = self._host.reload_plugin


class NamesItsOwn(FakePluginHost):
    """As the reference manager does."""

    async def execute_plugin_async(self, plugin_name: str, *args: Any, **kwargs: Any) -> object:
        return await super().execute_plugin_async(plugin_name, *args, **kwargs)


class HostWithProcesses(UnwellHost):
    """Its plugins show a process, with a child; `alive_at_reload` says what a reload found."""

    def __init__(self) -> None:
        self.alive_at_reload: list[int] = []
        super().__init__()
        self.family: list[psutil.Process] = []

    def start_process(self, name: str) -> None:
        command = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', "
        command += "'import time; time.sleep(600)']); time.sleep(600)"
        process = subprocess.Popen([sys.executable, "-c", command], start_new_session=True)
        self._plugins[name].process = process  # type: ignore[attr-defined]
        me = psutil.Process(process.pid)
        while not (children := me.children()):
            time.sleep(0.005)
        self.family = [me, *children]

    def reload_plugin(self, name: str, config: object = None) -> bool:
        self.alive_at_reload += [one.pid for one in self.family if alive(one.pid)]
        return super().reload_plugin(name, config)


class AsyncPlugin(Unwell):
    """A plugin that is asked by coroutines."""

    async def cancel_async(self) -> None:
        await self._host.meet_async("cancel")
        self.cancel_requested = True

    async def get_progress_async(self) -> Any:
        return await self._host.meet_async("get_progress", self._progress)


class AsyncHost(UnwellHost):
    def make_plugin(self, name: str, config: object) -> FakePlugin:
        return AsyncPlugin(self, self._functions[name], self._logs[name], config)


def raises(name: str) -> Callable[[], object]:
    def mood() -> object:
        raise bodies.ERRORS[name]()

    return mood


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of this is ambiguous")

    __hash__ = None  # type: ignore[assignment]
