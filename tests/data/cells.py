"""What is typed into the kernels that write a fixture: one notebook's classes and functions."""

DEFINITIONS = r'''
import asyncio, contextlib, datetime, decimal, enum, fractions, functools, os, pathlib, signal
import sys, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy

# %%
# classes
class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    @property
    def mixed(self):
        return f"{self.value}ish"
@dataclass
class Point:
    x: float
    y: float = 4.0
    colour: Colour = Colour.RED
    seen: list = field(default_factory=list)
    def norm(self):
        return (self.x**2 + self.y**2) ** 0.5
class Pair(NamedTuple):
    left: object
    right: object = "right"
    def swapped(self):
        return Pair(self.right, self.left)
class Model:
    """Has methods, class attributes and state."""
    kind = "plain"
    def __init__(self, weights):
        self.weights = weights
    def __call__(self, x):
        return sum(weight * x for weight in self.weights)
    def predict(self, x):
        return self(x) + OFFSET
    @classmethod
    def named(cls):
        return f"{cls.kind} {cls.__name__}"
class Deep(Model):
    kind = "deep"
    def predict(self, x):
        return -super().predict(x)
@dataclass
class Word:
    text: str
    box: tuple = ()
    more: dict = field(default_factory=dict)
class Trouble(Exception):
    def __init__(self, what, code=7):
        super().__init__(what)
        self.code = code
class DeepTrouble(Trouble):
    """Of another class of the notebook."""

# %%
# functions by value
OFFSET = 100
def double(n):
    return 2 * n
def shifted(n):
    return double(n) + OFFSET
def scaled(by):
    def scale(n):
        return by * n
    return scale
def with_defaults(n, by=3, *, more={"plus": 1}):
    return n * by + more["plus"]
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)
def twice(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(function(*args))
    return wrapper
@twice
def raised(n):
    return n + OFFSET
def apply(function, n):
    return function(n)
def measure(point):
    return point.norm()
async def later(n):
    await asyncio.sleep(0)
    return shifted(n)

# %%
# results
def talk(text):
    from jobqueue_widget import current_job
    print("one", text)
    current_job().report(0.5, "half way")
    print("zwei ☃")
    return text.upper()
def values():
    return {"none": None, "bytes": b"\0\xff", "numbers": (1.5, -1e300, 2**70), "text": "grüße"}
def collections():
    return [{1, 2}, frozenset({3}), [4, [5]], (), {"a": {"b": 6}}]
def of_the_library():
    at = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
    path = pathlib.PurePosixPath("a/b.txt")
    return {"at": at, "price": decimal.Decimal("1.10"), "part": fractions.Fraction(1, 3),
            "id": uuid.UUID(int=5), "path": path}
def an_array():
    return {"grid": numpy.arange(6.0).reshape(2, 3), "one": numpy.float32(0.5)}
def make_point(x):
    point = Point(x, colour=Colour.GREEN)
    point.seen.append(point.norm())
    return point
def make_colour():
    return Colour.GREEN
def make_pair(left):
    return Pair(left)
def make_model(weights):
    return Model(weights)
def make_deep(weights):
    return Deep(weights)
def make_trouble():
    return DeepTrouble("kept", code=9)
def make_all():
    return {"points": [Point(1.0), Point(2.0)], Colour.RED: Pair(Colour.RED), "deep": Deep([1])}
async def a_lock():
    return threading.Lock()
def measures(steps):
    from jobqueue_widget import current_job
    for step in range(steps):
        current_job().report(step / steps, step=step, loss=1 / 2**step, gap=float("inf"))
    return steps
def rests(seconds):
    import time
    time.sleep(seconds)
    return seconds
def draws():
    from IPython.display import HTML, display
    display(HTML("<b>drawn</b>"))

# %%
# ends
def fails(text):
    raise ValueError(text)
def fails_on_the_way(text):
    from jobqueue_widget import current_job
    current_job().report(0.25, "on the way", loss=7)
    raise ValueError(text)
def in_trouble(text):
    raise DeepTrouble(text)
def fails_until(attempt):
    from jobqueue_widget import current_job
    if current_job().attempt < attempt:
        raise OSError("not yet")
    return f"attempt {current_job().attempt}"
def leaves(code):
    os._exit(code)
def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
def sleeps():
    print("begun", flush=True)
    time.sleep(600)
def is_deaf():
    left = ["begun"]
    while True:
        with contextlib.suppress(BaseException):
            while left:
                print(left.pop(), flush=True)
            time.sleep(60)
def finishes_anyway():
    from jobqueue_widget import JobCancelled
    try:
        print("begun", flush=True)
        time.sleep(600)
    except JobCancelled:
        return "finished anyway"
def takes_a_moment():
    time.sleep(1.5)
    return "finished anyway"
def fails_when_asked():
    from jobqueue_widget import JobCancelled
    try:
        print("begun", flush=True)
        time.sleep(600)
    except JobCancelled:
        raise ValueError("while stopping")
def hangs_once():
    from jobqueue_widget import current_job
    print("begun", flush=True)
    if current_job().attempt == 1:
        time.sleep(600)
    return f"attempt {current_job().attempt}"
async def waits_for_ever():
    await asyncio.sleep(600)
def log_in(user, password):
    print(user, "has", password)
    return f"{user}:{password}"
async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
'''

