"""Names that code written for the reference manager uses besides its public methods."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .manifests.manifest import PluginMeta, defaults_of

if TYPE_CHECKING:
    from .admission import PluginAdmission


class ReferenceNames:
    """The part of `PluginManager` that is there for it. A subclass may override the steps here."""

    _admission: PluginAdmission
    logger: logging.Logger

    def _get_global_stats(self) -> dict[str, Any]:
        """What the system monitor tells now; {} if there is none or it fails."""
        return dict(self._admission.ask_monitor())

    async def _get_global_stats_async(self) -> dict[str, Any]:
        """The same, awaited."""
        return dict(await self._admission.ask_monitor_async())

    def _evict_for_resources(self, needed_meta: PluginMeta) -> bool:
        """Evict idle plugins that use the GPU, until the scheduler lets this one start."""
        return self._admission.make_room(needed_meta)

    def _extract_defaults_from_schema(
        self, config_schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The default values that a configuration schema gives."""
        return defaults_of(config_schema)
