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


def start_ray(tries: int = 3) -> Any:
    """The module `ray`, started: it gives itself 30 s, which a loaded machine may need longer."""
    import ray

    while True:
        tries -= 1
        try:
            ray.init(**SETTINGS)
        except Exception:
            ray.shutdown()
            if tries == 0:
                raise
        else:
            return ray


class Nobody:
    """An actor, so that the driver has the connections that it keeps for them."""

    async def hello(self) -> None:
        return


@contextmanager
def ray_processes() -> Iterator[Any]:
    """Started, and what its driver keeps for itself is there; the module `ray`."""
    ray = start_ray()
    try:
        ray.get(ray.put(b"x" * 1_000_000))
        ray.get(ray.remote(max_retries=0)(lambda: os.getpid()).remote())
        actor: Any = ray.remote(Nobody).remote()
        ray.get(actor.hello.remote())
        ray.kill(actor)
        yield ray
    finally:
        ray.shutdown()
