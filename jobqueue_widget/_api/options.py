"""Checks of options and constructor arguments; every error names the value and the cure."""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from .._core.jobs import JobStatus
from .._core.machine.resources import GPUS, NAMES
from .._core.spec import DEFAULT_OPTIONS, JobOptions, Resources
from .._core.texts.causes import NO_EXCEPTION
from .._core.texts.fitting import fit
from .._runtime.engine import Settings
from .._threads.threadless import HAS_THREADS, not_there
from ..child.wire import plain
from ..errors import InvalidOptionError
from .sweeps.keys import check_key

Function = TypeVar("Function", bound=Callable[..., Any])


def spelling(parameters: Iterable[inspect.Parameter]) -> Callable[[Function], Function]:
    """Show these parameters to `help()` and tab completion in the place of `*args, **kwargs`."""

    def spell(function: Function) -> Function:
        found = inspect.signature(function)
        own = [one for one in found.parameters.values() if "VAR" not in one.kind.name]
        function.__signature__ = found.replace(parameters=[*own, *parameters])  # type: ignore[attr-defined] # as `inspect` documents it
        return function

    return spell


def check_priority(value: object) -> int:
    """Return the priority: any integer, also numpy's, but not a bool.

    Raises:
        InvalidOptionError: anything else.
    """
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise InvalidOptionError(
        f"priority must be an integer, not {_show(value)}; a higher number runs earlier"
    )


def as_number(value: object) -> float:
    """Return an int or a float as a float; not a number for anything else, a bool too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return math.nan


def check_seconds(name: str, value: object, *, zero: bool = True) -> float:
    """Return a finite number of seconds, not negative.

    Raises:
        InvalidOptionError: anything else.
    """
    number = as_number(value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise InvalidOptionError(f"{name} must be {least} seconds, not {_show(value)}")
    return number


def seconds_or_none(name: str, value: object) -> float | None:
    """Do the same, or return None for None."""
    return None if value is None else check_seconds(name, value)


def check_count(name: str, value: object, least: int) -> int:
    """Return an integer of at least `least`.

    Raises:
        InvalidOptionError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidOptionError(
            f"{name} must be an integer of at least {least}, not {_show(value)}"
        )
    return value


def check_text(name: str, value: object) -> str:
    """Return a text that every front end, journal and file can hold.

    Raises:
        InvalidOptionError: it is none.
    """
    if not isinstance(value, str):
        raise InvalidOptionError(f"{name} must be a text, not {_show(value)}")
    return plain(str.__str__(value))


def check_choice(name: str, value: object, choices: Sequence[str]) -> object:
    """Return one of a few words.

    Raises:
        InvalidOptionError: it is none of them.
    """
    if value in choices:
        return value
    *others, last = (f'"{choice}"' for choice in choices)
    raise InvalidOptionError(f"{name} must be {', '.join(others)} or {last}, not {_show(value)}")


def check_status(value: object) -> JobStatus:
    """Return a status of jobs.

    Raises:
        InvalidOptionError: it is none.
    """
    check_choice("status", value, [one.value for one in JobStatus])
    return JobStatus(value)


def check_callback(value: object) -> None:
    """Accept a plain callable as a subscriber.

    Raises:
        InvalidOptionError: it cannot be called, or is an `async def`.
    """
    if not callable(value):
        raise InvalidOptionError(f"a subscriber must be callable, not {_show(value)}")
    call = getattr(value, "__call__", None)  # noqa: B004 - the method itself is inspected
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call):
        raise InvalidOptionError(
            f"a subscriber is called and never awaited: pass a plain function, or use "
            f"`async for event in queue.events()`; got {_show(value)}"
        )


def make_options(given: Mapping[str, Any]) -> tuple[JobOptions, int | None]:
    """Return the checked options and the priority, if one was given.

    Raises:
        InvalidOptionError: an unknown name, a wrong type or a value out of range.
    """
    for name in given:
        if name not in KNOWN:
            close = difflib.get_close_matches(name, KNOWN, 2)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise InvalidOptionError(
                f"unknown option {name!r}; {hint}known are: {', '.join(KNOWN)}"
            )
    set_ = {name: value for name, value in given.items() if value is not None}
    checked: dict[str, Any] = {name: _CHECKS[name](value) for name, value in set_.items()}
    priority: int | None = checked.pop("priority", None)
    return (_check_together(JobOptions(**checked)) if checked else DEFAULT_OPTIONS), priority


