"""Finds and replaces what stands in the places of arguments where a job may stand.

These are the arguments themselves, the items of lists, tuples and named tuples, and the values of
dictionaries, one within the other. What stands in a set or is a key is found, and left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ...child.wire import PLAIN_TYPES

CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
SHORT = 8  # members up to which it is not asked first whether all are plain

Args = tuple[object, ...]
Kinds = tuple[type, ...]


def holds(values: Iterable[object], kinds: Kinds, budget: int | None = None) -> bool | None:
    """True if an object of these classes is among the values or in their containers.

    None if more than `budget` members would have to be looked at to tell.
    """
    todo = list(values)
    seen: dict[int, object] = {}
    while todo:
        value = todo.pop()
        kind = type(value)  # `isinstance` would ask a proxy for its `__class__`
        if kind in PLAIN_TYPES:
            continue
        if issubclass(kind, kinds):
            return True
        base = next((one for one in CONTAINERS if issubclass(kind, one)), None)
        if base is None or id(value) in seen:
            continue
        seen[id(value)] = value
        length = base.__len__(value)
        if budget is not None:
            budget -= length
            if budget < 0:
                return None
        if base is dict:
            todo += dict.keys(value)  # type: ignore[arg-type]
            if length <= SHORT or not _are_plain(dict.values(value)):  # type: ignore[arg-type]
                todo += dict.values(value)  # type: ignore[arg-type]
        elif length <= SHORT or not _are_plain(base.__iter__(value)):
            todo += base.__iter__(value)
    return False


@dataclass(slots=True, eq=False)
class Replacing:
    """Replaces what is of these classes; containers with nothing of it stay the very same.

    Args:
        kinds: the classes.
        replace: returns what stands in the place of such an object.
        refuse: raises for a job in a set, or for one that is a key.
    """

    kinds: Kinds
    replace: Callable[[Any], object]
    refuse: Callable[[str], object] = lambda where: None
    _known: dict[int, tuple[object, object]] = field(default_factory=dict)

    def arguments(
        self, args: Args, kwargs: Mapping[str, object]
    ) -> tuple[Args, Mapping[str, object]]:
        """Return the arguments with everything replaced."""
        replaced = {name: self.value(value) for name, value in kwargs.items()}
        return tuple(map(self.value, args)), replaced or kwargs

    def value(self, value: object) -> object:
        """Return the value, or another one with what is in it replaced."""
        kind = type(value)
        if kind in PLAIN_TYPES:
            return value
        if issubclass(kind, self.kinds):
            return self.replace(value)
        if issubclass(kind, (set, frozenset)):
            self._check(cast("set[object]", value), "a set")
        if not issubclass(kind, (list, tuple, dict)):
            return value
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self._container(cast("Any", value)))
        return known[1]

    def _container(self, value: Any) -> object:
        if issubclass(type(value), tuple):
            items = [self.value(one) for one in tuple.__iter__(value)]
            return value if _same(items, value) else tuple.__new__(type(value), items)
        if issubclass(type(value), dict):
            self._check(value, "a key of a dictionary")
            if not holds([value], self.kinds):
                return value
            new = copy.copy(value)
            self._known[id(value)] = (value, new)  # it may hold itself
            for key, one in list(dict.items(value)):
                dict.__setitem__(new, key, self.value(one))
            return new
        if not holds([value], self.kinds):
            return value
        new = copy.copy(value)
        self._known[id(value)] = (value, new)
        list.__setitem__(new, slice(None), [self.value(one) for one in list.__iter__(value)])
        return new

    def _check(self, members: Iterable[object], where: str) -> None:
        for one in members:
            if holds([one], self.kinds):
                self.refuse(where)


def _are_plain(members: Iterable[object]) -> bool:
    return PLAIN_TYPES.issuperset(map(type, members))


def _same(items: list[object], of: Iterable[object]) -> bool:
    return all(a is b for a, b in zip(items, of, strict=True))
