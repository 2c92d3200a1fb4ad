"""A job logs as the cell would: the notebook's levels and formats hold in workers too."""

from __future__ import annotations

import pytest

from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

SAY = """
import logging
from jobqueue_widget import JobQueue
def say():
    tree = logging.root.manager.loggerDict
    new = (name for name in ("d", "d.e") if isinstance(tree.get(name), logging.Logger))
    for name in (None, "a", "a.b", "c", "__main__", *new):
        for level in (10, 20, 30, 40):
            logging.getLogger(name).log(level, "%s at %d", name, level)
queue = await JobQueue().start()
"""
RESET = """
root = logging.getLogger()
for logger in (root, *(logging.getLogger(n) for n in ("a", "a.b", "c", "__main__"))):
    logger.setLevel(30 if logger is root else 0)
    logger.propagate = True
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
logging.disable(0)
"""
OWN = """
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("{levelname}/{message}", style="{"))
log = logging.getLogger("__main__")
log.addHandler(handler); log.setLevel(10); log.propagate = False
"""
CONFIGURATIONS = (
    "",
    "logging.basicConfig()",
    "logging.basicConfig(level=10, format='%(name)s|%(levelname)s|%(message)s')",
    "logging.basicConfig(level=20, format='$name: $message', style='$')",
    "root.setLevel(10)",
    "logging.basicConfig(level=20); logging.getLogger('a').setLevel(40)",
    "logging.basicConfig(level=20); logging.getLogger('a').propagate = False",
    "logging.basicConfig(level=20); root.handlers[0].setLevel(40)",
    "logging.basicConfig(level=10); logging.disable(20)",
    OWN,
    OWN + "logging.basicConfig(level=40)",
    "logging.getLogger('d.e').setLevel(10)",  # a logger that is new since the job before
    "logging.getLogger('d').setLevel(10)",  # and one whose place in the tree was there
    "",  # and nothing of all that is left
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_logs_as_the_cell_does(version: str) -> None:
    kernel = Kernel(version)
    try:
        kernel.run(SAY)
        for number, configuration in enumerate(CONFIGURATIONS):
            kernel.run(RESET + configuration)
            kernel.heard.clear()
            cell = kernel.send("say()")
            assert kernel.reply_to(cell)["status"] == "ok"
            kernel.until_idle_after(cell)
            shown = kernel.printed()
            kernel.run("job = queue.submit_nowait(say); await job")
            assert kernel.value_of("job.logs()") == shown, (number, configuration)
    finally:
        kernel.close()
