"""Makes a worker's environment from the kernel's, without what is the notebook server's."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

ROOT = os.path.abspath(os.sep)
DENIED_PREFIXES = ("JUPYTER_", "JPY_", "JUPYTERHUB_", "JOBQUEUE_")
"""Prefixes of the notebook server's variables, whose tokens and addresses no job needs."""


def missing_folder() -> str | None:
    """Return a folder for a child to start in if this process's was removed; else None."""
    try:
        os.getcwd()
    except OSError:
        return ROOT
    return None


def passed(name: str, value: str) -> bool:
    """True for a variable that a worker gets."""
    if name == "MPLBACKEND" and value.startswith("module://"):
        return False  # draws into notebook cells, which a worker does not have
    return not name.startswith(DENIED_PREFIXES)


def _of_this_process() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if passed(name, value)}


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


FOR_ONE_INTERPRETER = ("PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
"""Variables that say where the kernel's interpreter finds its standard library and packages."""


def environment_for_plugins(
    own: Mapping[str, str], python: str, passed: Collection[str] = (), *, listed: bool = False
) -> dict[str, str]:
    """Make a plugin's environment: the kernel's, made to fit the plugin's own interpreter.

    `PYTHONPATH` and keys are in it. `PYTHONHOME` and its like are not if the interpreter is another
    one, which would look for its standard library in the kernel's. `VIRTUAL_ENV` or `CONDA_PREFIX`
    name the plugin's environment, as after activating it.

    Args:
        own: the manifest's own variables, which win.
        python: the plugin's interpreter; its folder comes first in PATH.
        passed: with `listed`, the kernel's variables that the manifest asks for by name.
        listed: take from the kernel only where things are, and no keys but `passed`.
    """
    environ = _of_this_process()
    if listed:
        environ = {
            name: value
            for name, value in environ.items()
            if name in ALLOWED or name in passed or name.startswith(ALLOWED_PREFIXES)
        }
    folder = os.path.dirname(python)
    if folder != os.path.dirname(sys.executable):
        for name in FOR_ONE_INTERPRETER:
            environ.pop(name, None)
        _activate(environ, os.path.dirname(folder))
    environ["PATH"] = os.pathsep.join(filter(None, [folder, environ.get("PATH", os.defpath)]))
    environ.update(own)
    return environ


def _activate(environ: dict[str, str], prefix: str) -> None:
    """Name the plugin's environment in place of the kernel's, as activating it does."""
    if os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        environ["VIRTUAL_ENV"] = prefix
    elif os.path.isdir(os.path.join(prefix, "conda-meta")):
        environ.pop("VIRTUAL_ENV", None)
        environ["CONDA_PREFIX"] = prefix
        environ["CONDA_DEFAULT_ENV"] = os.path.basename(prefix)


def raw_environment() -> dict[Any, Any]:
    """Return the dict inside `os.environ`, which compares without decoding every variable."""
    raw: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return dict(os.environ) if raw is None else raw
