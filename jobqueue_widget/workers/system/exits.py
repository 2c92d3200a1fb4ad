"""Tells that a process has ended, also one that is not our child: pidfds, and kqueues on macOS."""

from __future__ import annotations

import os
import select
import sys


class Exit:
    """A descriptor that can be read once a process has ended."""

    def __init__(self, pid: int) -> None:
        """Open it.

        Raises:
            AttributeError, OSError: there is no such call, or it is not allowed; no descriptor is
                left; the process has ended already.
        """
        if sys.platform == "linux":
            self.fd = os.pidfd_open(pid)
        else:
            # By rule, not run on macOS: a kqueue that holds an event can be read, and so can be
            # watched by a selector, which is a kqueue there. A zombie is no process (ESRCH).
            self._queue = select.kqueue()
            end = select.kevent(
                pid,
                filter=select.KQ_FILTER_PROC,
                flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
                fflags=select.KQ_NOTE_EXIT,
            )
            try:
                self._queue.control([end], 0)
            except BaseException:
                self._queue.close()
                raise
            self.fd = self._queue.fileno()

    def close(self) -> None:
        """Close it; whoever watches it has unwatched it."""
        if sys.platform == "linux":
            os.close(self.fd)
        else:
            self._queue.close()
