"""What a fixture holds: the cells of a notebook and, written by hand, how its jobs must be found.

A case is one job. Each later version has to find it as it stands here, so a change of the table is
for the fixtures of versions to come: the tables of earlier ones stay as they are, in their folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SECRET = "canary-6f1d9a"


@dataclass(frozen=True)
class Case:
    """One job: how it is submitted, and what must be found of it.

    `call` is what `submit_nowait` is given, `options` go beside the label; or `submit` is an
    expression whose value is the job. `act` is done with `job` afterwards.
    """

    key: str
    call: str
    found: dict[str, Any]
    options: str
    submit: str
    act: str

    def cell(self) -> str:
        """The code that submits it."""
        options = f"label={self.key!r}" + (f", {self.options}" if self.options else "")
        job = self.submit or f"queue.options({options}).submit_nowait({self.call})"
        return f"job = {job}\nids[{self.key!r}] = job.id\n{self.act}\n"

    def expected(self) -> dict[str, Any]:
        """All that is to be found, but for what is as usual."""
        name, _, arguments = self.call.partition(", ")
        told = {"label": self.key, "name": name.strip("'"), "arguments": arguments}
        found = {"key": self.key, **told, **self.found}
        return {name: value for name, value in found.items() if value != USUAL.get(name, ...)}


USUAL: dict[str, Any] = {
    "kind": "function",
    "status": "completed",
    "error": None,
    "words": [],  # of a cancelled job: what it says of itself, wherever it says it
    "traceback": "",
    "tags": [],
    "log": "",  # None: whatever had been written when its kernel died
    "message": "",
    "metrics": {},  # values by name, without their steps
    "outputs": [],  # as html
    "usage": [],  # resources of which it is known how much it used over time, among others
    "progress": None,  # None: it is not looked at
    "attempt": 1,
    "priority": 0,
    "held": False,
    "block": None,
    "retry_of": None,
    "finished_before_cancel": False,
    "args": [],  # checks of the arguments, as `value`
    "result": ["value is None"],  # checks of the result, as `value`; "not kept": words instead
    "shown": "",
    "by_value": True,  # its function is pickled as the bytecode of one version of Python
    "code": False,  # its arguments or result hold such bytecode, too
    "again": True,  # what has completed gives the same when it is retried
    "failure": None,
    "needs": None,
    "soon": False,  # its hold is over in a moment, so only what comes of it is certain
    "later": None,  # after the review: what else is found then
    "read": None,  # what `read_journal` finds that a queue does not
}

WAIT = "await queue.wait_for_job(job)"


def case(
    key: str, call: str, *, options: str = "", submit: str = "", act: str = WAIT, **found: Any
) -> Case:
    """A job that is waited for."""
    return Case(key, call, found, options, submit, act)


def gives(key: str, call: str, check: str, shown: str, **more: Any) -> Case:
    """A job whose result fulfils `check` and is shown as `shown`."""
    return case(key, call, result=[check], shown=shown, **more)


def when_begun(act: str, log: str = "job.logs()") -> str:
    """Do it once the body runs."""
    return f"await until(lambda: {log})\n{act}\n{WAIT}"


PASSED: list[Case] = [
    gives(
        "plain",
        "talk, 'hello'",
        "value == 'HELLO'",
        "'HELLO'",
        options="tags=['a', 'gr\\xfcn \\N{SNOWMAN}'], priority=3",
        tags=["a", "grün ☃"],
        priority=3,
        log="one hello\nzwei ☃\n",
        message="half way",
        args=["value == ('hello',)"],
    ),
    # -- what else it tells
    gives(
        "measures",
        "measures, 4",
        "value == 4",
        "4",
        metrics={"loss": [1.0, 0.5, 0.25, 0.125], "gap": [None] * 4},
        progress=1.0,
    ),
    case(
        "draws",
        "draws",
        outputs=["<b>drawn</b>"],
        log="<IPython.core.display.HTML object>\n",
    ),
    gives("is watched", "rests, 3", "value == 3", "3", usage=["ram_mib"]),
    # -- results
    gives(
        "values",
        "values",
        "value == {'none': None, 'bytes': b'\\0\\xff', 'numbers': (1.5, -1e300, 2**70),"
        " 'text': 'gr\\xfc\\xdfe'}",
        "{'none': None, 'bytes': b'\\x00\\xff', 'numbers': (1.5, -1e+300, 1180591620717411303424), "
        "'text': 'grüße'}",
    ),
    gives(
        "collections",
        "collections",
        "value == [{1, 2}, frozenset({3}), [4, [5]], (), {'a': {'b': 6}}]",
        "[{1, 2}, frozenset({3}), [4, [5]], (), {'a': {'b': 6}}]",
    ),
    case(
        "of the library",
        "of_the_library",
        result=[
            "str(value['at']) == '2026-01-02 03:04:00+00:00'",
            "str(value['price']) == '1.10'",
            "3 * value['part'] == 1",
            "value['id'].int == 5",
            "value['path'].suffix == '.txt'",
        ],
        shown="<dict>",
    ),
    case(
        "an array",
        "an_array",
        result=["value['grid'].tolist() == [[0, 1, 2], [3, 4, 5]]", "value['one'] == 0.5"],
        shown="<dict>",
    ),
    gives(
        "large",
        "bytes, 1500000",
        "value == bytes(1_500_000)",
        "b'" + "\\x00" * 30 + "\\…x00" + "\\x00" * 18 + "'",
        by_value=False,
    ),
    case("a lock", "a_lock", kind="coroutine", result=["not kept"], shown="<lock>"),
    # -- classes of the notebook
    case(
        "a dataclass",
        "make_point, 3.0",
        result=[
            "type(value).__name__ == 'Point'",
            "dataclasses.is_dataclass(value)",
            "value.norm() == 5.0 and value.seen == [5.0]",
            "value.colour is type(value.colour).GREEN",
            "value == type(value)(3.0, colour=value.colour, seen=[5.0])",
            "repr(value).startswith('Point(x=3.0, y=4.0, colour=<Colour.GREEN:')",
        ],
        shown="<Point>",
        code=True,
    ),
    case(
        "an enum",
        "make_colour",
        result=[
            "isinstance(value, enum.Enum)",
            "value.mixed == 'greenish'",
            "type(value)('green') is value",
            "[one.name for one in type(value)] == ['RED', 'GREEN']",
        ],
        shown="<Colour>",
        code=True,
    ),
    case(
        "a named tuple",
        "make_pair, 'left'",
        result=[
            "value == ('left', 'right')",
            "value.swapped() == ('right', 'left')",
            "value._fields == ('left', 'right')",
        ],
        shown="<Pair>",
        code=True,
    ),
    case(
        "a plain class",
        "make_model, [1, 2]",
        result=["value(3) == 9", "value.predict(3) == 109", "value.named() == 'plain Model'"],
        shown="<Model>",
        code=True,
    ),
    case(
        "a subclass",
        "make_deep, [1, 2]",
        result=["value.predict(3) == -109", "type(value).__mro__[1].__name__ == 'Model'"],
        shown="<Deep>",
        code=True,
    ),
    case(
        "an exception as a value",
        "make_trouble",
        result=[
            "isinstance(value, Exception)",
            "str(value) == 'kept' and value.code == 9",
            "type(value).__mro__[1].__name__ == 'Trouble'",
        ],
        shown="<DeepTrouble>",
        code=True,
    ),
    case(
        "a function as a value",
        "scaled, 3",
        result=["value(14) == 42", "value.__name__ == 'scale'"],
        shown="<function>",
        code=True,
    ),
    case(
        "all at once",
        "make_all",
        result=[
            "[point.norm() for point in value['points']] == [17**0.5, 20**0.5]",
            "next(key for key in value if not isinstance(key, str)) is value['points'][0].colour",
            "value[value['points'][0].colour].left is value['points'][1].colour",
            "value['deep'].predict(1) == -101",
        ],
        shown="<dict>",
        code=True,
    ),
    # -- functions
    gives("importable", "pow, 2, 10", "value == 1024", "1024", by_value=False),
    gives("a lambda", "lambda n: n + 1, 2", "value == 3", "3", name="<lambda>"),
    gives("globals", "shifted, 1", "value == 102", "102"),
    gives("a closure", "scaled(3), 14", "value == 42", "42", name="scale"),
    gives("defaults", "with_defaults, 5", "value == 16", "16"),
    gives(
        "keywords",
        "with_defaults, 5, by=2, more={'plus': 3}",
        "value == 13",
        "13",
    ),
    gives("recursion", "factorial, 10", "value == 3628800", "3628800"),
    gives("decorated", "raised, 1", "value == 201", "201"),
    gives(
        "a partial",
        "functools.partial(with_defaults, by=5), 2",
        "value == 11",
        "11",
        name="with_defaults",
        arguments="2",
    ),
    gives(
        "a bound method",
        "Model([1, 2]).predict, 3",
        "value == 109",
        "109",
        name="Model.predict",
        arguments="3",
    ),
    gives("a callable object", "Model([1, 2]), 3", "value == 9", "9", name="Model", arguments="3"),
    case(
        "a class",
        "Point, 6.0, 8.0",
        result=["value.norm() == 10.0", "value.seen == []"],
        shown="<Point>",
        code=True,
    ),
    gives(
        "a class as argument",
        "measure, Point(3.0)",
        "value == 5.0",
        "5.0",
        arguments="Point(x=3.0, y=4.0, colour=<Colour.RED: 'red'>, seen=[])",
        args=["value[0].norm() == 5.0", "value[0].colour.mixed == 'redish'"],
        code=True,
    ),
    gives(
        "a function as argument",
        "apply, scaled(5), 4",
        "value == 20",
        "20",
        arguments="scale, 4",
        args=["value[0](3) == 15", "value[1] == 4"],
        code=True,
    ),
    gives("in a thread", "shifted, 2", "value == 104", "104", options="executor='thread'"),
    gives("a coroutine", "later, 5", "value == 110", "110", kind="coroutine"),
]

MAPPED = "(mapped := queue.options(label='mapped', tags='map').map(double, range(3)))"
PASSED += [
    gives(
        f"mapped {number}",
        f"double, {number}",
        f"value == {2 * number}",
        f"{2 * number}",
        submit=f"{MAPPED if number == 0 else 'mapped'}[{number}]",
        label="mapped",
        tags=["map"],
    )
    for number in range(3)
]

# -- plugins
PASSED += [
    gives(
        "a plugin",
        "'toolbox', 'echo', {'n': [1, 2.5]}",
        "value == {'n': [1, 2.5]}",
        "{'n': [1, 2.5]}",
        kind="plugin",
        by_value=False,
    ),
    gives(
        "a plugin with keywords",
        "'toolbox', 'echo', text='grüße', raw=b'\\x00\\xff'",
        "value == {'text': 'grüße', 'raw': b'\\0\\xff'}",
        "{'text': 'grüße', 'raw': b'\\x00\\xff'}",
        kind="plugin",
        by_value=False,
    ),
    gives(
        "a plugin that logs",
        "'toolbox', 'say', 'from the plugin'",
        "value is None",
        "",
        kind="plugin",
        by_value=False,
        log="from the plugin\n",
    ),
    case(
        "a plugin's dataclass",
        "'toolbox', 'word', 'grüße'",
        submit="[manager.register_type(Word, 'toolbox.Word'), queue.options(label=\"a plugin's "
        "dataclass\").submit_nowait('toolbox', 'word', 'grüße')][1]",
        kind="plugin",
        by_value=False,
        result=["value.text == 'grüße' and value.box == (1, 2) and value.more == {3: b'\\0\\xff'}"],
        shown="<Word>",
        again=False,
        code=True,
    ),
    case(
        "a plugin that fails",
        "'toolbox', 'fail'",
        kind="plugin",
        by_value=False,
        status="failed",
        error="LookupError: as it was told",
        traceback="in do_fail",
    ),
]

# -- ends
PASSED += [
    case(
        "fails",
        "fails, 'on purpose'",
        status="failed",
        error="ValueError: on purpose",
        traceback="in fails",
    ),
    case(
        "fails on the way",
        "fails_on_the_way, 'a quarter'",
        status="failed",
        error="ValueError: a quarter",
        traceback="in fails_on_the_way",
        message="on the way",
        metrics={"loss": [7.0]},
        progress=0.25,
    ),
    case(
        "in trouble",
        "in_trouble, 'deep'",
        status="failed",
        error="DeepTrouble: deep",
        traceback="raise DeepTrouble(text)",
    ),
    case(
        "leaves",
        "leaves, 3",
        status="failed",
        error="WorkerDied: worker exited with code 3",
        failure={"exit_code": 3},
    ),
    case(
        "is killed",
        "is_killed",
        status="failed",
        error="WorkerDied: worker ended by SIGKILL (possibly out of memory)",
        failure={"signal_name": "SIGKILL"},
    ),
    case(
        "too slow",
        "sleeps",
        options="timeout=1",
        status="failed",
        error="TimeLimitExceeded: time limit 1 s",
        log="begun\n",
    ),
    case(
        "unwanted",
        "double, 1",
        act="job.cancel(reason='not wanted')",
        status="cancelled",
        words=["not wanted"],
    ),
    case("given up", "double, 1", act="job.cancel()", status="cancelled"),
    case(
        "stopped",
        "sleeps",
        act=when_begun("job.cancel(reason='stopped by hand')"),
        status="cancelled",
        words=["stopped by hand"],
        log="begun\n",
    ),
    case(
        "stopped without words",
        "sleeps",
        act=when_begun("job.cancel()"),
        status="cancelled",
        log="begun\n",
    ),
    case(
        "forced",
        "is_deaf",
        act=when_begun("job.cancel(force=True, reason='by force')"),
        status="cancelled",
        words=["by force"],
        log="begun\n",
    ),
    case(
        "forced in the end",
        "is_deaf",
        act=when_begun("job.cancel(timeout=0.2)"),
        status="cancelled",
        log="begun\n",
    ),
    case(
        "fails while stopping",
        "fails_when_asked",
        act=when_begun("job.cancel(reason='enough')"),
        status="cancelled",
        words=["enough"],
        traceback="while stopping",
        log="begun\n",
    ),
    case(
        "hears and returns",  # completed in 0.1, where it was called "finishes anyway"
        "finishes_anyway",
        act=when_begun("job.cancel(timeout=20)"),
        status="cancelled",
        shown="'finished anyway'",  # its partial result
        log="begun\n",
    ),
    case(
        "finishes anyway",
        "takes_a_moment",
        options="executor='thread'",
        act=when_begun("job.cancel(timeout=20)", "job.status.value == 'running'"),
        result=["value == 'finished anyway'"],
        shown="'finished anyway'",
        finished_before_cancel=True,
        again=False,
    ),
    case(
        "a coroutine, stopped",
        "waits_for_ever",
        act=when_begun("job.cancel(reason='no more')", "job.status.value == 'running'"),
        kind="coroutine",
        status="cancelled",
        words=["no more"],
    ),
    case(
        "a plugin, stopped",
        "'toolbox', 'sleep'",
        act=when_begun("job.cancel(reason='no plugin')", "job.phase is None and job.started_at"),
        kind="plugin",
        by_value=False,
        status="cancelled",
        words=["no plugin"],
    ),
    case(
        "a parent that fails",
        "fails, 'first'",
        status="failed",
        error="ValueError: first",
        traceback="in fails",
        act="",
    ),
    case(
        "a child",
        "double, 1",
        options="after=job",
        status="cancelled",
        words=["dependency failed: a parent that fails"],
    ),
    case(
        "held, then cancelled",
        "double, 1",
        act=f"queue.hold(job, seconds=0.05, then='cancel')\n{WAIT}",
        status="cancelled",
        words=["removed"],
    ),
    case(
        "with all others",
        "double, 1",
        options="tags='doomed'",
        act="queue.cancel_all('all', tag='doomed')",
        status="cancelled",
        words=["cancel all"],
        tags=["doomed"],
    ),
    gives(
        "tried again",
        "fails_until, 2",
        "value == 'attempt 2'",
        "'attempt 2'",
        options="retries=2, idempotent=True",
        attempt=2,
    ),
    case(
        "tried in vain",
        "fails_until, 9",
        options="retries=1",
        status="failed",
        error="OSError: not yet",
        traceback="in fails_until",
        attempt=2,
    ),
    case(
        "retried",
        "fails, 'on purpose'",
        submit="queue['fails'].retry()",
        label="fails",
        retry_of="fails",
        status="failed",
        error="ValueError: on purpose",
        traceback="in fails",
    ),
    # -- secrets
    case(
        "a secret",
        f"log_in, 'ada', password={SECRET!r}",
        arguments="'ada', password=•••",
        result=["not kept"],
        shown="•••",
        log="ada has •••\n",
    ),
    case(
        "a secret by option",
        f"log_in, {SECRET!r}, 'none'",
        options="secret='user'",
        arguments="•••, •••",
        result=["not kept"],
        shown="•••",
        log="••• has •••\n",
    ),
    # -- when the kernel was killed
    case(
        "held for long",
        "shifted, 3",
        act="queue.hold(job)",
        status="pending",
        held=True,
        later={"status": "completed", "result": ["value == 106"], "held": False},
    ),
    case(
        "interrupted",
        "sleeps",
        act="",
        status="failed",
        error="KernelDied: interrupted by kernel exit",
        log=None,
    ),
    gives(
        "goes on",
        "hangs_once",
        "value == 'attempt 2'",
        "'attempt 2'",
        options="retries=1, idempotent=True",
        act="await until(lambda: len(queue.jobs('running')) == 2 and job.logs())",
        again=False,
        attempt=2,
        log=None,
    ),
]
"""The second session, which is killed: what has ended, and what runs at its end."""

FORGOTTEN = """
queue = JobQueue(journal="runs.db", name="fixture", keep_ended=2)
await queue.start()
gone = [*queue.map(double, range(3)), queue.submit_nowait(fails, "forgotten")]
gone.append(queue.submit_nowait(double, 3))
gone[-1].cancel()
await queue.join()
ids["forgotten"] = gone[0].id
queue.forget(status=["completed", "failed", "cancelled"])
await queue.close()
"""
"""The first session, which ends in order: of its jobs only the counts are left."""
COUNTS_FORGOTTEN = {"completed": 3, "failed": 1, "cancelled": 1}

THIRD = [
    gives(
        "retried after a restart",
        "talk, 'hello'",
        "value == 'HELLO'",
        "'HELLO'",
        submit="queue.retry(ids['plain'])",
        label="plain",
        retry_of="plain",
        tags=["a", "grün ☃"],
        priority=3,
        log="one hello\nzwei ☃\n",
        message="half way",
    ),
    gives("in the third session", "later, 1", "value == 102", "102", kind="coroutine"),
]
"""The third session: what was restored goes on, then the kernel is shut down."""


def waits(key: str, call: str, check: str, *, options: str = "", **more: Any) -> Case:
    """A job that waits at the end and gives a result when it may run."""
    later = {"status": "completed", "result": [check], "held": False, **more.pop("later", {})}
    act, submit = more.pop("act", ""), more.pop("submit", "")
    found = {"status": "pending", "later": later, **more}
    return case(key, call, options=options, act=act, submit=submit, **found)


def interrupted(key: str, call: str, **more: Any) -> Case:
    """A job that runs when the kernel is killed."""
    error = "KernelDied: interrupted by kernel exit"
    found = {"status": "failed", "error": error, "log": None, **more}
    options, act = found.pop("options", ""), found.pop("act", "")
    return case(key, call, options=options, act=act, **found)


AT_WORK: list[Case] = [
    waits(
        "backing off",
        "fails_until, 4",
        "value == 'attempt 4'",
        options="retries=9",
        attempt=4,
        failure={"type_name": "OSError", "message": "not yet"},
        traceback="in fails_until",
    ),
    interrupted("at work", "sleeps"),
    interrupted("a coroutine at work", "waits_for_ever", kind="coroutine"),
    interrupted("a plugin at work", "'toolbox', 'sleep'", kind="plugin", by_value=False),
    case(
        "asked",
        "is_deaf",
        act="await until(lambda: job.logs())\njob.cancel(timeout=600, reason='no time')",
        status="cancelled",
        words=["no time"],
        log=None,
    ),
    case(
        "asked without words",
        "is_deaf",
        act="await until(lambda: job.logs())\njob.cancel(timeout=600)",
        status="cancelled",
        words=["interrupted by kernel exit"],
        log=None,
    ),
    waits(
        "at work, may run again",
        "hangs_once",
        "value == 'attempt 2'",
        options="retries=1, idempotent=True, priority=2",
        act="await until(lambda: job.logs())",
        priority=2,
        attempt=2,
        log=None,
        read={
            "status": "failed",
            "attempt": 1,
            "error": "KernelDied: interrupted by kernel exit",
        },
    ),
    interrupted(
        "at work, asked for no second time",
        "hangs_once",
        options="retries=1",
        act="await until(lambda: job.logs() and queue['backing off'].attempt == 4)",
    ),
]
"""The last session: what runs when its kernel is killed."""

NO_KERNEL = "its executor is an object of the kernel that is gone"
SECRETS = "secret values are never written; submit the job again"
LOST = "arguments cannot be restored: "

WAITING: list[Case] = [
    waits("waits", "double, 21", "value == 42"),
    waits(
        "a closure waits",
        "scaled(4), 5",
        "value == 20",
        name="scale",
        tags=["later"],
        options="tags=['later']",
    ),
    waits("globals wait", "shifted, 7", "value == 114"),
    waits("a coroutine waits", "later, 7", "value == 114", kind="coroutine"),
    waits(
        "a class waits",
        "measure, Point(3.0)",
        "value == 5.0",
        arguments="Point(x=3.0, y=4.0, colour=<Colour.RED: 'red'>, seen=[])",
        code=True,
    ),
    waits(
        "a method waits",
        "Deep([1, 2]).predict, 3",
        "value == -109",
        name="Deep.predict",
        arguments="3",
        code=True,
    ),
    waits(
        "a dataclass waits",
        "make_point, 3.0",
        "value.norm() == 5.0 and value.colour.mixed == 'greenish'",
        code=True,
    ),
    waits("a thread waits", "shifted, 8", "value == 116", options="executor='thread'"),
    waits(
        "a plugin waits",
        "'toolbox', 'echo', [1, 2]",
        "value == [1, 2]",
        kind="plugin",
        by_value=False,
        needs="toolbox",
    ),
    waits(
        "a plugin with keywords waits",
        "'toolbox', 'echo', raw=b'\\xff'",
        "value == {'raw': b'\\xff'}",
        kind="plugin",
        by_value=False,
        needs="toolbox",
    ),
    case(
        "a failure waits",
        "in_trouble, 'later'",
        act="",
        status="pending",
        later={"status": "failed", "error": "DeepTrouble: later"},
    ),
    waits("urgent", "double, 1", "value == 2", options="priority=9", priority=9),
    waits("moved", "double, 2", "value == 4", act="queue.move(job, before=ids['waits'])"),
    waits("after what waits", "double, 3", "value == 6", options="after=[job]"),
    waits("after what has ended", "double, 4", "value == 8", options="after=ids['plain']"),
    case(
        "after what is interrupted",
        "double, 5",
        options="after=ids['at work']",
        act="",
        status="cancelled",
        words=["dependency failed: at work"],
        read={"status": "pending", "words": []},
    ),
    waits(
        "tried again, waiting",
        "fails_until, 2",
        "value == 'attempt 2'",
        options="retries=3, idempotent=True, timeout=60",
        later={"attempt": 2},
    ),
    waits(
        "retried, waiting",
        "double, 21",
        "value == 42",
        submit="queue.retry(ids['waits'])",
        label="waits",
        retry_of="waits",
    ),
    waits("held", "double, 6", "value == 12", act="queue.hold(job)", held=True),
    waits(
        "held for years",
        "double, 7",
        "value == 14",
        act="queue.hold(job, seconds=3e9)",
        held=True,
    ),
    waits(
        "held, then cancelled in years",
        "double, 8",
        "value == 16",
        act="queue.hold(job, seconds=3e9, then='cancel')",
        held=True,
    ),
    case(
        "a secret waits",
        f"log_in, 'ada', password={SECRET!r}",
        act="",
        arguments="'ada', password=•••",
        status="pending",
        held=True,
        block=LOST + SECRETS,
    ),
    case(
        "for an object",
        "double, 9",
        options="executor=FuturesExecutor(ThreadPoolExecutor(1))",
        act="",
        status="pending",
        held=True,
        block=LOST + NO_KERNEL,
    ),
    case(
        "held for a moment, then cancelled",
        "double, 10",
        act="queue.hold(job, seconds=2, then='cancel')",
        status="pending",
        held=True,
        soon=True,
        later={"status": "cancelled", "held": False},
    ),
    waits(
        "held for a moment",
        "double, 11",
        "value == 22",
        act="queue.hold(job, seconds=2)",
        held=True,
        soon=True,
    ),
]
"""The last session, paused: what waits when its kernel is killed."""

ORDER = [
    "urgent",
    "at work, may run again",
    "held for long",
    "backing off",
    "moved",
    "waits",
    "a closure waits",
    "globals wait",
    "a coroutine waits",
    "a class waits",
    "a method waits",
    "a dataclass waits",
    "a thread waits",
    "a plugin waits",
    "a plugin with keywords waits",
    "a failure waits",
    "after what waits",
    "after what has ended",
    "tried again, waiting",
    "retried, waiting",
    "held",
    "held for years",
    "held, then cancelled in years",
    "a secret waits",
    "for an object",
]
"""Of what waits, without what is held for a moment."""
