"""What a run that was made from a seed says when it has broken a promise."""

from __future__ import annotations

from typing import Protocol

import pytest


class Verdict(Protocol):
    """What it showed."""

    @property
    def seed(self) -> str:
        """From which it can be played again."""
        ...

    @property
    def complaints(self) -> list[str]:
        """The promises it broke, in words."""
        ...


def check(verdict: Verdict, what: str, module: str) -> None:
    """Fail with its first complaints and the command that plays it again."""
    if verdict.complaints:
        told = "\n  ".join(verdict.complaints[:5])
        pytest.fail(
            f"{what} {verdict.seed!r} broke a promise:\n  {told}\n"
            f'replay it: python -m {module} "{verdict.seed}"',
            pytrace=False,
        )
