"""A small process that ends what a killed kernel has left running; standard library only.

It is started as `python -I -S guardian.py FOLDER` and acts when the kernel's pipe closes: a worker
cannot do this for itself while C code holds its interpreter, and a killed kernel cannot either. In
the folder is psutil, which is asked where there is no /proc.
Lines on stdin: `+PGID ID` a worker begins, `-PGID` it is gone, `d PATH` a folder to remove,
`f PATH` no more.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

WORKER = b"JOBQUEUE_WORKER_ID="


def carriers(marks: set[bytes]) -> dict[int, bytes]:
    """Return the other processes that have one of the marks in their environment, and which."""
    found = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return _carriers_without_proc(marks)
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                here = marks.intersection(file.read().split(b"\0"))
        except OSError:
            continue
        if here:
            found[int(name)] = here.pop()
    return found


def _carriers_without_proc(marks: set[bytes]) -> dict[int, bytes]:
    """Ask psutil: on macOS it tells of this user's processes, but not of Apple's own programs."""
    try:
        import psutil
    except ImportError:
        return {}
    found = {}
    for process in psutil.process_iter():
        try:
            told = process.environ() if process.pid != os.getpid() else {}
        except (psutil.Error, OSError):  # another user's, or it is gone
            continue
        here = marks.intersection(os.fsencode(f"{name}={value}") for name, value in told.items())
        if here:
            found[process.pid] = here.pop()
    return found


def end_all(groups: dict[int, bytes]) -> None:
    """End every group and every process with one of the ids, until none is left."""
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue
    marks = {WORKER + worker_id for worker_id in groups.values()}
    for _ in range(50):
        left = carriers(marks)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        if not left:
            return
        time.sleep(0.01)


def main() -> None:
    """Read lines until the kernel is gone."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.path += sys.argv[1:]
    groups: dict[int, bytes] = {}
    folders: set[bytes] = set()
    for line in sys.stdin.buffer:
        sign, rest = line[:1], line[1:].strip()
        if sign == b"+":
            group, _, worker_id = rest.partition(b" ")
            groups[int(group)] = worker_id
        elif sign == b"-":
            groups.pop(int(rest), None)
        elif sign == b"d":
            folders.add(rest)
        elif sign == b"f":
            folders.discard(rest)
    if groups and hasattr(os, "killpg"):  # on Windows they end with the kernel
        end_all(groups)
    for folder in folders:
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.lexists(folder):
                break
            time.sleep(0.01)  # Windows keeps what a process has open, until that is gone


if __name__ == "__main__":
    main()
