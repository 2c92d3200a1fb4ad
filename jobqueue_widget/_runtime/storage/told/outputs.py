"""What one job displays beside its log: html, pictures and the like, bounded."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ....child.displays.account import Account, packed, unpacked

if TYPE_CHECKING:
    from ...._core.jobs import JobRecord
    from ...._core.texts.hiding import Secrets

JOURNAL_BYTES = 4 << 20  # of the outputs of a job; a journal keeps no more
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
"""Forms in base64, in which a secret text does not stand as it is."""


@dataclass(frozen=True)
class JobOutput:
    """Something that a job has displayed. As the last line of a cell it shows itself.

    Attributes:
        data: its forms by mime type, such as "text/html", "image/png" (in base64) and "text/plain".
        metadata: what it says of these forms, by mime type.
    """

    data: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(self.data), dict(self.metadata)

    def __repr__(self) -> str:
        return f"JobOutput({', '.join(self.data)})"


class KeptOutputs:
    """The outputs of the latest attempt of one job, packed. Any thread.

    `revision` changes with each change.
    """

    def __init__(self, load: Callable[[], str | None] | None = None) -> None:
        self._lock = threading.RLock()
        self._account = Account()
        self._attempt = 0
        self._load = load  # what stands in a journal; None: nothing, or it is in memory
        self.revision = 0

    def take(
        self, attempt: int, told: Mapping[str, Any], body: bytes, secrets: Secrets | None
    ) -> None:
        """Take what an attempt of the job tells, and hide its secrets."""
        if body and secrets is not None:
            try:
                body = packed(*(hidden(part, secrets) for part in unpacked(body)))
            except (ValueError, TypeError):  # no worker of ours makes such a one
                body = b""
        with self._lock:
            if attempt != self._attempt:
                self._attempt, self._account, self._load = attempt, Account(), None
            self._account.hear(told, body)
            self.revision += 1

    def read(self) -> list[JobOutput]:
        """Return them in their order."""
        with self._lock:
            bodies = [one[2] for one in self._now().kept]
        found = []
        for body in bodies:
            with contextlib.suppress(ValueError, TypeError):  # no worker of ours makes such a one
                found.append(JobOutput(*unpacked(body)))
        return found

    @property
    def count(self) -> int:
        """How many are kept."""
        with self._lock:
            return len(self._now().kept)

    @property
    def lost(self) -> int:
        """How many were not kept."""
        with self._lock:
            return self._now().lost

    def _now(self) -> Account:
        return self._account if self._load is None else _from_json(self._load())

    def keep(self) -> None:
        """Read from the journal what it is about to forget."""
        with self._lock:
            self._account, self._load = self._now(), None

    def as_json(self) -> str | None:
        """Return them as they stand in a journal, up to `JOURNAL_BYTES`; None: there are none."""
        with self._lock:
            account = self._now()
            found, lost = list(account.kept), account.lost
        kept, room = [], JOURNAL_BYTES
        for display_id, _, body in found:
            part = json.dumps([display_id, body.decode("utf-8", "replace")])
            if len(part) > room:
                lost += 1
                continue
            room -= len(part)
            kept.append(part)
        return f'{{"kept": [{", ".join(kept)}], "lost": {lost}}}' if kept or lost else None

    @property
    def size(self) -> int:
        """Bytes in memory."""
        with self._lock:
            return sum(one[1] for one in self._account.kept)

    def drop(self) -> None:
        """Let go of all of them, and count them as not kept."""
        with self._lock:
            self._account.lost += len(self._account.kept)
            self._account.kept.clear()
            self.revision += 1


def _from_json(text: str | None) -> Account:
    """Read what `as_json` wrote; nothing if somebody else wrote there."""
    found = Account()
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        told = json.loads(text or "{}")
        for display_id, body in told["kept"]:
            data = body.encode()
            found.take(str(display_id), len(data), data)
        found.lost += int(told["lost"])
    return found


def outputs_of(job: JobRecord) -> list[JobOutput]:
    """Return what a job has displayed."""
    return job.outputs.read() if isinstance(job.outputs, KeptOutputs) else []


def output_count_of(job: JobRecord) -> int:
    """Return how many outputs of a job are kept."""
    return job.outputs.count if isinstance(job.outputs, KeptOutputs) else 0


def lost_outputs_of(job: JobRecord) -> int:
    """Return how many of its outputs were not kept."""
    return job.outputs.lost if isinstance(job.outputs, KeptOutputs) else 0


def revision_of(job: JobRecord) -> int:
    """Return a number that differs after each change of what a job has displayed; 0: nothing."""
    return job.outputs.revision if isinstance(job.outputs, KeptOutputs) else 0


def hidden(part: Any, secrets: Secrets) -> Any:
    """Return a part of an output without the secrets in its texts."""
    if isinstance(part, str):
        return secrets.hide(part)
    if isinstance(part, list):
        return [hidden(one, secrets) for one in part]
    if isinstance(part, dict):
        return {
            secrets.hide(name): one if name in PICTURES else hidden(one, secrets)
            for name, one in part.items()
        }
    return part
