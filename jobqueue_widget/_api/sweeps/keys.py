"""Makes the keys of jobs: of a text, a template, a function, or of all that a call consists of."""

from __future__ import annotations

import hmac
import inspect
import os
import re
import string
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, NoReturn, Protocol

from ..._core.spec import JobKey, JobOptions, JobSpec
from ..._core.texts.fitting import fit
from ..._runtime.storage.places import Args, Replacing
from ..._secrets.parameters import names_by_position, parameters_of
from ...child.calls.references import ResultOf
from ...errors import InvalidOptionError
from ...protocols import LaunchesPlugins
from ...workers.definitions import definition_of
from .digest import Digester, NotDigestibleError, encoded, joined

SIZE = 16  # bytes that are kept of a digest
OURS = f"{__name__.partition('.')[0]}."
CURE = 'name the job instead: key="…", or a function of the arguments'
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]{6,}")


class Seals(Protocol):
    """What makes digests with a secret key."""

    def seal(self, *parts: bytes) -> bytes | None: ...


class Keys:
    """Makes the keys of one queue's jobs. Any thread.

    A key is an HMAC, with the journal's own key if there is one: nothing can be read from it.
    """

    def __init__(self) -> None:
        self._own = os.urandom(32)
        self._given: Seals | None = None

    def use(self, signer: Seals) -> None:
        """Make the same keys as other queues of this user's journals from now on."""
        self._given = signer

    def digest(self, *parts: str | bytes) -> str:
        """Return the digest of some parts."""
        given = [part if isinstance(part, bytes) else encoded(part) for part in parts]
        made = None if self._given is None else self._given.seal(b"key", *given)
        if made is None:
            made = hmac.digest(self._own, joined("key", given), "sha256")
        return made[:SIZE].hex()


class KeyMaker:
    """Makes the keys of jobs that are submitted together, with one `key` and of one target.

    Args:
        keys: of the queue.
        given: the option: a text, True, a function, or the key of an earlier job of the same kind.
        target: what the jobs run, as it is now.
        manager: has the plugin, if they run one.
        each: they are made by a map, so that a text is a template.
        found_again: a submit with a key that is known gets the job of that key.

    Raises:
        InvalidOptionError: the option does not fit, or the target cannot be digested.
    """

    def __init__(
        self,
        keys: Keys,
        given: object,
        target: object,
        manager: object = None,
        *,
        each: bool,
        found_again: bool,
    ) -> None:
        self.found_again = found_again
        self._keys = keys
        self._target = target
        self._name = name_of_target(target)
        self._given = given
        self.code = ""  # of what they run, for True
        if isinstance(given, JobKey) and given.code:
            given = self._given = True
        if given is True:
            if isinstance(target, str):
                code = _digest_of(_plugin_as_now(manager, target), "its configuration")
            else:
                code = _digest_of(target, "its function")
            self.code = keys.digest("code", self._name, code)
        self._template = _Template(given) if each and isinstance(given, str) else None

    def key(self, spec: JobSpec) -> JobKey:
        """Return the key of a job.

        Raises:
            InvalidOptionError: it cannot be told.
        """
        given = self._given
        if isinstance(given, JobKey):
            return given
        if given is True:
            return JobKey(self._of("call", self._call(spec)), self.code)
        if self._template is not None:
            return JobKey(self._of("text", self._template.fill(spec)))
        if isinstance(given, str):
            _check_no_template(given, spec)
            return JobKey(self._of("text", given))
        assert callable(given)
        return JobKey(self._told_by(given, spec))

    def _of(self, kind: str, what: str | bytes) -> str:
        return self._keys.digest(kind, self._name, what)

    def _call(self, spec: JobSpec) -> bytes:
        digester, named, rest = Digester(), dict(spec.kwargs), []
        parameters = () if isinstance(self._target, str) else parameters_of(self._target).named  # type: ignore[arg-type]
        for place, value in enumerate(spec.args):
            if place < len(parameters) and parameters[place] not in named:
                named[parameters[place]] = value
            else:
                rest.append(value)

        def argument(name: str, value: object) -> bytes:
            what = f"argument {name} ({type(value).__name__})"
            return _digest_of(value, what, digester)

        parts = [encoded(name) + argument(repr(name), named[name]) for name in sorted(named)]
        others = [argument(str(place), value) for place, value in enumerate(rest, 1)]
        return joined(f"call with {len(others)} more", parts + others)

    def _told_by(self, function: Callable[..., object], spec: JobSpec) -> str:
        args, named = _arguments(spec)
        try:
            told = function(*args, **named)
        except Exception as error:
            raise InvalidOptionError(
                f"key: the function for the key raised {type(error).__name__}: {error}"
            ) from error
        if isinstance(told, str):
            return self._of("text", _checked(told, "the function for the key gave"))
        if told is None or isinstance(told, bool) or inspect.isawaitable(told):
            if inspect.iscoroutine(told):
                told.close()
            raise InvalidOptionError(
                f"key: the function for the key gave {type(told).__name__}: it must return what "
                "tells the jobs apart, such as a text or a tuple"
            )
        try:
            return self._of("value", Digester().digest(told))
        except NotDigestibleError as error:
            raise InvalidOptionError(
                f"key: what the function for the key gave ({type(told).__name__}) has no stable "
                f"digest: {error}; let it return a text"
            ) from error


