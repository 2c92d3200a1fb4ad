"""Lets the browser's Python take its own packages from the wheels beside it, and no others.

    python lock_own_wheels.py FOLDER

Its list names hundreds of packages and the sums of their files, none of which are here. Those that
are, from an index, were packed anew, and so have other sums.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
path = folder / "pyodide-lock.json"
lock = json.loads(path.read_text(encoding="utf-8"))
lock["packages"] = {
    name: {**package, "sha256": hashlib.sha256((folder / file).read_bytes()).hexdigest()}
    for name, package in lock["packages"].items()
    if (folder / (file := package["file_name"])).exists()
}
path.write_text(json.dumps(lock), encoding="utf-8")
