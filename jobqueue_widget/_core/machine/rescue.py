"""Chooses the plugins to unload after a job ran out of memory, and words for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .resources import RAM, IdlePlugin, PluginKey

if TYPE_CHECKING:
    from ..outcomes import BlockReason

PATIENCE = 30.0  # seconds that unloading may take
NAMED = 3


@dataclass(frozen=True, slots=True)
class Rescue:
    """The plugins that are unloaded, or were if `over`, so that an attempt finds more memory."""

    attempt: int
    names: tuple[str, ...]
    over: bool = False

    @property
    def text(self) -> str:
        """The message in the row of the job."""
        shown = [*self.names[:NAMED]]
        if len(self.names) > NAMED:
            shown.append(f"{len(self.names) - NAMED} more")
        names = ", ".join(shown)
        if self.over:
            return f"out of memory: unloaded {names}, trying again"
        return f"out of memory: unloading {names} to try again"


def who_makes_room(
    idle: Sequence[IdlePlugin], own: PluginKey | None, short: Mapping[str, float] | None
) -> list[IdlePlugin]:
    """Choose plugins to unload after a job ran out of memory, least recently used first.

    `own` is the job's own plugin, whose worker is replaced anyway. If it is known how many MiB it
    was `short` of, no more are chosen than hold that.
    """
    chosen: list[IdlePlugin] = []
    missing = dict(short or {})
    for plugin in sorted(idle, key=lambda one: one.last_used):
        if plugin.key == own:
            continue
        chosen.append(plugin)
        if not missing:
            continue
        for name in list(missing):
            holds = plugin.holds
            missing[name] -= holds.ram_mib if name == RAM else sum(holds.gpu_mib.values())
            if missing[name] <= 0:
                del missing[name]
        if not missing:
            break
    return chosen


def unloading_text(reason: BlockReason, victims: Sequence[IdlePlugin]) -> str:
    """Return the message of a job that waits while plugins are unloaded for it."""
    need, have = reason.need or {}, reason.have or {}
    if need.get(RAM, 0.0) > have.get(RAM, math.inf):
        amount = sum(victim.holds.ram_mib for victim in victims)
    else:
        amount = sum(sum(victim.holds.gpu_mib.values()) for victim in victims)
    names = " and ".join(victim.name for victim in victims)
    return f"unloading idle {names} to free {amount:,.0f} MiB"
