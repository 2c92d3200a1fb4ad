"""What the I/O thread waits with: a selector, from whose wait any thread can wake it."""

from __future__ import annotations

import os
import selectors
import sys

WAKES = 4096  # bytes that are read at once of a pipe that wakes


class PipeSelector(selectors.DefaultSelector):
    """Waits for descriptors; a byte in a pipe of its own wakes it."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self._pipe = os.pipe()
        except BaseException:
            super().close()
            raise
        self.wake_fd = self._pipe[0]
        try:
            for fd in self._pipe:
                os.set_blocking(fd, False)
            self.register(self.wake_fd, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    def wake(self) -> None:
        """End the wait of this moment, or the next one. Any thread."""
        os.write(self._pipe[1], b"\0")

    def hear(self) -> None:
        """Take what `wake` wrote, once `wake_fd` can be read."""
        os.read(self.wake_fd, WAKES)

    def close(self) -> None:
        """Close all of it."""
        super().close()
        for fd in self._pipe:
            os.close(fd)


if sys.platform == "win32":
    from .ports import PortSelector as WakingSelector
else:
    WakingSelector = PipeSelector
