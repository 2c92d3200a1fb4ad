"""What a plugin is: the class that plugins derive from. Standard library only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class FileBackedDTO(Protocol):
    """An argument that goes to a plugin as the path of a file, which it writes itself."""

    def to_temp_file(self) -> str:
        """Write the file; its absolute path."""
        ...


class PluginInterface(ABC):
    """One tool with an environment of its own. It lives in its worker; one call runs at a time.

    A class with these methods need not derive from it; plugins written for `cjm-plugin-system`
    run as they are.

    When a call is cancelled or fails, the processes that were started during it are ended before
    its end is told. A helper that is there from `initialize`, or from a call that completed, stays.

    Example:
        ```python
        class Lengths(PluginInterface):
            name, version = "lengths", "1.0"

            def initialize(self, config=None):
                self.config = dict(config or {})

            def execute(self, paths):
                for number, path in enumerate(paths):
                    self.report_progress(number / len(paths), path)
                return [os.path.getsize(path) for path in paths]

            def get_config_schema(self):
                return {"properties": {}}

            def get_current_config(self):
                return self.config

            def cleanup(self):
                pass
        ```
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the plugin."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Which one."""

    @abstractmethod
    def initialize(self, config: dict[str, Any] | None = None) -> None:
        """Take this configuration, the first one or a new one."""

    @abstractmethod
    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work."""

    def execute_stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Do the work piece by piece; unless overridden, in one piece."""
        yield self.execute(*args, **kwargs)

    @abstractmethod
    def get_config_schema(self) -> dict[str, Any]:
        """What can be configured, as a JSON Schema."""

    @abstractmethod
    def get_current_config(self) -> dict[str, Any]:
        """What is configured now."""

    @abstractmethod
    def cleanup(self) -> None:
        """Give everything back; the worker ends after this."""

    def cancel(self) -> None:  # noqa: B027 - a plugin that can stop itself overrides it
        """Called in another thread while `execute` runs, when the call shall stop.

        A plugin that overrides it has half a second for itself; then JobCancelled is raised in
        `execute`, as it is at once in one that does not.
        """

    def report_progress(self, progress: float, message: str = "") -> None:
        """Call it in `execute`: 0.0 to 1.0, or -1.0 for "running, amount unknown"."""
        self._progress = progress
        self._status_message = message
