"""Displays widgets of queues and jobs that stand in a box or a tab, or as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display
from IPython.utils.dir2 import get_real_method
from ipywidgets import Widget

from .outputs import Outputs


def watch_displays() -> None:
    """Put tables beside these views too from now on, unless somebody else displays widgets."""
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        printers = shell.display_formatter.ipython_display_formatter
        if Widget not in printers.type_printers:
            printers.for_type(Widget, _show)


def _show(widget: Any) -> None:
    own, bundle = getattr(widget, "outputs", None), widget._repr_mimebundle_
    if isinstance(own, Outputs) and bundle is not None:
        own.show()
        return
    inside = list(_outputs_in(widget))
    method = get_real_method(widget, "_ipython_display_")
    if method is not None:
        method()
    elif inside and bundle is not None:
        found = bundle() or {}
        data, metadata = found if isinstance(found, tuple) else (found, {})
        display({**data, "text/plain": ""}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
    else:
        raise NotImplementedError  # IPython's way to say: show the bundle instead
    for outputs in inside:
        outputs.show_table()


def _outputs_in(widget: Any) -> Iterator[Outputs]:
    seen: set[int] = set()
    waiting = [widget]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        outputs = getattr(one, "outputs", None)
        if isinstance(outputs, Outputs):
            yield outputs
        children = getattr(one, "children", ())
        waiting += children if isinstance(children, (list, tuple)) else ()
