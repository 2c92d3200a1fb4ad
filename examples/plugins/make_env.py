"""Makes the environments of example plugins, and the manifests that say where they are.

    python examples/plugins/make_env.py transcribe ocr

makes `build/plugins/transcribe` with what its `requirements.txt` names, and
`build/plugins/manifests/transcribe.json` from its `plugin.json`; so for each name, and without one
for every plugin. What is there already is kept as long as the requirements stay the same. With uv
if it is there, else with venv and pip; only the standard library is needed. `--here` makes no
environment: the plugin runs in that of this interpreter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
INTO = FOLDER.parents[1] / "build" / "plugins"


def make_environment(plugin: Path, home: Path) -> Path:
    """The interpreter of a virtual environment with what the plugin requires."""
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = (plugin / "requirements.txt").read_bytes()
    wanted = f"{sys.version} {hashlib.sha256(requirements).hexdigest()}"
    stamp = home / "made-of.txt"
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    sys.stderr.write(f"installing what {plugin.name} requires into {home}\n")
    if uv := shutil.which("uv"):
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, home)
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        run(sys.executable, "-m", "venv", "--clear", home)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*install, "-r", "requirements.txt", cwd=plugin)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """A command that must succeed."""
    subprocess.run(command, cwd=cwd, check=True)


def write_manifest(plugin: Path, python: Path, into: Path) -> Path:
    """The plugin's own manifest, with its interpreter and where its module is."""
    manifest = json.loads((plugin / "plugin.json").read_text(encoding="utf-8"))
    manifest["python_path"] = str(python)
    manifest["env_vars"] = {"PYTHONPATH": str(plugin), **manifest.get("env_vars", {})}
    into.mkdir(parents=True, exist_ok=True, mode=0o755)
    path = into / f"{manifest['name']}.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    path.chmod(0o644)  # one that every user may write is refused
    return path


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("plugins", nargs="*", help="names of folders here; default: every one")
    parser.add_argument("--here", action="store_true", help="use the interpreter that runs this")
    parser.add_argument("--into", type=Path, help="a folder for the manifests")
    told = parser.parse_args()
    known = sorted(path.parent.name for path in FOLDER.glob("*/plugin.json"))
    for name in told.plugins:
        if name not in known:
            sys.exit(f"there is no plugin {name!r} here; there are: {', '.join(known)}")
    for name in told.plugins or known:
        plugin = FOLDER / name
        try:
            here = Path(sys.executable)
            python = here if told.here else make_environment(plugin, INTO / name)
        except subprocess.CalledProcessError as error:
            command = " ".join(map(str, error.cmd))
            sys.exit(
                f"the environment of {name} could not be made, see above; it failed: {command}"
            )
        sys.stdout.write(f"{write_manifest(plugin, python, told.into or INTO / 'manifests')}\n")


if __name__ == "__main__":
    main()
