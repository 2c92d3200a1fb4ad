"""What a notebook shows of a queue or a job; sees only what a user of the package sees."""

from __future__ import annotations

from .display import PROVIDER

__all__ = ["PROVIDER"]
