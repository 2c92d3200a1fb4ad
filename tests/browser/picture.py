"""Takes a picture of the live widget: the first example, in a real JupyterLab and Chromium.

    python -m tests.browser.picture demo.png

Says where the picture is, or in one line why there is none; either way it ends with 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from playwright.sync_api import sync_playwright

from tests.browser.chromium import chromium_path, launch
from tests.browser.lab import Lab, Notebook

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_first_queue.ipynb"
LAST_CELL = "turn"  # what comes after it ends the queue
FAR_ENOUGH = 25  # percent of the running job
WIDTH = 1180


def cells_to_show() -> list[str]:
    """The code of the example up to the cell whose jobs take a while."""
    cells = []
    for cell in nbformat.read(EXAMPLE, as_version=4).cells:
        if cell.cell_type == "code":
            cells.append(cell.source)
            if cell.id == LAST_CELL:
                break
    return cells


def take(chromium: str, path: Path) -> None:
    """Run the example and take the picture when there is something to see."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright, chromium)
        lab = Lab(Path(folder))
        try:
            context = browser.new_context(
                viewport={"width": WIDTH, "height": 900}, device_scale_factor=1.5
            )
            notebook = Notebook(lab, context, tuple(cells_to_show()))
            notebook.run_all(patience=180_000)
            widget = notebook.page.get_by_role("region", name="Job queue").last
            bar = widget.get_by_role("rowgroup", name="Running").get_by_role("progressbar")
            bar.and_(notebook.page.locator(f"[aria-valuenow='{FAR_ENOUGH}']")).wait_for(
                timeout=180_000
            )
            widget.get_by_role("rowgroup", name="Running").get_by_role("row").click()
            widget.get_by_role("tab", name="Log").click()
            widget.get_by_role("log").get_by_text(".py").first.wait_for()
            notebook.page.mouse.move(2, 2)
            widget.screenshot(path=path)
            notebook.close()
        finally:
            lab.close()
            browser.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Take a picture of the live widget.")
    parser.add_argument("path", type=Path)
    told = parser.parse_args()
    chromium = chromium_path()
    if chromium is None:
        print("no picture of the widget: there is no Chromium here (set CHROMIUM to have one)")
        return
    told.path.parent.mkdir(parents=True, exist_ok=True)
    take(chromium, told.path)
    print(f"the live widget, as a browser shows it: {told.path.resolve()}")


if __name__ == "__main__":
    main()
