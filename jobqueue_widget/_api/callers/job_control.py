"""The protocol by which a job's handle asks its queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..._core.jobs import JobRecord

if TYPE_CHECKING:
    from concurrent.futures import Future


class ControlView(Protocol):
    """What a handle asks of the queue that has its job (`_api/control.py`)."""

    queue: Callable[[], object | None]
    engine: Any

    def row(self, record: JobRecord) -> dict[str, Any]:
        """Return a job as plain values."""

    def cancel(self, record: JobRecord, force: bool, timeout: float | None, reason: str) -> bool:
        """Cancel a job; True if that is done or under way."""

    def retry(self, record: JobRecord, latest: bool) -> Any:
        """Submit the same again, as a new job."""

    def stack(self, record: JobRecord) -> str:
        """Return where a job is right now."""

    async def wait_for(self, record: JobRecord, timeout: float | None) -> None:
        """Wait until a job has ended; on any loop."""

    def future(self, job: Any) -> Future[Any]:
        """Return a future of the standard library for a job."""

    def at_end(self, job: Any, callback: Callable[[Any], object]) -> None:
        """Call back on the owner loop when a job has ended."""

    def write_log(self, record: JobRecord, text: str) -> None:
        """Append to a job's log, also after its end."""
