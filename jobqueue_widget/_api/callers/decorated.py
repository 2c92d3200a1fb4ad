"""Functions that `queue.job` has decorated: a call runs here, `submit` and `map` queue it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable
from operator import itemgetter
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from ...errors import InvalidTargetError
from ...job import Job
from ...workers.definitions import StandIn
from ...workers.packing import is_found_by_name
from ..control import OptionsView
from ..options import PARAMETERS, spelling
from .targets import classify
from .with_joblib import JoblibBackends

Given = ParamSpec("Given")
Result = TypeVar("Result")


class JobFunction(StandIn, Generic[Given, Result]):
    """A function that `queue.job` has decorated.

    `f(x)` runs it here, as ever. `f.submit(x)` and `f.map(xs)` queue it, with the options of its
    decorator. A job has the bare function: one that calls itself by its name does so there.
    """

    __name__: str
    __wrapped__: Callable[Given, Result]

    def __init__(self, function: Callable[Given, Result], queue: OptionsView) -> None:
        functools.update_wrapper(self, function)
        self._queue = queue

    def __call__(self, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return self.__wrapped__(*args, **kwargs)

    def submit(self, /, *args: Given.args, **kwargs: Given.kwargs) -> Job:
        """Enqueue a call, and return its job at once. Any thread.

        It is what executors of the standard library call so: `await f.submit(x)` is its result.

        Raises:
            JobQueueError: as `JobQueue.submit_nowait`.
        """
        return self._queue.submit_nowait(self, *args, **kwargs)

    def map(self, iterable: Iterable[Any], *more: Iterable[Any]) -> Any:
        """Enqueue a call per item, in order. See `JobQueue.map`."""
        return self._queue.map(self, iterable, *more)

    def target(self) -> object:
        """Return what a queue runs: this, or the method that it stands for."""
        return self.__wrapped__ if isinstance(self.__wrapped__, MethodType) else self

    def __get__(self, owner: object, kind: type | None = None) -> Any:
        """Return the method of an object, as a function in its class does."""
        get = getattr(type(self.__wrapped__), "__get__", None)
        found = self.__wrapped__ if get is None else get(self.__wrapped__, owner, kind)
        return self if found is self.__wrapped__ else decorated(found, self._queue)

    def __reduce__(self) -> Any:
        """Reduce it to its name, where a worker finds that, else to the bare function."""
        name: str = vars(self)["__qualname__"]
        return name if is_found_by_name(self) else (_FIRST, ((self.__wrapped__,),))

    def __copy__(self) -> JobFunction[Given, Result]:
        return self

    def __deepcopy__(self, memo: object) -> JobFunction[Given, Result]:
        return self

    def __repr__(self) -> str:
        return f"<{self.__wrapped__!r} as jobs: .submit(…), .map(…)>"


class CoroutineJobFunction(JobFunction[Given, Any]):
    """The same of an `async def`: a call gives a coroutine, its jobs run on the queue's loop."""

    def __init__(self, function: Callable[Given, Any], queue: OptionsView) -> None:
        super().__init__(function, queue)
        mark = getattr(inspect, "markcoroutinefunction", None)
        if mark is None:  # before Python 3.12 only `asyncio` has such a mark
            self._is_coroutine = cast("Any", asyncio.coroutines)._is_coroutine
        else:
            mark(self)

    async def __call__(self, /, *args: Given.args, **kwargs: Given.kwargs) -> Any:
        return await self.__wrapped__(*args, **kwargs)


_FIRST = itemgetter(0)  # of the standard library: what it is reduced to needs nothing of ours


def decorated(function: Callable[Given, Result], queue: OptionsView) -> JobFunction[Given, Result]:
    """Make a function whose `submit` and `map` are those of a queue.

    Raises:
        InvalidTargetError: it is no function, or one that calling does not run.
    """
    what = type(function).__name__
    if isinstance(function, (str, type, classmethod, functools.partial)) or not callable(function):
        raise InvalidTargetError(
            f"queue.job decorates functions and methods, not {_SHOWN.get(what, what)}; "
            "its options go into brackets, as in @queue.job(retries=2)"
        )
    if isinstance(function, JobFunction):  # of another queue, or with other options
        function = function.__wrapped__
    kind, _ = classify(function)
    made = CoroutineJobFunction if kind == "coroutine" else JobFunction
    return made(function, queue)


# Spelled out here: Sphinx looks for the defaults of what a signature has in the function's source.
FUNCTION = inspect.Parameter("function", inspect.Parameter.POSITIONAL_ONLY, default=None)


class Decorating(JoblibBackends):
    """The part of `JobQueue` that decorates functions, and is for joblib."""

    @overload
    def job(
        self, function: Callable[Given, Result], /, **options: Any
    ) -> JobFunction[Given, Result]: ...
    @overload
    def job(
        self, /, **options: Any
    ) -> Callable[[Callable[Given, Result]], JobFunction[Given, Result]]: ...
    @spelling([FUNCTION, *PARAMETERS])
    def job(self, /, *function: Any, **options: Any) -> Any:
        """Decorate a function, so that it can be called as a job, too: `@queue.job(retries=2)`.

        `f(x)` still runs here. `f.submit(x)` enqueues it and returns the job at once; `f.map(xs)`
        does so for each item. Methods work, too: `thing.method.submit(x)`. Without options
        `@queue.job` is enough.

        Args:
            function: what is decorated: a function, an `async def` or a method.
            options: as in `options`; for what is submitted through the function.

        Raises:
            InvalidTargetError: it is no function.
            InvalidOptionError: an unknown option or a bad value.

        Example:
            ```python
            queue = await JobQueue().start()


            @queue.job(retries=1)
            def square(x):
                return x * x


            assert square(3) == 9  # here
            assert await square.submit(4) == 16  # in a worker
            await queue.stop()
            ```
        """
        queue = self.options(**options)
        if function in ((), (None,)):
            return lambda given: decorated(given, queue)
        (given,) = function
        return decorated(given, queue)


_SHOWN = {
    "str": "a plugin's name: queue.submit_nowait(name, …) runs that",
    "type": "a class: decorate a function that makes one",
    "classmethod": "a class method: queue.submit_nowait(Class.method, …) runs one",
    "partial": "a partial: queue.submit_nowait(partial, …) runs it",
}
