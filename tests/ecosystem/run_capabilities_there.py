"""Runs calls, JSON on stdin, with cjm-substrate itself; its interpreter runs this, not ours.

Each call has `name`, `args`, `kwargs` (what its queue's `submit` takes); prints for each the
`status`, the `result` and the text of the `error`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from cjm_substrate.core.manager import CapabilityManager
from cjm_substrate.core.queue import JobQueue


async def main() -> None:
    """In the order of the calls, one after the other."""
    calls = json.load(sys.stdin)
    manager = CapabilityManager(search_paths=[Path(sys.argv[1])])
    metas = {meta.name: meta for meta in manager.discover_manifests()}
    for name in dict.fromkeys(call["name"] for call in calls):
        assert manager.load_capability(metas[name]), name
    queue = JobQueue(manager)
    await queue.start()
    told: list[dict[str, Any]] = []
    for call in calls:
        job_id = await queue.submit(call["name"], *call["args"], **call["kwargs"])
        job = await queue.wait_for_job(job_id, timeout=60)
        error = None if job.error is None else job.error.message
        told.append({"status": job.status.value, "result": job.result, "error": error})
    await queue.stop()
    manager.unload_all()
    json.dump(told, sys.stdout)


asyncio.run(main())
