"""Carries out requests of a page by the public methods that users call; never raises."""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .._api.lookback.timeline import MOST_BARS
from .._api.schema import SCHEMA
from .._api.sweeps.group import JobGroup
from .._secrets.arguments import TOLD
from .._threads.locks import Lock
from ..errors import JobQueueError
from ..job import Job
from ..queue import JobQueue
from .answers.curves import curves_of
from .answers.since import since_of
from .answers.timeline import timeline_of
from .checking import RequestError, check
from .details.changes import read_changes
from .details.requests import DetailRequests
from .model import shorten
from .outputs import Refreshable
from .sync import CommPort, Sync

logger = logging.getLogger(__name__)

ANSWERS_KEPT = 256
MOST_ROWS = 200

DETAILS = ("job", "has", "log", "result", "outputs", "form", "metrics", "curve", "stack")
ASIDE = frozenset({"stack"})  # in a thread of its own
LOOKS = ("hello", "rows", "watch", "unwatch", "find", "snapshot", "curves", "timeline", "since")
READS = frozenset({*LOOKS, *DETAILS})

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
        self.set_bell: Callable[[bool], None] = lambda on: None
        self._lock = Lock()
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

        threading.Thread(target=answer, name="jobqueue-aside", daemon=True).start()

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
        return {"epoch": self._epoch}

    def _rows(self, a: Answer, cid: str) -> Answer:
        return self._sync.window(a["list"], *_bounds(a))

    def _watch(self, a: Answer, cid: str) -> Answer:
        self._sync.watch(cid, a["list"], *_bounds(a))
        return {}

    def _unwatch(self, a: Answer, cid: str) -> Answer:
        self._sync.unwatch(cid, a["list"])
        return {}

    def _curves(self, a: Answer, cid: str) -> Answer:
        return curves_of(self._named(a["job"]))

    def _timeline(self, a: Answer, cid: str) -> Answer:
        start, end = float(a["from"]), float(a["to"])
        if start > end:
            raise RequestError("bad_request", "from is after to")
        return timeline_of(self._queue, start, end, a.get("limit", MOST_BARS))

    def _since(self, a: Answer, cid: str) -> Answer:
        return since_of(self._queue, float(a["moment"]))

    def _find(self, a: Answer, cid: str) -> Answer:
        """Count matches per list and return the first ones; a `status` alone finds ended jobs only.

        The lists share the rows of an answer: none can crowd another one out. A `group` limits all
        three to its items.
        """
        text, wanted, number = a["text"], a.get("status", ""), a.get("group", 0)
        lists: dict[str, list[Job]] = {"running": [], "pending": [], "history": []}
        is_of_all = bool(text or number)
        found = (
            self._queue.find(text) if text else self._queue.jobs(None if number else wanted or None)
        )
        if number:
            found = [job for job in found if _is_in(job, number)]
        for job in self._queue._shown(found):
            status = job.status
            if not status.ended and is_of_all:
                lists[status.value].append(job)
            elif status.ended and wanted in ("", status.value):
                lists["history"].append(job)
        rows: list[Answer] = []
        by_size = sorted(lists.values(), key=len)
        for place, jobs in enumerate(by_size):
            share = (MOST_ROWS - len(rows)) // (len(by_size) - place)
            rows += self._sync.rows_of([_whole_row(job) for job in jobs[:share]])
        return {"rows": rows, **{name: len(jobs) for name, jobs in lists.items()}}

    def _snapshot(self, a: Answer, cid: str) -> Answer:
        return self._outputs.refresh()

    # -- acting --------------------------------------------------------------------------------

    def _cancel(self, a: Answer, cid: str) -> Answer:
        job, force = self._named(a["job"]), a.get("force", False)
        return self._acted(job.cancel(force=force, reason="cancelled in the widget"))

    def _cancel_many(self, a: Answer, cid: str) -> Answer:
        return {"count": self._queue.cancel_all(a["scope"]), **self._acted(True)}

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


def _is_in(job: Job, number: int) -> bool:
    return any(group.number == number for group in job._record.groups)


def _whole_row(job: Job) -> Answer:
    """Return a row with whole arguments, which are cut only beside those of other rows."""
    return {**job.as_row(), "args": job.describe_arguments(TOLD)}


def _bounds(a: Answer) -> tuple[int, int]:
    start: int = a["start"]
    end: int = a["end"]
    if not start <= end <= start + MOST_ROWS:
        raise RequestError("bad_request", f"at most {MOST_ROWS} rows at a time")
    return start, end