def _digest_of(value: object, what: str, digester: Digester | None = None) -> bytes:
    try:
        return (digester or Digester()).digest(value)
    except NotDigestibleError as error:
        raise InvalidOptionError(
            f"key=True: {what} has no stable digest: {error}; {CURE}"
        ) from error


def maker_of(
    keys: Keys,
    options: JobOptions,
    target: object,
    manager: object,
    *,
    each: bool = False,
    anew: bool = False,
) -> KeyMaker | None:
    """Return the `KeyMaker` of jobs with these options; None without keys.

    With `anew` they run also if their keys are known.

    Raises:
        InvalidOptionError: there is no such key of such jobs.
    """
    if options.key is None:
        return None
    again = not (anew or options.rerun)
    return KeyMaker(keys, options.key, target, manager, each=each, found_again=again)


def _plugin_as_now(manager: object, name: str) -> object:
    """Return what a plugin's calls depend on beside their arguments: version and configuration."""
    if manager is None:
        return None  # the submit will say so
    if not isinstance(manager, LaunchesPlugins):
        raise InvalidOptionError(
            f"key=True: {type(manager).__module__}.{type(manager).__name__} does not tell how "
            f"plugin {name!r} is configured, which decides what it returns; {CURE}"
        )
    config = manager.plugin_configuration(name)
    if config is None:
        raise InvalidOptionError(
            f"key=True: plugin {name!r} is not loaded, so that nobody knows how it is configured: "
            f"load it first; or {CURE}"
        )
    tell = getattr(manager, "get_plugin_meta", None)
    return None if tell is None else getattr(tell(name), "version", None), config


