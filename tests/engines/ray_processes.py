"""The smallest Ray that starts, in processes of its own on the loopback interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
SETTINGS: dict[str, Any] = {
    "num_cpus": 2,
    "resources": {"special": 1},
    "object_store_memory": 100 * 1024 * 1024,
    "include_dashboard": False,
    "configure_logging": False,
    "log_to_driver": False,
    "_node_ip_address": "127.0.0.1",
}


class Nobody:
    """An actor, so that the driver has the connections that it keeps for them."""

    async def hello(self) -> None:
        return


@contextmanager
def ray_processes() -> Iterator[Any]:
    """Started, and what its driver keeps for itself is there; the module `ray`."""
    import ray

    ray.init(**SETTINGS)
    try:
        ray.get(ray.put(b"x" * 1_000_000))
        ray.get(ray.remote(max_retries=0)(lambda: os.getpid()).remote())
        actor: Any = ray.remote(Nobody).remote()
        ray.get(actor.hello.remote())
        ray.kill(actor)
        yield ray
    finally:
        ray.shutdown()
