"""Marks pickles of code with their Python, as bytecode of another one can crash this process."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from ..child import wire
from ..child.calls import references

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_CODE = (b"_builtin_type", b"CodeType")  # names in cloudpickle's pickles of code
_MARK = re.compile(rb"\x80\x05\x8c.python (\d\.\d{1,3})0", re.DOTALL)


def marked(data: bytes) -> bytes:
    """Mark a pickle of code with this Python's version, in a text that readers load and drop."""
    if not all(name in data for name in _CODE):
        return data
    text = b"python " + HERE.encode()
    return b"\x80\x05\x8c" + bytes([len(text)]) + text + b"0" + data


def joined(parts: Sequence[memoryview]) -> bytes:
    """Mark a pickle with the buffers that go beside it, and join them; a pickle alone stays one."""
    head = marked(bytes(parts[0]))
    return head if len(parts) == 1 else b"".join(wire.join_parts([head, *parts[1:]]))


def split(data: bytes) -> list[memoryview]:
    """Return a pickle and its buffers, which may be changed, of what `joined` made."""
    return references.parts_of(memoryview(data if data[:1] == b"\x80" else bytearray(data)))


def unmarked(data: bytes) -> bytes:
    """Return a pickle without the mark."""
    found = _MARK.match(data)
    return data if found is None else data[found.end() :]


def why_foreign(data: bytes | memoryview) -> str | None:
    """Say why a pickle must not be unpickled here, as its code is of another Python, or None."""
    found = _MARK.match(data)
    python = HERE if found is None else found[1].decode()
    if python == HERE:
        return None
    return f"it holds code of Python {python}, which Python {HERE} cannot run"
