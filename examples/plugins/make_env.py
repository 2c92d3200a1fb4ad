"""Makes the environment of an example plugin, and the manifest that says where it is.

    python examples/plugins/make_env.py sys-mon

makes `sys-mon/.venv` with what its `requirements.txt` names, and `manifests/sys-mon.json` from its
`plugin.json`. Only the standard library is needed. `--here` takes this interpreter instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def make_environment(plugin: Path) -> Path:
    """A virtual environment beside the plugin; its interpreter."""
    home = plugin / ".venv"
    venv.create(home, with_pip=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = ["-r", "requirements.txt"]
    subprocess.run([python, "-m", "pip", "install", "-q", *requirements], cwd=plugin, check=True)
    return python


def write_manifest(plugin: Path, python: Path, into: Path) -> Path:
    """The plugin's own manifest, with its interpreter and where its module is."""
    manifest = json.loads((plugin / "plugin.json").read_text(encoding="utf-8"))
    manifest["python_path"] = str(python)
    manifest["env_vars"] = {"PYTHONPATH": str(plugin), **manifest.get("env_vars", {})}
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{manifest['name']}.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("plugin", help="the name of its folder")
    parser.add_argument("--here", action="store_true", help="use the interpreter that runs this")
    parser.add_argument("--into", type=Path, default=FOLDER / "manifests")
    told = parser.parse_args()
    plugin = FOLDER / told.plugin
    if not (plugin / "plugin.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/plugin.json")))
        sys.exit(f"there is no plugin {told.plugin!r} here; there are: {known}")
    python = Path(sys.executable) if told.here else make_environment(plugin)
    sys.stdout.write(f"{write_manifest(plugin, python, told.into)}\n")


if __name__ == "__main__":
    main()
