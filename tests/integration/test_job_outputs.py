"""What jobs display beside their log: which forms are kept, in which order, how much, of whom."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from jobqueue_widget import Job, JobOutput, JobQueue, current_job
from tests.kernels import VERSIONS, Kernel

Forms = dict[str, Any]


class Rich:
    """An object with a rich form, which each test chooses."""

    def __init__(self, form: Any, name: str = "html") -> None:
        self.form = form
        if name:
            setattr(self, f"_repr_{name}_", self.told)

    def told(self, **_: Any) -> Any:
        return self.form

    def __repr__(self) -> str:
        return "Rich()"


async def ended(function: Any, *args: Any, **options: Any) -> Job:
    queue = await JobQueue().start()
    try:
        job = queue.options(**options).submit_nowait(function, *args)
        await queue.join()
        return job
    finally:
        await queue.close()


def forms(job: Job) -> list[Forms]:
    return [dict(output.data) for output in job.outputs]


async def test_what_is_displayed_comes_in_order_with_its_text_in_the_log() -> None:
    def shows() -> None:
        print("first")
        display(Rich("<b>one</b>"), 2)  # type: ignore[name-defined]  # noqa: F821 - as in a cell
        print("last")
        display(Rich(("<i>two</i>", {"isolated": True})))  # type: ignore[name-defined]  # noqa: F821

    job = await ended(shows)
    assert forms(job) == [
        {"text/html": "<b>one</b>", "text/plain": "Rich()"},
        {"text/html": "<i>two</i>", "text/plain": "Rich()"},
    ]
    assert job.outputs[1].metadata == {"text/html": {"isolated": True}}
    assert job.logs() == "first\nRich()\n2\nlast\nRich()\n"
    assert job.outputs_lost == 0
    assert job.outputs[0]._repr_mimebundle_()[0] == forms(job)[0]


async def test_each_form_is_as_notebooks_have_it() -> None:
    def shows() -> None:
        from IPython.display import HTML, JSON, Image, Markdown, Math, display

        display(Rich({"text/html": "<p>", "application/x-own+json": [1]}, "mimebundle"))
        display(Rich(b"\x89PNG", "png"), Rich("<svg/>", "svg"))
        display(HTML("<hr>"), JSON({"a": 1}), Markdown("*m*"), Math("x"), Image(b"\x89PNG"))
        display({"text/html": "raw"}, raw=True)
        display(Rich("left out"), exclude=["text/html"])

    job = await ended(shows)
    found = forms(job)
    png = base64.b64encode(b"\x89PNG").decode()
    assert found[0] == {"text/html": "<p>", "application/x-own+json": [1], "text/plain": "Rich()"}
    assert [found[1]["image/png"], found[2]["image/svg+xml"]] == [png, "<svg/>"]
    kinds = ["text/html", "application/json", "text/markdown", "text/latex", "image/png"]
    assert [kind in one for kind, one in zip(kinds, found[3:8], strict=True)] == [True] * 5
    assert found[4]["application/json"] == {"a": 1}
    assert found[7]["image/png"].strip() == png
    assert found[8:] == [{"text/html": "raw"}]


async def test_a_bad_repr_fails_nothing() -> None:
    class Raises:
        def _repr_html_(self) -> str:
            raise ValueError("no html")

        def _ipython_display_(self) -> None:
            raise KeyError("nor this")

        def __repr__(self) -> str:
            raise OSError("nor text")

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return lambda *args, **options: name

    def shows() -> str:
        show = display  # type: ignore[name-defined]  # noqa: F821 - as in a cell
        show(Raises(), Proxy(), Rich(7), Rich({"a": object()}, "json"), Rich)
        show(Rich({"application/own": 7}, "mimebundle"))
        return "done"

    job = await ended(shows)
    assert job.result == "done"
    log = job.logs()
    for said in (
        "[_ipython_display_ of Raises failed: KeyError: 'nor this']",
        "[_repr_html_ of Raises failed: ValueError: no html]",
        "<Raises: its repr failed: OSError>",
        "[text/html of Rich is no text, but int]",
        "[application/own of Rich is no text, but int]",
        "[an output could not be sent: TypeError: Object of type object",
    ):
        assert said in log
    assert forms(job) == []


async def test_a_job_that_is_asked_to_stop_in_a_repr_stops() -> None:
    class Slow:
        def _repr_html_(self) -> str:
            current_job().report(0.5, "draws")
            threading.Event().wait(60)
            return ""

    def shows() -> None:
        display(Slow())  # type: ignore[name-defined]  # noqa: F821 - as in a cell

    async with JobQueue() as queue:
        job = queue.submit_nowait(shows)
        async for event in queue.events(job.id):
            if event.type == "progress":
                break
        job.cancel(timeout=30)
        await queue.join()
    assert job.status == "cancelled"


async def test_what_is_beyond_the_limits_is_counted_and_said() -> None:
    def shows(count: int, size: int) -> None:
        for _ in range(count):
            display(Rich("x" * size))  # type: ignore[name-defined]  # noqa: F821 - as in a cell

    many = await ended(shows, 62, 1)
    assert (len(many.outputs), many.outputs_lost) == (50, 12)
    assert many.logs(62).count("Rich()\n") == 61, "the text is all there"
    said = "[12 more outputs were not kept: 50 of a job are, with 20 MiB in all]\n"
    assert many.logs(1) == said
    large = await ended(shows, 3, 9 << 20)
    assert (len(large.outputs), large.outputs_lost) == (2, 1)
    assert large.logs(1) == said.replace("12 more outputs were", "1 more output was")


async def test_an_output_can_be_shown_anew_and_all_can_be_cleared() -> None:
    def shows() -> None:
        from IPython.display import display, update_display

        handle = display(Rich("a"), display_id=True)
        display(Rich("b"), display_id="mine")
        handle.update(Rich("c"))
        update_display(Rich("d"), display_id="mine")
        for n in range(100):
            update_display(Rich(n % 2 * "e"), display_id="mine")

    def clears() -> None:
        from IPython.display import clear_output, display

        for n in range(60):  # as who shows a curve that grows
            clear_output(wait=True)
            display(Rich(f"{n}"))
        clear_output(wait=True)

    shown, cleared = await ended(shows), await ended(clears)
    assert [one["text/html"] for one in forms(shown)] == ["c", "e"]
    assert [one["text/html"] for one in forms(cleared)] == ["59"]
    assert shown.outputs_lost == cleared.outputs_lost == 0


async def test_secrets_are_hidden_in_texts_and_pictures_stay() -> None:
    picture = base64.b64encode(b"\x89PNG hunter2-hunter2").decode()

    def shows(password: str) -> None:
        data = {"text/html": f"<b>{password}</b>", "image/png": picture, "text/plain": password}
        data["application/json"] = {password: [password, 1]}  # type: ignore[assignment]
        display(data, raw=True)  # type: ignore[name-defined]  # noqa: F821 - as in a cell

    job = await ended(shows, "hunter2-hunter2")
    (found,) = forms(job)
    assert "hunter2" not in repr(found).replace(picture, "")
    assert found["text/html"] == "<b>•••</b>"
    assert found["image/png"] == picture


async def test_another_attempt_begins_anew() -> None:
    def shows() -> None:
        attempt = current_job().attempt
        display(Rich(f"attempt {attempt}"))  # type: ignore[name-defined]  # noqa: F821
        if attempt == 1:
            raise ValueError

    job = await ended(shows, retries=1)
    assert [one["text/html"] for one in forms(job)] == ["attempt 2"]


async def test_figures_are_shown_without_a_shell_and_without_a_window() -> None:
    pytest.importorskip("matplotlib")

    def shows() -> Any:
        import sys

        import matplotlib.pyplot as plt
        from matplotlib.pyplot import show

        plt.plot([1, 2])
        plt.figure()  # an empty one is not shown
        show()
        _, axes = plt.subplots()
        axes.plot([1, 3])
        plt.show()
        current_job().log(
            [name for name in ("IPython", "matplotlib_inline") if name in sys.modules]
        )
        figure = plt.figure()
        figure.add_subplot().bar([1], [2])
        return figure

    def saves() -> None:
        import matplotlib.pyplot as plt

        plt.plot([1, 2])
        plt.savefig("/dev/null", format="png")

    job = await ended(shows, fresh=True)
    pngs = [base64.b64decode(one["image/png"]) for one in forms(job)]
    assert [png[:4] for png in pngs] == [b"\x89PNG"] * 3, "two that are shown, one returned"
    assert len(set(pngs)) == 3
    assert job.outputs[0].data["text/plain"] == "<Figure size 640x480 with 1 Axes>"
    assert job.logs().splitlines()[-2] == "[]", "neither is imported for it"
    assert (await ended(saves)).outputs == []


async def test_a_job_that_displays_nothing_imports_nothing() -> None:
    def looks() -> list[str]:
        import sys

        return [name for name in ("IPython", "matplotlib", "pandas") if name in sys.modules]

    job = await ended(looks, fresh=True)
    assert job.result == []
    assert job.outputs == []
    assert job._record.outputs is None


def test_an_output_says_what_it_is() -> None:
    assert repr(JobOutput({"text/html": "<p>", "text/plain": "p"})) == (
        "JobOutput(text/html, text/plain)"
    )


SHOWS_ANEW = """
from IPython.display import display
from jobqueue_widget import JobQueue
queue = await JobQueue(executor="thread").start()
of_a_cell = display("of a cell", display_id=True)
def shows():
    display({"text/html": "of the job"}, raw=True)
    of_a_cell.update("by a job")
job = queue.submit_nowait(shows)
"""


@pytest.mark.usefixtures("loop_of_the_client")
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_what_a_cell_has_displayed_stays_its_own(version: str) -> None:
    kernel = Kernel(version)
    try:
        kernel.run(SHOWS_ANEW)
        kernel.until(
            lambda message: (
                message["msg_type"] == "update_display_data"
                and message["content"]["data"]["text/plain"] == "'by a job'"
            )
        )
        kernel.run("await job\nawait queue.close()")
        assert kernel.value_of("repr(job.outputs)") == "[JobOutput(text/html)]"
    finally:
        kernel.close()
