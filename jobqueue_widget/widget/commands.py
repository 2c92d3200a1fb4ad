"""Carries out requests of a page by the public methods that users call; never raises."""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .._api.listed.listing import SECTIONS, Filter, Found
from .._api.lookback.timeline import MOST_BARS
from .._api.schema import SCHEMA
from .._api.sweeps.group import JobGroup
from .._threads.locks import Lock
from .._threads.threadless import Thread
from ..errors import JobQueueError
from ..job import Job
from ..queue import JobQueue
from .answers.absence import Absence
from .answers.since import since_of
from .answers.timeline import timeline_of
from .checking import RequestError, check
from .details.changes import read_changes
from .details.requests import DetailRequests
from .model import GROUP_ROWS, shorten
from .outputs import Refreshable
from .sync import CommPort, Part, Sync

logger = logging.getLogger(__name__)

ANSWERS_KEPT = 256
MOST_ROWS = 200
FIRST_ROWS = 25  # of each section, with the answer to a filter
MOST_KINDS = 50
FINDS_KEPT = 4
LONGEST_ID = 64

CURVES = ("metrics", "curve", "script")
DETAILS = ("job", "has", "log", "result", "outputs", "form", "stack", *CURVES)
ASIDE = frozenset({"stack"})  # in a thread of its own
WINDOWS = ("rows", "list", "kinds", "measured", "watch", "unwatch")
READS = frozenset({"hello", "machine", "snapshot", "timeline", "since", *WINDOWS, *DETAILS})

Answer = dict[str, Any]


