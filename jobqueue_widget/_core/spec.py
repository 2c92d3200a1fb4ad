"""What a job is asked to be: its target, its arguments and its options. It does not change."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ..errors import NotRestorableError

if TYPE_CHECKING:
    from .texts.hiding import Secrets

EMPTY: Mapping[str, object] = MappingProxyType({})

TargetKind = Literal["plugin", "coroutine", "function"]
Resources = Mapping[str, float] | Literal["learned"]


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What `queue.options(...)` sets. Times are seconds; `None` means not set."""

    label: str | None = None
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    idempotent: bool | None = None  # None: not said
    after: tuple[str, ...] = ()
    resources: Resources | None = None
    executor: object = None
    secret: bool | frozenset[str] | None = None  # None: not said
    fresh: bool = False
    env: Mapping[str, str | None] | None = None  # None as a value: not set
    cwd: str | None = None


DEFAULT_OPTIONS = JobOptions()


LET_GO = frozenset({"args", "kwargs", "payload"})


class JobSpec:
    """The unchanging part of a job: what to run. Executors see this and nothing else of it.

    `target` is a plugin name, a coroutine function or a plain callable; `name` is how it is shown.
    `payload` is what the executor's `prepare` made of it at submit (a pickle, for instance).

    `args` and `kwargs` that could change after the submit are not kept beside a payload that holds
    them, and after the end of its job `payload` may be let go, too: then `lazy` gives them when
    somebody looks at them, and `lost` says why it cannot.
    """

    __slots__ = (
        "args",
        "executor",
        "id",
        "kept",
        "kind",
        "kwargs",
        "lazy",
        "lost",
        "name",
        "options",
        "payload",
        "secrets",
        "shown",
        "surroundings",
        "target",
    )
    missing: str | None = None  # why it can never run; only of those that came back
    restored = False  # True for those that a journal brought back: they load when they must

    def __init__(
        self,
        id: str,
        kind: TargetKind,
        target: str | Callable[..., object],
        name: str,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] = EMPTY,
        options: JobOptions = DEFAULT_OPTIONS,
        payload: object = None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.target = target
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self.payload = payload
        self.executor: object = None  # where it will run; resolved once, at submit
        self.shown: str | None = None  # its arguments as text; made when it is first shown
        self.secrets: Secrets | None = None  # what no text of it may show
        self.kept: object = None  # what a journal is to keep of it, until that is written
        self.surroundings: object = None  # folder and environment of its submit, where it gets them
        self.lazy: Callable[[str], object] | None = None
        self.lost = ""

    def __getattr__(self, name: str) -> Any:
        """Load a slot that was emptied after the end of the job, or raise why it cannot be."""
        if name not in LET_GO:
            raise AttributeError(name)
        assert self.lazy is not None
        return self.lazy(name)

    def again(self, id: str) -> JobSpec:
        """Copy it under another id.

        Raises:
            NotRestorableError: what it needs was let go.
        """
        spec = JobSpec(id, self.kind, self.target, self.name, options=self.options)
        spec.payload = self.payload
        spec.executor = self.executor
        spec.surroundings = self.surroundings
        spec.secrets = self.secrets
        if self.lazy is None:
            spec.args, spec.kwargs = self.args, self.kwargs
        else:
            spec.empty("args", "kwargs")
            spec.lazy, spec.shown = self.lazy, self.shown
        return spec

    def empty(self, *names: str) -> None:
        """Let go of what these slots hold; those that hold nothing are left as they are."""
        for name in names:
            try:
                delattr(self, name)
            except AttributeError:
                continue

    def take_over(self) -> None:
        """Load what stands in the journal only, which is about to forget it."""
        if self.lost and self.lazy is not None:
            with contextlib.suppress(NotRestorableError):  # it stands nowhere
                found: dict[str, Any] = {name: self.lazy(name) for name in LET_GO}
                self.args, self.kwargs = found["args"], found["kwargs"]
                self.payload = found["payload"]
                self.lazy, self.lost = None, ""

    @property
    def title(self) -> str:
        """The label if there is one, else the name."""
        return self.options.label or self.name

    def __repr__(self) -> str:
        return f"JobSpec({self.id}, {self.kind} {self.name})"
