"""Tells whether lists show a job by itself or below its group."""

from __future__ import annotations

from typing import Protocol


class _Numbered(Protocol):
    number: int


class _Options(Protocol):
    @property
    def group(self) -> str | None: ...


class _Spec(Protocol):
    @property
    def options(self) -> _Options: ...


class _Job(Protocol):
    @property
    def spec(self) -> _Spec: ...

    @property
    def groups(self) -> tuple[_Numbered, ...]: ...


def is_grouped(job: _Job) -> bool:
    """True if the job is in a group that has a name in its queue, or was before it was retried."""
    if job.spec.options.group is not None:
        return True
    return bool(job.groups) and any(group.number for group in job.groups)
