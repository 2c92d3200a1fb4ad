"""Finds the category of a failure, by one table of exceptions, texts and signals.

The four categories are those of the reference system's later versions. The first of these that
tells the category decides: what the exception says of itself, words that only a lack of memory has,
the classes of the exception (and of its causes), how the process ended.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Category = Literal["user_input", "transient", "resource", "fatal"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
MOST_KINDS = 40
POSSIBLY_OUT_OF_MEMORY = "possibly out of memory"
"""Said of a process that was ended by a SIGKILL that is not ours, as the system does."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What an exception's attributes say of it; None where they say nothing.

    `retry_after` in seconds; `shortfall` by the name of the resource.
    """

    category: Category | None = None
    retriable: bool | None = None
    retry_after: float | None = None
    shortfall: Mapping[str, float] | None = None


NOTHING_STATED = Stated()

_NAMES: dict[Category, str] = {
    "user_input": """
        ValueError TypeError KeyError
        FileNotFoundError FileExistsError IsADirectoryError NotADirectoryError PermissionError
        ResultTooLarge""",
    "transient": """
        ConnectionError TimeoutError InterruptedError BlockingIOError OSError EOFError
        gaierror herror SSLError URLError HTTPException TransportError Timeout
        ConnectError ConnectTimeout ReadTimeout ServerError ServiceUnavailable TooManyRequests
        RateLimitError APIConnectionError APITimeoutError InternalServerError
        TimeLimitExceeded DeadlineExceeded WorkerLost KernelDied EventLoopClosed PluginBusy
        BrokenExecutor NoPlace ResultLost StationFailed""",
    "resource": """
        MemoryError OutOfMemoryError ImpossibleRequest""",
    "fatal": """
        ArithmeticError AssertionError AttributeError BufferError ImportError IndexError NameError
        NotImplementedError RecursionError ReferenceError SyntaxError SystemError
        SSLCertVerificationError
        CouldNotBeEnded ExecutorError NotRestorableError PicklingError PluginBroken
        PluginLoadError PluginNotLoaded PluginNotReloaded UnpicklableResult UnreadableResult""",
}
BY_NAME: Mapping[str, Category] = {
    name: category for category, names in _NAMES.items() for name in names.split()
}
NO_EXCEPTION: Mapping[str, frozenset[str]] = {
    "worker died": frozenset({"WorkerDied", "WorkerLost"}),
    "time limit": frozenset({"TimeLimitExceeded"}),
}
"""Ends that are no exception of the job, as `retry_on` names them."""
_CALLED = {
    **{type_name: kind for kind, names in NO_EXCEPTION.items() for type_name in names},
    "DeadlineExceeded": "deadline",
}
_ALL_HAVE = frozenset({"Exception", "BaseException"})  # so workers do not tell them
_NOT_CAUGHT = frozenset({"SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError"})
_OUT_OF_MEMORY_NAMES = frozenset({"MemoryError", "OutOfMemoryError"})
_SAYS_STATUS = frozenset(
    {"HTTPError", "HTTPStatusError", "ClientError", "ClientResponseError", "ResponseError"}
    | {"APIError", "APIStatusError"}
)
"""Errors of HTTP clients whose text has the status."""
_PASSES = frozenset({"408", "409", "425", "429"})  # may pass later (RFC 9110, 6585, 8470)

_OUT_OF_MEMORY = re.compile(
    r"\b(?:cuda\w*|hip\w*|rocm|gpu|mps|xpu|device|vram|metal|vulkan|opencl)\b[^\n]{0,60}"
    r"\bout of memory\b"
    r"|\bRESOURCE_EXHAUSTED: out of memory"
    r"|(?:not enough|can't allocate|cannot allocate|unable to allocate|failed to allocate)\b"
    r"[^\n]{0,40}(?:\bmemory\b|\bbuffer\b|\b[KMGT]i?B\b)"
    r"|_ALLOC_FAILED\b|_OUT_OF_MEMORY\b|\bcudaErrorMemoryAllocation\b|\bstd::bad_alloc\b"
    rf"|\({POSSIBLY_OUT_OF_MEMORY}\)",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|disk is full|Too many open files"
    r"|can't start new thread|Resource temporarily unavailable",
    re.IGNORECASE,
)
_SIGNALS: Mapping[str, Category | None] = {
    "SIGKILL": None,  # anybody may send it; the text tells if memory was the reason
    "SIGTERM": "transient",
    "SIGINT": "transient",
    "SIGHUP": "transient",
    "SIGXCPU": "resource",
    "SIGXFSZ": "resource",
}
_EXIT_CODES: Mapping[int, Category] = {137: "resource", 143: "transient"}  # 128 + the signal
_TOLD_LENGTH = 4_000  # characters of a message that are read


def category_of(
    names: Iterable[str],
    message: str,
    signal_name: str | None,
    exit_code: int | None,
    stated: Stated,
) -> Category | None:
    """Return the category of a failure; None where nothing tells it.

    Args:
        names: the classes of its exception, the most derived first, then those of its causes.
        message: its text.
        signal_name: the signal that ended its process, if one did.
        exit_code: the exit code of its process, if it ended by itself.
        stated: what the exception says of itself.
    """
    if stated.category is not None:
        return stated.category
    names, told = tuple(names), message[:_TOLD_LENGTH]
    if _OUT_OF_MEMORY.search(told):
        return "resource"
    known = _by_names(names, told)
    if known is not None:
        return known
    if signal_name is not None:
        return _SIGNALS.get(signal_name, "fatal")
    return None if exit_code is None else _EXIT_CODES.get(exit_code, "fatal")


def _by_names(names: tuple[str, ...], told: str) -> Category | None:
    for name in names:
        if name in _SAYS_STATUS:
            found = re.search(r"\b[45]\d\d\b", told)
            if found is not None:
                status = found.group()
                return "transient" if status[0] == "5" or status in _PASSES else "user_input"
        elif name == "OSError" and _FULL.search(told):
            return "resource"
        elif name in BY_NAME:
            return BY_NAME[name]
    return "resource" if "RuntimeError" in names and _FULL.search(told) else None


def is_out_of_memory(names: Iterable[str], message: str, stated: Stated) -> bool:
    """True if the same call may succeed once other work has freed memory."""
    if stated.category is not None:
        short = stated.shortfall
        memory = not short or any(name in ("ram_mib", "gpu_mib") for name in short)
        return stated.category == "resource" and memory and stated.retriable is not False
    if _OUT_OF_MEMORY.search(message[:_TOLD_LENGTH]) is not None:
        return True
    known = next((name for name in names if name in BY_NAME), "")
    return known in _OUT_OF_MEMORY_NAMES


def is_one_of(own: Collection[str], wanted: Iterable[str], *, was_raised: bool) -> bool:
    """True if a failure with these names is of a wanted kind.

    Args:
        own: the classes of its exception and of its causes.
        wanted: names of classes, and keys of `NO_EXCEPTION`.
        was_raised: whether it was an exception at all.
    """
    for name in wanted:
        if not NO_EXCEPTION.get(name, frozenset({name})).isdisjoint(own):
            return True
        if name in _ALL_HAVE and (was_raised or not _ALL_HAVE.isdisjoint(own)):
            return name == "BaseException" or _NOT_CAUGHT.isdisjoint(own)
    return False


def kind_of(type_name: str) -> str:
    """Return what failures of this type are called together."""
    return _CALLED.get(type_name, type_name)


def is_retriable(category: Category | None, names: Iterable[str], stated: Stated) -> bool:
    """True if the same call may succeed when it is repeated."""
    if stated.retriable is not None:
        return stated.retriable
    return category in ("transient", "resource") and "ImpossibleRequest" not in names


# -- what is missing -----------------------------------------------------------------------------

_MIB = {"B": 2.0**-20, "K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
_AMOUNT = r"([\d.]{1,20})\s*(bytes|[KMGT]i?B)\b"
_WANTED = re.compile(
    rf"(?:tried to allocate|unable to allocate|failed to allocate)\s+{_AMOUNT}", re.IGNORECASE
)
_FREE = re.compile(rf"of which {_AMOUNT} is free|;\s*{_AMOUNT} free", re.IGNORECASE)


def shortfall_of(message: str, stated: Stated) -> Mapping[str, float] | None:
    """Return how much was missing (MiB), by the name of the resource; None where nobody told.

    It is read from the message of PyTorch or NumPy for a failed allocation: what was wanted, less
    what was free where that is told.
    """
    if stated.shortfall is not None:
        return stated.shortfall
    told = message[:_TOLD_LENGTH]
    wanted = _WANTED.search(told)
    if wanted is None or _OUT_OF_MEMORY.search(told) is None:
        return None
    free = _FREE.search(told)
    missing = _mib(*wanted.groups())
    if free is not None:
        missing -= _mib(*(group for group in free.groups() if group is not None))
    is_gpu = re.search(r"\b(?:cuda|hip|mps|xpu|gpu)\b", told, re.IGNORECASE) is not None
    return {"gpu_mib" if is_gpu else "ram_mib": round(max(0.0, missing), 1)}


def _mib(number: str, unit: str) -> float:
    try:
        return float(number) * _MIB[unit[0].upper()]
    except ValueError:
        return 0.0


# -- values from workers and journals ------------------------------------------------------------

_RESOURCES = {
    "gpu_vram_mb": "gpu_mib",
    "system_ram_mb": "ram_mib",
    "disk_mb": "disk_mib",
    "gpu_mib": "gpu_mib",
    "ram_mib": "ram_mib",
    "disk_mib": "disk_mib",
    "cpus": "cpus",
    "gpus": "gpus",
}
"""Names of resources, also those of the reference system's later versions."""


