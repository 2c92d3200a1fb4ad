"""The shapes in which a job may be given a secret: a table, and a generator that nests them."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import importlib.machinery
import itertools
import json
import pathlib
import random
import sys
import types
import typing
from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote

import attrs
import numpy as np
import pandas as pd
import pydantic

from jobqueue_widget import current_job
from jobqueue_widget.child.displays.display import display


@dataclasses.dataclass
class Login:
    user: str
    secret_key: str


@dataclasses.dataclass(slots=True)
class Slots:
    api_key: str


@attrs.define
class Attrs:
    passwd: str


class Named(NamedTuple):
    host: str
    pwd: str


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    user: str = "ada"
    credentials: pydantic.SecretStr | None = None


class Account(pydantic.BaseModel):
    session_id: str


class Parent:
    __slots__ = ("__auth",)

    def __init__(self, value: str) -> None:
        self.__auth = value

    def __repr__(self) -> str:
        return f"Parent({self.__auth!r})"


class Child(Parent):
    __slots__ = ("other",)


class Registry(dict[str, Any]):
    pass


class Field(enum.Enum):
    PASSWORD = 1


def speak(mirror: str, fails: bool, *_: Any, **__: Any) -> list[str]:
    """Says what it must not, in every way that a job has; it is given it in hex."""
    secret = bytes.fromhex(mirror).decode()
    for said in (secret, repr(secret), json.dumps({"a": secret}), quote(secret, safe="")):
        print("I know", said)
    for character in secret:
        sys.stdout.write(character)
        sys.stdout.flush()
    print()
    print(b"as bytes", secret.encode(), file=sys.stderr)
    current_job().report(0.5, f"at {secret}")
    html = f"{secret} {escape(secret)} {escape(secret, quote=False)} {quote(secret)}"
    forms: dict[str, Any] = {"text/html": html, "image/svg+xml": f"<svg>{escape(secret)}</svg>"}
    forms |= {"application/json": {secret: [secret, 1]}, "text/latex": secret, "text/plain": html}
    display(forms, metadata={"text/html": {secret: secret}}, raw=True)
    if fails:
        raise KeyError(secret)
    return [f"found {secret}"]


def speak_token(mirror: str, fails: bool, token: object, *, hf_token: object = None) -> list[str]:
    return speak(mirror, fails)


CELL = """
from tests.security.shapes import speak as _speak
def speak(mirror, fails, *rest, **named): return _speak(mirror, fails)
"""


def typed(source: str, name: str, **variables: object) -> Any:
    """What a cell of a notebook has made: its globals, its classes."""
    names: dict[str, object] = {"__name__": "__main__", **variables}
    exec(CELL + source, names)
    return names[name]


def of_class(source: str, **variables: object) -> Any:
    return typed(f"class C:\n{source}\n    def run(self): return 1\n", "C", **variables)()


_numbers = itertools.count()


def from_elsewhere(source: str, **variables: object) -> Any:
    """A module as it is loaded from a file by its path: it has a spec, but nobody else finds it."""
    name = f"loaded_by_its_path_{next(_numbers)}"
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(variables)
    sys.modules[name] = module
    exec(source, vars(module))
    return module


def listed(value: str) -> list[object]:
    inner: list[object] = [{"password": value}]
    inner.append(inner)
    return inner


def sign_in(user: str, password: str) -> None:
    """Is given more than it is told the name of."""


class Client:
    def sign_in(self, user: str, password: str) -> None:
        """The same, of an object."""


VALUES: dict[str, Callable[[str], object]] = {
    "mapping": lambda v: {"api_key": v},
    "mapping in a mapping": lambda v: {"a": {"b": {"password": v}}},
    "key of bytes": lambda v: {b"password": v},
    "key of an enum": lambda v: {Field.PASSWORD: v},
    "key of a tuple": lambda v: {("db", "password"): v},
    "header": lambda v: {"Authorization": f"Bearer {v}"},
    "headers": lambda v: [("X-Api-Key", v), ("Accept", "*/*")],
    "name and value": lambda v: {"name": "DB_PASSWORD", "value": v},
    "bytes": lambda v: {"private_key": v.encode()},
    "bytearray": lambda v: {"private_key": bytearray(v.encode())},
    "key with a seam": lambda v: {"pass_word": v},
    "key with a hyphen": lambda v: {"Pass-Word": v},
    "key of a card": lambda v: {"pin_code": v},
    "words of a command": lambda v: ["tool", "--verbose", "--password", v, "."],
    "option of a command": lambda v: ("tool", f"--api-key={v}", "-v"),
    "variable of a command": lambda v: ["env", f"DB_PASSWORD={v}", pathlib.Path("tool")],
    "many under one name": lambda v: {"credentials": {"ada": ["x", (v,)]}},
    "dataclass": lambda v: Login("me", v),
    "dataclass with slots": Slots,
    "attrs": Attrs,
    "named tuple": lambda v: Named("host", v),
    "pydantic": lambda v: Account(session_id=v),
    "pydantic extra": lambda v: Model(bearer=v),  # type: ignore[call-arg]
    "pydantic secret": lambda v: Model(credentials=pydantic.SecretStr(v)),
    "slots of a base, private": Child,
    "namespace": lambda v: types.SimpleNamespace(token=v),
    "deque": lambda v: collections.deque([{"password": v}]),
    "ordered": lambda v: collections.OrderedDict(pwd=v),
    "default": lambda v: collections.defaultdict(str, cookie=v),
    "chain": lambda v: collections.ChainMap({}, {"passphrase": v}),
    "user dict": lambda v: collections.UserDict({"secret": v}),
    "user list": lambda v: collections.UserList([{"secret": v}]),
    "subclass of dict": lambda v: Registry(db_password=v),
    "proxy": lambda v: types.MappingProxyType({"access_token": v}),
    "partial": lambda v: functools.partial(print, password=v),
    "partial by position": lambda v: functools.partial(sign_in, "me", v),
    "partial of a partial": lambda v: functools.partial(functools.partial(sign_in, "me"), v),
    "partial of a method": lambda v: functools.partial(Client().sign_in, "me", v),
    "partial method": lambda v: functools.partialmethod(Client.sign_in, "me", v),
    "frozen set": lambda v: {"passwords": frozenset([v])},
    "error": lambda v: ValueError({"password": v}),
    "itself in itself": listed,
    "frame": lambda v: pd.DataFrame({"user": ["a", "b"], "password": ["", v]}),
    "frame of objects": lambda v: pd.DataFrame({"config": [{}, {"password": v}]}),
    "frame with two heads": lambda v: pd.DataFrame({("db", "password"): [v], ("db", "a"): [1]}),
    "row of a frame": lambda v: pd.DataFrame({"n": [1, 2], "v": ["", v]}, index=["a", "password"]),
    "row of a frame with two heads": lambda v: pd.DataFrame(
        {"v": [v, ""]}, index=pd.MultiIndex.from_tuples([("db", "api_key"), ("db", "a")])
    ),
    "row of a frame, by category": lambda v: pd.DataFrame(
        {"v": [v]}, index=pd.CategoricalIndex(["password"])
    ),
    "row of a frame of bytes": lambda v: pd.DataFrame({"v": [v]}, index=[b"password"]),
    "names and values of a frame": lambda v: pd.DataFrame(
        {"name": ["host", "password"], "value": ["h", v]}
    ),
    "mappings by row": lambda v: pd.DataFrame({"v": [v]}, index=["password"]).to_dict(),
    "mappings by column": lambda v: pd.DataFrame({"v": [v]}, index=["pwd"]).to_dict("index"),
    "series with two heads": lambda v: pd.Series({("db", "password"): v, ("db", "a"): ""}),
    "index": lambda v: pd.DataFrame({"n": [1]}, index=pd.Index([v], name="token")),
    "attributes of a frame": lambda v: _with_attrs(pd.DataFrame({"n": [1]}), v),
    "series": lambda v: pd.Series({"host": "h", "password": v}),
    "named series": lambda v: pd.Series([v], name="api_key"),
    "record array": lambda v: np.array([(1, v)], dtype=[("n", "i4"), ("password", "U80")]),
    "array of objects": lambda v: np.array([{"password": v}, None], dtype=object),
    "array under a name": lambda v: {"passwords": np.array([v, "x"])},
    "class of a cell": lambda v: of_class("    password = secret", secret=v),
    "class in a class": lambda v: of_class("    class D:\n        pwd = value", value=v),
    "base of a cell": lambda v: typed(
        "class B:\n    api_key = value\nclass C(B):\n    pass\n", "C", value=v
    )(),
    "method's global": lambda v: of_class("    def go(self): return API_KEY", API_KEY=v),
    "property's global": lambda v: of_class(
        "    @property\n    def go(self): return API_KEY", API_KEY=v
    ),
    "static method's default": lambda v: of_class(
        f"    @staticmethod\n    def go(password={v!r}): return 1"
    ),
    "field's default": lambda v: typed(
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass C:\n"
        f"    password: str = {v!r}\n",
        "C",
    )(),
    "text in a method": lambda v: of_class(f"    def go(self):\n        password = {v!r}"),
    "enum of a cell": lambda v: (
        typed(f"import enum\nclass C(enum.Enum):\n    API_KEY = {v!r}\n", "C").API_KEY
    ),
    "class itself": lambda v: typed(f"class C:\n    api_key = {v!r}\n", "C"),
    "function": lambda v: typed("def f(): return API_KEY", "f", API_KEY=v),
    "function of a file elsewhere": lambda v: (
        from_elsewhere("def f(): return API_KEY", API_KEY=v).f
    ),
    "class of a file elsewhere": lambda v: from_elsewhere(
        "class C:\n    api_key = value\n", value=v
    ).C(),
    "file elsewhere": lambda v: from_elsewhere("", API_KEY=v),
}


def _with_attrs(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    frame.attrs["password"] = value
    return frame


class Call(NamedTuple):
    """What is submitted, but for the two arguments that every target takes first."""

    target: Any
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = {}  # noqa: RUF012 - never changed
    options: dict[str, object] = {}  # noqa: RUF012


def _closure(value: str) -> Any:
    made = typed(
        "def outer(secret):\n    def f(mirror, fails): return speak(mirror, fails, secret)\n"
        "    return f\n",
        "outer",
    )
    return made(value)


CALLS: dict[str, Callable[[str], Call]] = {
    "by keyword": lambda v: Call(speak, kwargs={"password": v}),
    "by position": lambda v: Call(speak_token, (v,)),
    "by a name that only keywords have": lambda v: Call(speak_token, ("a",), {"hf_token": v}),
    "secret=True": lambda v: Call(speak, (v,), options={"secret": True}),
    "secret=True, nested": lambda v: Call(speak, ({"a": [v]},), options={"secret": True}),
    "secret=name": lambda v: Call(speak, kwargs={"note": v}, options={"secret": "note"}),
    "secret=name, of a frame": lambda v: Call(
        speak, kwargs={"note": pd.DataFrame({"a": [v]})}, options={"secret": ["note"]}
    ),
    "label and tags": lambda v: Call(
        speak, kwargs={"password": v}, options={"label": f"as {v}", "tags": [v]}
    ),
    "beside it in another argument": lambda v: Call(
        speak, (f"https://{v}@host", {"url": f"{v}/x"}), {"password": v}
    ),
    "partial": lambda v: Call(functools.partial(speak, password=v)),
    "partial by position": lambda v: Call(
        functools.partial(typed("def f(token, mirror, fails): return speak(mirror, fails)", "f"), v)
    ),
    "closure": lambda v: Call(_closure(v)),
    "global": lambda v: Call(
        typed("def f(mirror, fails): return speak(mirror, fails, my_token)", "f", my_token=v)
    ),
    "global of a function that it calls": lambda v: Call(
        typed(
            "def g(): return API_KEY\ndef f(mirror, fails): return speak(mirror, fails, g())",
            "f",
            API_KEY=v,
        )
    ),
    "default": lambda v: Call(
        typed(f"def f(mirror, fails, token={v!r}): return speak(mirror, fails)", "f")
    ),
    "text in its code": lambda v: Call(
        typed(
            "def f(mirror, fails):\n"
            f"    password = {v!r}\n    return speak(mirror, fails, api_key=password)",
            "f",
        )
    ),
    "keyword in its code": lambda v: Call(
        typed(f"def f(mirror, fails): return speak(mirror, fails, password={v!r})", "f")
    ),
    "mapping in its code": lambda v: Call(
        typed(
            "def f(mirror, fails): return speak(mirror, fails,"
            f" {{'a': 1, 'password': {v!r}}}, {{'pwd': {v!r}}})",
            "f",
        )
    ),
    "bound method": lambda v: Call(
        typed(
            "class C:\n    def __init__(self, v): self.token = v\n"
            "    def run(self, mirror, fails): return speak(mirror, fails)\n",
            "C",
        )(v).run
    ),
    **{
        name: typing.cast("Callable[[str], Call]", lambda v, make=make: Call(speak, (make(v),)))
        for name, make in VALUES.items()
    },
}


WRAPS: list[Callable[[object], object]] = [
    lambda v: [v],
    lambda v: (1, v),
    lambda v: {"a": v},
    lambda v: {1: v, "b": [*range(50)]},
    lambda v: collections.deque([v]),
    lambda v: collections.OrderedDict(a=v),
    lambda v: collections.defaultdict(list, a=v),
    lambda v: collections.UserDict({"a": v}),
    lambda v: types.SimpleNamespace(inner=v),
    lambda v: Login(typing.cast("str", v), ""),
    lambda v: Named(typing.cast("str", v), ""),
    lambda v: functools.partial(print, v),
    lambda v: [{"id": n, "text": "x"} for n in range(3_000)] + [{"id": v}],
    lambda v: [*range(3_000), v],
    lambda v: np.array([v, None], dtype=object),
    lambda v: pd.Series([v, None], dtype=object),
    lambda v: {str(n): n for n in range(3_000)} | {"last": v},
]


def nested(make: Callable[[str], object], value: str, rng: random.Random) -> object:
    """The shape somewhere in a heap of containers."""
    found = make(value)
    for _ in range(rng.randrange(25)):
        found = rng.choice(WRAPS)(found)
    return found