class _Template(string.Formatter):
    """A text with fields for arguments: `{0}` or `{name}`, also `{path.name}` or `{rate:.3f}`."""

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            fields = [field for _, field, _, _ in self.parse(text) if field is not None]
        except ValueError as error:
            raise InvalidOptionError(f"key={_shown(text)} is no template: {error}") from None
        if not fields:
            raise InvalidOptionError(
                f"key={_shown(text)} would be the same for each job of the map: let it tell them "
                'apart by their arguments, as in key="{0}" or key="{name}"'
            )

    def fill(self, spec: JobSpec) -> str:
        """Put in the arguments of a job.

        Raises:
            InvalidOptionError: it has no such argument, or one that has no stable text.
        """
        args, keywords = _arguments(spec)
        named = _named(spec.target, args, keywords)
        try:
            told = self.vformat(self._text, args, named)
        except InvalidOptionError:
            raise
        except (KeyError, IndexError) as error:
            has = ", ".join([*map(str, range(len(spec.args))), *named])
            raise InvalidOptionError(
                f"key={_shown(self._text)} names {error}, and the arguments are: {has}"
            ) from None
        except Exception as error:
            raise InvalidOptionError(
                f"key={_shown(self._text)} cannot be filled in: {type(error).__name__}: {error}"
            ) from error
        return _checked(told, f"key={_shown(self._text)} gives")

    def format_field(self, value: Any, format_spec: str) -> str:
        """Format one argument, whose text must be the same in each kernel."""
        if type(value).__module__.startswith(OURS):  # a job, which stands for its result
            raise InvalidOptionError(
                f"key={_shown(self._text)}: a job as an argument has no text that tells it from "
                "others; use key=True, or name other arguments"
            )
        text = super().format_field(value, format_spec)
        if isinstance(value, (set, frozenset)) or (
            not isinstance(value, str) and _ADDRESS.search(text)
        ):
            raise InvalidOptionError(
                f"key={_shown(self._text)}: the text of a {type(value).__name__} differs from "
                "kernel to kernel; name a part of it that stays, or use key=True"
            )
        return str(text)

    def check_unused_args(
        self, used_args: object, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Accept that not every argument is named."""


class _Parent:
    """A job among the arguments, as a key sees it: its result is not there yet, only its id.

    A parent that has a key is the same job in each kernel. One that has none is another one when it
    is submitted again, as its result may be.
    """

    __slots__ = ("id",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, id: str) -> None:
        self.id = id

    def __repr__(self) -> str:
        return f"<result of job {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parent) and other.id == self.id

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return _Parent, (self.id,)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"a job as an argument has no {name!r} in a key, as its result is not there yet: use "
            "its id, or key=True"
        )


def _arguments(spec: JobSpec) -> tuple[Args, Mapping[str, object]]:
    """Return a job's arguments, with what keys may know of the jobs among them."""
    if not spec.takes:
        return spec.args, spec.kwargs
    return Replacing((ResultOf,), lambda one: _Parent(one.id)).arguments(spec.args, spec.kwargs)


def _named(target: object, args: Args, kwargs: Mapping[str, object]) -> dict[str, object]:
    names = names_by_position(target, len(args))
    named: dict[str, object] = {
        name: value
        for name, value in zip(names, args, strict=True)
        if name is not None and names.count(name) == 1
    }
    return {**named, **kwargs}


def _check_no_template(text: str, spec: JobSpec) -> None:
    """Refuse a template outside a map: it would be one key for all arguments."""
    if "{" not in text:
        return
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
    except ValueError:
        return  # a text with braces in it
    named = {
        *_named(spec.target, spec.args, spec.kwargs),
        *(parameters_of(spec.target).names if callable(spec.target) else ()),
        *(str(place) for place in range(len(spec.args))),
    }
    for field in fields:
        if re.split(r"[.\[]", field)[0] in named or (field == "" and spec.args):
            raise InvalidOptionError(
                f"key={_shown(text)} is filled in by map alone, and here it would be the same "
                "for all arguments: pass an f-string, or a function of the arguments"
            )


def name_of_target(target: object) -> str:
    """Return the name to which a key belongs: module and qualified name, or that of a plugin."""
    if isinstance(target, str):
        return f"plugin {target}"
    definition: Any = definition_of(target)
    name = f"{definition.__module__}:{definition.__qualname__}"
    while hasattr(target, "func") and hasattr(target, "keywords"):  # a partial
        target = target.func
    return f"{name}.{target.__func__.__name__}" if isinstance(target, MethodType) else name


def check_key(value: object) -> object:
    """Return the option if it can make keys.

    Raises:
        InvalidOptionError: it cannot.
    """
    if value is True:
        return value
    if isinstance(value, str):
        return _checked(value, "key is")
    if callable(value) and not inspect.iscoroutinefunction(value):
        return value
    raise InvalidOptionError(
        "key must be a text, True or a plain function of the arguments, not "
        f"{type(value).__name__}; without a key leave it out"
    )


def _checked(text: str, what: str) -> str:
    if not text.strip():
        raise InvalidOptionError(f"{what} an empty text: it must tell jobs apart")
    return str.__str__(text)


def _shown(text: str) -> str:
    return repr(fit(text, 60))
