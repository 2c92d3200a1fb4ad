"""Holds what was read from a file to a JSON schema of ours, and says in words what does not fit."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastjsonschema import JsonSchemaValueException

DRAFT = "http://json-schema.org/draft-07/schema#"  # our keywords mean the same in 2020-12
LONGEST = 100  # characters of a place, of a value and of what is expected there

_short = reprlib.Repr()  # looks at the first items only, however many there are and how deep
_short.maxstring = _short.maxother = _short.maxlong = LONGEST
_short.maxlevel = 2


class Schema:
    """A JSON schema that is written in our code, never one that was read.

    Its validator is Python code that fastjsonschema makes of it, when it is first needed: 4 to 12
    ms. Whatever has a `pattern` has a `title` as well, which says what kind of text is expected.
    """

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self.definition = definition

    @cached_property
    def _validate(self) -> Any:
        import fastjsonschema

        definition = {"$schema": DRAFT, **self.definition}
        return fastjsonschema.compile(definition, use_default=False, use_formats=False)

    def fault_of(self, value: Any) -> str | None:
        """What does not fit first, in less than 300 characters: "install.env_vars.A: 1 is …"."""
        from fastjsonschema import JsonSchemaValueException

        try:
            self._validate(value)
        except JsonSchemaValueException as error:
            return ": ".join(filter(None, (_place(error), _words(error))))
        return None


def _place(error: JsonSchemaValueException) -> str:
    """Dotted: `code.worker_env.0.name`. A name may be any text that a file has."""
    name = (error.name or "").removeprefix("data").removeprefix(".")
    place = _cut(re.sub(r"\[(\d+)\]", r".\1", name))
    return place if place.isprintable() else _cut(ascii(place)[1:-1])


def _words(error: JsonSchemaValueException) -> str:
    value, expected = error.value, error.rule_definition
    if error.rule == "required":
        return f"{next(name for name in expected if name not in value)!r} is a required property"
    if error.rule == "pattern":
        return f"{_shown(value)} is no {error.definition['title']}"
    if error.rule == "propertyNames":  # the library does not say which of them
        fits = re.compile(expected["pattern"]).fullmatch
        return f"{_shown(next(name for name in value if not fits(name)))} is no {expected['title']}"
    if error.rule == "type":
        kinds = [expected] if isinstance(expected, str) else expected
        return f"{_shown(value)} is not of type {' or '.join(map(repr, kinds))}"
    words = {
        "const": "is not",
        "minimum": "is less than",
        "maximum": "is more than",
        "minLength": "is too short; the least number of characters is",
    }.get(error.rule or "", f"breaks the rule {error.rule}:")
    return f"{_shown(value)} {words} {expected!r}"


def _shown(value: Any) -> str:
    return _cut(_short.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
