"""Large results stand in files beside the journal, one each, and only their size in it."""

from __future__ import annotations

import os
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from .._core.kept import KeptResult

INLINE = 1 << 20  # bytes; what is larger gets a file of its own
_ID = re.compile(r"[0-9a-z]{1,40}(-[0-9a-z]{1,20}){1,4}")  # a UUID, or what 0.1 gave; a safe name


class ResultFiles:
    """The folder `<journal>.results` (0700), made with the first large result."""

    def __init__(self, journal: Path) -> None:
        self._folder = journal.with_name(journal.name + ".results")

    def put(
        self, job_id: str, result: KeptResult, *, durable: bool
    ) -> tuple[str, bytes, str, bytes | None]:
        """The columns of the result, its data moved to a file if it is large."""
        if result.form != "pickle" or len(result.data) <= INLINE:
            return result
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(job_id)
        new = path.with_suffix(".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            view = memoryview(result.data)
            while len(view):
                view = view[os.write(fd, view[: 1 << 24]) :]
            if durable:
                os.fsync(fd)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        new.replace(path)
        return ("file", b"", result.shown, result.seal)

    def get(self, job_id: str, row: tuple[Any, ...]) -> KeptResult:
        """The result, read from its file if it has one."""
        form, data, shown, seal = row
        if form == "file":
            try:
                data = self._path(job_id).read_bytes()
            except (OSError, ValueError) as error:
                return KeptResult("text", f"its file cannot be read: {error}".encode(), shown, None)
            form = "pickle"
        return KeptResult(form, data, shown, seal)

    def remove(self, job_id: str) -> None:
        """Its job is forgotten."""
        if self._folder.exists() and _ID.fullmatch(job_id):
            self._path(job_id).unlink(missing_ok=True)

    def remove_all_but(self, wanted: Container[str]) -> None:
        """What a kernel left that died between a file and its row."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.suffix == ".new" or (path.suffix == ".pickle" and path.stem not in wanted):
                    path.unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        if not _ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no id of ours")
        return self._folder / f"{job_id}.pickle"
