"""The system's Chromium, for the browser tests and the benchmarks."""

from __future__ import annotations

import os
import shutil

from playwright.sync_api import Browser, Playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "no Chromium here: set CHROMIUM, or install Debian's package chromium"


def chromium_path() -> str | None:
    """Where it is, if it is there."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def launch(playwright: Playwright, path: str) -> Browser:
    """Start it, without a window."""
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
