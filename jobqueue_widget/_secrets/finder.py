"""Searches what a job is given for what its names call secret, and hides what it cannot search."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from .._core.jobs import JobRecord
from .._core.spec import JobOptions, JobSpec
from .._core.texts.hiding import SHORTEST, Secrets, forms_of
from .._core.texts.secret_names import is_mere_word, may_look_secret, strength_of
from ..child.calls.references import ResultOf
from ..child.wire import PLAIN_TYPES as PLAIN
from ..child.wire import is_interrupt
from .functions import says_nothing
from .parameters import names_by_position, parameters_of
from .shapes import CONTAINERS, LEAVES, may_be_secret, parts_of
from .tables import NUMBERS, name_text

MOST = 500_000  # values of one job that are searched
MOST_TEXTS = 1_000  # secret texts of one job that can be hidden in its output
LONGEST_TEXT = 64 * 1024  # characters of one of these texts
FEW = 32  # plain values that count as one value searched, and the most of a quick look
MOST_WORDS = 64  # of a list that are looked at as a command line
MANY_NUMBERS = 100  # a longer sequence of numbers is secret as a whole

_SCHEME = re.compile(r"^(Basic|Bearer|Digest|Token)\s+", re.IGNORECASE)
_MOST_NAMES = 10_000  # harmless keys that are remembered


class Under(NamedTuple):
    """The name that makes a value secret, itself or above it; a weak name says less for sure."""

    name: str
    weak: bool = False


@dataclass(slots=True, eq=False)
class Part:
    """What was found in one argument, or in the target."""

    label: str
    hidden: bool = False  # the argument itself is secret, not only something in it
    named: bool = False  # the user has called it secret
    found: str = ""  # the name of what looks secret
    short: bool = False  # a secret is too short to be looked for in a text
    closed: str = ""  # why the argument could not be searched

    @property
    def any(self) -> bool:
        """True if the argument must not be written to a journal or a log."""
        return bool(self.hidden or self.found or self.closed)

    def warning(self) -> str:
        """Return the words for a user who has not called the argument secret."""
        if self.closed:
            return f"{self.label} cannot be searched for secrets ({self.closed})"
        if self.hidden:
            return f"{self.label} looks secret"
        return f"{self.label} holds {self.found!r}, which looks secret"


class Search:
    """A search of a job: what is secret of each argument and the target, and the secret texts."""

    def __init__(self, spec: JobSpec) -> None:
        self.texts: set[str] = set()
        self.uncountable = False
        self._left = MOST
        self._seen: dict[tuple[int, Part, Under | None], object] = {}
        self._todo: list[tuple[object, Part, Under | None]] = []
        self._innocent: set[object] = set()
        names = names_by_position(spec.target, len(spec.args))
        self.args = [
            self._argument(spec, name, value, at)
            for at, (name, value) in enumerate(zip(names, spec.args, strict=True), 1)
        ]
        self.kwargs = {
            name: self._argument(spec, name, value, 0) for name, value in spec.kwargs.items()
        }
        self.target = Part("its function")
        if not says_nothing(spec.target):
            self._search(None, spec.target, self.target)
        self._todo.clear()
        self._seen.clear()

    def secrets(self) -> Secrets | None:
        """Return the job's secrets; None if it has none."""
        parts = [part for part in (*self.args, *self.kwargs.values(), self.target) if part.any]
        if not parts:
            return None
        warnings = [part.warning() for part in parts if not part.named]
        return Secrets(
            frozenset(self.texts),
            uncountable=self.uncountable,
            warning=warnings[0] if len(warnings) == len(parts) else "",
        )

    def _argument(self, spec: JobSpec, name: str | None, value: object, place: int) -> Part:
        part = Part(f"argument {place}" if name is None else f"argument {name!r}")
        secret = spec.options.secret
        if secret is True or (secret and name in secret):
            part.hidden = part.named = True
            if type(value) in PLAIN:
                self._take(value, part, Under(name or ""))
            else:
                self._todo.append((value, part, Under(name or "")))
                self._run(part)
            return part
        strength = strength_of(name) if name else ""
        self._search(name, value, part)
        part.hidden = bool(strength and part.found == name)
        return part

    # -- the search ----------------------------------------------------------------------------

    def _search(self, name: object, value: object, part: Part) -> None:
        try:
            self._offer(name, value, part)
        except BaseException as error:
            if is_interrupt(error):
                raise
            part.closed = f"{type(value).__name__}: {type(error).__name__}"
        self._run(part)

    def _run(self, part: Part) -> None:
        while self._todo:
            value, part, under = self._todo.pop()
            try:
                self._visit(value, part, under)
            except BaseException as error:  # a proxy whose object is gone, a broken `items()`
                if is_interrupt(error):
                    raise
                part.closed = part.closed or f"{type(value).__name__}: {type(error).__name__}"
            if self._left <= 0:
                part.closed = f"more than {MOST:,} values"
                self._todo.clear()
                self._left = MOST

    def _offer(self, name: object, value: object, part: Part, under: Under | None = None) -> None:
        """Take a plain value now if its name is secret; put any other on the list to visit."""
        if under is None and name is not None:
            text = name_text(name)
            strength = strength_of(text)
            if strength and may_be_secret(value, is_weak=strength == "weak"):
                under = Under(text, strength == "weak")
        if type(value) not in PLAIN:
            self._todo.append((value, part, under))
        elif under is not None:
            self._take(value, part, under)

    def _visit(self, value: object, part: Part, under: Under | None) -> None:
        kind = type(value)
        if kind is dict and under is None and self._says_nothing(value):  # type: ignore[arg-type]
            return
        place = (id(value), part, under)
        if place in self._seen:
            return
        self._seen[place] = value  # keeps it alive, so that no other object gets its id
        self._left -= 1
        if value is NUMBERS:
            self._found(part, under, short=True)
            return
        if kind is ResultOf and under is not None and not under.weak:
            self._found(part, under)
            self.uncountable = True  # nobody knows it yet
            return
        if under is not None and isinstance(value, (*LEAVES, bytearray, memoryview)):
            self._take(value, part, under)
        if isinstance(value, dict):
            self._visit_mapping(value, part, under)
        elif isinstance(value, CONTAINERS):
            self._visit_sequence(value, part, under)
        if kind not in _BUILT_IN:
            for name, member in parts_of(value, everything=under is not None):
                self._offer(name, member, part, under)

    def _visit_mapping(self, value: dict[Any, Any], part: Part, under: Under | None) -> None:
        names = dict.keys(value)
        is_long = under is None and len(value) > FEW and _are_plain(dict.values(value))
        if is_long and set(map(type, names)) == {str} and not may_look_secret("\n".join(names)):
            self._left -= len(value) // FEW
            return
        for name, member in dict.items(value):
            self._offer(name, member, part, under)
        if type(value).items is not dict.items:  # a subclass may give other items
            for name, member in value.items():
                self._offer(name, member, part, under)
        if under is None and "value" in value:
            for key in ("name", "key"):
                if type(value.get(key)) is str:
                    self._offer(value[key], value["value"], part)

    def _visit_sequence(self, value: Any, part: Part, under: Under | None) -> None:
        kind = type(value)
        base = next(base for base in CONTAINERS if isinstance(value, base))
        length = base.__len__(value)
        self._left -= length // FEW
        if under is None and length == 2 and base in (list, tuple):
            name, member = base.__iter__(value)
            if type(name) in (str, bytes):
                self._offer(name, member, part)
        if under is None and base in (list, tuple) and _has_options(base.__iter__(value)):
            self._visit_options(base.__iter__(value), part)
        if base is tuple and (fields := getattr(kind, "_fields", ())):
            for name, member in zip(fields, tuple.__iter__(value), strict=False):
                self._offer(name, member, part, under)
            return
        if under is not None and length > MANY_NUMBERS:
            if set(map(type, base.__iter__(value))) <= {int, float, bool}:
                self._found(part, under, short=True)
                return
        elif under is None and _are_plain(base.__iter__(value)):
            return
        pairs = under is None and _may_be_pairs(base.__iter__(value))
        for member in base.__iter__(value):
            member_kind = type(member)
            if under is None:
                if member_kind in PLAIN:
                    continue
                if member_kind is dict and self._says_nothing(member):
                    continue
                if member_kind in (tuple, list) and _is_plain_row(member, pairs):
                    continue
            self._offer(None, member, part, under)

    def _visit_options(self, words: Iterator[object], part: Part) -> None:
        """Search what a command line is made of: `--password=x`, `--password x`, `PASSWORD=x`."""
        name = ""
        for word in islice(words, MOST_WORDS):
            text = word if type(word) is str else ""
            option = _OPTION.match(text)
            if option is not None and option["value"] is not None:
                self._offer(option["name"], option["value"], part)
            elif name and not text.startswith("--"):
                self._offer(name, word, part)
            name = text if option is not None and option["value"] is None else ""

    def _says_nothing(self, value: dict[object, object]) -> bool:
        """True for a mapping of plain values in which no key names a secret; remember keys."""
        if not _are_plain(value.values()):
            return False
        if value.keys() <= self._innocent:
            return True
        if len(value) > FEW or set(map(type, value)) != {str} or "value" in value:
            return False
        if any(strength_of(str(name)) for name in value):
            return False
        if len(self._innocent) < _MOST_NAMES:
            self._innocent |= value.keys()
        return True

    # -- what is secret --------------------------------------------------------------------------

    def _found(self, part: Part, under: Under | None, *, short: bool = False) -> None:
        if under is None or under.weak:
            return
        part.found = part.found or under.name
        part.short = part.short or short

    def _take(self, value: object, part: Part, under: Under) -> None:
        """Note a plain value that is secret, in all forms in which a text may show it."""
        if value is None or isinstance(value, bool) or (under.weak and is_mere_word(value)):
            return
        if isinstance(value, (bytearray, memoryview)):
            value = bytes(value)
        forms = [str(value)]
        if isinstance(value, bytes):
            forms = [value.decode("utf-8", "replace"), repr(value)[2:-1]]
        elif isinstance(value, str):
            forms = [str.__str__(value)]
        if not forms[0]:
            return
        strong = Under(under.name)
        self._found(part, strong, short=len(forms[0]) < SHORTEST)
        if max(map(len, forms)) > LONGEST_TEXT or len(self.texts) > MOST_TEXTS:
            self.uncountable = True
            return
        forms += _SCHEME.sub("", forms[0]), forms[0].strip()
        for form in forms:
            self.texts |= {one for one in forms_of(form) if len(one) >= SHORTEST}


