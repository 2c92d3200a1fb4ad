"""The magics: what stands behind them on their line, the queue that they use, what they show."""

from __future__ import annotations

import argparse
import ast
import contextlib
import re
import shlex
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from IPython.core.error import UsageError

from .._api.display_hook import provider
from ..errors import InvalidOptionError, JobQueueError, UnpicklableJobError, UnsupportedLoopError
from ..job import Job
from ..queue import JobQueue
from .completion import OPTIONS, Completion
from .delivery import Deliveries
from .sending import Sending, Source

NAME = "notebook"  # of the queue that the first of these magics makes
NO_LOOP = (
    "no event loop runs here between cells, so a queue needs one of its own: "
    '`queue = await JobQueue(loop="thread").start()`, then name it: {} --queue queue'
)
_OPTION = re.compile(r"\s*--(?P<name>[\w-]+)(?:\s*=\s*|\s+)(?P<value>\S+)")


class JobMagics:
    """`%%job`, `%job` and `%jobs` of one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = weakref.ref(shell)
        self.queue: JobQueue | None = None  # that these magics have made
        self.deliveries = Deliveries(shell)
        self.completion = Completion(shell, JobQueue)

    @property
    def shell(self) -> Any:
        """The shell that has them."""
        return self._shell()

    def open(self) -> None:
        """Take part in what the shell does."""
        self.shell.register_magic_function(self.job_of_cell, "cell", "job")
        self.shell.register_magic_function(self.job_of_call, "line", "job")
        self.shell.register_magic_function(self.jobs, "line", "jobs")
        self.deliveries.open()
        self.completion.open()

    def close(self) -> None:
        """Leave the shell as it was; jobs go on, and so does the queue."""
        self.deliveries.close()
        self.completion.close()
        for kind, name in (("cell", "job"), ("line", "job"), ("line", "jobs")):
            self.shell.magics_manager.magics[kind].pop(name, None)

    # -- the magics ----------------------------------------------------------------------------

    def job_of_cell(self, line: str, cell: str) -> None:
        """Run this cell as a job, in a worker process, while the notebook stays free.

        %%job [name] [--queue Q] [--priority N] [--gpus N] [--out a,b] [--timeout S]

        name: what the job is called.
        --queue Q: the variable that holds the queue.
        --priority N: an integer; higher runs earlier.
        --gpus N: how many whole GPUs it needs: it waits until they are free.
        --out a,b: names that are set in the notebook when it ends, between cells.
        --timeout S: seconds that it may take.

        The job gets the variables that the cell reads, as they are now, and the functions and
        classes that it uses. What it prints is in the live cell below it; its result is the
        dictionary of the names of --out.
        """
        with _short_errors():
            given = _parsed(line)
            out = _names(given.out)
            queue = self._queue(given.queue, "%%job")
            title = given.name or f"cell [{self.shell.execution_count}]"
            sending = Sending(self._source(line, cell), self.shell.user_ns, out, title)
            if large := sending.large():
                sys.stderr.write(f"{large}\n")
                sys.stderr.flush()
            view = queue.options(**_options(queue, given, label=title))
            try:
                job = view.submit_nowait(sending.target, **sending.arguments)
            except UnpicklableJobError as error:
                raise sending.refusal(error) from None
        if out:
            self.deliveries.expect(job, out)
        self._show(queue, job)

    def job_of_call(self, line: str) -> Job:
        """Submit a call, as in `%job f(x, y)`: x and y are evaluated now, and f runs in a worker.

        The options of `%%job` but --out may stand before it: `%job --priority 5 f(x, y)`. The
        last line of a cell shows the live cell of the job; `job = %job f(x, y)` takes its handle.
        """
        with _short_errors():
            options, call = _leading_options(line)
            given = _parsed(options)
            if given.out is not None or given.name is not None:
                raise UsageError("--out goes with a cell: %%job; of a call the job has the result")
            target, args, kwargs = self._evaluated(call)
            queue = self._queue(given.queue, "%job")
            return queue.options(**_options(queue, given)).submit_nowait(target, *args, **kwargs)

    job_of_call._ipython_magic_no_var_expand = True  # type: ignore[attr-defined]  # as IPython marks it

    def jobs(self, line: str) -> JobQueue:
        """Show the queue, or the one that a variable holds: `%jobs` or `%jobs queue`.

        As the last line of a cell it shows it; `queue = %jobs` takes it.
        """
        with _short_errors():
            words = line.split()
            if words[:1] == ["--queue"]:
                words = words[1:]
            if len(words) > 1:
                raise UsageError("%jobs takes at most the variable that holds a queue")
            return self._queue(words[0] if words else None, "%jobs")

    # -- what they need ------------------------------------------------------------------------

    def _queue(self, name: str | None, magic: str) -> JobQueue:
        """Return the queue that is named, else ours, else the only one here; or make one.

        Raises:
            InvalidOptionError: the name holds none, or there are several.
            UnsupportedLoopError: a new one could not run here.
        """
        variables = self.shell.user_ns
        if name is not None:
            found = variables.get(name)
            if isinstance(found, JobQueue):
                return found
            what = type(found).__name__ if name in variables else "not defined"
            raise InvalidOptionError(f"--queue {name}: that is {what}, and not a JobQueue")
        if self.queue is not None and _is_open(self.queue):
            return self.queue
        held: dict[int, tuple[str, JobQueue]] = {}
        for variable, value in list(variables.items()):
            if not variable.startswith("_") and isinstance(value, JobQueue) and _is_open(value):
                held.setdefault(id(value), (variable, value))
        if len(held) > 1:
            names = ", ".join(variable for variable, _ in held.values())
            raise InvalidOptionError(
                f"there are several queues here ({names}): say which one, as in "
                f"{magic} --queue {next(iter(held.values()))[0]}"
            )
        for _, queue in held.values():
            return queue
        made = JobQueue(name=NAME)
        if not made._start_from_here():
            raise UnsupportedLoopError(NO_LOOP.format(magic))
        self.queue = made
        return made

    def _source(self, line: str, cell: str) -> Source:
        """Parse a cell, with the line of the magic in front, so that its lines have their numbers.

        Raises:
            SyntaxError: with the line as the cell has it.
            InvalidOptionError: it holds nothing that runs.
        """
        shell = self.shell
        text = f"%%job {line}".rstrip() + "\n" + cell
        name = shell.compile.cache(text, shell.execution_count)
        flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = shell.transform_cell(f"#\n{cell}")  # IPython drops empty lines at the beginning
        tree = compile(code, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        if not tree.body:
            raise InvalidOptionError("the cell holds nothing that runs")
        is_silent = cell.rstrip().endswith(";")
        return Source(name, text.splitlines(), tree, flags, is_silent)

    def _evaluated(self, call: str) -> tuple[object, tuple[Any, ...], dict[str, Any]]:
        """Return the function and the arguments of a call, evaluated in the notebook."""
        try:
            tree = ast.parse(call.strip(), "<%job>", "eval").body
        except SyntaxError:
            tree = None
        if not isinstance(tree, ast.Call):
            raise UsageError(
                "%job takes a call, as in `%job f(x, y)`: its function and arguments are evaluated "
                "here, and it runs in a worker; for statements there is %%job"
            )
        variables = self.shell.user_ns

        def evaluate(node: ast.expr, **own: object) -> Any:
            tree = ast.fix_missing_locations(ast.Expression(node))
            return eval(compile(tree, "<%job>", "eval"), variables, own)

        target = evaluate(tree.func)
        collected = ast.Call(ast.Name("__collect", ast.Load()), tree.args, tree.keywords)
        args, kwargs = evaluate(collected, __collect=lambda *args, **kwargs: (args, kwargs))
        return target, args, kwargs

    def _show(self, queue: JobQueue, job: Job) -> None:
        """Show the live cell of a job, with its log open, and below it what the job displays."""
        shown = provider().shown_job(queue, job)
        shown.widget.open_log = True
        shown.outputs.show()
        shown.follow_outputs()


class _Parser(argparse.ArgumentParser):
    """Reads the line of a magic."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> _Parser:
    parser = _Parser(prog="%%job", add_help=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?")
    for option in OPTIONS:
        parser.add_argument(option)
    return parser


def _parsed(line: str) -> argparse.Namespace:
    try:
        given, others = _parser().parse_known_args(shlex.split(line))
    except ValueError as error:  # a quotation mark is left open
        raise UsageError(str(error)) from None
    if any(one.startswith("-") for one in others):
        known = ", ".join(OPTIONS)
        raise UsageError(f"unrecognized arguments: {' '.join(others)}; options are {known}")
    if others:
        raise UsageError(f"{' '.join([given.name, *others])!r} as a name stands in quotes")
    return given


def _is_open(queue: JobQueue) -> bool:
    return queue._engine.life.phase != "closed"


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(one.strip() for one in (text or "").split(",") if one.strip()))
    for name in names:
        if not name.isidentifier():
            raise InvalidOptionError(
                f"--out takes names with commas between them; {name!r} is none"
            )
    if text is not None and not names:
        raise InvalidOptionError("--out takes names with commas between them, as in --out a,b")
    return names