class Commands:
    """The server of one widget's requests; `handle` runs on whatever thread the kernel chooses."""

    def __init__(
        self,
        queue: JobQueue,
        epoch: str,
        sync: Sync,
        port: CommPort,
        outputs: Refreshable,
    ) -> None:
        self._queue = queue
        self._epoch = epoch
        self._sync = sync
        self._port = port
        self._outputs = outputs
        self.shown_group: JobGroup | None = None  # of a group's own cell, where its number is 0
        self.heard = False  # that there is a page
        self._absence = Absence(queue)
        self.set_bell: Callable[[bool], None] = lambda on: None
        self._lock = Lock()
        self._many = queue._many()
        self._finds: dict[Filter, Found] = {}  # the last ones, as windows are asked for
        self._is_free_aside = threading.Semaphore(2)
        self._answers: OrderedDict[str, Answer | None] = OrderedDict()  # None: at work on it
        self.refused = 0
        details = DetailRequests(self._named, queue._control.all_records)
        self._ops: dict[str, Callable[[Answer, str], Answer]] = {
            name: getattr(details, name) if name in DETAILS else getattr(self, f"_{name}")
            for name in SCHEMA["ops"]
        }

    def handle(self, message: object) -> None:
        """Answer one message. Garbage that has no address to answer to is counted."""
        self._port.heard()
        try:
            request = check(message, SCHEMA["message"], "message")
        except RequestError:
            self.refused += 1
            return
        rid = request["rid"]
        self._absence.heard()
        if not self.heard:
            self.heard = True
            self._outputs.page_came()
        acts = request["op"] not in READS
        if acts:  # they act once; who asks again has not heard
            with self._lock.held:
                known = rid in self._answers
                answer = self._answers.setdefault(rid, None)
                while len(self._answers) > ANSWERS_KEPT:
                    self._answers.popitem(last=False)
            if known:
                if answer is not None:
                    self._port.send(answer)
                return
        if request["op"] in ASIDE:
            self._answer_aside(request)
            return
        try:
            outcome = self._carry_out(request)
        except BaseException:  # an interrupt: whoever asks again is heard
            self._answers.pop(rid, None)
            raise
        answer = {"t": "res", "cid": request["cid"], "rid": rid, **outcome}
        if acts:
            self._answers[rid] = answer
            self._sync.want()  # of a job that has ended nothing else brings the news
        self._port.send(answer)

    def _answer_aside(self, request: Answer) -> None:
        """Answer in a thread. Beyond two at a time nothing is said: a page asks again."""
        if not self._is_free_aside.acquire(blocking=False):
            return

        def answer() -> None:
            try:
                outcome = self._carry_out(request)
            finally:
                self._is_free_aside.release()
            self._port.send({"t": "res", "cid": request["cid"], "rid": request["rid"], **outcome})

        Thread(target=answer, name="jobqueue-aside", daemon=True).start()

    def _carry_out(self, request: Answer) -> Answer:
        try:
            op = request["op"]
            if op not in self._ops:
                raise RequestError("unknown_op", op)
            if op not in READS and (request.get("epoch") or self._epoch) != self._epoch:
                raise RequestError("gone", "the kernel was restarted")  # meant for the queue before
            arguments = check(request.get("a", {}), SCHEMA["ops"][op], op)
            return {"ok": True, "v": self._ops[op](arguments, request["cid"])}
        except RequestError as refusal:
            self.refused += 1
            return {"ok": False, "e": {"code": refusal.code, "msg": str(refusal)[:300]}}
        except JobQueueError as error:
            return {"ok": False, "e": {"code": "gone", "msg": str(error)[:300]}}
        except Exception as error:
            logger.exception("a request of the widget failed")
            text = f"{type(error).__name__}: {error}"[:300]
            return {"ok": False, "e": {"code": "internal", "msg": text}}

    def _named(self, job_id: str) -> Job:
        job = self._queue.get_job(job_id)
        if job is None:
            raise RequestError("not_found", "that job is no longer kept")
        return job

    def _acted(self, done: bool) -> Answer:
        if not done:
            raise RequestError("stale", "the job has gone on meanwhile")
        return {"rev": self._queue._snapshot(0, 0, 0)["revision"]}

    # -- reading -------------------------------------------------------------------------------

    def _hello(self, a: Answer, cid: str) -> Answer:
        self._sync.resync()
        return {"epoch": self._epoch, "away": self._absence.ended_now()}

    def _machine(self, a: Answer, cid: str) -> Answer:
        """Show the machine for a while: a page that is looked at asks again."""
        self._queue._watch_machine()
        return {}

    def _rows(self, a: Answer, cid: str) -> Answer:
        found = self._found(a["view"], fresh=False) if "view" in a else None
        return self._sync.window(_part(a), *_bounds(a), found)

    def _watch(self, a: Answer, cid: str) -> Answer:
        self._sync.watch(cid, _part(a), *_bounds(a))
        return {}

    def _unwatch(self, a: Answer, cid: str) -> Answer:
        self._sync.unwatch(cid, _part(a))
        return {}

    def _list(self, a: Answer, cid: str) -> Answer:
        """Look for what a filter leaves, and return its sizes and the first rows of each part."""
        found = self._found(a["view"], fresh=True)
        parts: Answer = {
            name: self._sync.window((name, 0), 0, FIRST_ROWS, found)["rows"] for name in SECTIONS
        }
        groups = self._sync.window(("groups", 0), 0, GROUP_ROWS, found)["rows"]
        return {**parts, "groups": groups, "listed": found.sizes(), "rev": found.revision}

    def _found(self, view: object, *, fresh: bool) -> Found:
        """Return what a filter finds; `fresh`: as of now, else as it was last looked for."""
        wanted = Filter(**check(view, SCHEMA["view"], "view"))
        known = self._finds.pop(wanted, None)
        now = self._queue._snapshot(0, 0, 0)["revision"]
        if known is None or (fresh and known.revision != now):
            known = self._queue._find_listed(wanted)
        self._finds[wanted] = known
        while len(self._finds) > FINDS_KEPT:
            self._finds.pop(next(iter(self._finds)), None)
        return known

    def _measured(self, a: Answer, cid: str) -> Answer:
        """Name what jobs have measured, as far as a page can ask for it."""
        names = [name for name in self._queue._metrics() if shorten(name) == name]
        return {"names": names[:MOST_KINDS]}

    def _kinds(self, a: Answer, cid: str) -> Answer:
        """Count failures by kind: the most frequent ones."""
        kinds = self._queue._kinds()[:MOST_KINDS]
        return {"kinds": [[shorten(kind), count] for kind, count in kinds]}

    def _timeline(self, a: Answer, cid: str) -> Answer:
        start, end = float(a["from"]), float(a["to"])
        if start > end:
            raise RequestError("bad_request", "from is after to")
        return timeline_of(self._queue, start, end, a.get("limit", MOST_BARS))

    def _since(self, a: Answer, cid: str) -> Answer:
        return since_of(self._queue, float(a["moment"]))

    def _snapshot(self, a: Answer, cid: str) -> Answer:
        return self._outputs.refresh()

    # -- acting --------------------------------------------------------------------------------

    def _cancel(self, a: Answer, cid: str) -> Answer:
        job, force = self._named(a["job"]), a.get("force", False)
        return self._acted(job.cancel(force=force, reason="cancelled in the widget"))

    def _cancel_many(self, a: Answer, cid: str) -> Answer:
        return {"count": self._queue.cancel_all(a["scope"]), **self._acted(True)}

    def _many_jobs(self, a: Answer, cid: str) -> Answer:
        """Act on the jobs that are named, on all that a filter finds now, or on what has failed."""
        if ["view" in a, "jobs" in a, "from" in a].count(True) != 1 or ("from" in a) != ("to" in a):
            raise RequestError("bad_request", "it needs one of view, jobs, from and to")
        if "view" in a:
            jobs = self._found(a["view"], fresh=True).jobs()
        elif "from" in a:
            jobs = self._queue._failed_between(float(a["from"]), float(a["to"]))
        else:
            if not all(type(one) is str and len(one) <= LONGEST_ID for one in a["jobs"]):
                raise RequestError("bad_request", "jobs must be ids")
            known = map(self._queue.get_job, a["jobs"])
            jobs = [job._record for job in known if job is not None]
        return {"count": self._many.act(a["act"], jobs), **self._acted(True)}

    def _undo_many(self, a: Answer, cid: str) -> Answer:
        count = self._many.undo()
        if not count:
            raise RequestError("stale", "it is too late for that")
        return {"count": count, **self._acted(True)}

    def _move(self, a: Answer, cid: str) -> Answer:
        places = {name: a[name] for name in ("before", "after", "to") if name in a}
        if len(places) != 1:
            raise RequestError("bad_request", "move needs one of before, after, to")
        return self._acted(self._queue.move(a["job"], **places))

    def _priority(self, a: Answer, cid: str) -> Answer:
        return self._acted(self._queue.reorder(a["job"], a["value"]))

    def _hold(self, a: Answer, cid: str) -> Answer:
        then = a.get("then", "release")
        return self._acted(self._queue.hold(a["job"], a.get("seconds"), then))

    def _release(self, a: Answer, cid: str) -> Answer:
        return self._acted(self._queue.release(a["job"]))

    def _pause(self, a: Answer, cid: str) -> Answer:
        self._queue.pause(a.get("reason", "in the widget"))
        return self._acted(True)

    def _resume(self, a: Answer, cid: str) -> Answer:
        self._queue.resume()
        return self._acted(True)

    def _start(self, a: Answer, cid: str) -> Answer:
        if not self._queue._start_from_here():
            if self._queue._snapshot(0, 0, 0)["phase"] == "stopping":
                raise RequestError("stale", "it is stopping: start it when it has stopped")
            raise RequestError("forbidden", "start it from a cell: `await queue.start()`")
        return self._acted(True)

    def _retry(self, a: Answer, cid: str) -> Answer:
        again = self._named(a["job"]).retry(latest=a.get("latest", False))
        return {"job": again.id, **self._acted(True)}

    def _retry_with(self, a: Answer, cid: str) -> Answer:
        again = self._named(a["job"])._retry_with(read_changes(a["changes"]))
        return {"job": again.id, **self._acted(True)}

    def _group(self, number: int) -> JobGroup:
        group = self._queue._group_of_number(number) if number else self.shown_group
        if group is None:
            raise RequestError("not_found", "the jobs of that group are no longer kept")
        return group

    def _cancel_group(self, a: Answer, cid: str) -> Answer:
        count = self._group(a["group"]).cancel(reason="cancelled in the widget")
        return {"count": count, **self._acted(True)}

    def _retry_group(self, a: Answer, cid: str) -> Answer:
        again = self._group(a["group"]).retry_failed()
        if not again:
            raise RequestError("stale", "nothing of it has failed any more")
        return {"count": len(again), **self._acted(True)}

    def _clear_history(self, a: Answer, cid: str) -> Answer:
        return {"count": self._queue.clear_history(), **self._acted(True)}

    def _undo_clear(self, a: Answer, cid: str) -> Answer:
        count = self._queue._undo_clear()
        if not count:
            raise RequestError("stale", "that was more than ten seconds ago, or is undone already")
        return {"count": count, **self._acted(True)}

    def _bell(self, a: Answer, cid: str) -> Answer:
        self.set_bell(a["on"])
        return self._acted(True)

    def _unload(self, a: Answer, cid: str) -> Answer:
        """Begin to unload an idle plugin; the line of resources shows when it is gone."""
        idle = self._queue._resources().get("idle", ())
        names = [one["plugin"] for one in idle if shorten(one["plugin"]) == a["plugin"]]
        if not names:
            raise RequestError("stale", "it is at work, or not loaded any more")
        unload = functools.partial(self._queue.unload, names[0])
        threading.Thread(target=unload, name="jobqueue-unload", daemon=True).start()
        return self._acted(True)


def _part(a: Answer) -> Part:
    return a["list"], a.get("group", 0)


def _bounds(a: Answer) -> tuple[int, int]:
    start: int = a["start"]
    end: int = a["end"]
    if not start <= end <= start + MOST_ROWS:
        raise RequestError("bad_request", f"at most {MOST_ROWS} rows at a time")
    return start, end
