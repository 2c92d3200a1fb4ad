"""Makes virtual environments for plugins: finds an interpreter, runs its venv and their pip.

The only place that starts pip, on request (see `install.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..workers.environment import environment_for_plugins

NEWEST_PLUGINS_NEED = (3, 12)  # the packages of the reference system, from its 0.0.29 on
OLDEST = (3, 9)
LAST_LINES = 12

Tell = Callable[[str], None]


class InstallError(RuntimeError):
    """A plugin could not be installed or removed: what, why, and the cure."""


def find_python(named: str | None = None) -> str:
    """The interpreter to make environments with: the named one, or the first that is new enough.

    Looked for is this one, then those in PATH, then those of pyenv and uv.

    Raises:
        InstallError: there is none, or the named one does not run or is too old.
    """
    if named is not None:
        place = shutil.which(named)
        version = _version(place) if place else None
        if place is None or version is None:
            raise InstallError(f"--python {named}: is no Python that runs")
        if version < OLDEST:
            raise InstallError(
                f"--python {named}: is Python {_dotted(version)}; a plugin's worker needs "
                f"{_dotted(OLDEST)} or newer"
            )
        return os.path.abspath(place)
    for place in _interpreters():
        version = _version(place)
        if version is not None and version >= NEWEST_PLUGINS_NEED:
            return place
    raise InstallError(
        f"no Python {_dotted(NEWEST_PLUGINS_NEED)} or newer was found in PATH, pyenv or uv, which "
        "plugins of the reference system need; name one: --python /path/to/python3.12 (or an older "
        f"one, from {_dotted(OLDEST)} on, for a plugin that runs there: --python {sys.executable})"
    )


def make_environment(
    interpreter: str | Path, folder: Path, requirements: Sequence[str], tell: Tell
) -> Path:
    """A virtual environment in this folder, filled by its own pip; its interpreter.

    Raises:
        InstallError: with the last lines of what failed.
    """
    windows = os.name == "nt"
    python = folder / ("Scripts" if windows else "bin") / ("python.exe" if windows else "python")
    _run(
        [str(interpreter), "-I", "-m", "venv", str(folder)],
        f"{interpreter} could not make a virtual environment",
        "it may lack the module venv (Debian: apt-get install python3-venv); "
        "or name another one: --python",
        tell,
    )
    pip = [str(python), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    _run(
        [*pip, "install", *requirements],
        f"pip could not install {', '.join(requirements)} with {interpreter}",
        "another interpreter: --python; versions that fit: --with PACKAGE==VERSION; where pip "
        "looks is said by its own settings (PIP_INDEX_URL, pip.conf)",
        tell,
    )
    return python


def _run(command: list[str], what: str, cure: str, tell: Tell) -> None:
    """A command that must succeed; its lines are told."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    environ = environment_for_plugins({}, command[0])
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environ,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line.rstrip())
                tell(last[-1])
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        raise InstallError("\n  ".join([f"{what}:", *last, f"Cure: {cure}"]))


def _end(process: subprocess.Popen[Any]) -> None:
    """End it and its children, which would go on to write into the environment."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _interpreters() -> Iterator[str]:
    yield sys.executable
    for minor in range(NEWEST_PLUGINS_NEED[1], 30):
        if place := shutil.which(f"python3.{minor}"):
            yield place
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in (pyenv / "versions", Path.home() / ".local" / "share" / "uv" / "python"):
        yield from map(str, sorted(folder.glob("*3.[1-9][0-9]*/bin/python")))


def _version(python: str) -> tuple[int, int] | None:
    """The version of an interpreter; None if it does not run."""
    command = [python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        major, minor = map(int, done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return major, minor


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
