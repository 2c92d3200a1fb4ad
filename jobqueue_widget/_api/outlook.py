"""Says, when the time of a wait is over, whether the jobs go on, and what they need if not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._core import effects as fx

if TYPE_CHECKING:
    from .._core.jobs import JobRecord
    from .._runtime.engine import Engine


def outlook(engine: Engine, records: Iterable[JobRecord] | None = None) -> str:
    """Say so of these jobs; None: of all that are in the queue. Any thread."""
    with engine.lock.held:
        state, phase = engine.state, engine.life.phase
        everything = [*state.order.slice(0), *state.running.values()]
        asked = everything if records is None else [job for job in records if not job.status.ended]
        pending = [job for job in asked if job.entry is not None]
        held = [job for job in pending if job.held and not job.timers & fx.TIMER_BITS["hold"]]
        is_paused = state.pause is not None and any(
            not (state.in_review and job.let_through) for job in pending
        )
        reason = "" if state.pause is None else state.pause.reason
    it, go = ("it", "goes") if len(asked) == 1 else ("they", "go")
    what = "it" if len(pending) == 1 else "them"
    needs = []
    if pending and phase != "started":
        needs.append(f"the queue is {phase}, `await queue.start()` lets {what} start")
    if is_paused:
        why = f" ({reason})" if reason else ""
        needs.append(f"the queue is paused{why}, `queue.resume()` lets {what} start")
    if held:
        told = "it is held" if len(asked) == 1 else f"{len(held):,} of them held"
        needs.append(f"{told}, `release()` ends that")
    if not needs:
        return f"{it} {go} on"
    return "; ".join(needs)
