"""Makes the labels of a map's jobs: of a template over the parameters, or by a function."""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..._core.spec import JobOptions
from ..._secrets.parameters import names_by_position
from ...errors import InvalidOptionError
from ...job import Job
from ..options import check_text
from .references import Handle

LabelFunction = Callable[..., object]


class _WithJobs(string.Formatter):
    """Shows a job by its title, as the line of the arguments does."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        if isinstance(value, Job):
            value = f"<result of {value.title}>"
        elif isinstance(value, Handle):
            value = f"<results of {getattr(value, 'name', 'jobs')}>"
        return super().format_field(value, format_spec)


_with_jobs = _WithJobs().format


def taken_label(options: dict[str, object]) -> LabelFunction | None:
    """Take the label out of given options if it is a function.

    Raises:
        InvalidOptionError: it is a coroutine function.
    """
    label = options.get("label")
    if not callable(label):
        return None
    if inspect.iscoroutinefunction(label):
        raise InvalidOptionError(
            "label is called and never awaited: pass a plain function of the item, or a template "
            'like "lr={lr}"'
        )
    del options["label"]
    return label


class Labels:
    """Makes a label of each tuple of items; with a template the fields are checked at once.

    Raises:
        InvalidOptionError: a field is none of what the items are given as, or cannot be read.
    """

    def __init__(self, label: str | LabelFunction, target: object, count: int) -> None:
        self._label = label
        self._names: list[str | None] = []
        if isinstance(label, str):
            self._names = names_by_position(target, count)
            self._check(label)

    def _check(self, template: str) -> None:
        known = [name for name in self._names if name is not None]
        places = len(self._names)
        try:
            fields = list(_fields(template))
        except ValueError as error:
            raise InvalidOptionError(
                f"label={template!r} is no template: {error}; a brace itself is {{{{ or }}}}"
            ) from None
        for place, field in enumerate(fields):
            number = str(place) if field == "" else field
            if field in known or (number.isdecimal() and int(number) < places):
                continue
            there = ", ".join(f"{{{one}}}" for one in (*known, *range(places)))
            raise InvalidOptionError(
                f"label={template!r}: {{{field}}} is nothing that this map gives; there are: "
                f"{there}. A brace itself is {{{{ or }}}}"
            )

    def of(self, items: tuple[object, ...]) -> str:
        """Return the label of one job.

        Raises:
            InvalidOptionError: the template or the function fails, or gives no text.
        """
        try:
            if isinstance(self._label, str):
                named = zip(self._names, items, strict=False)
                given = {name: value for name, value in named if name}
                has_jobs = any(isinstance(one, Handle) for one in items)
                fill = _with_jobs if has_jobs else str.format
                text: object = fill(self._label, *items, **given)
            else:
                text = self._label(*items)
        except Exception as error:
            raise InvalidOptionError(f"label: it raised {type(error).__name__}: {error}") from error
        if not isinstance(text, str) or not text.strip():
            raise InvalidOptionError(
                f"label must give a text that is not empty, not {type(text).__name__}"
            )
        return check_text("label", text)


def own_label(
    label: LabelFunction | None, options: JobOptions, target: object, count: int
) -> Callable[[JobOptions, tuple[object, ...]], JobOptions]:
    """Return what gives options the label of one tuple of items.

    Raises:
        InvalidOptionError: the template does not fit.
    """
    text = options.label or ""
    if label is None and "{" not in text and "}" not in text:
        return lambda options, items: options
    labels = Labels(label or text, target, count)
    return lambda options, items: replace(options, label=labels.of(items))


def _fields(template: str) -> Iterator[str]:
    for _, field, spec, _ in string.Formatter().parse(template):
        if field is not None:
            first = re.match(r"[^.\[]*", field)
            yield first[0] if first else ""
            yield from _fields(spec or "")
