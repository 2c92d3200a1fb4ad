"""Remembers what is being unloaded, for whom, and what did not go. Under the admission's lock."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from .._core.machine.resources import IdlePlugin, PluginKey, ResourceRequest

logger = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds after which an unloading is given up
ROOM_KEPT = 2.0  # seconds that what was freed for a job is kept for it
TRY_AGAIN = 3.0  # seconds before a plugin that did not go is asked again


@dataclass(slots=True)
class Room:
    """Idle plugins that are unloaded so that one job fits, and the memory that this frees.

    `until` is None while they are being unloaded; then the time up to which the memory is kept for
    that job.
    """

    request: ResourceRequest
    victims: list[IdlePlugin]
    text: str
    begun: float
    until: float | None = None


class Unloading:
    """The unloading of one admission. Times are seconds of its clock."""

    def __init__(self) -> None:
        self.room: Room | None = None
        self.going: set[PluginKey] = set()  # plugins whose hosts were asked to unload them
        self._not_gone: dict[PluginKey, float] = {}

    def room_for(self, job_id: str) -> Room | None:
        """Return what is being unloaded or kept for a job; None if nothing is."""
        room = self.room
        return room if room is not None and room.request.job_id == job_id else None

    def current(self, now: float) -> Room | None:
        """Return the room that is being made or kept; one that takes too long is given up."""
        room = self.room
        if room is None:
            return None
        if room.until is None and now - room.begun > PATIENCE:
            logger.warning("%s: no answer for %g s", room.text, PATIENCE)
            self._not_gone.update((victim.key, now) for victim in room.victims)
            self.room = room = None
        elif room.until is not None and now > room.until:
            self.room = room = None
        return room

    def willing(self, idle: Iterable[IdlePlugin], now: float) -> list[IdlePlugin]:
        """Return the plugins that have not refused to go within the last `TRY_AGAIN` seconds."""
        self._not_gone = {k: at for k, at in self._not_gone.items() if now - at < TRY_AGAIN}
        return [plugin for plugin in idle if plugin.key not in self._not_gone]

    def ended(self, key: PluginKey, problem: str | None, now: float) -> None:
        """Note a host's answer: the plugin is gone, or why it is not."""
        self.going.discard(key)
        if problem is not None:
            self._not_gone[key] = now
            logger.info("plugin %s was not unloaded: %s", key[1], problem)
