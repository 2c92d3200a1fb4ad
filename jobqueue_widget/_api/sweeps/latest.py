"""Tells whether a job's function is defined otherwise by now, and finds it as it is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ..._core.spec import JobSpec
from ...child import loading
from ...errors import InvalidTargetError
from ...workers.definitions import (
    Definition,
    NotToldError,
    definition_of,
    found_as,
    made_of,
    typed_name_of,
)
from ...workers.packing import is_packed


def differs_now(spec: JobSpec) -> bool:
    """True if a function, or what went with it by value, is another now. Quick if it is not."""
    now = None if spec.named is None else found_as(spec.named)
    if now is None:
        return False
    payload = None if spec.lost else spec.payload
    if not is_packed(payload):
        earlier = definition_of(spec.target)
        return now is not earlier and Definition(now).digest != Definition(earlier).digest
    packed = payload[0]
    if packed.then is None or packed.now is None:
        return False
    if not packed.now.is_still(now):
        packed.now = Definition(now)
    return packed.now.digest != packed.then.digest


class Look:
    """Tells of many jobs, all at one moment, whether they differ: one look for each function."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], tuple[bool, object]] = {}

    def differs(self, spec: JobSpec) -> bool:
        """Do as `differs_now`."""
        if spec.named is None:
            return False
        payload = None if spec.lost else spec.payload
        decides = payload[0] if is_packed(payload) else spec.target
        key = spec.named, id(decides)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = differs_now(spec), decides  # kept: its number stays its own
        return told[0]


def changed_text(spec: JobSpec) -> str:
    """Return what is said of a job whose function differs now."""
    return f"{spec.name} differs now; this is as it was: retry(latest=True) runs it as it is now"


def latest_of(spec: JobSpec) -> Callable[..., object]:
    """Return a job's function as it is now, bound to the objects of its submit.

    Raises:
        InvalidTargetError: it stands for no function any more, or nobody can tell for which.
        NotRestorableError: what it needs was dropped.
    """
    target = cast("Callable[..., object]", spec.target)
    named = typed_name_of(target) if spec.restored else spec.named
    if named is None:
        raise InvalidTargetError(
            f"nothing tells what {spec.name!r} is now: no cell or module had it under its own "
            "name when it was submitted; retry() it, or submit what you mean"
        )
    now = found_as(named)
    if now is None:
        raise InvalidTargetError(
            f"{spec.name!r} stands for nothing that can be called now: define it, or retry() it"
        )
    then = target
    if target is not definition_of(target) and is_packed(spec.payload):
        then = loading.load(spec.payload[0].data)
    try:
        return made_of(now, target, then)
    except NotToldError as why:
        raise InvalidTargetError(
            f"nothing tells what {spec.name!r} is now: {why}; or retry() it"
        ) from None