def kinds_from(told: object) -> tuple[str, ...]:
    """Read the names of classes from what a worker or a journal tells, whatever that is."""
    if not isinstance(told, (list, tuple)):
        return ()
    return tuple(name[:200] for name in told[:MOST_KINDS] if isinstance(name, str))


def stated_from(told: object) -> Stated:
    """Read what an exception said of itself from what a worker or a journal tells."""
    if not isinstance(told, Mapping):
        return NOTHING_STATED
    retriable, named = told.get("retriable"), told.get("category")
    found = Stated(
        category=next((one for one in CATEGORIES if one == named), None),
        retriable=retriable if isinstance(retriable, bool) else None,
        retry_after=amount_of(told.get("retry_after")),
        shortfall=_amounts(told.get("shortfall")),
    )
    return NOTHING_STATED if found == NOTHING_STATED else found


def stated_as_plain(stated: Stated) -> dict[str, object]:
    """Return plain values for `stated_from`; empty if nothing was stated."""
    told = {
        "category": stated.category,
        "retriable": stated.retriable,
        "retry_after": stated.retry_after,
        "shortfall": None if stated.shortfall is None else dict(stated.shortfall),
    }
    return {name: value for name, value in told.items() if value is not None}


def amount_of(value: object) -> float | None:
    """Read a finite number of at least 0 from what others tell; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except Exception:  # an integer beyond all floats; a subclass may raise anything
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _amounts(told: object) -> Mapping[str, float] | None:
    if not isinstance(told, Mapping):
        return None
    found: dict[str, float] = {}
    for name, resource in _RESOURCES.items():
        amount = amount_of(told.get(name))
        if amount:
            found[resource] = amount
    return found or None
