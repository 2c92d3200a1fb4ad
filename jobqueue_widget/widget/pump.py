"""Handles requests of pages while a cell waits: comm messages that ipykernel would hold back.

ipykernel 6 holds every message back while a cell runs; ipykernel 7 those that come to the main
shell, in the nested loop of `queue.wait()` all of them. Here comm messages alone are handled at
once. All others go their usual way, so that no cell is lost, run twice or out of order.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import Any

COMM_TYPES = frozenset({"comm_open", "comm_msg", "comm_close"})
NOT_AS_EXPECTED = (
    "this ipykernel is not built as expected ({}): while a cell waits, "
    "a click in the queue is handled when the cell ends"
)

Message = list[Any]


class Pump:
    """The pump of the kernel's main loop, active while anything waits on it. Loop only.

    Raises:
        AttributeError, TypeError: the kernel lacks something that this needs.

    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._stream = _main_shell_stream(kernel)
        self._held_back = getattr(kernel, "msg_queue", None)  # ipykernel 6: what the cell holds up
        if not inspect.iscoroutinefunction(kernel.dispatch_shell):
            raise TypeError("dispatch_shell is no coroutine function")
        if not callable(self._stream._recv_callback):
            raise TypeError("nothing receives from the stream of the main shell")
        _parent_of(kernel)
        self._usual: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waits = 0

    def __enter__(self) -> None:
        self._waits += 1
        if self._waits == 1:
            self._usual = self._stream._recv_callback
            self._stream._recv_callback = self._receive
            self._catch_up()

    def __exit__(self, *_: object) -> None:
        self._waits -= 1
        if not self._waits and self._stream._recv_callback == self._receive:
            self._stream._recv_callback = self._usual

    def _receive(self, message: Message) -> object:
        """Stand in for the kernel's own callback; the stream schedules what this returns."""
        if not self._waits or not self._is_comm(message):
            return self._usual(message)
        self._handle_soon(message)
        return None

    def _handle_soon(self, message: Message) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(message))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an interrupt that has ended the wait; looked at, so that it is known

    def _catch_up(self) -> None:
        """Handle what came before the wait and is held up behind its cell."""
        if self._held_back is None:
            return
        for _ in range(self._held_back.qsize()):
            item = self._held_back.get_nowait()
            _, _, arguments = item
            if arguments and self._is_comm(arguments[0]):
                self._handle_soon(arguments[0])
            else:
                self._held_back.put_nowait(item)

    def _is_comm(self, message: Message) -> bool:
        session = self._kernel.session
        try:
            _, frames = session.feed_identities(message, copy=False)
            header = session.deserialize(frames, content=False, copy=False)["header"]
        except Exception:  # what cannot be read is for the kernel to complain of
            return False
        return header["msg_type"] in COMM_TYPES

    async def _handle(self, message: Message) -> None:
        """Handle a message as the kernel would, but leave its notes of the running cell."""
        kernel = self._kernel
        ident, parent = _parent_of(kernel)
        hooks = kernel.pre_handler_hook, kernel.post_handler_hook
        interrupt = _Interrupt()
        try:
            kernel.pre_handler_hook, kernel.post_handler_hook = interrupt.begin, interrupt.end
            await kernel.dispatch_shell(message)
        except KeyboardInterrupt:  # on the way into or out of a handler; it is passed on below
            interrupt.end()
        finally:
            kernel.pre_handler_hook, kernel.post_handler_hook = hooks
            kernel.set_parent(ident, parent, channel="shell")
            interrupt.pass_on()


class _Interrupt:
    """An interrupt while a message is handled: ends its handler, as ever, and then the wait.

    The kernel's own hooks would lose it, and at the end of the cell put back the wrong handler.
    Outside of the handler it is only noted: nothing of the kernel may be left half changed.
    """

    def __init__(self) -> None:
        self._handling = self._came = False
        self._usual: Any = signal.signal(signal.SIGINT, self._note)

    def begin(self) -> None:
        self._handling = True

    def end(self) -> None:
        self._handling = False

    def pass_on(self) -> None:
        signal.signal(signal.SIGINT, self._usual)
        if self._came and callable(self._usual):
            self._usual(signal.SIGINT, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        if self._handling:
            signal.default_int_handler(number, frame)


class Hearing:
    """Finds out, once, whether the kernel that we are in has a pump."""

    def __init__(self) -> None:
        self._looked = False
        self._pump: Pump | None = None

    def __call__(self) -> Pump | None:
        """Return the pump, on the main loop of an ipykernel; None anywhere else."""
        kernel = this_kernel()
        if kernel is None or not _is_on_main_loop(kernel):
            return None
        if not self._looked:
            self._looked = True
            try:
                self._pump = Pump(kernel)
            except (AttributeError, LookupError, TypeError) as error:
                warnings.warn(NOT_AS_EXPECTED.format(error), stacklevel=2)
        return self._pump


def route_by_page(comm: Any) -> None:
    """Let messages on this comm go to the subshell that the page asks for.

    ipykernel 7.4 sends them to where the kernel itself has last sent from, which for a new widget
    is the main shell: the next cell may block that before the page has said a word.
    """
    if callable(getattr(comm, "_reply_subshell_for", None)):
        comm._reply_subshell_for = lambda data, default: default


def this_kernel() -> Any:
    """Return the ipykernel that this process is; None if it is none."""
    base = sys.modules.get("ipykernel.kernelbase")
    return base.Kernel.instance() if base is not None and base.Kernel.initialized() else None


def _is_on_main_loop(kernel: Any) -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return running is getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)


def _main_shell_stream(kernel: Any) -> Any:
    """Return the stream of the main shell's messages: ipykernel 7 has a thread before it."""
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is None:
        return kernel.shell_stream
    return thread.manager._shell_channel_to_main.to_stream


def _parent_of(kernel: Any) -> tuple[Any, Any]:
    """Return the message that the shell handles, read in an empty context: ours may differ."""
    context = contextvars.Context()
    ident = context.run(kernel._parent_ident.__getitem__, "shell")
    return ident, context.run(kernel.get_parent, "shell")
