"""Seals with the user's key what a journal keeps, to prove before unpickling who wrote it."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import stat
import struct
import sys
from pathlib import Path

from ...child.wire import open_new
from .beside import open_safely

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "JOBQUEUE_DATA_DIR"
KEY_BYTES = 32


def data_folder() -> Path:
    """Return the user's folder for our data (by the rules of platformdirs)."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(root) / "jobqueue_widget"


class Signer:
    """Seals bytes with the user's key; without a key it seals and proves nothing."""

    def __init__(self, key: bytes | None, why_not: str = "") -> None:
        self._key = key
        self.why_not = why_not

    @classmethod
    def of_this_user(cls) -> Signer:
        """Make a signer with the key in the user's folder, which is made at its first use."""
        try:
            return cls(_load_or_make(data_folder() / "journal.key"))
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: there is no home
            logger.warning("no key to sign journals with: %s", error)
            return cls(None, f"there is no key to sign them with ({error})")

    def seal(self, *parts: bytes) -> bytes | None:
        """Return what proves these parts, each with its place and length; None without a key."""
        if self._key is None:
            return None
        return hmac.digest(self._key, _framed(parts), "sha256")

    def proves(self, seal: bytes | None, *parts: bytes) -> bool:
        """True if this user's key sealed exactly these parts."""
        if self._key is None or not isinstance(seal, bytes):
            return False
        return hmac.compare_digest(seal, hmac.digest(self._key, _framed(parts), "sha256"))


def _framed(parts: tuple[bytes, ...]) -> bytes:
    """Join parts with their lengths, so that no byte can be moved from one to the next."""
    return struct.pack(f">{len(parts)}Q", *map(len, parts)) + b"".join(parts)


def _load_or_make(path: Path) -> bytes:
    """Return the key.

    Raises:
        OSError, ValueError: it cannot be read or made, or others could have read it.
    """
    if not os.path.lexists(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        fd = open_new(new)
        try:
            os.write(fd, secrets.token_bytes(KEY_BYTES))
            os.fsync(fd)
            os.close(fd)
            try:
                os.link(new, path)  # fails if another kernel's key is there, which counts
            except FileExistsError:
                logger.debug("another kernel made the key")
        finally:
            new.unlink(missing_ok=True)
    with open(path, "rb", opener=open_safely) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is no ordinary file: remove it")
        if sys.platform != "win32":
            if status.st_uid != os.geteuid():
                raise ValueError(f"{path} belongs to another user")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise ValueError(f"{path} can be read by others: chmod 600 it, or remove it")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} holds no key: remove it")
    return key
