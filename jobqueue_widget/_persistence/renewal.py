"""Tells that a journal's files were changed by somebody else, and that it was written anew."""

from __future__ import annotations

from .._core.jobs import JobRecord
from .._runtime.engine_view import EngineView
from ..protocols import NoticesLoss
from .warnings import warn


def lost(journal: object) -> str:
    """Say what has happened to a journal; "" if nothing that it can notice."""
    return journal.lost() if isinstance(journal, NoticesLoss) else ""


def jobs_of(engine: EngineView) -> list[JobRecord]:
    """List all jobs that an engine knows: those that a journal written anew must hold."""
    with engine.lock.held:
        state = engine.state
        return [
            *state.awaited.values(),
            *state.ended,
            *state.running.values(),
            *state.order.slice(0),
        ]


def say(
    engine: EngineView, place: str, notices: list[str], what: str, whole: bool, kept: str
) -> None:
    """Tell whoever listens that a journal was written anew, and add that to the notices."""
    text = f"The journal's {what} while it was in use; it is written anew"
    if not whole:
        text += (
            " from what this kernel knows: what earlier ones left and nobody looked at may be gone"
        )
    if kept:
        text += f"; what stood there is kept as {kept}"
    warn(f"{text}. {place}")
    notices.append(f"{text}.")
    engine.logger.error("%s: %s", place, text)
    with engine.lock.held:
        engine.publish("journal_failed", {"error": what})
        engine.publish("journal_recovered")
