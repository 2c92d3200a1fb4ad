"""Which Python wrote a pickle that holds code: bytecode of another one can crash this process."""

from __future__ import annotations

import re
import sys

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_CODE = (b"_builtin_type", b"CodeType")  # how cloudpickle names what makes code
_MARK = re.compile(rb"\x80\x05\x8c.python (\d\.\d{1,3})0", re.DOTALL)


def marked(data: bytes) -> bytes:
    """The pickle with this Python's version before it, if it holds code.

    The mark is a text that every reader of pickles takes up and drops again.
    """
    if not all(name in data for name in _CODE):
        return data
    text = b"python " + HERE.encode()
    return b"\x80\x05\x8c" + bytes([len(text)]) + text + b"0" + data


def unmarked(data: bytes) -> bytes:
    """Return the pickle without the mark."""
    found = _MARK.match(data)
    return data if found is None else data[found.end() :]


def why_foreign(data: bytes) -> str | None:
    """Return why it must not be unpickled here, if its code is of another Python."""
    found = _MARK.match(data)
    python = HERE if found is None else found[1].decode()
    if python == HERE:
        return None
    return f"it holds code of Python {python}, which Python {HERE} cannot run"
