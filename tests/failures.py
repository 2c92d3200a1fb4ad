"""Ways to fail, as Python texts, and what a user is told of each: one table for all who run it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jobqueue_widget import PluginManager
from tests.reference import manifest

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.68 GiB of "
    "which 848.00 MiB is free. Process 7 has 22.8 GiB memory in use."
)
OLD_CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 11.17 GiB total capacity; 10.68 GiB "
    "already allocated; 12.00 MiB free; 10.73 GiB reserved in total by PyTorch)"
)
NUMPY = "Unable to allocate 7.50 GiB for an array with shape (1000, 1006633) and data type float64"
TORCH = "class OutOfMemoryError(RuntimeError): pass\n"
CLASSES = """
class ServiceError(Exception): pass
class Shortfall:
    resource, needed, available = "gpu_vram_mb", 8000.0, 6500.0
class ResourceError(ServiceError):
    category, default_retriable = "resource", True
    def __init__(self, message):
        super().__init__(message)
        self.resource_shortfall = Shortfall()
class Busy(ServiceError):
    category, retriable, retry_after = "transient", True, 7.5
class Hopeless(ServiceError, ConnectionError):
    category = "fatal"
class Liar(ValueError):
    category, retriable, retry_after = 7, "yes", float("nan")
    shortfall = {"gpu_mib": "much"}
class Trap(TimeoutError):
    @property
    def category(self): raise SystemExit("no")
class Named(str): pass
class Odd(ServiceError):
    category = Named("user_input")
"""


class Case(NamedTuple):
    source: str
    category: str | None
    retriable: bool = False
    shortfall: Mapping[str, float] | None = None
    retry_after: float | None = None


def raising(expression: str, before: str = "") -> str:
    return f"{before}\nraise {expression}"


def subclass_of(name: str) -> str:
    """An exception of the user's own, two steps below a known one."""
    return (
        f"class Mine({name}): pass\n"
        "class MineToo(Mine):\n"
        "    def __init__(self): pass\n"
        "    __str__ = lambda self: 'mine'\n"
        "raise MineToo()"
    )


BUILT_IN: dict[str, tuple[str | None, bool]] = {
    **dict.fromkeys(("ValueError", "TypeError", "KeyError"), ("user_input", False)),
    **dict.fromkeys(("UnicodeError", "FileNotFoundError"), ("user_input", False)),
    **dict.fromkeys(("PermissionError", "IsADirectoryError"), ("user_input", False)),
    **dict.fromkeys(("ConnectionError", "ConnectionResetError"), ("transient", True)),
    **dict.fromkeys(("TimeoutError", "BlockingIOError", "OSError"), ("transient", True)),
    "MemoryError": ("resource", True),
    **dict.fromkeys(("AssertionError", "AttributeError", "ImportError"), ("fatal", False)),
    **dict.fromkeys(("ZeroDivisionError", "IndexError", "NotImplementedError"), ("fatal", False)),
    **dict.fromkeys(("RecursionError", "NameError", "ModuleNotFoundError"), ("fatal", False)),
    **dict.fromkeys(("RuntimeError", "Exception", "StopIteration"), (None, False)),
}
CASES: dict[str, Case] = {
    **{name: Case(raising(f"{name}('no')"), *told) for name, told in BUILT_IN.items()},
    **{f"below {name}": Case(subclass_of(name), *told) for name, told in BUILT_IN.items()},
    "torch": Case(
        raising(f"OutOfMemoryError({CUDA!r})", TORCH), "resource", True, {"gpu_mib": 1200.0}
    ),
    "an older torch": Case(
        raising(f"RuntimeError({OLD_CUDA!r})"), "resource", True, {"gpu_mib": 8.0}
    ),
    "an accelerator": Case(raising("RuntimeError('CUDA error: out of memory')"), "resource", True),
    "ctranslate2": Case(
        raising("RuntimeError('CUDA failed with error out of memory')"), "resource", True
    ),
    "cublas": Case(raising("RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when')"), "resource", True),
    "numpy": Case(raising(f"MemoryError({NUMPY!r})"), "resource", True, {"ram_mib": 7680.0}),
    "jax": Case(
        raising("RuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate')"),
        "resource",
        True,
    ),
    "no fork": Case(raising("OSError(12, 'Cannot allocate memory')"), "resource", True),
    "a full disk": Case(raising("OSError(28, 'No space left on device')"), "resource", True),
    "wrapped": Case(
        raising(f"RuntimeError('it failed') from OutOfMemoryError({CUDA!r})", TORCH),
        "resource",
        True,
    ),
    "wrapped, in words": Case(
        raising(f"RuntimeError('model: ' + {CUDA!r})"), "resource", True, {"gpu_mib": 1200.0}
    ),
    "caused by itself": Case("e = Exception('round')\nraise e from e", None),
    "a quota": Case(
        raising("APIError('429 RESOURCE_EXHAUSTED. quota')", "class APIError(Exception): pass"),
        "transient",
        True,
    ),
    "a wrong key": Case(
        raising(
            "HTTPError('HTTP Error 401: no')",
            "from urllib.error import URLError\nclass HTTPError(URLError): pass",
        ),
        "user_input",
    ),
    "a service that is down": Case(
        raising("HTTPError('502 Bad Gateway')", "class HTTPError(Exception): pass"),
        "transient",
        True,
    ),
    "no such host": Case(
        raising("socket.gaierror(-2, 'unknown')", "import socket"), "transient", True
    ),
    "stated, with a shortfall": Case(
        raising("ResourceError('no room')", CLASSES), "resource", True, {"gpu_mib": 1500.0}
    ),
    "stated, with a wait": Case(raising("Busy('later')", CLASSES), "transient", True, None, 7.5),
    "stated against its class": Case(raising("Hopeless('never')", CLASSES), "fatal"),
    "stated nonsense": Case(raising("Liar('no')", CLASSES), "user_input"),
    "stated by a trap": Case(raising("Trap('no')", CLASSES), "transient", True),
    "stated by a text of its own": Case(raising("Odd('no')", CLASSES), "user_input"),
}
"""What an exception is, wherever it is raised."""

DEATHS: dict[str, Case] = {
    "kill -9": Case("import os; os.kill(os.getpid(), 9)", "resource", True),
    "a crash": Case("import os; os.kill(os.getpid(), 11)", "fatal"),
    "terminated": Case("import os; os.kill(os.getpid(), 15)", "transient", True),
    "an exit": Case("import os; os._exit(3)", "fatal"),
    "an exit of a shell": Case("import os; os._exit(137)", "resource", True),
}
"""The same of processes that died."""


def told(failure: Any) -> tuple[object, ...]:
    """What a failure says, in the order of a case."""
    return (failure.category, failure.retriable, failure.shortfall, failure.retry_after)


@contextmanager
def failing_manager(
    folder: Path, *names: str, config: dict[str, Any] | None = None, **more: Any
) -> Iterator[PluginManager]:
    """Our manager with plugins that fail as they are told."""
    manifests = folder / "manifests"
    manifests.mkdir(parents=True)
    for name in names:
        written = manifest(name, "Failing", module="failing", **more)
        (manifests / f"{name}.json").write_text(json.dumps(written))
    with PluginManager(search_paths=[manifests], data_dir=folder) as manager:
        manager.discover_manifests()
        for name in names:
            meta = manager.get_discovered_meta(name)
            assert meta is not None
            assert manager.load_plugin(meta, config)
        yield manager
