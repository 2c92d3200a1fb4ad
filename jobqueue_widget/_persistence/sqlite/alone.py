"""What goes on, or has ended, of the detached jobs of a journal that is only read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..._core.stored import StoredRequest, StoredState
from ...child.detached import folder as protocol
from ...errors import JournalError
from ...workers.detached.ending import end
from ...workers.detached.folders import Attempt, FolderError, Folders
from .beside import DETACHED, sibling
from .signing import Signer

STATUS = {"value": "completed", "error": "failed", "cancelled": "failed"}


Jobs = Iterable[tuple[StoredRequest, StoredState]]


class Found(NamedTuple):
    """A detached job as its folder tells: what a restore would find."""

    status: str
    message: str
    failure: Mapping[str, object]
    ended_at: float | None


class Alone:
    """The folders beside a journal, whoever has that. Nothing in them is unpickled."""

    def __init__(self, journal: Path) -> None:
        self._root = sibling(journal, DETACHED)
        self._folders: Folders | None = None

    def attempt(self, request: StoredRequest, state: StoredState) -> Attempt | None:
        """Return the folder of a job that runs detached; None for any other job."""
        if state.status != "running" or not _is_detached(request.options):
            return None
        try:
            return self._all().attempt(request.id, state.attempt)
        except FolderError:
            return None

    def _all(self) -> Folders:
        if self._folders is None:  # the key is made at its first use
            self._folders = Folders(self._root, Signer.of_this_user().seal)
        return self._folders

    def lost(self, jobs: Jobs) -> dict[str, Attempt]:
        """List attempts that run and that the journal does not have as running, by job."""
        if not self._root.is_dir():
            return {}
        known = [(one.id, state.attempt) for one, state in jobs if state.status == "running"]
        try:
            return dict(self._all().lost(known))
        except FolderError:
            return {}

    def end_lost(self, attempt: Attempt, reason: str) -> str:
        """End an attempt that the journal has lost, with its folder; return how that went.

        Raises:
            JournalError: it cannot be asked.
        """
        how = _end(attempt, reason)
        attempt.drop()
        self._all().drop_if_empty()
        return how

    def look(self, request: StoredRequest, state: StoredState, gone: bool) -> Found | None:
        """Look how a detached job is that the journal has as running; None for any other job.

        Args:
            request: the job in the journal.
            state: its state there.
            gone: no kernel has the journal.
        """
        attempt = self.attempt(request, state)
        if attempt is None:
            return None
        if attempt.process() is not None:
            return Found("running", _message(attempt) or state.message, {}, None)
        told = attempt.outcome()
        if told is None and attempt.has(protocol.TOKEN):  # its process is about to be started
            return Found("pending" if gone else "running", "", {}, None)
        meta = _lost(attempt) if told is None else told[0]
        status = STATUS[meta["kind"]]
        asked = bool(state.asked) or bool(attempt.told(protocol.STOP))
        if asked and (status == "failed" or meta.get("noticed")):
            status = "cancelled"
        failure = {
            "type_name": meta.get("type", ""),
            **{name: meta.get(name, "") for name in ("message", "traceback")},
        }
        took, begun = attempt.took(meta), state.started_at
        when = None if took is None or begun is None else begun + took
        return Found(status, _message(attempt), failure if status != "completed" else {}, when)

    def cancel(self, request: StoredRequest, state: StoredState, reason: str) -> str:
        """End a detached job; return how that went.

        Raises:
            JournalError: there is nothing to end, or it cannot be asked.
        """
        return _end(self.attempt(request, state), reason)


def _end(attempt: Attempt | None, reason: str) -> str:
    try:
        how = None if attempt is None else end(attempt, reason)
    except OSError as error:
        raise JournalError(f"it cannot be asked to stop: {error}") from error
    if how is None:
        raise JournalError("it does not run without a kernel: there is nothing to cancel")
    return how


def _lost(attempt: Attempt) -> dict[str, Any]:
    """Say as an outcome does how a job ended that told none."""
    failure = attempt.alarm() or attempt.gone()
    told = {"type": failure.type_name, "message": failure.message}
    return {"kind": "error", **told, "traceback": failure.traceback}


def _is_detached(options: str) -> bool:
    if '"detached"' not in options:
        return False
    try:
        found = json.loads(options)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("detached") is True


def _message(attempt: Attempt) -> str:
    """Return the latest report as text."""
    text = protocol.read_report(attempt.read(protocol.PROGRESS_FILE))
    try:
        fraction, message = json.loads(text or b"[null, null]")
    except (ValueError, TypeError):
        return ""
    percent = f"{fraction:.0%}" if isinstance(fraction, float) and 0 <= fraction <= 1 else ""
    return " ".join(filter(None, (percent, message if isinstance(message, str) else "")))
