"""Shows texts of users and jobs: what cannot be seen is dropped or made visible."""

from __future__ import annotations

import re

from ..child.wire import plain
from ..job import Job

UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text that reads as what it contains: no control characters, no order overrides."""
    return BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", UNSEEN.sub("", plain(text)))


def memory_text(job: Job) -> str:
    """Say what was planned for a job and what it used, as "planned 6.0, used 5.1 GB"."""
    planned, used = job.planned or {}, job.used_peak or {}
    told = []
    for name, where in (("ram_mib", ""), ("gpu_mib", " GPU")):
        parts = [
            f"{word} {_gib(amounts[name])}"
            for word, amounts in (("planned", planned), ("used", used))
            if name in amounts
        ]
        if parts:
            told.append(f"{', '.join(parts)} GB{where}")
    if job.unchecked is not None:
        told.append(job.unchecked)
    return " · ".join(told)


def _gib(mib: float) -> str:
    return f"{mib / 1024:.1f}" if mib >= 1024 else f"{mib / 1024:.2f}"
