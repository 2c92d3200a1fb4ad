"""Holds messages of a page to `protocol.json`: what does not fit is refused with a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class RequestError(Exception):
    """A request that is answered with an error instead of being carried out."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or code)
        self.code = code


def check(value: object, schema: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the known members of an object, each of the right type and size, and no others.

    Raises:
        RequestError: `bad_request`, naming the member.

    """
    if type(value) is not dict:
        raise RequestError("bad_request", f"{what} must be an object")
    for name in schema["required"]:
        if name not in value:
            raise RequestError("bad_request", f"{what} lacks {name!r}")
    known = schema["properties"]
    for name in value.keys() & known.keys():
        if not _fits(value[name], known[name]):
            raise RequestError("bad_request", f"{what}.{name} does not fit")
    return {name: value[name] for name in known if name in value}


def _fits(value: object, rule: Mapping[str, Any]) -> bool:
    if type(value) not in KINDS[rule["type"]]:
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if isinstance(value, list):
        return bool(len(value) <= rule["maxItems"])
    if isinstance(value, str):
        return bool(len(value) <= rule.get("maxLength", 1_000))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(rule.get("minimum", value) <= value <= rule.get("maximum", value))
    return True
