"""Job Objects of Windows: all that a process starts is in one, and ends with it."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes

assert sys.platform == "win32"

_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel32.CreateJobObjectW.restype = wintypes.HANDLE
for _name in ("SetInformationJobObject", "QueryInformationJobObject", "TerminateJobObject"):
    getattr(_kernel32, _name).restype = wintypes.BOOL
_kernel32.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
_kernel32.SetInformationJobObject.argtypes = (
    *(wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD),
)
_kernel32.QueryInformationJobObject.argtypes = (
    *(wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD, wintypes.LPVOID),
)
_kernel32.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
_kernel32.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
_kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)

ACCOUNTING, LIMITS = 1, 9  # classes of information
KILL_ON_JOB_CLOSE = 0x2000
KILLED = 1  # the exit code of what is ended


class _Accounting(ctypes.Structure):
    _fields_ = (
        ("times", ctypes.c_int64 * 4),
        ("faults", wintypes.DWORD),
        ("total", wintypes.DWORD),
        ("active", wintypes.DWORD),
        ("terminated", wintypes.DWORD),
    )


class _Limits(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", wintypes.DWORD),
        ("smallest", ctypes.c_size_t),
        ("largest", ctypes.c_size_t),
        ("processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority", wintypes.DWORD),
        ("scheduling", wintypes.DWORD),
        ("io", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


def _check(done: object) -> None:
    if not done:
        raise ctypes.WinError(ctypes.get_last_error())


class JobObject:
    """Processes that are ended together, also when this process ends. Any thread."""

    def __init__(self) -> None:
        self._handle = _kernel32.CreateJobObjectW(None, None)
        _check(self._handle)
        limits = _Limits(flags=KILL_ON_JOB_CLOSE)
        try:
            _check(
                _kernel32.SetInformationJobObject(
                    self._handle, LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
                )
            )
        except BaseException:
            self.close()
            raise

    def add(self, process: int) -> None:
        """Put a process into it, by its handle; it stays there, with all that it starts.

        Raises:
            OSError: it is in a job that does not allow it.
        """
        _check(_kernel32.AssignProcessToJobObject(self._handle, process))

    def end(self) -> None:
        """End all that is in it; they may take a moment."""
        _kernel32.TerminateJobObject(self._handle, KILLED)

    def count(self) -> int:
        """Return how many processes are in it."""
        found = _Accounting()
        size = ctypes.sizeof(found)
        _check(
            _kernel32.QueryInformationJobObject(
                self._handle, ACCOUNTING, ctypes.byref(found), size, None
            )
        )
        return int(found.active)

    def close(self) -> None:
        """Close it, which ends what is still in it."""
        handle, self._handle = self._handle, None
        if handle:
            _kernel32.CloseHandle(handle)
