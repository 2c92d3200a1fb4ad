"""`display` and `plt.show()` as jobs have them. Loaded by path in the worker.

Standard library only: IPython is stood in for when a job imports it, and a job that has imported
matplotlib gets its figures shown. A job that uses neither pays nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any

from ..job_context import bound_job, current_job
from .account import Bundle, say
from .forms import FORMS, TEXT, forms_of, is_figure, text_of

OF_A_LIVING_WIDGET = "application/vnd.jupyter.widget-view+json"  # which no page finds in a worker

# -- what cells have -----------------------------------------------------------------------------


def display(
    *objects: Any,
    include: Collection[str] | None = None,
    exclude: Collection[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    transient: Mapping[str, Any] | None = None,
    display_id: Any = None,
    raw: bool = False,
    clear: bool = False,
    update: bool = False,
    **_: Any,
) -> DisplayHandle | None:
    """Show objects as a cell does: their rich forms are the job's outputs, their text its log."""
    if display_id is True:
        display_id = new_id()
    known = str(display_id or (transient or {}).get("display_id") or "")
    if clear:
        clear_output(wait=True)
    if not objects and known:
        objects, raw = ({},), True
    for one in objects:
        outputs = _outputs()
        if raw:
            forms: tuple[Bundle, Bundle] | None = (dict(one), {})
        elif outputs is not None and outputs.is_full and not update:
            _lose(outputs, one)
            continue
        else:
            forms = forms_of(one, include, exclude)
        if forms is not None:
            data, about = forms
            if outputs is not None and "image/png" in data and is_figure(one):
                outputs.shown.add(one)
            _publish(data, {**about, **(metadata or {})}, known, update)
    return DisplayHandle(display_id) if display_id else None


def _lose(outputs: Any, one: Any) -> None:
    """Say what an object is in the log; count it, if it is likely to have more than text."""
    say(text_of(one))
    with contextlib.suppress(Exception):
        if is_figure(one) or any(hasattr(one, name) for name in (*FORMS, "_repr_mimebundle_")):
            outputs.lose()


def update_display(one: Any, *, display_id: str, **options: Any) -> None:
    """Show an object in place of what was shown with this id."""
    display(one, display_id=display_id, **{**options, "update": True})


def publish_display_data(
    data: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    *_: Any,
    transient: Mapping[str, Any] | None = None,
    update: bool = False,
    **more: Any,
) -> None:
    """Show what is in its forms already."""
    display_id = str((transient or {}).get("display_id") or "")
    _publish(dict(data), dict(metadata or {}), display_id, update)


def clear_output(wait: bool = False) -> None:
    """Forget the outputs so far, now or with the next one; the log stays."""
    outputs = _outputs()
    if outputs is not None:
        outputs.clear(bool(wait))


class DisplayHandle:
    """What `display(…, display_id=True)` gives, by which that can be shown anew."""

    def __init__(self, display_id: str | None = None) -> None:
        self.display_id = display_id or new_id()

    def display(self, one: Any, **options: Any) -> None:
        """Show an object as one more output of this id."""
        display(one, display_id=self.display_id, **options)

    def update(self, one: Any, **options: Any) -> None:
        """Show an object in place of what was shown with this id."""
        update_display(one, display_id=self.display_id, **options)


def new_id() -> str:
    """Return an id that nothing else has."""
    return os.urandom(16).hex()


def _outputs() -> Any:
    """Return what takes the outputs of the job that runs; None: they have their text only."""
    return getattr(current_job(), "outputs", None)


def _publish(
    data: Bundle, metadata: Bundle, display_id: str, update: bool, *, living: bool = False
) -> None:
    """Write the text into the log, and pass on what is more than that."""
    text = data.get(TEXT)
    if text and not update:
        say(text if isinstance(text, str) else "".join(text))
    if not living:
        data.pop(OF_A_LIVING_WIDGET, None)
    outputs = _outputs()
    if outputs is not None and (display_id or data.keys() - {TEXT}):
        outputs.show(data, metadata, display_id, update)


# -- figures -------------------------------------------------------------------------------------


