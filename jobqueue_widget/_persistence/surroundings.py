"""Folder and environment of a job in a journal: what differs, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .._core.spec import JobSpec
from .._secrets.variables import looks_secret
from ..workers.surroundings import Changes, Snapshot, Surroundings

Kept = dict[str, Any]


def written_of(snapshot: Snapshot) -> Kept:
    """Return the snapshot as plain values. Made once: jobs share it."""
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
    """True if these are changes of an environment."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(text, str | None) for name, text in value.items()
    )
