"""An event loop of the queue's own, in a daemon thread: for `loop="thread"`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class PrivateLoop:
    """An event loop in a daemon thread, for `loop="thread"`."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self.loop.close()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._finish_tasks())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _finish_tasks(self) -> None:
        """Let the stop that ends this loop hand its answer over, then end what is left."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1.0)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def call(self, callback: Callable[[], None]) -> None:
        """Run the callback on the loop and wait for it."""

        async def run() -> None:
            callback()

        asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def close(self) -> None:
        """End the loop soon."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)

    def join(self) -> bool:
        """Wait until the thread has ended; False if it has not after five seconds."""
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)
        return not self._thread.is_alive()