_OPTION = re.compile(r"(?P<name>-{0,2}\w[\w.-]*)=(?P<value>.+)|--?\w[\w.-]*$", re.DOTALL)


def _has_options(words: Iterator[object]) -> bool:
    """True for a list that may be a command line, with options or variables. Quick."""
    few = islice(words, MOST_WORDS)
    return any(type(word) is str and (word[:1] == "-" or "=" in word) for word in few)


_BUILT_IN = frozenset({dict, list, tuple, set, frozenset, deque, bytearray, memoryview})


def _may_be_pairs(rows: Iterator[Any]) -> bool:
    """False if no row is a pair of a value and a name that may be a secret's."""
    pairs = (row for row in rows if type(row) in (tuple, list) and len(row) == 2)
    return may_look_secret("\n".join(name for name, _ in pairs if type(name) is str))


def _is_plain_row(row: Any, pairs: bool) -> bool:
    """True for a row of few plain values that is no pair of a name and a secret."""
    kinds = set(map(type, row))
    if len(row) > FEW or not kinds <= PLAIN:
        return False
    if kinds == {str} and ("=" in (words := "\0".join(("", *row))) or "\0-" in words):
        return False  # it may be a command line
    if len(row) != 2 or type(row[0]) is int:
        return True
    return not (pairs or type(row[0]) is bytes) or not strength_of(name_text(row[0]))


