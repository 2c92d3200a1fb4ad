"""Makes another try of a job with other values of some arguments, as a user types them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..._core.jobs import JobRecord
from ..._core.texts.fitting import fit
from ..._secrets.parameters import by_name, changed
from ...child.wire import is_plain
from ...errors import InvalidOptionError
from ...workers.packing import is_packed
from ..submission import Submission


def with_changes(
    submission: Submission, job: JobRecord, changes: Mapping[str, object]
) -> JobRecord:
    """Return a new job with the same target and options, and other values of some arguments.

    It has no key, and not the label if that names a value that is another now.

    Raises:
        InvalidOptionError: there is no such argument, or they are results of other jobs.

    """
    spec = job.spec
    if spec.takes:
        raise InvalidOptionError(
            f"{spec.title!r} takes results of other jobs: submit it anew with other arguments"
        )
    given = {name: value for name, value, _ in by_name(spec.target, spec.args, spec.kwargs)}
    for name in changes:
        if name not in given:
            raise InvalidOptionError(f"{spec.title!r} was not given {fit(repr(name))}")
    args, kwargs = changed(spec.target, spec.args, spec.kwargs, changes)
    options = replace(submission.of_now(spec.options), key=None)
    if options.label and any(_names_value(options.label, given[name]) for name in changes):
        options = replace(options, label=None)
    record, _ = submission.record(spec.target, args, kwargs, options, job.priority)
    packed, earlier = record.spec.payload, spec.payload
    if is_packed(packed) and is_packed(earlier):
        record.spec.payload = earlier[0], packed[1]  # the function of its submit
    record.retry_of = job.id
    return record


def _names_value(label: str, value: object) -> bool:
    return is_plain(value) and (str(value) in label or repr(value) in label)