def show_figures(*, again: bool = True) -> bool:
    """Show all figures that pyplot has open, and close them; False if one of them has a window.

    With `again` also those that were shown already.
    """
    pyplot: Any = sys.modules["matplotlib.pyplot"]
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    if any(getattr(one.canvas, "required_interactive_framework", None) for one in figures):
        return False
    shown: Collection[Any] = getattr(_outputs(), "shown", ())
    for one in figures:
        if again or one not in shown:
            display(one)
    pyplot.close("all")
    return True


def show_what_is_left() -> None:
    """Show the figures that are open at the end of a cell, whatever is wrong with them."""
    if hasattr(sys.modules.get("matplotlib.pyplot"), "get_fignums"):
        try:
            show_figures(again=False)
        except Exception as error:
            say(f"[figures could not be shown: {type(error).__name__}: {error}]")


def show_result(value: object) -> None:
    """Show a figure that a function returns, unless it was shown before."""
    if "matplotlib.figure" not in sys.modules:
        return
    with contextlib.suppress(Exception):  # the job has done its work
        outputs = _outputs()
        if outputs is not None and is_figure(value) and value not in outputs.shown:
            display(value)


# -- what is put in place of what jobs import ----------------------------------------------------


def hook_matplotlib(module: Any) -> None:
    """Draw into memory where nobody has said what shall draw: a worker has no window to open."""
    with contextlib.suppress(Exception):
        if dict.get(module.rcParams, "backend") is module.rcsetup._auto_backend_sentinel:
            module.rcParams["backend"] = "agg"


def hook_pyplot(module: Any) -> None:
    """Let `plt.show()` show figures as a notebook does."""
    usual = module.show

    @functools.wraps(usual)
    def show(*args: Any, **options: Any) -> Any:
        return None if show_figures() else usual(*args, **options)

    module.show = show


def hook_ipython(module: Any) -> None:
    """Let `from IPython.display import display` give what needs no shell of IPython."""
    for ours in (display, update_display, publish_display_data, clear_output, DisplayHandle):
        there = vars(module).get(ours.__name__)
        if getattr(there, "__module__", None) == module.__name__:
            setattr(module, ours.__name__, ours)


def hooks_of_a_worker() -> dict[str, Callable[[ModuleType], None]]:
    """Return what to do with modules in a process that runs one job at a time."""
    return {
        "matplotlib": hook_matplotlib,
        "matplotlib.pyplot": hook_pyplot,
        "IPython.core.display_functions": hook_ipython,
        "IPython.core.display": hook_ipython,  # where earlier versions have them
    }


def hook_publisher(kind: Any) -> None:
    """Give to a job what its code shows through the shell of the notebook whose process it shares.

    `kind` is the class of what publishes.
    """
    usual_publish, usual_clear = kind.publish, kind.clear_output

    @functools.wraps(usual_publish)
    def publish(self: Any, *args: Any, **options: Any) -> Any:
        job = bound_job()
        if job is None:
            return usual_publish(self, *args, **options)
        given = {**dict(zip(("data", "metadata"), args)), **options}  # noqa: B905 - those given
        display_id = str((given.get("transient") or {}).get("display_id") or "")
        if given.get("update") and not job.outputs.has(display_id):  # it is the notebook's
            return usual_publish(self, *args, **options)
        data, metadata = dict(given.get("data") or {}), dict(given.get("metadata") or {})
        return _publish(data, metadata, display_id, bool(given.get("update")), living=True)

    @functools.wraps(usual_clear)
    def clear(self: Any, *args: Any, **options: Any) -> Any:
        act = functools.partial(usual_clear, self) if bound_job() is None else clear_output
        return act(*args, **options)

    kind.publish, kind.clear_output = publish, clear


def hooks_of_a_kernel() -> dict[str, Callable[[ModuleType], None]]:
    """Return what to do with modules where jobs share the process with a notebook."""
    return {
        "IPython.core.displaypub": lambda module: hook_publisher(vars(module)["DisplayPublisher"]),
        "ipykernel.zmqshell": lambda module: hook_publisher(vars(module)["ZMQDisplayPublisher"]),
    }
