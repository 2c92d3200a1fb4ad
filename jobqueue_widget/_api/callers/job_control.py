"""The protocol by which a job's handle asks its queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..._core.jobs import JobRecord

if TYPE_CHECKING:
    from concurrent.futures import Future


class ControlView(Protocol):
    """What a handle asks of the queue that has its job (`_api/control.py`)."""

    queue: Callable[[], object | None]
    engine: Any

    def row(self, record: JobRecord) -> dict[str, Any]: ...
    def cancel(
        self, record: JobRecord, force: bool, timeout: float | None, reason: str
    ) -> bool: ...
    def retry(self, record: JobRecord, latest: bool) -> Any: ...
    def retry_with(self, record: JobRecord, changes: Mapping[str, object]) -> Any: ...
    def stack(self, record: JobRecord) -> str: ...
    async def wait_for(self, record: JobRecord, timeout: float | None) -> None: ...
    def future(self, job: Any) -> Future[Any]: ...
    def at_end(self, job: Any, callback: Callable[[Any], object]) -> None: ...
    def write_log(self, record: JobRecord, text: str) -> None: ...
