"""The outputs in which a queue or job was displayed; their static parts follow it at rest."""

from __future__ import annotations

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

    def bundle(self) -> MimeBundle:
        """Data and metadata by mime type, as of now."""
        ...

    def revision(self) -> object:
        """Another one after every change of what the static parts show."""
        ...

    def rests(self) -> bool:
        """True while nothing runs."""
        ...


class Outputs:
    """Displays one thing, and again what of it has no life of its own.

    A page asks for that when nobody is at its views, because JupyterLab draws them anew. Where no
    page has ever been, as in a notebook that is run by a program, the end of a cell does it.
    """

    def __init__(self, shown: Shown, has_page: Callable[[], bool]) -> None:
        self._shown = shown
        self._has_page = has_page
        self._ids: deque[str] = deque(maxlen=MOST_OUTPUTS)
        self._revision: object = None

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
        self._publish(tuple(self._ids), update=True)
        return True

    def after_cell(self) -> None:
        """A cell has ended."""
        if not self._has_page():
            self.refresh()

    def _publish(self, display_ids: Iterable[str], *, update: bool) -> None:
        self._revision = self._shown.revision()  # before: what changes meanwhile is news
        data, metadata = self._shown.bundle()
        for display_id in display_ids:
            display(  # type: ignore[no-untyped-call]
                data, metadata=metadata, raw=True, display_id=display_id, update=update
            )


_AT_CELL_END: weakref.WeakSet[Outputs] = weakref.WeakSet()


def _after_cell(_result: object) -> None:
    for outputs in list(_AT_CELL_END):
        outputs.after_cell()
