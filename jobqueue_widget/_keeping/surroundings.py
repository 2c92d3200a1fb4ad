"""Folder and environment of a job in a journal: what differs, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, cast

from .._core.hiding import SHORTEST
from .._core.jobs import JobSpec
from .._core.secret_names import looks_secret as is_secret_name
from ..worker.surroundings import Changes, Snapshot, Surroundings

Kept = dict[str, Any]

_SECRET_VARIABLE = re.compile(
    r"PASS|PWD$|_KEY$|_PAT$|DSN$|CREDS|COOKIE|(DATABASE|DB|REDIS|MONGO\w*)_UR[LI]$", re.IGNORECASE
)


def looks_secret(name: str) -> bool:
    """True for the name of an environment variable whose value may be a secret."""
    return _SECRET_VARIABLE.search(name) is not None or is_secret_name(name)


def written_of(snapshot: Snapshot) -> Kept:
    """As plain values. Made once: jobs share it."""
    if snapshot.written is None:
        clear, borrowed = without_secrets(snapshot.changes)
        found: Kept = {"cwd": snapshot.cwd}
        if clear:
            found["env"] = clear
        if borrowed or snapshot.borrowed:
            found["borrowed"] = sorted({*borrowed, *snapshot.borrowed})
        snapshot.written = found
    return cast("Kept", snapshot.written)


def without_secrets(env: Changes) -> tuple[dict[str, str | None], list[str]]:
    """What may be written, and the names of what comes from the kernel that restores it."""
    hidden = [name for name, value in env.items() if value is not None and looks_secret(name)]
    return {name: value for name, value in env.items() if name not in hidden}, hidden


def kept_of(spec: JobSpec) -> Kept | None:
    """What a journal keeps of where this job was submitted; None: nothing."""
    snapshot = spec.surroundings
    kept = dict(written_of(snapshot)) if isinstance(snapshot, Snapshot) else {}
    hidden = without_secrets(spec.options.env or {})[1]
    if hidden:
        kept["borrowed"] = sorted({*kept.get("borrowed", ()), *hidden})
    return kept or None


def texts_of(spec: JobSpec) -> tuple[str, ...]:
    """Values of its variables that must not stand in what it says either, the longest first."""
    snapshot, env = spec.surroundings, spec.options.env
    if not isinstance(snapshot, Snapshot) or not (snapshot.changes or snapshot.borrowed or env):
        return ()
    found = {name: os.environ.get(name) for name in snapshot.borrowed}
    found.update({**snapshot.changes, **(env or {})})
    texts = {value for name, value in found.items() if value and looks_secret(name)}
    return tuple(sorted((text for text in texts if len(text) >= SHORTEST), key=len, reverse=True))


def restored(kept: object, surroundings: Surroundings) -> Snapshot:
    """What `kept_of` wrote, in this kernel.

    Raises:
        ValueError: it is something else.

    """
    told = kept if isinstance(kept, Mapping) else {}
    env, cwd, borrowed = told.get("env", {}), told.get("cwd"), told.get("borrowed", [])
    if not (
        (kept is None or isinstance(kept, Mapping))
        and is_env(env)
        and (cwd is None or isinstance(cwd, str))
        and isinstance(borrowed, list)
        and all(isinstance(name, str) for name in borrowed)
    ):
        raise ValueError("its folder and environment cannot be read")
    return surroundings.restored(env, cwd, borrowed)


def is_env(value: object) -> bool:
    """Whether these are changes of an environment."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(text, str | None) for name, text in value.items()
    )
