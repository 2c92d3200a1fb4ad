"""The outputs in which a queue or job was displayed; their static parts follow it at rest."""

from __future__ import annotations

import os
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from IPython.core.getipython import get_ipython
from IPython.display import display

from ..protocols import MimeBundle

MOST_OUTPUTS = 32  # of one queue or job; older ones are left as they are


class Shown(Protocol):
    """What is displayed."""

    def bundle(self, *, live: bool) -> MimeBundle:
        """Data and metadata by mime type, as of now; `live`: with the view of the widget."""
        ...

    def flush(self) -> None:
        """Bring the state of the widget up to date, as it is saved with a notebook."""
        ...

    def revision(self) -> object:
        """Another one after every change of what the static parts show."""
        ...

    def rests(self) -> bool:
        """True while nothing runs."""
        ...


class Refreshable(Protocol):
    """What a page may do to outputs."""

    def refresh(self) -> bool:
        """Bring the outputs up to date; False if they are, or something runs. Any thread."""
        ...

    def page_came(self) -> None:
        """A page has asked for the first time. Any thread."""
        ...


class Outputs:
    """Displays one thing, and again what of it has no life of its own.

    A page asks for that when nobody is at its views, because JupyterLab draws them anew. Where a
    program runs the notebook the end of each cell does it: what is saved then is a table that tells
    how things stood, and no view of a widget, which nobody could bring to life again. Should a page
    come after all, it gets the views.
    """

    def __init__(self, shown: Shown, has_page: Callable[[], bool]) -> None:
        self._shown = shown
        self._has_page = has_page
        self._ids: deque[str] = deque(maxlen=MOST_OUTPUTS)
        self._revision: object = None
        self._are_live = False

    def show(self) -> None:
        """Make one more output, in the cell that runs."""
        display_id = uuid.uuid4().hex
        self._publish([display_id], update=False)
        self._ids.append(display_id)
        _AT_CELL_END.add(self)
        shell = get_ipython()
        if shell is not None and _after_cell not in shell.events.callbacks["post_run_cell"]:
            shell.events.register("post_run_cell", _after_cell)

    def refresh(self) -> bool:
        """Bring the outputs up to date; False if they are, or something runs. Any thread."""
        if not self._shown.rests() or self._shown.revision() == self._revision:
            return False
        self._update()
        return True

    def after_cell(self) -> None:
        """Bring them up to date at the end of a cell, unless a page sees to that."""
        self._shown.flush()
        if self._has_page():
            return
        if not is_run_by_program():
            self.refresh()
        elif self._shown.revision() != self._revision:
            self._update()

    def page_came(self) -> None:
        """Give the views to a page that is there after all. Any thread."""
        if self._ids and not self._are_live:
            self._update()

    def _update(self) -> None:
        self._publish(tuple(self._ids), update=True)

    def _publish(self, display_ids: Iterable[str], *, update: bool) -> None:
        self._revision = self._shown.revision()  # before: what changes meanwhile is news
        self._are_live = self._has_page() or not is_run_by_program()
        data, metadata = self._shown.bundle(live=self._are_live)
        for display_id in display_ids:
            display(  # type: ignore[no-untyped-call]
                data, metadata=metadata, raw=True, display_id=display_id, update=update
            )


class NoOutputs:
    """Of a widget that is part of another one."""

    def refresh(self) -> bool:
        """Nothing follows."""
        return False

    def page_came(self) -> None:
        """Nothing waits for it."""


NO_OUTPUTS = NoOutputs()


def is_run_by_program() -> bool:
    """True in a cell that nbclient, papermill, nbconvert or the like runs: nobody could type there.

    Voilà runs the cells so, too, but for a page that is about to open.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    takes_input = getattr(kernel, "_allow_stdin", True)
    return not takes_input and not os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


_AT_CELL_END: weakref.WeakSet[Outputs] = weakref.WeakSet()


def _after_cell(_result: object) -> None:
    for outputs in list(_AT_CELL_END):
        outputs.after_cell()
