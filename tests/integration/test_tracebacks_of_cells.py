"""A traceback of a job shows the lines of every cell that its call went through."""

from __future__ import annotations

import pytest

from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

CELLS = (
    "from jobqueue_widget import JobQueue\nqueue = await JobQueue().start()",
    """
def helper(value):
    # a line before
    raise ValueError(value)  # in the helper
""",
    """
import functools
def decorated(function):
    @functools.wraps(function)
    def inside(*args):
        return function(*args)  # in the decorator
    return inside
""",
    """
class Model:
    def fit(self, value):
        return [helper(one) for one in [value]]  # in the method
""",
    """
@decorated
def work(value):
    return (lambda: Model().fit(value))()  # in the job
""",
)
PLACES = ("in the decorator", "in the job", "in the method", "in the helper")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_line_is_shown_with_its_cell(version: str) -> None:
    kernel = Kernel(version)
    try:
        for cell in CELLS:
            kernel.run(cell)
        for executor in ("process", "thread"):
            kernel.run(f"job = queue.options(executor={executor!r}).submit_nowait(work, 3)")
            kernel.run("await queue.wait_for_job(job)")
            text = str(kernel.value_of("job.failure.traceback"))
            found = [text.find(place) for place in PLACES]
            assert -1 not in found, text
            assert found == sorted(found), text
            files = kernel.value_of(
                "[f.__code__.co_filename for f in (work, work.__wrapped__, Model.fit, helper)]"
            )
            assert all(f'File "{name}"' in text for name in files), text
    finally:
        kernel.close()
