"""Cuts texts to what tells them from their neighbours, and keeps the ends of paths.

A "…" stands where something is left out. What is read as one character is never cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

LINE = 80  # characters of a text in a row
_TRIES = 12  # other ways to cut a text that would look like another one
_NEAR = 100  # neighbours in alphabetical order from which a text is told, on either side
_WORD = 16  # characters; a longer word is cut
_BEGINS = re.compile(r", |[/\\]")
_ENDS = re.compile(r"[/\\\s,;=&?]|$")
_WORDS = re.compile(r"[\s/\\](?=.)|.(?=[\s,;&?/\\])", re.DOTALL)
_PATH_END = re.compile(r"""(?<=[/\\])(?!x[0-9a-f]{2}|u[0-9a-f]{4})[^/\\'"]+(?:['"]+,?|$)""")

Span = tuple[int, int]


def fit(text: str, limit: int = LINE) -> str:
    """Cut a text that stands alone to at most `limit` characters."""
    return text if len(text) <= limit else _cut(text, (), limit)


def fit_all(texts: Sequence[str], limit: int = LINE) -> list[str]:
    """Cut texts that are read together, as rows, to `limit` characters that tell them apart."""
    if max(map(len, texts), default=0) <= limit:
        return list(texts)
    return list(_fit_all(tuple(texts), limit))


@lru_cache(maxsize=8)  # the rows in view are asked for again and again
def _fit_all(texts: tuple[str, ...], limit: int) -> tuple[str, ...]:
    relatives = _Relatives(texts)
    shown = {text: text for text in texts if len(text) <= limit}
    taken = dict(shown)
    for text in dict.fromkeys(texts):
        if len(text) > limit:
            ways = list(_ways(text, relatives.differences(text), limit))
            free = (way for way in ways if taken.setdefault(way, text) == text)
            shown[text] = next(free, ways[0])
    return tuple(shown[text] for text in texts)


def ends(text: str, most: int) -> str:
    """Return both ends of a text that may be very long, each of at most `most` characters."""
    if len(text) <= 2 * most:
        return text
    (_, first), (last, _) = _inside(text, 0, most), _inside(text, len(text) - most, len(text))
    return f"{text[:first]}…{text[last:]}"


def _ways(text: str, differences: list[int], limit: int) -> Iterator[str]:
    """Yield ways to cut a text, the best first."""
    yield _cut(text, differences, limit)
    for at in differences[:_TRIES]:
        yield _cut(text, (at,), limit)
    for less in range(1, _TRIES):
        yield _cut(text, differences[:1], limit - less)


class _Relatives:
    """Finds where texts that are read together begin to differ from one another."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._beside: dict[str, dict[str, None]] = {text: {} for text in texts}
        for one, other in pairwise(texts):
            self._beside[one][other] = self._beside[other][one] = None
        kin = sorted(self._beside)
        self._place = {text: place for place, text in enumerate(kin)}
        self._common = [_common(one, other) for one, other in pairwise(kin)]

    def differences(self, text: str) -> list[int]:
        """Return where a text differs from its neighbours, then from the most alike others."""
        found = [_common(text, other) for other in self._beside[text] if other != text]
        place = self._place[text]
        kin: set[int] = set()
        for after in (True, False):
            least = len(text) + 1
            near = range(place, place + _NEAR) if after else range(place - 1, place - 1 - _NEAR, -1)
            for pair in near:
                if least > 0 <= pair < len(self._common) and self._common[pair] < least:
                    least = self._common[pair]
                    kin.add(least)
        return list(dict.fromkeys((*found, *sorted(kin, reverse=True))))


def _common(one: str, other: str) -> int:
    """Count the equal characters at the beginning of two texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, differences: Iterable[int], limit: int) -> str:
    """Cut a text to what shows its differences, then what is before and after that."""
    kept: list[Span] = []  # the most important first
    needed: list[Span] = []
    for span in (*(_around(text, at, limit) for at in differences), *_usual(text, limit)):
        wider = _joined(kept, span)
        if _size(wider, len(text)) <= limit:
            kept = wider
            needed.append(span)
    for grow in (_to_the_left, _to_the_right):
        place = 0
        while place < len(kept):
            room = limit - _size(kept, len(text))
            span = grow(kept[place], kept, room, len(text))
            place += span == kept[place]
            kept = _joined(kept, span)
    parts, last = [], 0
    for start, stop in sorted(kept):
        inner = [span for span in needed if start <= span[0] and span[1] <= stop]
        start = _word(text, start, min(span[0] for span in inner), 1)
        stop = _word(text, stop, max(span[1] for span in inner), -1)
        start, stop = _inside(text, start, stop)
        if start < stop:
            gap = start > last and text[start] != "…"
            parts += ["…" * gap, text[start:stop]]
            last = stop
    return "".join((*parts, "…" * (last < len(text) and text[last - 1] != "…")))


