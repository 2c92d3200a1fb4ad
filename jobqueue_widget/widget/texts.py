"""Shows texts of users and jobs: what cannot be seen is dropped or made visible."""

from __future__ import annotations

import re

from ..child.wire import plain

UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text that reads as what it contains: no control characters, no order overrides."""
    return BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", UNSEEN.sub("", plain(text)))