def _are_plain(values: Any) -> bool:
    return set(map(type, values)) <= PLAIN


def search(spec: JobSpec) -> Search | None:
    """Search a job for secrets; None where a quick look shows that it has none."""
    if spec.options.secret is False or (spec.options.secret is None and _is_simple(spec)):
        return None
    return Search(spec)


def secrets_of(spec: JobSpec) -> Secrets | None:
    """Search a job, and return its secrets without where they stand; None if it has none."""
    found = search(spec)
    return None if found is None else found.secrets()


def with_those_of(found: Secrets | None, jobs: Iterable[JobRecord]) -> Secrets | None:
    """Add the secrets of jobs whose results a job takes, as these may hold them."""
    known = {one.spec.secrets for one in jobs} - {None, found}
    if not known:
        return found
    every = [one for one in (found, *known) if one is not None]
    texts = frozenset(text for one in every for text in one.texts)
    return Secrets(
        texts,
        uncountable=len(texts) > MOST_TEXTS or any(one.uncountable for one in every),
        warning="" if found is None else found.warning,
        withheld=found is not None and found.withheld,
    )


def texts_in(value: object) -> frozenset[str] | None:
    """Return all texts in a value; None where it cannot be searched, or has too many."""
    spec = JobSpec("", "plugin", "", "", (value,), options=JobOptions(secret=True))
    found = Search(spec)
    return None if found.uncountable or found.args[0].closed else frozenset(found.texts)


def _is_simple(spec: JobSpec) -> bool:
    for value in spec.args:
        if type(value) not in PLAIN:
            return False
    for name, value in spec.kwargs.items():
        if type(value) not in PLAIN or strength_of(name):
            return False
    target = spec.target
    if spec.args and callable(target) and parameters_of(target).any_secret:
        return False
    return says_nothing(target)