def _around(text: str, at: int, limit: int) -> Span:
    """Find the name or number that holds a character, with some of what it belongs to."""
    at = min(at, len(text) - 1)
    start = max(0, at - limit // 4)
    for found in _BEGINS.finditer(text, start, at):
        start = found.end()
    found_end = _ENDS.search(text, at + 1)
    stop = len(text) if found_end is None else found_end.start()
    return _outside(text, start, min(stop, at + 1 + limit // 8))


def _usual(text: str, limit: int) -> Iterator[Span]:
    """Yield what to show if no difference is known: file names, else more of the start."""
    names = [found.span() for found in _PATH_END.finditer(text)]
    for start, stop in dict.fromkeys((*names[-1:], *names[:1])):
        yield start, stop
        yield max(start, stop - limit // 4), stop
    if not names:
        # Without a word in its middle a sentence may say the contrary.
        is_sentence = max(map(len, text.split()), default=0) <= limit // 2
        yield 0, limit - 1 if is_sentence else _word(text, limit * 5 // 8, 1, -1)
    yield 0, _word(text, limit // 4, 1, -1)
    yield _word(text, len(text) - limit // 4, len(text) - 1, 1), len(text)


def _word(text: str, at: int, most: int, step: int) -> int:
    """Find the next edge of a word between `at` and `most`; `at` itself if that is far."""
    if at in (0, len(text)):
        return at
    for place in range(at, most + step, step)[:_WORD]:
        if _WORDS.match(text, place - 1):
            return place
    return at


def _joined(spans: Sequence[Span], new: Span) -> list[Span]:
    """Add a span; those that meet or nearly so become one, as a "…" between them saves nothing."""
    start, stop = new
    apart: list[Span] = []
    place: int | None = None
    for span in spans:
        if span[0] <= stop + 1 and start <= span[1] + 1:
            start, stop = min(start, span[0]), max(stop, span[1])
            place = len(apart) if place is None else place
        else:
            apart.append(span)
    apart.insert(len(apart) if place is None else place, (start, stop))
    return apart


def _size(spans: Sequence[Span], length: int) -> int:
    """Count the characters of spans, with a "…" for each gap."""
    size = last = 0
    for start, stop in sorted(spans):
        size += stop - start + (start > last)
        last = stop
    return size + (last < length)


def _to_the_left(span: Span, spans: Sequence[Span], room: int, length: int) -> Span:
    start, stop = span
    last = max((other[1] for other in spans if other[1] <= start), default=0)
    return (last if start - last <= room + 1 else start - room, stop)


def _to_the_right(span: Span, spans: Sequence[Span], room: int, length: int) -> Span:
    start, stop = span
    following = min((other[0] for other in spans if other[0] >= stop), default=length)
    return (start, following if following - stop <= room + 1 else stop + room)


# -- what is read as one character (Unicode Standard Annex #29, and where in doubt no cut) ---------

_AFTER_ALL = frozenset("\u0e33\u0eb3\uff9e\uff9f")  # letters that belong to the one before
_BEFORE_ALL = frozenset(
    "\u0d4e\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a\U00011d46\U00011f02"
)


def _inside(text: str, start: int, stop: int) -> Span:
    """Shrink a span by characters of which it has only a part."""
    while start < stop and not _may_part(text, start):
        start += 1
    while start < stop and not _may_part(text, stop):
        stop -= 1
    return start, stop


def _outside(text: str, start: int, stop: int) -> Span:
    """Widen a span to all of the characters of which it has a part."""
    while not _may_part(text, start):
        start -= 1
    while not _may_part(text, stop):
        stop += 1
    return start, stop


def _may_part(text: str, at: int) -> bool:
    """True if one character ends at this place and another one begins."""
    if not 0 < at < len(text):
        return True
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return "\xad" not in (before, after) and before + after != "\r\n"
    kinds = unicodedata.category(before), unicodedata.category(after)
    if kinds[1] in ("Mn", "Mc", "Me", "Cf") or kinds[0] == "Cf" or after in _AFTER_ALL:
        return False
    if "\U0001f3fb" <= after <= "\U0001f3ff" or before in _BEFORE_ALL:
        return False  # a skin tone belongs to the emoji before
    if kinds[1] == "Lo" and unicodedata.combining(before) == 9:
        return False  # a letter that is joined to the one before
    if _is_jamo(after) and (_is_jamo(before) or "\uac00" <= before <= "\ud7a3"):
        return False
    if before in _HALF_FLAGS and after in _HALF_FLAGS:
        flags = len(text[:at]) - len(text[:at].rstrip(_HALF_FLAGS))
        return flags % 2 == 0
    return True


_HALF_FLAGS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _is_jamo(letter: str) -> bool:
    """True for a part of a Korean syllable."""
    return any(
        first <= letter <= last
        for first, last in (("\u1100", "\u11ff"), ("\ua960", "\ua97f"), ("\ud7b0", "\ud7ff"))
    )
