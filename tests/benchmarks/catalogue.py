"""Everything that `make bench` measures, in the order of the table."""

from __future__ import annotations

from . import (
    cancel,
    detached,
    engines,
    inside,
    journal,
    latency,
    memory,
    scale,
    startup,
    sweeps,
    throughput,
    watching,
    widget,
)

_GROUPS = (
    throughput,
    latency,
    cancel,
    engines,
    scale,
    sweeps,
    memory,
    journal,
    detached,
    startup,
    inside,
    widget,
    watching,
)

PROBES = {probe.name: probe for group in _GROUPS for probe in group.PROBES}
ROWS = tuple(row for group in _GROUPS for row in group.ROWS)
