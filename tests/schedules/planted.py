"""Bugs to plant: each a small change of the package that somebody might really make one day.

A list like this keeps the tests honest: whatever is listed must be caught by at least one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jobqueue_widget"


@dataclass(frozen=True)
class Bug:
    """`old` stands exactly once in `file` and is replaced by `new`."""

    name: str
    file: str
    old: str
    new: str

    def plant(self, folder: Path) -> Path:
        """Copy the package into `folder`, with this bug in it; where it is."""
        shutil.copytree(
            PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__")
        )
        path = folder / PACKAGE.name / self.file
        path.write_text(self.mutate(path.read_text()))
        return folder

    def mutate(self, text: str) -> str:
        """The text with the bug."""
        return text.replace(self.old, self.new)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run python with the copy of the package in `folder` instead of ours."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


BUGS = [
    Bug(
        "a tie of ranks is broken by the clock",
        "_core/order.py",
        "entry = record.entry = (-record.priority, record.rank, record)",
        "entry = record.entry = (-record.priority, int(record.created_at), record)",
    ),
    Bug(
        "low numbers run first",
        "_core/order.py",
        "entry = record.entry = (-record.priority, record.rank, record)",
        "entry = record.entry = (record.priority, record.rank, record)",
    ),
    Bug(
        "a moved job keeps its own priority",
        "_core/order.py",
        "        record.priority = anchor.priority\n",
        "",
    ),
    Bug(
        "two neighbours may get the same rank",
        "_core/order.py",
        "if abs(anchor.rank - beyond.rank) < 2:",
        "if abs(anchor.rank - beyond.rank) < 0:",
    ),
    Bug(
        "a held job is started",
        "_core/jobs.py",
        "return not (self.held or self.backing_off or self.parents_left)",
        "return not (self.backing_off or self.parents_left)",
    ),
    Bug(
        "a new priority gives a new place within it",
        "_core/arranging.py",
        "    job.priority = event.priority\n    state.order.add(job)",
        "    job.priority = event.priority\n    job.rank += 1 << 40\n    state.order.add(job)",
    ),
    Bug(
        "children of a failed job wait for ever",
        "_core/ending.py",
        "                _end_one(state, child, CANCELLED, out)\n",
        "                continue\n",
    ),
    Bug(
        "a child starts after its first parent",
        "_core/ending.py",
        "                if not child.parents_left:\n",
        "                if child.parents_left < 2:\n                    child.parents_left = 0\n",
    ),
    Bug(
        "finished work is thrown away by a cancel",
        "_core/rules.py",
        "        job.finished_before_cancel = not job.limit_hit\n"
        "        end(state, job, COMPLETED, out)",
        "        end(state, job, CANCELLED, out)",
    ),
    Bug(
        "work that was cut short knowingly passes for finished",
        "_core/rules.py",
        '    if outcome.kind == "value" and not outcome.noticed:\n',
        '    if outcome.kind == "value":\n',
    ),
    Bug(
        "a lane is free as soon as the job is told to have ended",
        "_core/ending.py",
        "        state.zombies[job.id] = job\n",
        "        state.zombies[job.id] = job\n        free_lane(state, job, out)\n",
    ),
    Bug(
        "a retry does not wait",
        "_core/ending.py",
        "    job.backing_off = True\n    state.order.add(job)\n",
        "    state.order.add(job)\n",
    ),
    Bug(
        "one retry too many",
        "_core/retrying.py",
        "    if job.attempt > options.retries:",
        "    if job.attempt > options.retries + 1:",
    ),
    Bug(
        "the request to stop outlives its attempt",
        "_core/ending.py",
        "    job.cancel_phase = job.run_phase = None\n    job.limit_hit = False\n",
        "    job.run_phase = None\n",
    ),
    Bug(
        "nothing follows a request that is ignored",
        "_core/rules.py",
        '    if job.can_kill:\n        arm(job, "grace", timeout, out)\n',
        "",
    ),
    Bug(
        "the report of an earlier attempt ends the next one",
        "_runtime/engine.py",
        "            if run.over:\n                self.late_reports += 1\n",
        "            if run.over:\n                self.late_reports += 1\n            if False:\n",
    ),
    Bug(
        "a job that ends wakes nobody",
        "_runtime/engine.py",
        "                self.waiters.release(job)",
        "                pass",
    ),
    Bug(
        "a lost wake-up: the first wish to look again counts for all later ones",
        "_runtime/engine.py",
        "        self._wake_wanted = False\n        self.dispatcher.run()",
        "        self.dispatcher.run()",
    ),
    Bug(
        "wishes of an old loop are trusted",
        "_runtime/engine.py",
        "        self._wake_wanted = self._delivery_wanted = False\n",
        "",
    ),
    Bug(
        "a job is launched though the queue was paused meanwhile",
        "_runtime/engine.py",
        "            if not self.accepts_dispatch or state.starts_nothing:\n"
        "                return None\n",
        "",
    ),
    Bug(
        "the order may change between choice and launch",
        "_runtime/engine.py",
        "            if state.order.first_ready() is not job:\n",
        "            if state.order.first_ready() is None:\n",
    ),
    Bug(
        "a timer that was replaced still counts",
        "_threads/timers.py",
        "        if entry is None or entry[0] != token:\n            return False\n",
        "        if entry is None:\n            return False\n",
    ),
    Bug(
        "who cancels the job that blocks the others lets them sleep on",
        "_core/ending.py",
        "        state.order.remove(job)\n        clear_block_reason(job, out)\n",
        "        state.order.remove(job)\n",
    ),
    Bug(
        "one lane more than allowed",
        "_runtime/dispatcher.py",
        "if state.lanes_taken >= engine.max_running or not",
        "if state.lanes_taken > engine.max_running or not",
    ),
    Bug(
        "a dispatcher that comes while another is at it does its work twice",
        "_runtime/dispatcher.py",
        "        while self._wanted and self._turn.acquire(blocking=False):",
        "        while self._wanted and (self._turn.acquire(blocking=False) or True):",
    ),
    Bug(
        "a blocked job is passed without being passable",
        "_runtime/dispatcher.py",
        "            if not self._may_be_passed(job, reason):",
        "            if job.parents_left:",
    ),
    Bug(
        "what was promised is not taken from what there is",
        "_core/machine/resources.py",
        "            stats.ram_total_mib - promised - kept,",
        "            stats.ram_total_mib - kept,",
    ),
    Bug(
        "what an ended job's worker still holds is forgotten",
        "_core/machine/resources.py",
        "            self._left.append(held)",
        "            pass",
    ),
    Bug(
        "a plugin that runs is taken for idle",
        "_machine/admission.py",
        "            if not plugin.busy and not self._ledger.uses_plugin(plugin.key)",
        "            if True",
    ),
    Bug(
        "a plugin is unloaded though it was given a job meanwhile",
        "_machine/admission.py",
        "            if is_over or key in self._unloading.going or self._ledger.uses_plugin(key):",
        "            if key in self._unloading.going and room is None:",
    ),
    Bug(
        "what ran out of memory is tried again as often as it does",
        "_core/retrying.py",
        "    if job.rescue is not None or job.attempt > options.retries + 1:",
        "    if job.rescue is not None and not job.rescue.over:",
    ),
    Bug(
        "what ran out of memory is tried again though nothing was unloaded",
        "_core/retrying.py",
        "    if unloaded:\n",
        "    if unloaded is not None:\n",
    ),
    Bug(
        "what was reserved is never given back",
        "_runtime/queue_resources.py",
        "            if usage.planned:",
        "            if not usage.planned:",
    ),
    Bug(
        "an ask that comes before the execution is lost",
        "_runtime/runner.py",
        "        if asks and not self.over:\n            self._deliver_ask(execution)\n",
        "",
    ),
    Bug(
        "a kill that comes before the execution is lost",
        "_runtime/runner.py",
        "        if kills and not self.over:\n            self._deliver_kill(execution)\n",
        "",
    ),
    Bug(
        "a launch that raises leaves its job running",
        "_runtime/runner.py",
        "            self.ended(outcome)\n",
        "",
    ),
    Bug(
        "stop does not force what was given more time",
        "_runtime/lifecycle.py",
        "            engine.do(ev.CancelTimedOut(job, job.attempt))\n",
        "            break\n",
    ),
    Bug(
        "a stop leaves those waiting who wait for pending jobs",
        "_runtime/waiting.py",
        "                    stopped += waiters\n",
        "                    left[job_id] = waiters\n",
    ),
    Bug(
        "work that outlives its loop is declared gone with it",
        "_runtime/lifecycle.py",
        "            if id(executor) in killed or not outlives_its_loop(executor):\n"
        "                self._engine.end_run(",
        "            if True:\n                self._engine.end_run(",
    ),
    Bug(
        "an interrupted callback takes those behind it along",
        "_threads/bridge.py",
        "self._scheduled = count > 1  # if not: what is posted now has its own wake-up\n"
        "            if count > 1:",
        "self._scheduled = False\n            if False:",
    ),
    Bug(
        "an evicted job is still counted as kept",
        "_core/state.py",
        "        del self.jobs[job.id]\n",
        "",
    ),
    Bug(
        "a group does not count the start of a job",
        "_core/rules.py",
        "    if job.groups:\n        moved(job, PENDING)\n",
        "",
    ),
    Bug(
        "a group counts another attempt beside the one before",
        "_core/ending.py",
        "    was, job.status = job.status, PENDING\n    if job.groups:\n        moved(job, was)\n",
        "    job.status = PENDING\n",
    ),
    Bug(
        "a retried job stays in the failed count of its group",
        "_core/sweeps/group.py",
        "        self.counts[last.status] -= 1\n",
        "",
    ),
    Bug(
        "a retry takes the place of the first try instead of the latest",
        "_core/sweeps/groups.py",
        "    last = None if repeated is None else latest(repeated)\n",
        "    last = repeated\n",
    ),
    Bug(
        "a retry takes the place of a job that still runs",
        "_core/sweeps/groups.py",
        "    if last is not None and last.status.ended and",
        "    if last is not None and",
    ),
    Bug(
        "a group that its queue knows keeps what is evicted",
        "_core/state.py",
        "        if job.groups:\n            self.groups.let_go(job)\n",
        "",
    ),
    Bug(
        "who waits for a group is not told when it is done",
        "_runtime/waiting.py",
        "                    if not group.open_count:\n"
        "                        waiters += self._by_group.pop(group, ())\n",
        "                    pass\n",
    ),
    Bug(
        "a counter forgets the cancelled",
        "_core/state.py",
        "            self.cancelled += 1",
        "            self.failed += 1",
    ),
    Bug(
        "a result that is not kept stands for its key",
        "_core/sweeps/keys.py",
        "    return job.status is COMPLETED and type(result) is not NotKept\n",
        "    return job.status is COMPLETED\n",
    ),
    Bug(
        "a cancelled job stands for its key",
        "_core/sweeps/keys.py",
        "    return job.status is COMPLETED and type(result) is not NotKept\n",
        '    return job.status.value != "failed" and type(result) is not NotKept\n',
    ),
    Bug(
        "of the jobs of a key the one with the highest number counts",
        "_core/sweeps/keys.py",
        "        if job.status.ended:  # it comes from a journal, with all others that have\n",
        "        if True:\n",
    ),
    Bug(
        "who looks at a key decides, and not who accepts",
        "_runtime/sweeps/keyed.py",
        "    if found is not None and (found is job or stands(found)):\n",
        "    if found is job:\n",
    ),
    Bug(
        "a job is given for its key though it was cancelled meanwhile",
        "_runtime/sweeps/keyed.py",
        "is_new(job) or keys.standing(key_of(job)) is job for",
        "True for",
    ),
    Bug(
        "a job in review that is asked for again stays there",
        "_runtime/sweeps/keyed.py",
        "        if found.entry is not None:\n",
        "        if found.entry is None:\n",
    ),
    Bug(
        "keys do not come back with their jobs",
        "_persistence/codec.py",
        "    if key is not None:\n        options = replace(options, key=JobKey(*key))\n",
        "",
    ),
    Bug(
        "a job that cannot run stands for its key",
        "_core/sweeps/keys.py",
        "        return not is_lost(job)\n",
        "        return True\n",
    ),
    Bug(
        "a review lasts though all was asked for again",
        "_runtime/sweeps/keyed.py",
        "    if is_reviewed:\n",
        "    if is_reviewed is None:\n",
    ),
    Bug(
        "a job that is to run all the same is looked up",
        "_api/sweeps/keys.py",
        "    again = not (anew or options.rerun)\n",
        "    again = not anew\n",
    ),
    Bug(
        "what waited for an interrupted job runs after a restart",
        "_persistence/restore.py",
        "(known.get(parent) or self._open.get(parent) for",
        "(known.get(parent) for",
    ),
    Bug(
        "a known job does not join the map that is given it",
        "_runtime/sweeps/keyed.py",
        "        if group is not None:\n"
        "            outside += engine.apply_inside(ev.Joined(found, group))\n",
        "",
    ),
    Bug(
        "a job begins before that is written",
        "_runtime/engine.py",
        "        self.keep()  # before it begins: at most once\n",
        "",
    ),
    Bug(
        "what ran when its kernel died runs again",
        "_core/rules.py",
        "    return bool(options.idempotent) and not event.asked",
        "    return not event.asked",
    ),
    Bug(
        "what cannot run stays beside what takes its place",
        "_runtime/sweeps/keyed.py",
        "ev.CancelRequested(known, False, 0.0, AGAIN)",
        "ev.Resubmitted(known)",
    ),
    Bug(
        "a job waits on for a result that was not kept",
        "_core/ending.py",
        "    return type(parent.result) is not NotKept or parent.id not in child.spec.takes\n",
        "    return True\n",
    ),
    Bug(
        "a result that is to be taken leaves with the history",
        "_core/state.py",
        "        if oldest.taken_by:\n",
        "        if oldest.taken_by > 1:\n",
    ),
    Bug(
        "a result stays for ever once somebody was to take it",
        "_core/ending.py",
        "            if not parent.taken_by:\n                state.let_go(parent, out)\n",
        "",
    ),
    Bug(
        "results are put in in the order of the jobs that are waited for",
        "_runtime/storage/forwarding.py",
        "[known[job_id] for job_id in job.spec.takes]",
        "[one for one in job.parents if one.id in job.spec.takes]",
    ),
    Bug(
        "a chain is told from its end",
        "_core/ending.py",
        "    nearest, *others = cause.split(LINK)\n",
        "    *others, nearest = cause.split(LINK)\n",
    ),
    Bug(
        "another attempt is not given the results",
        "_runtime/runner.py",
        "        if self.job.spec.takes:\n",
        "        if self.job.spec.takes and self.attempt == 1:\n",
    ),
    Bug(
        "another try does not wait for the results that it takes",
        "_api/submission.py",
        "(*self.parents(spec.options), *self.references.parents(spec))",
        "self.parents(spec.options)",
    ),
    Bug(
        "a result that had been lost before is waited for",
        "_core/rules.py",
        "not gives_what_it_must(parent, job):\n            failed",
        "parent.status is not COMPLETED:\n            failed",
    ),
    Bug(
        "what will be taken is not counted at a restart",
        "_persistence/restore.py",
        "        job.taken_by = self._taken[job.id]\n",
        "",
    ),
    Bug(
        "a job that ended while its results were read is launched",
        "_runtime/runner.py",
        "        if self.job.status.ended:  # its loop was lost while its results were read\n"
        "            if not self.over:\n"
        "                self.ended(Outcome.of_stop())\n"
        "        elif not self.over:\n",
        "        if True:\n",
    ),
    Bug(
        "what takes a result forgets so at a restart",
        "_persistence/restore.py",
        "        spec.takes = takes\n",
        "",
    ),
    Bug(
        "a job stands for the result of another one of its queue",
        "_api/sweeps/references.py",
        "            known = standing.get(record.id)\n",
        "            known = next(iter(standing.values()), None)\n",
    ),
    Bug(
        "the taker that ends first frees the result for all",
        "_core/ending.py",
        "            parent.taken_by -= 1\n",
        "            parent.taken_by = 0\n",
    ),
    Bug(
        "a result is counted as taken by those who wait for its job alone",
        "_core/ending.py",
        "        if parent.taken_by and parent.id in job.spec.takes:\n",
        "        if parent.taken_by:\n",
    ),
]
