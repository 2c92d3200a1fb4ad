"""The request of a job, which does not change: its target, arguments and options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from ..errors import NotRestorableError

if TYPE_CHECKING:
    from .texts.hiding import Secrets

EMPTY: Mapping[str, object] = MappingProxyType({})
NOTHING: Mapping[str, int] = MappingProxyType({})

TargetKind = Literal["plugin", "coroutine", "function"]
Resources = Mapping[str, float] | Literal["learned"]


class JobKey(NamedTuple):
    """What tells that two requests are the same, as digests: nothing of it can be read.

    `text` stands for the function's name and for the user's text or the arguments. `code` stands
    for the function's code with `key=True`, and is "" else.
    """

    text: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options that `queue.options(...)` sets. Times are seconds; `None` means not set."""

    label: str | None = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    timeout: float | None = None
    deadline: float | None = None
    delay: float | None = None
    retries: int = 0
    retry_on: tuple[str, ...] = ()  # names of exceptions, and of `causes.NO_EXCEPTION`
    backoff: float | None = None
    backoff_max: float | None = None
    idempotent: bool | None = None
    after: tuple[str, ...] = ()
    after_failure: Literal["cancel", "run"] = "cancel"
    resources: Resources | None = None
    executor: object = None
    secret: bool | frozenset[str] | None = None
    fresh: bool = False
    env: Mapping[str, str | None] | None = None  # a value of None unsets the variable
    cwd: str | None = None
    key: object = None  # as the user gave it; of a job that was made, its `JobKey`
    rerun: bool = False
    ahead: int = 1_000  # items of a map that are pending at a time
    detached: bool | None = None  # goes on without its kernel; None: as the queue says
    item: tuple[int, int | None] | None = None  # which of how many of a long map; set by that


DEFAULT_OPTIONS = JobOptions()


LET_GO = frozenset({"args", "kwargs", "payload"})


@dataclass(slots=True, eq=False, repr=False)
class JobSpec:
    """The unchanging part of a job: what to run. Executors see nothing else of a job.

    `target` is a plugin name, a coroutine function or a plain callable; `name` is how it is shown.
    `payload` is what the executor's `prepare` made of it at submit (a pickle, for instance).

    Arguments that could change after the submit are not kept beside a payload that holds them, and
    after the job's end `payload` may be dropped, too. Then `lazy` loads them at their first use, or
    `lost` says why it cannot.
    """

    restored = False  # True for a job from a journal, which loads its parts at first use

    id: str
    kind: TargetKind
    target: str | Callable[..., object]
    name: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    options: JobOptions = DEFAULT_OPTIONS
    named: str | None = None  # where its module had the function when it was submitted
    payload: object = None  # what `prepare` made of it
    executor: object = None  # the executor that will run it, chosen once at submit
    shown: str | None = None  # the arguments as text, made when it is first shown
    secrets: Secrets | None = None  # texts that nothing of it may show
    kept: object = None  # what a journal will keep of it, until that is written
    surroundings: object = None  # folder and environment of the submit, if it gets them
    takes: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    """The jobs whose results are arguments, by id, and their places."""
    lazy: Callable[[str], object] | None = None
    lost: str = ""
    missing: str | None = None  # why a restored job can never run

    def __getattr__(self, name: str) -> Any:
        """Load a slot that was emptied, or raise why it cannot be loaded."""
        if name not in LET_GO:
            raise AttributeError(name)
        assert self.lazy is not None
        return self.lazy(name)

    def again(self, id: str) -> JobSpec:
        """Return a copy under another id.

        Raises:
            NotRestorableError: what it needs was dropped.
        """
        spec = JobSpec(id, self.kind, self.target, self.name, options=self.options)
        spec.named = self.named
        spec.payload = self.payload
        spec.executor = self.executor
        spec.surroundings = self.surroundings
        spec.secrets = self.secrets
        spec.takes = self.takes
        if self.lazy is None:
            spec.args, spec.kwargs = self.args, self.kwargs
        else:
            spec.empty("args", "kwargs")
            spec.lazy, spec.shown = self.lazy, self.shown
        return spec

    def empty(self, *names: str) -> None:
        """Drop what these slots hold, if anything."""
        for name in names:
            try:
                delattr(self, name)
            except AttributeError:
                continue

    def refuse(self, why: str) -> None:
        """Let go of the arguments for good; who needs them is told why."""
        error = f"job {self.title!r} ({self.id}): {why}; submit it again"

        def refused(name: str) -> NoReturn:
            raise NotRestorableError(error)

        self.empty(*LET_GO)
        self.lost, self.lazy = why, refused

    def take_over(self) -> None:
        """Load what only the journal has, which is about to forget it."""
        if self.lost and self.lazy is not None:
            with contextlib.suppress(NotRestorableError):  # no journal has it either
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
