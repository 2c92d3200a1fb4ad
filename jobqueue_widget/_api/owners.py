"""Knows the queue that an executor object belongs to: it serves one at a time."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

from ..errors import InvalidOptionError

if TYPE_CHECKING:
    from .._runtime.engine import Engine

_OWNERS: weakref.WeakKeyDictionary[object, weakref.ref[Engine]] = weakref.WeakKeyDictionary()


def claim(executor: object, engine: Engine) -> None:
    """Note that the executor belongs to this queue.

    Raises:
        InvalidOptionError: it is that of another one, which has not been stopped.
    """
    if executor is None or isinstance(executor, str):
        return
    try:
        if _is_taken(executor, engine):
            gc.collect()  # the other one may be gone
            if _is_taken(executor, engine):
                name = type(executor).__name__
                raise InvalidOptionError(
                    f"this {name} belongs to another queue, and serves one: make a {name} for each "
                    "queue, or stop the other one first"
                )
        _OWNERS[executor] = weakref.ref(engine)
    except TypeError as error:
        if isinstance(error, InvalidOptionError):
            raise
        # else it has no hash or takes no weak reference: its own `open` may refuse


def _is_taken(executor: object, engine: Engine) -> bool:
    reference = _OWNERS.get(executor)
    owner = None if reference is None else reference()
    return (
        owner is not None and owner is not engine and owner.life.phase not in ("stopped", "closed")
    )
