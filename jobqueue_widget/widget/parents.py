"""Keeps background output in its cell: a message of one of our pages is no new parent for it.

What a thread prints or displays goes to the cell whose message the kernel handled last, and a page
of ours sends messages by itself. Such a message becomes the parent of its own answer and status,
but not of the streams and displays that threads share.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

CONTROL_TARGET = "jupyter.widget.control"  # over which a reloaded page asks for all widgets
ASKED_AT_RELOAD = ("comm_info_request", "kernel_info_request")

_OURS: weakref.WeakSet[Any] = weakref.WeakSet()


class SetParent:
    """A replacement of a kernel's `set_parent` that leaves out messages of our pages."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._usual = kernel.set_parent

    def __call__(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        """Note whose message is handled, unless it runs nothing of the user."""
        if channel != "shell" or not self._runs_nothing_of_the_user(parent):
            self._usual(ident, parent, channel)
            return
        kernel = self._kernel
        of_threads = getattr(kernel, "_shell_context", None)  # ipykernel 7
        sys.modules["ipykernel.kernelbase"].Kernel.set_parent(kernel, ident, parent, channel)
        if of_threads is not None:
            kernel._shell_context = of_threads

    def _runs_nothing_of_the_user(self, parent: Any) -> bool:
        """True for messages to our widgets, to comms that are gone, and for a page's own needs."""
        kind, content = parent.get("header", {}).get("msg_type"), parent.get("content", {})
        if kind in ASKED_AT_RELOAD:
            return True
        if kind == "comm_open":
            return bool(content.get("target_name") == CONTROL_TARGET)
        if kind not in ("comm_msg", "comm_close"):
            return False
        comm = self._kernel.comm_manager.comms.get(content.get("comm_id"))
        return comm is None or comm in _OURS or comm.target_name == CONTROL_TARGET


def keep_parents(kernel: Any, comm: Any) -> None:
    """Leave messages of this comm out from now on. `kernel`: None outside of an ipykernel."""
    if kernel is None or not hasattr(kernel, "comm_manager"):
        return
    _OURS.add(comm)
    if not isinstance(kernel.set_parent, SetParent):
        kernel.set_parent = SetParent(kernel)
