"""Plays all acts with one plugin under one system, in a process and a project folder of its own:

python -m tests.ecosystem.play SYSTEM PLUGIN FOLDER

FOLDER has `inputs` and `project`, the current folder from then on; the outcomes are written to
FOLDER/outcomes.json.
"""  # noqa: D415 - a command line ends the sentence

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.ecosystem import acts, service
from tests.ecosystem.subjects import SUBJECTS
from tests.ecosystem.systems import system

LIMIT = 55.0
"""Seconds for an act."""

WORKS, FAILS, DOES_NOT_APPLY = "works", "fails", "does not apply"


async def play(stage: Any, table: acts.Acts) -> dict[str, Any]:
    """Act → its outcome: state, value, and of a failure the reason."""
    outcomes = {}
    for name, (_, act) in table.items():
        began = time.monotonic()
        try:
            value = await asyncio.wait_for(act(stage), LIMIT)
        except acts.DoesNotApplyError:
            outcomes[name] = {"state": DOES_NOT_APPLY}
        except Exception as error:
            traceback.print_exc()
            reason = "; ".join(str(error).split("\n")[:2])
            why = f"{type(error).__name__}: {reason}"
            outcomes[name] = {"state": FAILS, "why": why[:400]}
        else:
            outcomes[name] = {"state": WORKS, "value": plain(value)}
        seconds = time.monotonic() - began
        print(f"--- {name}: {outcomes[name]['state']} after {seconds:.1f} s", flush=True)
    if stage.queue is not None:
        await stage.queue.stop()
    if stage.manager is not None:
        stage.manager.unload_all()
    return outcomes


def plain(value: Any) -> Any:
    """The value as JSON, other types told by their names, so that a difference in type shows."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is dict:
        return {
            (key if type(key) is str else f"{type(key).__name__} {key}"): plain(one)
            for key, one in value.items()
        }
    if type(value) is list:
        return [plain(one) for one in value]
    return f"{type(value).__module__}.{type(value).__qualname__}: {value!r}"


def main(system_name: str, plugin: str, folder: Path) -> None:
    from tests.ecosystem import gpu

    os.chdir(folder / "project")
    subject = SUBJECTS.get(plugin)
    table = acts.ACTS if subject else gpu.ACTS
    with service.gemini() as variables:
        os.environ.update(variables)
        stage = acts.Stage(subject or gpu.SUBJECT, system(system_name), folder / "inputs")
        outcomes = asyncio.run(play(stage, table))
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
