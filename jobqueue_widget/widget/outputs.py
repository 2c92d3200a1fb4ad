"""Keeps the outputs in which a queue or job was displayed; their tables follow it at rest."""

from __future__ import annotations

import os
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from IPython.core.getipython import get_ipython
from IPython.display import display

Data = dict[str, Any]
"""What a front end may show, by mime type."""

MOST_OUTPUTS = 32  # of one queue or job; older ones are left as they are


class Displayable(Protocol):
    """What can be displayed: a queue or a job."""

    def view(self) -> Data:
        """Return the live view."""

    def table(self, *, beside: bool) -> Data:
        """Return the static table of the present state, `beside` a view or in its place."""

    def flush(self) -> None:
        """Bring the state of the widget up to date, as it is saved with a notebook."""

    def revision(self) -> object:
        """Return a value that differs after every change of what the table shows."""


class Refreshable(Protocol):
    """Outputs as a page sees them."""

    def refresh(self) -> Data:
        """Bring the tables up to date, and give them to a page that has to do it itself."""

    def page_came(self) -> None:
        """Note that a page has asked for the first time. Any thread."""


class Outputs:
    """Displays one thing twice: its view, and beside it a table for when there is no view.

    JupyterLab shows a view or says that it is not found, even if the same output has a table, and
    draws it anew with each change of that. So the table is an output of its own, hidden by the
    style sheet of the view. It is brought up to date when a page asks for that; a page that was
    loaded since knows no ids of outputs and writes the answer into the notebook itself.

    Where a program runs the notebook the end of each cell does it: what is saved then is a table
    alone, and no view of a widget, which nobody could bring to life again. Should a page come after
    all, it gets the views.
    """

    def __init__(self, shown: Displayable, has_page: Callable[[], bool]) -> None:
        self._shown = shown
        self._has_page = has_page
        self._beside: deque[str] = deque(maxlen=MOST_OUTPUTS)  # ids of tables beside a view
        self._alone: deque[str] = deque(maxlen=MOST_OUTPUTS)
        self._revision: object = None
        self._table: Data = {}

    def show(self) -> None:
        """Make one more output, in the cell that runs."""
        if self._has_page() or not is_run_by_program():
            publish({**self._shown.view(), "text/plain": ""})
            self.show_table()
        else:
            self._add(self._shown.table(beside=False), self._alone)

    def show_table(self) -> None:
        """Make a table for a view that the same cell has just shown."""
        self._add(self._table_now(), self._beside)

    def _add(self, table: Data, ids: deque[str]) -> None:
        """Display a table, and keep it up to date at the end of cells from now on."""
        follow_cells(self)
        display_id = uuid.uuid4().hex
        publish(table, display_id)
        ids.append(display_id)

    def refresh(self) -> Data:
        """Bring the tables up to date, and give them to a page that has to do it itself."""
        if self._table and self._shown.revision() != self._revision:
            self._update()
        return self._table

    def after_cell(self) -> None:
        """Bring the tables up to date at the end of a cell, unless a page sees to that."""
        self._shown.flush()
        if not self._has_page() and self._shown.revision() != self._revision:
            self._update()

    def page_came(self) -> None:
        """Give the views to a page that is there after all. Any thread."""
        if self._alone:
            self._update()

    def _update(self) -> None:
        table = self._table_now()
        for display_id in tuple(self._beside):
            publish(table, display_id, update=True)
        if self._alone:
            alone = self._shown.view() if self._has_page() else {}
            alone |= self._shown.table(beside=False)
            for display_id in tuple(self._alone):
                publish(alone, display_id, update=True)

    def _table_now(self) -> Data:
        self._revision = self._shown.revision()  # before: what changes meanwhile is news
        self._table = self._shown.table(beside=True)
        return self._table


def publish(
    data: Data,
    display_id: str | None = None,
    *,
    update: bool = False,
    metadata: Data | None = None,
) -> None:
    """Make an output, or replace what stands in those of this id."""
    display(data, raw=True, display_id=display_id, update=update, metadata=metadata)  # type: ignore[no-untyped-call]


class NoOutputs:
    """The outputs of a widget that is part of another one: none."""

    def refresh(self) -> Data:
        """Do nothing: there is no table."""
        return {}

    def page_came(self) -> None:
        """Do nothing: no view waits for a page."""


NO_OUTPUTS = NoOutputs()


def is_run_by_program() -> bool:
    """True in a cell that nbclient, papermill, nbconvert or the like runs: nobody could type there.

    Voilà runs the cells so, too, but for a page that is about to open.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    takes_input = getattr(kernel, "_allow_stdin", True)
    return not takes_input and not os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


class FollowsCells(Protocol):
    """What may have to be drawn anew at the end of a cell."""

    def after_cell(self) -> None:
        """Bring it up to date."""


_AT_CELL_END: weakref.WeakSet[FollowsCells] = weakref.WeakSet()


def follow_cells(one: FollowsCells) -> None:
    """Tell it of the end of each cell from now on, as long as it is held."""
    _AT_CELL_END.add(one)
    shell = get_ipython()
    if shell is not None and _after_cell not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _after_cell)


def _after_cell(_result: object) -> None:
    for outputs in list(_AT_CELL_END):
        outputs.after_cell()
