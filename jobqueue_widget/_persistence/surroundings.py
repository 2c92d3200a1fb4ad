"""Writes a job's folder and changes of environment for a journal, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .._core.spec import JobSpec
from .._secrets.variables import looks_secret
from ..workers.surroundings import Changes, Snapshot, Surroundings

Kept = dict[str, Any]


def written_of(snapshot: Snapshot) -> Kept:
    """Return a snapshot as plain values, made once for all jobs that share it."""
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
    """Return what may be written, and the names whose values the restoring kernel must have."""
    hidden = [name for name, value in env.items() if value is not None and looks_secret(name)]
    return {name: value for name, value in env.items() if name not in hidden}, hidden


def kept_of(spec: JobSpec) -> Kept | None:
    """Return what a journal keeps of a job's surroundings; None if nothing."""
    snapshot = spec.surroundings
    kept = dict(written_of(snapshot)) if isinstance(snapshot, Snapshot) else {}
    hidden = without_secrets(spec.options.env or {})[1]
    if hidden:
        kept["borrowed"] = sorted({*kept.get("borrowed", ()), *hidden})
    return kept or None


def restored(kept: object, surroundings: Surroundings) -> Snapshot:
    """Make a snapshot in this kernel from what `kept_of` wrote.

    Raises:
        ValueError: the value is not from `kept_of`.
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
    """True for a mapping that can be changes of an environment."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(text, str | None) for name, text in value.items()
    )
