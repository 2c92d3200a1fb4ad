"""Bugs to plant on either side of the protocol: small changes that somebody might make one day."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.schedules import planted

from .node import FRONT_END


class Bug(planted.Bug):
    """One of a page's side or of the kernel's, as its file says."""

    @property
    def is_of_the_page(self) -> bool:
        """Else it is one of the kernel's side."""
        return self.file.endswith(".ts")

    @property
    def source(self) -> Path:
        """The file of today."""
        return (FRONT_END / "src" if self.is_of_the_page else planted.PACKAGE) / self.file

    def plant(self, folder: Path) -> Path:
        """Copy that side into `folder`, with this bug in it; where it is."""
        if not self.is_of_the_page:
            return super().plant(folder)
        for part in ("src", "test"):
            shutil.copytree(FRONT_END / part, folder / "js" / part)
        mutated = self.mutate(self.source.read_text())
        (folder / "js" / "src" / self.file).write_text(mutated)
        return folder / "js"


BUGS = [
    # -- pages ---------------------------------------------------------------------------------
    Bug(
        "an older flush replaces a newer one",
        "store.ts",
        "    if (!other && summary.seq < this.summary.seq) return false;\n",
        "",
    ),
    Bug(
        "nothing is asked after a gap",
        "follow.ts",
        "    if (lost) this.#hello(ASK_GAP);\n",
        "",
    ),
    Bug(
        "a second gap soon after the first is not asked about",
        "follow.ts",
        "      this.#later = setTimeout(() => this.#hello(0), early * 1000);\n",
        "",
    ),
    Bug(
        "a silent kernel is not asked",
        "follow.ts",
        "    if (store.silent(now) && ",
        "    if (false && ",
    ),
    Bug(
        "what is told by traits is not drawn",
        "follow.ts",
        "    this.#fresh = true;\n",
        "",
    ),
    Bug(
        "pending acts are settled by a new state only",
        "follow.ts",
        "    pendingActs.settle(store.summary.rev); //",
        "    if (this.#fresh) pendingActs.settle(store.summary.rev); //",
    ),
    Bug(
        "rows for another view are taken",
        "follow.ts",
        'message["t"] === "rows" && message["cid"] === rpc.cid;',
        'message["t"] === "rows";',
    ),
    Bug(
        "another kernel is not noticed",
        "store.ts",
        "const other = summary.epoch !== this.summary.epoch;",
        "const other = false;",
    ),
    Bug(
        "another kernel's flushes are counted on",
        "store.ts",
        "const known = told.epoch === this.#lastEpoch;",
        "const known = true;",
    ),
    Bug(
        "a trait is cut short",
        "store.ts",
        'cleanRows(get("head"), 200)',
        'cleanRows(get("head"), 24)',
    ),
    Bug(
        "groups are cut short",
        "protocol.ts",
        "const MOST_GROUPS = 20;",
        "const MOST_GROUPS = 3;",
    ),
    Bug(
        "what has failed of a group is counted as cancelled",
        "protocol.ts",
        "const [pending, running, completed, failed, cancelled, retriable] =",
        "const [pending, running, completed, cancelled, failed, retriable] =",
    ),
    Bug(
        "a watch is never renewed",
        "list_window.ts",
        "this.view === null ? RENEW_AFTER : Infinity",
        "Infinity",
    ),
    Bug(
        "rows of another epoch are taken",
        "list_window.ts",
        "part.epoch !== this.#epoch || part.list",
        "part.list",
    ),
    Bug(
        "older rows replace newer ones",
        "list_window.ts",
        "    if (part.rev < this.#rev) return; //",
        "    //",
    ),
    Bug(
        "a window is one row off",
        "list_window.ts",
        "return this.#rows[index - this.#start];",
        "return this.#rows[index - this.#start + 1];",
    ),
    Bug(
        "a window keeps its revision when the kernel is another",
        "list_window.ts",
        "    this.#rows = [];\n    this.#rev = -1;\n",
        "    this.#rows = [];\n",
    ),
    Bug(
        "a window asks once and never again",
        "list_window.ts",
        "      this.#asking = false;\n",
        "",
    ),
    Bug(
        "the rows in view are counted as those at hand",
        "list_window.ts",
        "if (last <= Math.min(covered, total) || last === 0) {",
        "if (first <= Math.min(covered, total) || last === 0) {",
    ),
    Bug(
        "a pending act waits for one revision too many",
        "actions.ts",
        "rev >= act.rev) this.#acts",
        "rev > act.rev) this.#acts",
    ),
    Bug(
        "a refused act stays marked",
        "views/context.ts",
        "        if (pending !== null) this.pendingActs.drop(id, pending);\n        if (!(error",
        "        if (!(error",
    ),
    Bug(
        "an act is repeated under another name",
        "actions.ts",
        "        item.againAt = now + age;\n",
        '        item.againAt = now + age;\n        item.message["rid"] = `${rid}-${now}`;\n',
    ),
    Bug(
        "nothing is repeated",
        "actions.ts",
        "} else if (now >= item.againAt) {",
        "} else if (now < 0) {",
    ),
    Bug(
        "what is unanswered is not called late",
        "actions.ts",
        "item.act && item.sentAt <= before",
        "item.act && item.sentAt > before",
    ),
    Bug(
        "a kernel that has gone is gone for ever",
        "follow.ts",
        "    rpc.gone = false;\n    this.context.unheard",
        "    this.context.unheard",
    ),
    # -- the kernel ----------------------------------------------------------------------------
    Bug(
        "flushes are not counted",
        "widget/sync.py",
        "        self._seq += 1\n",
        "        self._seq = 1\n",
    ),
    Bug(
        "the last state is not sent again",
        "widget/sync.py",
        "            self._say_again_at = self._monotonic() + SAY_AGAIN\n",
        "            pass\n",
    ),
    Bug(
        "a hello is answered with words only",
        "widget/commands.py",
        "        self._sync.resync()\n",
        "",
    ),
    Bug(
        "a hello is remembered as if it were an act",
        "widget/commands.py",
        'READS = frozenset({"hello", ',
        "READS = frozenset({",
    ),
    Bug(
        "a repeated act acts again",
        "widget/commands.py",
        "                known = rid in self._answers\n",
        "                known = False\n",
    ),
    Bug(
        "an act that was meant for the kernel before is carried out",
        "widget/commands.py",
        "if op not in READS and (request",
        "if op is None and (request",
    ),
    Bug(
        "one act is remembered",
        "widget/commands.py",
        "ANSWERS_KEPT = 256",
        "ANSWERS_KEPT = 1",
    ),
    Bug(
        "a lease ends before a page renews it",
        "widget/sync.py",
        "LEASE = 30.0",
        "LEASE = 10.0",
    ),
    Bug(
        "a job that goes on is still counted where it was, too",
        "_core/sweeps/groups.py",
        "        group.counts[was] -= 1\n",
        "",
    ),
    Bug(
        "groups are told of when the queue is displayed only",
        "widget/model.py",
        'shown_groups(snapshot["groups"], estimate, self._groups)',
        "[]",
    ),
    Bug(
        "a window is pushed when its length changes",
        "widget/sync.py",
        'shown = (part["total"], part["rows"])',
        'shown = (part["total"], len(part["rows"]))',
    ),
    Bug(
        "a window begins one row late",
        "widget/sync.py",
        "_part(name, start, end, number, found)",
        "_part(name, start + 1, end, number, found)",
    ),
    Bug(
        "a page's second window takes the place of its first",
        "widget/sync.py",
        "            self._watched[key] = _Window(",
        "            self._watched.clear()\n            self._watched[key] = _Window(",
    ),
    Bug(
        "nobody is told when the time to undo is over",
        "widget/sync.py",
        "for at in (self._say_again_at, self._undo_ends_at)",
        "for at in (self._say_again_at,)",
    ),
    Bug(
        "hiding what has ended is told to nobody",
        "_runtime/storage/history.py",
        '                self._tell("history_cleared", count)\n',
        "",
    ),
    Bug(
        "a pause is told to nobody",
        "_runtime/engine.py",
        'self.publish("resumed" if pause is None else "paused", {',
        "dict({",
    ),
]