def _check_name(option: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidOptionError(f"{option} must be a text that is not empty, not {_show(value)}")
    return check_text(option, value)


def _check_tags(value: object) -> tuple[str, ...]:
    tags = (value,) if isinstance(value, str) else value
    if not isinstance(tags, Iterable):
        raise InvalidOptionError(f"tags must be texts, not {_show(value)}")
    listed = tuple(tags)
    if not all(isinstance(tag, str) and tag for tag in listed):
        raise InvalidOptionError(f"tags must be texts that are not empty, not {_show(value)}")
    return tuple(check_text("tags", tag) for tag in listed)


def _check_bool(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidOptionError(f"{name} must be True or False, not {_show(value)}")
    return value


def _check_after(value: object) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    ids: list[str] = []
    for item in given:
        job_id = item if isinstance(item, str) else getattr(item, "id", None)
        if not isinstance(job_id, str):
            raise InvalidOptionError(f"after takes jobs or job ids, not {_show(item)}")
        if job_id not in ids:
            ids.append(job_id)
    return tuple(ids)


def _check_retry_on(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    names: list[str] = []
    for one in given:
        if isinstance(one, type) and issubclass(one, BaseException):
            names.append(one.__name__)
        elif isinstance(one, str) and (one in NO_EXCEPTION or one.isidentifier()):
            names.append(str.__str__(one))
        else:
            raise InvalidOptionError(
                f"retry_on takes exception classes, their names, "
                f"{' and '.join(map(repr, NO_EXCEPTION))}, not {_show(one)}"
            )
    return tuple(dict.fromkeys(names))


def _check_together(options: JobOptions) -> JobOptions:
    """Refuse what would do nothing, or something else than it says."""
    if options.retry_on and not options.retries:
        raise InvalidOptionError(
            "retry_on says which failures are tried again; say how often with retries=…"
        )
    if options.rerun and options.key is None:
        raise InvalidOptionError(
            "rerun=True runs again what has the same key; say which with key=…, or leave it out: "
            "a job without a key always runs"
        )
    first, longest = options.backoff, options.backoff_max
    if first is not None and longest is not None and first > longest:
        raise InvalidOptionError(f"backoff={first:g} must not be more than backoff_max={longest:g}")
    delay, deadline = options.delay, options.deadline
    if delay is not None and deadline is not None and delay >= deadline:
        raise InvalidOptionError(
            f"delay={delay:g} must be less than deadline={deadline:g}: both count from the submit, "
            "and the job could never start"
        )
    return options


def _check_resources(value: object) -> Resources:
    if value == "learned":
        return "learned"
    if not isinstance(value, Mapping):
        raise InvalidOptionError(
            f'resources must be "learned" or a mapping like {{"ram_mib": 4096}}, not {_show(value)}'
        )
    checked = {str(name): _check_amount(name, amount) for name, amount in value.items()}
    return {name: amount for name, amount in checked.items() if amount}


def _check_amount(name: object, value: object) -> float:
    number = as_number(value)
    if not math.isfinite(number) or number < 0 or (name == GPUS and number != int(number)):
        kind = "a whole number" if name == GPUS else "a number"
        raise InvalidOptionError(
            f"resources[{name!r}] must be {kind} of 0 or more, not {_show(value)}"
        )
    return number


def check_resource_names(resources: Resources | None) -> None:
    """Check names of resources of jobs that run on this machine.

    Raises:
        InvalidOptionError: one is not known here, so that nothing would ever look at it.
    """
    for name in resources if isinstance(resources, Mapping) else ():
        if name not in NAMES:
            raise InvalidOptionError(
                f"unknown resource {name!r}; known are: {', '.join(NAMES)} (memory in MiB)"
            )


def _check_executor(value: object) -> object:
    if isinstance(value, str):
        if value not in ("process", "thread", "coroutine"):
            raise InvalidOptionError(
                f'executor must be "process", "thread", "coroutine" or an executor object, '
                f"not {_show(value)}"
            )
    elif not callable(getattr(value, "launch", None)):
        raise InvalidOptionError(f"executor has no launch(); {_show(value)} is not an executor")
    return value


def _check_secret(value: object) -> bool | frozenset[str]:
    if isinstance(value, bool):
        return value
    names = [value] if isinstance(value, str) else value
    if isinstance(names, Iterable):
        listed = list(names)
        if all(isinstance(name, str) for name in listed):
            return frozenset(listed)
    raise InvalidOptionError(f"secret must be True, False or parameter names, not {_show(value)}")


def _check_env(value: object) -> Mapping[str, str | None]:
    if not isinstance(value, Mapping):
        raise InvalidOptionError(
            f'env must be a mapping like {{"CUDA_VISIBLE_DEVICES": "1"}}, not {_show(value)}'
        )
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str | None):
            raise InvalidOptionError(
                f"env: {_show(name)} and {_show(text)} must be texts; None removes a variable"
            )
        check_variable(name, text or "")
        if name.startswith("JOBQUEUE_"):
            raise InvalidOptionError(f"env: {name} is the queue's own; take another name")
    return dict(value)


def _check_cwd(value: object) -> str:
    folder = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(folder, str) or not folder or "\0" in folder:
        raise InvalidOptionError(f"cwd must be a folder, not {_show(value)}")
    return os.path.abspath(os.path.expanduser(folder))


_CHECKS: dict[str, Callable[[Any], object]] = {
    "priority": check_priority,
    "label": lambda value: _check_name("label", value),
    "tags": _check_tags,
    "group": lambda value: _check_name("group", value),
    "timeout": lambda value: check_seconds("timeout", value, zero=False),
    "deadline": lambda value: check_seconds("deadline", value, zero=False),
    "delay": lambda value: check_seconds("delay", value),
    "retries": lambda value: check_count("retries", value, 0),
    "retry_on": _check_retry_on,
    "backoff": lambda value: check_seconds("backoff", value),
    "backoff_max": lambda value: check_seconds("backoff_max", value),
    "idempotent": lambda value: _check_bool("idempotent", value),
    "after": _check_after,
    "after_failure": lambda value: check_choice("after_failure", value, ("cancel", "run")),
    "resources": _check_resources,
    "executor": _check_executor,
    "secret": _check_secret,
    "fresh": lambda value: _check_bool("fresh", value),
    "env": _check_env,
    "cwd": _check_cwd,
    "ahead": lambda value: check_count("ahead", value, 1),
    "key": check_key,
    "rerun": lambda value: _check_bool("rerun", value),
    "detached": lambda value: _check_bool("detached", value),
}


KNOWN = tuple(_CHECKS)
PARAMETERS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in KNOWN
]


def make_settings(**given: object) -> Settings:
    """Check the constructor's arguments.

    Raises:
        InvalidOptionError: one is of the wrong type or out of range.
    """
    checked: dict[str, Any] = {name: _SETTINGS[name](name, value) for name, value in given.items()}
    if checked["loop"] == "thread" and not HAS_THREADS:
        raise not_there('loop="thread" cannot be had', "leave loop= out, and `await queue.start()`")
    return Settings(**checked)


def _check_queue_name(name: str, value: object) -> str:
    return "" if value is None else check_text(name, value)


def _check_queue_env(name: str, value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    ):
        raise InvalidOptionError(f"{name} must be a mapping of texts to texts, not {_show(value)}")
    for key, text in value.items():
        check_variable(key, text)
    return dict(value)


def _count_or_none(name: str, value: object, least: int) -> int | None:
    return None if value is None else check_count(name, value, least)


_SETTINGS: dict[str, Callable[[str, Any], object]] = {
    "name": _check_queue_name,
    "max_history": partial(check_count, least=0),
    "keep_ended": partial(check_count, least=0),
    "keep_bytes": partial(check_count, least=0),
    "spool_bytes": partial(_count_or_none, least=0),
    "cancel_timeout": check_seconds,
    "progress_poll_interval": partial(check_seconds, zero=False),
    "max_running": partial(_count_or_none, least=1),
    "loop": partial(check_choice, choices=("current", "thread")),
    "backfill": _check_bool,
    "max_bypass": check_seconds,
    "max_result_bytes": partial(_count_or_none, least=1),
    "env": _check_queue_env,
    "recycle_after": partial(_count_or_none, least=1),
    "keep_kernel_alive": _check_bool,
    "detached": _check_bool,
}


def check_variable(name: str, value: str) -> None:
    """Check a name and a value of an environment.

    Raises:
        InvalidOptionError: no process can be started with it.
    """
    if not name or "=" in name or "\0" in name + value:
        what = f"the value of {name!r} has a NUL" if name and "\0" in value else _show(name)
        raise InvalidOptionError(
            f'env: {what}; names are not empty and hold no "=", and neither they nor values a NUL'
        )
    try:
        os.fsencode(name + value)
    except UnicodeEncodeError:
        raise InvalidOptionError(f"env: {name!r} or its value cannot be encoded") from None


def _show(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "<its repr() fails>"
    return f"{fit(text, 60)} ({type(value).__name__})"
