"""Tells which processes hold memory of a GPU."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def gpu_memory_of(pid: int) -> bool:
    """True if NVML says that the process holds GPU memory; False also where it cannot be asked."""
    try:
        import pynvml
    except ImportError:
        return False
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if any(process.pid == pid for process in running):
                return True
    except pynvml.NVMLError as error:
        logger.debug("NVML cannot say what process %d holds: %s", pid, error)
    return False
