"""Makes jobs of what a user submits: what the target is, where it runs, how it is packed."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from .._core.jobs import JobRecord
from .._core.spec import EMPTY, JobKey, JobOptions, JobSpec
from .._core.texts.hiding import with_texts
from .._runtime.sweeps.keyed import look
from .._secrets.arguments import arguments_line, may_change
from .._secrets.finder import secrets_of, with_those_of
from .._secrets.parameters import parameters_of
from .._secrets.variables import texts_of
from .._threads.threadless import check_runs_there
from ..errors import InvalidOptionError, InvalidTargetError, UnpicklableJobError
from ..protocols import AdmitsByItself, LaunchesPlugins, SetsSurroundings, SupportsRestart
from ..workers.definitions import StandIn, name_of
from ..workers.packing import is_packed
from ..workers.surroundings import Surroundings
from ..workers.unpacking import CallReader
from .callers.targets import CALLED, classify, refuse_options
from .options import check_resource_names, make_options
from .owners import claim
from .sweeps.keys import KeyMaker, Keys, maker_of
from .sweeps.latest import latest_of
from .sweeps.references import Prepare, References, Taken, not_yet

if TYPE_CHECKING:
    from .._core.texts.hiding import Secrets
    from .._runtime.engine import Engine
    from ..protocols import Executor


class Submission:
    """Makes checked, packed `JobRecord`s; nothing is enqueued here."""

    def __init__(self, engine: Engine, manager: object, default: object) -> None:
        self._engine = engine
        self._manager = manager
        self.default = default
        self._executors: dict[str, Executor] = {}
        self.surroundings = Surroundings()
        self.keys = Keys()
        self.maker_of = functools.partial(maker_of, self.keys, manager=manager)
        self.references = References(engine, engine.state)
        claim(default, engine)

    def record(
        self,
        target: object,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        options: JobOptions,
        priority: int,
        keys: KeyMaker | None = None,
    ) -> tuple[JobRecord, tuple[JobRecord, ...]]:
        """Return the job and the jobs it waits for. Any thread, without the lock.

        Where `keys` gives a key that is known, it is the job that stands for it.

        Raises:
            InvalidTargetError: the target is none of the accepted kinds.
            InvalidOptionError: an option does not go with it.
            InvalidArgumentError: a job is an argument where its result cannot be one.
            UnpicklableJobError: a plain function cannot be sent to a worker.
        """
        taken = self.references.taken(args, kwargs, with_key=keys is not None)
        if taken is not None:
            return self._record(target, taken, options, priority, keys)
        make = lambda taken: self._record(target, taken, options, priority, None)  # noqa: E731
        return self.references.made(make, args, kwargs)

    def _record(
        self,
        target: object,
        taken: Taken,
        options: JobOptions,
        priority: int,
        keys: KeyMaker | None,
    ) -> tuple[JobRecord, tuple[JobRecord, ...]]:
        engine = self._engine
        args, kwargs = taken.args, taken.kwargs
        if isinstance(target, StandIn):
            target = target.target()
        kind, name = classify(target)
        if kwargs:
            refuse_options(target, kwargs)
        parents = self.parents(options) if options.after else ()
        if taken.jobs:
            parents = taken.parents(options, parents)
        if options.resources is not None:
            self.check_resources(options)
        number, job_id = engine.next_number()
        runs = cast("str | Callable[..., object]", target)
        spec = JobSpec(job_id, kind, runs, name, args, kwargs or EMPTY, options)
        if kind != "plugin":
            spec.named = name_of(target)
        spec.takes = taken.places
        if options.secret:
            check_secret_names(spec)
        executor = self.executor_for(spec)
        spec.executor = executor
        if options.detached or (options.detached is None and engine.settings.detached):
            spec.options = options = replace(options, detached=True)
            self._check_detached(spec)
        before: JobRecord | None = None
        if keys is not None:
            key = keys.key(spec)
            if keys.found_again:
                before, stands = look(engine, key)
                if before is not None and stands:
                    return before, ()
            spec.options = options = replace(options, key=key, rerun=False)
        if options.env is not None or options.cwd is not None:
            self._check_surroundings(spec)
        if self.is_local(executor):
            spec.surroundings = self.surroundings.now()
        spec.secrets = with_texts(secrets_of(spec), texts_of(spec))
        if taken.jobs and options.secret is not False:
            spec.secrets = with_those_of(spec.secrets, taken.jobs)
        prepare = not_yet if taken.jobs and kind == "plugin" else executor.prepare
        if spec.secrets is None:
            spec.payload = prepare(spec)
        else:
            if options.detached and spec.secrets.withheld:
                raise InvalidOptionError(
                    f"detached=True does not go with {spec.name!r}: it has secrets, which the next "
                    "kernel could not hide; secret=False says that they are none"
                )
            self._prepare(spec, prepare, spec.secrets)
        if is_packed(spec.payload) and any(map(may_change, (*args, *kwargs.values()))):
            arguments_line(spec)  # of now, and kept
            spec.lazy = CallReader(spec.payload[1])
            spec.empty("args", "kwargs")
        record = JobRecord(spec, priority, number, engine.now())
        record.retry_of = None if before is None else before.id
        return record, parents

    def refused(
        self, target: object, args: tuple[object, ...], options: JobOptions, priority: int, why: str
    ) -> JobRecord:
        """Return a job that can never run, and says why; of its arguments only the line is kept."""
        kind, name = classify(target)
        number, job_id = self._engine.next_number()
        runs = cast("str | Callable[..., object]", target)
        own = replace(options, key=None, rerun=False)  # it has no key that could be told
        spec = JobSpec(job_id, kind, runs, name, args, options=own)
        spec.executor = self.executor_for(spec)
        spec.secrets = with_texts(secrets_of(spec), texts_of(spec))
        arguments_line(spec)
        spec.refuse(why)
        return JobRecord(spec, priority, number, self._engine.now())

    def _prepare(self, spec: JobSpec, prepare: Prepare, secrets: Secrets) -> None:
        """Pack a job with secrets, which no error, label or tag of it may show."""
        options = spec.options
        label = options.label and secrets.hide(options.label)
        group = options.group and secrets.hide(options.group)
        tags = tuple(map(secrets.hide, options.tags))
        spec.options = replace(options, label=label, group=group, tags=tags)
        try:
            spec.payload = prepare(spec)
        except UnpicklableJobError as error:
            told = secrets.hide(str(error))
            if told == str(error):
                raise
            raise UnpicklableJobError(told) from None

    def again(self, job: JobRecord) -> JobRecord:
        """Return a new job with the same target, arguments (as they were packed) and options."""
        engine = self._engine
        number, job_id = engine.next_number()
        spec = job.spec.again(job_id)
        options = spec.options = self.of_now(spec.options)
        if spec.kind == "plugin" and isinstance(options.key, JobKey) and options.key.code:
            keys = self.maker_of(options, spec.name)  # it runs as it is configured by now
            assert keys is not None
            spec.options = replace(options, key=options.key._replace(code=keys.code))
        record = JobRecord(spec, job.priority, number, engine.now())
        record.retry_of = job.id
        return record

    def as_now(self, job: JobRecord) -> JobRecord:
        """Return a new job with the function that the name stands for now, as submitted now.

        Raises:
            InvalidTargetError: it stands for no function any more, or nobody can tell for which.
        """
        spec = job.spec
        now = spec.target if spec.kind == "plugin" else latest_of(spec)
        options = self.of_now(spec.options)
        keys = self.maker_of(options, now, anew=True)
        record, _ = self.record(now, spec.args, spec.kwargs, options, job.priority, keys)
        packed, earlier = record.spec.payload, spec.payload
        record.spec.takes = spec.takes
        if is_packed(packed) and is_packed(earlier):
            record.spec.payload = packed[0], earlier[1]  # the arguments of its submit
        record.retry_of = job.id
        return record

    def of_now(self, options: JobOptions) -> JobOptions:
        """Return options without the jobs of `after` that have ended, or are no longer kept."""
        if not options.after:
            return options
        jobs = self._engine.state.jobs
        left = (one for one in options.after if one in jobs and not jobs[one].status.ended)
        return replace(options, after=tuple(left))

    @staticmethod
    def read_options(found: Mapping[str, object]) -> JobOptions:
        """Return the options that a journal has kept, checked as those of a user are."""
        return make_options(found)[0]

    def check(self, options: JobOptions) -> None:
        """Check what can be known before there is a target.

        Raises:
            InvalidOptionError: a job or resource is not known, or the executor is another's.
        """
        claim(options.executor, self._engine)
        self.parents(options)
        self.check_resources(options)

    def parents_again(self, spec: JobSpec) -> tuple[JobRecord, ...]:
        """Return the jobs that another try waits for: those of `after`, and whose results it takes.

        Raises:
            InvalidOptionError, NotRestorableError: one is not kept any more.
        """
        return tuple(dict.fromkeys((*self.parents(spec.options), *self.references.parents(spec))))

    def parents(self, options: JobOptions) -> tuple[JobRecord, ...]:
        """Return the jobs that `after` names.

        Raises:
            InvalidOptionError: one is not known here.
        """
        return tuple(map(self._parent, options.after))

    def check_resources(self, options: JobOptions) -> None:
        """Check the names of resources, unless an executor reads `resources` in its own way.

        Raises:
            InvalidOptionError: one is not known.
        """
        executor = options.executor or self.default
        if not (isinstance(executor, AdmitsByItself) and executor.admits_by_itself):
            check_resource_names(options.resources)

    def is_local(self, executor: object) -> bool:
        """True if its jobs get the folder and the environment of this kernel."""
        return executor is self._executors.get("process")

    def _check_surroundings(self, spec: JobSpec) -> None:
        executor, cwd = cast("Executor", spec.executor), spec.options.cwd
        if not (isinstance(executor, SetsSurroundings) and executor.sets_surroundings):
            name = "cwd" if spec.options.env is None else "env"
            raise InvalidOptionError(f"{name}= does not go with {spec.name!r}: {_whose(spec)}")
        if cwd is not None and self.is_local(executor) and not os.path.isdir(cwd):
            raise InvalidOptionError(f"cwd={cwd!r} is no folder")

    def _check_detached(self, spec: JobSpec) -> None:
        from ..workers.detached.folders import Folders

        if not self.is_local(spec.executor):
            why = _whose(spec)
        elif isinstance(self._engine.context.detached, Folders):
            return
        else:
            why = str(self._engine.context.detached)
        raise InvalidOptionError(f"detached=True does not go with {spec.name!r}: {why}")

    def _parent(self, job_id: str) -> JobRecord:
        record = self._engine.state.jobs.get(job_id)
        if record is None:
            raise InvalidOptionError(
                f"after={job_id!r} is no job that this queue still keeps; pass a Job or its id"
            )
        return record

    def executor_for(self, spec: JobSpec) -> Executor:
        """Return the executor that runs a job.

        Raises:
            InvalidTargetError, InvalidOptionError: nowhere in this queue.
            NotSupportedError: it needs a thread or a process, where there are none.
        """
        chosen = spec.options.executor
        if chosen is None and spec.kind == "function":
            chosen = self.default
        check_runs_there(spec, chosen)
        if spec.kind == "plugin":
            if chosen is not None and isinstance(chosen, str):
                raise InvalidOptionError(
                    f"executor={chosen!r} does not go with plugin {spec.name!r}: "
                    "plugins run in their own workers"
                )
            return cast("Executor", chosen) if chosen else self.built_in("plugin")
        if chosen is None:
            chosen = "coroutine" if spec.kind == "coroutine" else "process"
        if not isinstance(chosen, str):
            return cast("Executor", chosen)
        if (chosen == "coroutine") != (spec.kind == "coroutine"):
            runs = "on the queue's loop" if spec.kind == "coroutine" else "in a process or thread"
            raise InvalidOptionError(
                f"executor={chosen!r} does not go with {spec.name!r}: a {spec.kind} runs {runs}"
            )
        return self.built_in(chosen)

    def restart_workers(self) -> None:
        """Replace warm workers, where an executor has any."""
        for executor in self._executors.values():
            if isinstance(executor, SupportsRestart):
                executor.restart_workers()

    def built_in(self, name: str) -> Executor:
        """Return one of our own executors, made at its first use."""
        executor = self._executors.get(name)
        if executor is None:
            executor = self._executors.setdefault(name, self._make(name))
        return executor

    def _make(self, name: str) -> Executor:
        if name == "coroutine":
            from ..executors.coroutine import CoroutineExecutor

            return CoroutineExecutor()
        if name == "thread":
            from ..executors.thread import ThreadExecutor

            return ThreadExecutor()
        if name == "process":
            from ..executors.process import ProcessExecutor

            return ProcessExecutor()
        if self._manager is None:
            raise InvalidTargetError(
                "a text target names a plugin, and this queue has no plugin manager: "
                f"use JobQueue(manager), or pass the function itself{CALLED}"
            )
        if isinstance(self._manager, LaunchesPlugins):
            from ..executors.plugin_launching import LaunchingHostExecutor

            return LaunchingHostExecutor(self._manager)
        from ..compat.cjm.executor import PluginHostExecutor

        return PluginHostExecutor(self._manager)


def check_secret_names(spec: JobSpec) -> None:
    """Check that the target has what `secret=` names: a misspelt name would hide nothing.

    Raises:
        InvalidOptionError: one is no argument of the target.
    """
    secret = spec.options.secret
    if not isinstance(secret, frozenset):
        return
    known = {*spec.kwargs}
    if callable(spec.target):
        known.update(parameters_of(spec.target).names)
    for name in sorted(secret - known):
        close = difflib.get_close_matches(name, known, 1)
        cure = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(sorted(known))}"
        raise InvalidOptionError(f"secret: {spec.name!r} has no argument {name!r}; {cure}")


def _whose(spec: JobSpec) -> str:
    """Say why jobs of this executor cannot have a folder or environment of their own."""
    if spec.kind == "plugin":
        return "a plugin has its worker's, which its manifest names"
    if spec.kind == "coroutine" or cast("Executor", spec.executor).name == "thread":
        where = "coroutine" if spec.kind == "coroutine" else "thread"
        return f"a {where} shares the one environment and folder of this process"
    return f"{cast('Executor', spec.executor).name!r} runs it in processes of its own"