OPEN = r"""
import platform
platform.node = lambda: "host"  # what a journal keeps of the machine
from pathlib import Path
from jobqueue_widget import FuturesExecutor, JobQueue, PluginManager
ids = {}
manager = PluginManager(search_paths=[Path("manifests")], data_dir=Path("plugins"))
manager.discover_manifests()
manager.load_plugin(manager.get_discovered_meta("toolbox"))
"""

SHOWN: list[str] = [
    r"""
from jobqueue_widget import JobQueue
queue = await JobQueue(name="saved", max_running=2).start()
def double(number):
    return 2 * number
def fails(text):
    raise ValueError(text)
good = queue.options(label="good", tags=["a", "b"]).submit_nowait(double, 21)
await queue.join()
bad = queue.options(label="bad").submit_nowait(fails, "<script>alert(1)</script>")
await queue.join()
queue.pause("for a look")
held = queue.options(label="held").submit_nowait(double, 1)
queue.hold(held)
gone = queue.options(label="<b>gone</b>").submit_nowait(double, 2)
gone.cancel(reason="not wanted")
waits = queue.options(label="waits", priority=5).submit_nowait(double, number=3)
""",
    "display(queue)",
    "display(bad)",
    "queue",
]
"""A notebook that is saved with its outputs and the states of its widgets."""

EXPECTED_OUTPUTS = {
    "heading": "Job queue saved: 0 running, 2 queued, 1 completed, 1 failed, 1 cancelled",
    "rows": [
        ["waits number=3", "queued", "", ""],
        ["held 1", "held", "", ""],
        ["<b>gone</b> 2", "cancelled", "", "not wanted"],
        [
            "bad '<script>alert(1)</script>'",
            "failed",
            "",
            "ValueError: <script>alert(1)</script>",
        ],
        ["good 21", "completed", "", ""],
    ],
    "views": {},  # which cell shows which: a notebook that a program runs has the tables alone
    "job": ["bad", "failed", "ValueError: <script>alert(1)</script>"],
    "states": {
        "queue": {
            "summary": {
                "name": "saved",
                "phase": "started",
                "paused": "for a look",
                "counts": {
                    "pending": 2,
                    "running": 0,
                    "held": 1,
                    "completed": 1,
                    "failed": 1,
                    "cancelled": 1,
                    "history": 3,
                },
            },
            "head": [
                {"title": "waits", "name": "double", "args": "number=3", "priority": 5},
                {"title": "held", "name": "double", "args": "1", "held": True},
            ],
            "history": [
                {"title": "<b>gone</b>", "status": "cancelled", "error": "not wanted"},
                {
                    "title": "bad",
                    "status": "failed",
                    "error": "ValueError: <script>alert(1)</script>",
                },
                {"title": "good", "status": "completed", "tags": ["a", "b"], "args": "21"},
            ],
        },
        "job": {"job": {"title": "bad", "status": "failed"}},
    },
}
"""What is found in it, by hand."""
