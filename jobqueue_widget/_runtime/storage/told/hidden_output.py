"""Keeps secrets out of what a job prints, also those that come in two pieces."""

from __future__ import annotations

import threading

from ...._core.texts.hiding import Secrets


class HiddenOutput:
    """Hides secrets in what comes in pieces: one that lies across two of them too. Any thread."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._kept = b""  # the beginning of a secret, perhaps
        self._lock = threading.RLock()  # a finalizer may print in the middle of a call
        self._coming: list[bytes] = []
        self._is_passing = False

    def pass_on(self, data: bytes | str) -> bytes:
        """What may be shown now; what comes in the middle of a call is returned by that one."""
        if isinstance(data, str):
            data = data.encode("utf-8", "backslashreplace")
        shown = b""
        with self._lock:
            self._coming.append(data)
            while self._coming and not self._is_passing:
                self._is_passing = True
                try:
                    while self._coming:
                        shown += self._pass_on(self._kept + self._coming.pop(0))
                finally:
                    self._is_passing = False
        return shown

    def _pass_on(self, data: bytes) -> bytes:
        end = len(data) if self._secrets.uncountable else self._safe_end(data)
        self._kept = data[end:]
        return self._secrets.hide_in_bytes(data[:end])

    def _safe_end(self, data: bytes) -> int:
        """Where neither a secret nor what may be the beginning of one is cut in two."""
        end = len(data)
        for secret in self._secrets.as_bytes:
            for length in range(min(len(secret) - 1, len(data)), len(data) - end, -1):
                if data.endswith(secret[:length]):
                    end = len(data) - length
                    break
        moved = True
        while moved:
            moved = False
            for secret in self._secrets.as_bytes:
                start = data.find(secret, max(0, end - len(secret) + 1))
                if 0 <= start < end < start + len(secret):
                    end, moved = start, True
        return end

    def rest(self) -> bytes:
        """Nothing more comes: what was kept back."""
        with self._lock:
            kept, self._kept = self._kept, b""
            return self._secrets.hide(kept.decode("utf-8", "replace")).encode()
