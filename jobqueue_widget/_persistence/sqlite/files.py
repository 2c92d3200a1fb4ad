"""Keeps large results in files beside the journal, one each, and only their sizes in it."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from ..._core.stored import KeptResult
from ...child import wire
from ...errors import JournalError
from .beside import FOLDER, check_folder, open_own, sibling

INLINE = 1 << 20  # bytes; a larger result gets a file of its own
ID = re.compile(r"[0-9a-z]{1,40}(-[0-9a-z]{1,20}){1,4}")  # a UUID or an id of 0.1; a safe name


class ResultFiles:
    """The folder `<journal>.results` (0700), made with the first large result."""

    def __init__(self, journal: Path) -> None:
        self._folder = sibling(journal, FOLDER)

    def put(
        self, job_id: str, result: KeptResult, *, durable: bool
    ) -> tuple[str, bytes, str, bytes | None]:
        """Return the columns of a result, after moving large data to a file."""
        if result.form != "pickle" or len(result.data) <= INLINE:
            return result
        path = self._path(job_id)
        new = path.with_suffix(".new")
        check_folder(self._folder)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        new.unlink(missing_ok=True)  # a kernel that died has left it
        fd = open_own(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with open(fd, "wb", buffering=0):  # closed before it is removed
                wire.write_all(fd, [result.data])
                if durable:
                    os.fsync(fd)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        new.replace(path)
        return ("file", b"", result.shown, result.seal)

    def get(self, job_id: str, row: tuple[Any, ...]) -> KeptResult:
        """Return a result, read from its file if it has one."""
        form, data, shown, seal = row
        if form == "file":
            try:
                check_folder(self._folder)
                with os.fdopen(open_own(self._path(job_id), os.O_RDONLY), "rb") as file:
                    data = file.read()
            except (OSError, ValueError, JournalError) as error:
                return KeptResult("text", f"its file cannot be read: {error}".encode(), shown, None)
            form = "pickle"
        return KeptResult(form, data, shown, seal)

    def remove(self, job_ids: Iterable[str]) -> None:
        """Delete the files of forgotten jobs."""
        for job_id in job_ids if self._is_ours() else ():
            if ID.fullmatch(job_id):
                _remove(self._path(job_id))

    def remove_all_but(self, wanted: Container[str]) -> None:
        """Delete files left by a kernel that died before it wrote their row; only names of ours."""
        for path in self._folder.iterdir() if self._is_ours() else ():
            ours = path.suffix in (".new", ".pickle") and ID.fullmatch(path.stem)
            if ours and (path.suffix == ".new" or path.stem not in wanted):
                _remove(path)

    def _is_ours(self) -> bool:
        return self._folder.is_dir() and not self._folder.is_symlink()

    def _path(self, job_id: str) -> Path:
        if not ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no id of ours")
        return self._folder / f"{job_id}.pickle"


def _remove(path: Path) -> None:
    if not path.is_dir():  # we never make one there
        path.unlink(missing_ok=True)
