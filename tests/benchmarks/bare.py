"""The other sides of the widget's benchmarks: widgets that do one thing in the plainest way."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import anywidget
import traitlets

from jobqueue_widget import JobQueue

from .inkernel import GAP, TURN, Heard, Sent, figures, stamp

LEAD = 3.0  # seconds before the first change: the page must be listening
ROW_LIST = """
function render({ model, el }) {
  const list = document.createElement("ol");
  const draw = () => {
    const rows = model.get("jobs").slice(0, %(shown)d).map((job) => {
      const row = document.createElement("li");
      row.textContent = `${job.plugin_name ?? job.name} ${job.id}`;
      return row;
    });
    list.replaceChildren(...rows);
  };
  model.on("change:jobs", draw);
  draw();
  el.append(list);
}
export default { render };
"""


class AllJobs(anywidget.AnyWidget):
    """The simplest widget of a queue: a trait that lists all jobs."""

    _esm = ROW_LIST % {"shown": 25}
    jobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, queue: JobQueue) -> None:
        self._rows: list[dict[str, Any]] = queue.get_state()["pending"]
        super().__init__(jobs=self._rows)
        self._sent = Sent(self)

    def update(self, name: str) -> float:
        """The first job becomes `name`; CPU seconds of telling the page."""
        rows = [{**self._rows[0], "id": name}, *self._rows[1:]]
        begin = time.thread_time()
        self.jobs = rows
        return time.thread_time() - begin

    def size(self) -> float:
        """Bytes of one update."""
        return self._sent.size()


class ReadyRows(anywidget.AnyWidget):
    """As many bytes as a queue's widget sends, of rows that are there already."""

    _esm = ROW_LIST % {"shown": 12}
    jobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, queue: JobQueue) -> None:
        told = queue.widget.get_state(["head", "history"])
        self._rows: list[dict[str, Any]] = [*told["head"], *told["history"]]
        super().__init__(jobs=self._rows)
        self._sent = Sent(self)
        self._seconds: list[float] = []

    def turn(self, seconds: float) -> None:
        """Another row first, ten times a second, from a thread."""

        def run() -> None:
            for number in range(int(seconds / TURN)):
                place = number % len(self._rows)
                rows = [*self._rows[place:], *self._rows[:place]]
                begin = time.thread_time()
                self.jobs = rows
                self._seconds.append(time.thread_time() - begin)
                time.sleep(TURN)

        threading.Thread(target=run, daemon=True).start()

    def figures(self) -> dict[str, float]:
        """Medians per change, and their number."""
        return figures(self._seconds, self._sent)


class Bare(anywidget.AnyWidget):
    """One text that Python changes, one button that Python hears: nothing less is possible."""

    _esm = """
    function render({ model, el }) {
      const text = document.createElement("span");
      const draw = () => { text.textContent = model.get("text"); };
      model.on("change:text", draw);
      draw();
      const button = document.createElement("button");
      button.textContent = "Tell";
      button.addEventListener("click", () => model.send({ told: true }));
      el.className = "bare";
      el.append(text, button);
    }
    export default { render };
    """
    text = traitlets.Unicode("").tag(sync=True)

    def __init__(self, heard: Heard) -> None:
        super().__init__()
        self.on_msg(lambda *_: heard.now())

    def tell(self, times: int) -> None:
        """Change the text so often, from a thread."""

        def run() -> None:
            time.sleep(LEAD)
            for _ in range(times):
                self.text = stamp()
                time.sleep(random.uniform(*GAP))

        threading.Thread(target=run, daemon=True).start()
