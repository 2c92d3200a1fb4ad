"""A plugin written for our interface, in a worker of our manager."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobqueue_widget import JobCancelled, PluginInterface, current_job, track


@dataclass
class Word:
    """What a plugin may return, once its type is registered."""

    text: str
    box: tuple[int, ...] = ()
    more: dict[int, Any] = field(default_factory=dict)


@dataclass
class Secret:
    """What nobody registers."""

    text: str


class Toolbox(PluginInterface):
    """Does what its first argument says."""

    name = "toolbox"
    version = "2.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._asked = threading.Event()
        self._kept: list[bytes] = []

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        config = dict(config or {})
        if config.get("flavour") == "impossible":
            raise ValueError("there is no such flavour")
        if config.get("slow"):
            time.sleep(config["slow"])
        self._config = config

    def get_config_schema(self) -> dict[str, Any]:
        return {"properties": {"flavour": {"type": "string"}}}

    def get_current_config(self) -> dict[str, Any]:
        return self._config

    def cleanup(self) -> None:
        if path := self._config.get("cleaned"):
            Path(path).touch()
        if self._config.get("stays"):
            time.sleep(60)

    def cancel(self) -> None:
        if self._config.get("cancel") == "hangs":
            time.sleep(60)
        if self._config.get("cancel") == "raises":
            raise ValueError("not now")
        self._asked.set()
        if self._config.get("cancel") == "waits":
            time.sleep(0.1)  # as one does that waits for its process to end

    def release(self) -> None:
        self._kept.clear()
        if path := self._config.get("released"):
            Path(path).write_text("released")

    def execute(self, /, what: str = "echo", *args: Any, **kwargs: Any) -> Any:
        self._asked.clear()
        return getattr(self, f"do_{what}")(*args, **kwargs)

    def execute_stream(self, what: str, *args: Any) -> Iterator[Any]:
        yield from getattr(self, f"stream_{what}")(*args)

    # -- values ----------------------------------------------------------------------------------

    def do_echo(self, /, *args: Any, **kwargs: Any) -> Any:
        return args[0] if args else kwargs

    def do_kinds(self, *args: Any) -> list[str]:
        return [f"{type(one).__module__}.{type(one).__qualname__}" for one in args]

    def do_word(self, text: str) -> Word:
        return Word(text, (1, 2), {3: b"\0\xff"})

    def do_secret(self) -> dict[str, Any]:
        return {"a": [1, 2, 3, Secret("x")]}

    def do_code(self) -> Any:
        return self.do_code

    def do_zeros(self, size: int) -> bytes:
        return bytes(size)

    def do_numpy(self) -> Any:
        import numpy

        return {"grid": numpy.arange(6.0).reshape(2, 3), "one": numpy.float32(0.5)}

    # -- surroundings ----------------------------------------------------------------------------

    def do_environment(self) -> dict[str, str]:
        return dict(os.environ)

    def do_about(self) -> dict[str, Any]:
        return {
            "argv": sys.argv,
            "command": Path("/proc/self/cmdline").read_bytes().decode().split("\0"),
            "path": sys.path,
            "pid": os.getpid(),
            "threads": sorted(thread.name for thread in threading.enumerate()),
        }

    def do_config(self) -> dict[str, Any]:
        return self._config

    def do_say(self, text: str, how: str = "print") -> None:
        if how == "C":
            libc = ctypes.CDLL(None)
            libc.printf(b"%s\n", text.encode())
        elif how == "write":
            os.write(1, f"{text}\n".encode())
        else:
            sys.stdout.write(f"{text}\n")  # nobody flushes

    def do_job(self) -> Any:
        job = current_job()
        job.log("said through current_job")
        return [job.id, job.attempt]

    def do_track(self, count: int) -> int:
        return sum(track(range(count), "counting"))

    def do_bar(self, count: int) -> int:
        from tqdm import tqdm

        return sum(tqdm(range(count), desc="summing"))

    def do_report(self, progress: Any, message: str) -> None:
        self.report_progress(progress, message)

    def do_together(self, folder: str, count: int) -> int:
        """Returns once so many of its kind are at work."""
        (Path(folder) / str(os.getpid())).touch()
        while len(list(Path(folder).iterdir())) < count:
            time.sleep(0.005)
        return os.getpid()

    # -- ways to be ended ------------------------------------------------------------------------

    def do_sleep(self, seconds: float = 60.0, path: str | None = None) -> str:
        self._begin(path)
        time.sleep(seconds)
        return "slept"

    def do_spin(self, path: str | None = None) -> int:
        self._begin(path)
        return sum(range(10**12))  # one call in C, with the GIL

    def do_aware(self, path: str | None = None) -> str:
        self._begin(path)
        while not self._asked.wait(0.01):
            continue
        return "stopped by itself"

    def do_polite(self, path: str | None = None) -> None:
        self._begin(path)
        while True:
            current_job().checkpoint()
            time.sleep(0.005)

    def do_stubborn(self, path: str | None = None) -> str:
        self._begin(path)
        while True:
            try:
                while not (path and Path(f"{path}.released").exists()):
                    time.sleep(0.005)
                return "released"
            except JobCancelled:
                continue

    def do_exit(self, code: int) -> None:
        os._exit(code)

    def do_kill(self, number: int) -> None:
        os.kill(os.getpid(), number)
        time.sleep(60)

    def do_family(self, path: str) -> None:
        """A child, one in a session of its own, and one whose parent is gone."""
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        pids = [subprocess.Popen(sleep, start_new_session=new).pid for new in (False, True)]
        code = f"import subprocess; print(subprocess.Popen({sleep}, stdout=-3).pid)"
        daemon = [sys.executable, "-c", code]
        pids.append(int(subprocess.check_output(daemon, start_new_session=True)))
        Path(path).write_text(" ".join(map(str, pids)))
        time.sleep(600)

    def do_fail(self) -> None:
        raise LookupError("as it was told")

    def _begin(self, path: str | None) -> None:
        if path:
            Path(path).write_text(str(os.getpid()))

    # -- streams ---------------------------------------------------------------------------------

    def stream_count(self, count: int, path: str | None = None) -> Iterator[Any]:
        for number in range(count):
            if path:
                Path(path).write_text(str(number))
            yield (number, {number: "piece"})

    def stream_fail(self, count: int) -> Iterator[int]:
        yield from range(count)
        raise LookupError("as it was told")

    def stream_code(self) -> Iterator[Any]:
        yield 1
        yield self.stream_code

    def stream_for_ever(self, path: str) -> Iterator[int]:
        try:
            yield os.getpid()
            while True:
                time.sleep(0.005)
                current_job().checkpoint()
        finally:
            Path(path).touch()


class NeverLoads:
    """Its constructor raises."""

    def __init__(self) -> None:
        sys.stderr.write("looking for the model\n")
        raise FileNotFoundError("no model at /nowhere")


class DiesWhileLoading:
    """Its constructor ends the process."""

    def __init__(self) -> None:
        sys.stderr.write("loading a broken library\n")
        os._exit(7)


class HangsWhileLoading(Toolbox):
    """Its configuration takes for ever."""

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        Path((config or {})["began"]).touch()
        time.sleep(60)


class Plain:
    """No base class, and only what is needed."""

    def __init__(self) -> None:
        self.calls: list[Callable[..., Any]] = []

    def execute(self, value: Any) -> Any:
        return ["plain", value]
