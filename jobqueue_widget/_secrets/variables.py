"""Finds variables of an environment that may hold a secret, and the values to hide in texts."""

from __future__ import annotations

import os
import re

from .._core.spec import JobSpec
from .._core.texts.hiding import SHORTEST
from .._core.texts.secret_names import looks_secret as is_secret_name
from ..workers.surroundings import Snapshot

_SECRET_VARIABLE = re.compile(
    r"PASS|PWD$|_KEY$|_PAT$|DSN$|CREDS|COOKIE|(DATABASE|DB|REDIS|MONGO\w*)_UR[LI]$", re.IGNORECASE
)


def looks_secret(name: str) -> bool:
    """True for the name of an environment variable whose value may be a secret."""
    return _SECRET_VARIABLE.search(name) is not None or is_secret_name(name)


def texts_of(spec: JobSpec) -> tuple[str, ...]:
    """Return the secret values of a job's variables, to be hidden in its output; longest first."""
    snapshot, env = spec.surroundings, spec.options.env
    if not isinstance(snapshot, Snapshot) or not (snapshot.changes or snapshot.borrowed or env):
        return ()
    found = {name: os.environ.get(name) for name in snapshot.borrowed}
    found.update({**snapshot.changes, **(env or {})})
    texts = {value for name, value in found.items() if value and looks_secret(name)}
    return tuple(sorted((text for text in texts if len(text) >= SHORTEST), key=len, reverse=True))
