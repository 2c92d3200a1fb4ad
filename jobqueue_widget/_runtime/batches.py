"""Commands on many jobs at once: others get the lock now and then, a journal one transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._core import effects as fx
    from .._core import events as ev
    from .engine import Engine

AT_A_TIME = 500  # commands that are applied without letting go of the lock


def do_all(engine: Engine, commands: Iterable[ev.JobEvent]) -> int:
    """Apply commands, one after the other; how many fitted."""
    fitted, left = 0, iter(commands)
    outside: list[fx.Effect] = []
    while some := list(itertools.islice(left, AT_A_TIME)):
        with engine.lock.held:
            for event in some:
                effects = engine.state.apply(event, engine.now())
                if effects is not None:
                    fitted += 1
                    outside += engine.perform_inside(effects)
    engine.perform(outside)
    return fitted