def _options(
    queue: JobQueue, given: argparse.Namespace, label: str | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"label": label}
    if queue._engine.main_executor is None:  # else a process of that one
        found["executor"] = "process"
    found["priority"] = _number("--priority", int, given.priority)
    found["timeout"] = _number("--timeout", float, given.timeout)
    gpus = _number("--gpus", int, given.gpus)
    found["resources"] = None if gpus is None else {"gpus": gpus}
    return {name: value for name, value in found.items() if value is not None}


def _number(option: str, kind: Callable[[str], Any], text: str | None) -> Any:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        what = "an integer" if kind is int else "a number"
        raise InvalidOptionError(f"{option} takes {what}, not {text!r}") from None


def _leading_options(line: str) -> tuple[str, str]:
    """Divide a line into options and what stands behind them."""
    at = 0
    while (found := _OPTION.match(line, at)) is not None:
        at = found.end()
    return line[:at], line[at:]


_of_shells: weakref.WeakKeyDictionary[Any, JobMagics] = weakref.WeakKeyDictionary()


def load(shell: Any) -> None:
    """Give a shell the magics; those that it had before keep their queue."""
    unload(shell)
    magics = _of_shells.get(shell) or _of_shells.setdefault(shell, JobMagics(shell))
    magics.open()


def unload(shell: Any) -> None:
    """Take the magics from a shell."""
    magics = _of_shells.get(shell)
    if magics is not None:
        magics.close()


@contextlib.contextmanager
def _short_errors() -> Iterator[None]:
    """Let IPython tell in one line what is wrong with what a user typed, without our frames."""
    try:
        yield
    except (JobQueueError, NameError) as error:
        told = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [told]  # type: ignore[union-attr]  # IPython asks for it
        raise
