"""Hides secret texts in what a job says: messages, errors, output."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from ..outcomes import JobFailure, NotKept, Outcome

HIDDEN = "•••"
SHORTEST = 3  # characters; a shorter secret says nothing and would hide half of every text
_EDGE = 4  # characters; a shorter rest of a secret beside a cut says nothing
_LINE = 8  # characters from which a line of a secret is also hidden by itself
_CUT = re.compile(r"…|\.\.\.|\n\[\.\.\. | \.\.\.\]\n")
_ESCAPE = re.compile("%..")  # of a byte, in a URL
_CUT_OR_END = re.compile(_CUT.pattern + r"|^|$(?!\n)")


class Secrets:
    """The secrets of one job, which are never written, and hidden in all its texts.

    Args:
        texts: the secret values as text, in each form in which they may occur.
        uncountable: they are too many or too long to be looked for; then nothing is shown.
        withheld: the job itself has them, so that it is not written; else its environment has.
        warning: what the user is told at submit; "" if the user has called them secret.
    """

    def __init__(
        self, texts: frozenset[str], *, uncountable: bool, warning: str, withheld: bool = True
    ) -> None:
        self.texts = tuple(sorted(texts, key=len, reverse=True))
        self.uncountable = uncountable
        self.warning = warning
        self.withheld = withheld

    def hide(self, text: str) -> str:
        """Hide the secrets in a text, and what a cut has left of one."""
        return self._hidden(text, _CUT_OR_END)

    def _hidden(self, text: str, cuts: re.Pattern[str]) -> str:
        if self.uncountable:
            return HIDDEN if text else ""
        for secret in self.texts:
            text = text.replace(secret, HIDDEN)
        for cut in reversed(list(cuts.finditer(text))):
            text = self._without_pieces(text, cut.start(), cut.end())
        return text

    def _without_pieces(self, text: str, start: int, end: int) -> str:
        """Hide parts of secrets right before and after a place where the text was cut.

        The longest part counts: a form of a secret may end like another one, and no further.
        """
        before, behind = text[:start], text[end:]
        after = max((_common(behind[: len(one)], one) for one in self.texts), default=0)
        back = max((_common(before[-len(one) :][::-1], one[::-1]) for one in self.texts), default=0)
        shown = before[: start - back] + HIDDEN * (back > 0) + text[start:end]
        return shown + HIDDEN * (after > 0) + behind[after:]

    def stands_in(self, data: bytes) -> bool:
        """True if the data holds one of the secrets as it is."""
        return self.uncountable or any(secret in data for secret in self.as_bytes)

    def stands_in_any(self, texts: Iterable[str] | None) -> bool:
        """True if one of the texts holds a secret, or if they are not known (None)."""
        if texts is None or self.uncountable:
            return True
        return any(secret in text for text in texts for secret in self.texts)

    @cached_property
    def as_bytes(self) -> tuple[bytes, ...]:
        """The secret texts in UTF-8."""
        return tuple(text.encode("utf-8", "surrogatepass") for text in self.texts)

    def hide_in_bytes(self, data: bytes) -> bytes:
        """Hide the secrets in a piece of a stream, whose ends are no cuts."""
        text = data.decode("utf-8", "surrogateescape")
        return self._hidden(text, _CUT).encode("utf-8", "surrogateescape")

    def hide_in_outcome(self, outcome: Outcome) -> Outcome:
        """Hide the secrets in an outcome; an exception that shows one is dropped."""
        failure, value = outcome.failure, outcome.value
        if type(value) is NotKept:
            value = replace(value, repr=self.hide(value.repr), reason=self.hide(value.reason))
        if failure is not None:
            failure = self._hide_in_failure(failure)
        return Outcome(outcome.kind, value, failure, outcome.noticed, took=outcome.took)

    def _hide_in_failure(self, failure: JobFailure) -> JobFailure:
        told = replace(
            failure,
            type_name=self.hide(failure.type_name),
            message=self.hide(failure.message),
            traceback=self.hide(failure.traceback),
            kinds=tuple(map(self.hide, failure.kinds)),
        )
        return told if told == failure else replace(told, exception=None)


def with_texts(found: Secrets | None, texts: Iterable[str]) -> Secrets | None:
    """Add the secret texts of a job's environment to those that were found in the job."""
    more = {form for text in texts for form in forms_of(text) if len(form) >= SHORTEST}
    if not more:
        return found
    if found is None:
        return Secrets(frozenset(more), uncountable=False, warning="", withheld=False)
    known = more.union(found.texts)
    return Secrets(frozenset(known), uncountable=found.uncountable, warning=found.warning)


def _common(text: str, secret: str) -> int:
    """Count the characters at a text's beginning that are somewhere in the secret; 0 if few."""
    if text[:_EDGE] not in secret or len(text) < _EDGE:
        return 0
    low, high = _EDGE, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in secret else (low, middle - 1)
    return low


def forms_of(text: str) -> Iterator[str]:
    """List the forms of a text in output: as it is, escaped, by lines; none if it is too short."""
    if len(text) < SHORTEST:
        return
    yield text
    if text.isascii() and text.isalnum():
        return
    from urllib.parse import quote, quote_plus  # most jobs have no secret, and never need it

    yield repr(text)[1:-1]
    yield repr(repr(text))[1:-1].strip("'\"")
    yield ascii(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    safe = text.encode("utf-8", "replace")
    yield repr(safe)[2:-1]
    for quoted in (quote(safe), quote(safe, safe=""), quote_plus(safe)):
        yield quoted
        yield _ESCAPE.sub(lambda found: found[0].lower(), quoted)
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield shlex.quote(text)[1:-1] if "'" in text else text
    if "\n" in text:
        yield from (line for line in text.splitlines() if len(line.strip()) >= _LINE)
