"""What a worker gets of the kernel: a function's nearly everything, a plugin's what is listed."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

DENIED_PREFIXES = ("JUPYTER_", "JPY_", "JUPYTERHUB_", "JOBQUEUE_")
"""The notebook server's own: its tokens and addresses are no business of a job."""


def environment_for_workers(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The kernel's environment without the server's variables, with the queue's `env=`."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(DENIED_PREFIXES)
    }
    if environ.get("MPLBACKEND", "").startswith("module://"):
        del environ["MPLBACKEND"]  # draws into notebook cells; a worker has none
    environ.update(extra or {})
    return environ


ALLOWED = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "TMP"),
        *("LANG", "LANGUAGE", "TZ", "TERM"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("SYSTEMROOT", "WINDIR", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "COMSPEC", "PATHEXT"),
        *("HF_HOME", "HF_HUB_OFFLINE", "TORCH_HOME"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }
)
ALLOWED_PREFIXES = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "ROCM_", "HIP_")


def environment_for_plugins(
    own: Mapping[str, str], python: str, passed: Collection[str] = ()
) -> dict[str, str]:
    """Where things are, and no secret of the kernel's but those that the manifest names.

    Args:
        own: the manifest's own variables.
        python: the plugin's interpreter; its folder comes first in PATH.
        passed: the kernel's variables that the manifest asks for by name.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in ALLOWED or name in passed or name.startswith(ALLOWED_PREFIXES)
    }
    folder = os.path.dirname(python)
    environ["PATH"] = os.pathsep.join(filter(None, [folder, environ.get("PATH", os.defpath)]))
    environ.update(own)
    return environ


class Surroundings:
    """Folder, import path and environment of the kernel as they are now, made anew on change.

    Workers take over what is newer than what they have, so that `os.chdir` or `os.environ` in a
    cell holds for the jobs submitted after it. Looking whether something changed costs 2 µs.
    """

    def __init__(
        self, extra: Mapping[str, str] | None, spool: str, max_result_bytes: int | None
    ) -> None:
        self._extra = extra
        self._fixed = {"spool": spool, "max_result_bytes": max_result_bytes}
        self._seen: tuple[str, list[str], dict[Any, Any]] = ("", [], {})
        self._current: dict[str, Any] = {}

    def now(self) -> dict[str, Any]:
        """The same object as long as nothing has changed."""
        try:
            cwd = os.getcwd()
        except OSError:
            cwd = "/"
        seen = (cwd, sys.path, _raw_environment())
        if seen != self._seen:
            self._seen = (cwd, list(sys.path), dict(seen[2]))
            environ = environment_for_workers(self._extra)
            self._current = {**self._fixed, "cwd": cwd, "path": list(sys.path), "environ": environ}
        return self._current


def _raw_environment() -> dict[Any, Any]:
    """The dict inside os.environ: os.environ itself decodes every variable to be compared."""
    raw: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return dict(os.environ) if raw is None else raw
