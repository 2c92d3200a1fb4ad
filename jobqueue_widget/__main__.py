"""The command line: a journal's table, `python -m jobqueue_widget runs.db [--follow]`; plugins.

`python -m jobqueue_widget plugins install PACKAGE`, `plugins list`, `plugins remove NAME`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TextIO

from ._core.jobs import JobStatus
from ._core.texts.fitting import ends, fit_all
from ._persistence.sqlite.records import JournalRecord, JournalRecords, ReadOnly
from .child.wire import plain
from .errors import JournalError

COLUMNS: tuple[tuple[str, int], ...] = (
    *(("id", 14), ("status", 9), ("job", 28), ("arguments", 28), ("submitted", 19)),
    *(("took", 8), ("", 60)),
)
LONGEST = 1_000  # characters that are looked at of either end of a text
STATUSES = tuple(status.value for status in JobStatus)
VERBS = ("install", "list", "remove", "-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if _is_about_plugins(arguments):
        return _plugins(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m jobqueue_widget",
        description="Show the jobs in the journal of a queue, also while a kernel writes it.",
        epilog="Plugins: python -m jobqueue_widget plugins --help",
    )
    parser.add_argument("journal", help='the file that JobQueue(journal="runs.db") was given')
    parser.add_argument("--follow", action="store_true", help="go on, a line for each change")
    parser.add_argument("--status", choices=STATUSES, help="only jobs of this status")
    parser.add_argument("--cancel", metavar="ID", help="end a detached job, with no kernel there")
    parser.add_argument("--json", action="store_true", help="one JSON object per job, with logs")
    given = parser.parse_args(arguments)
    try:
        with ReadOnly(given.journal) as journal:
            show = _as_json if given.json else _as_rows
            if given.cancel:
                _say(journal.cancel(given.cancel))
                return 0
            if given.follow:
                _follow(journal, given.status, show)
            else:
                _table(journal.records(), given.status, show, head=not given.json)
                for job_id, pid in journal.lost().items():
                    said = (
                        f"process {pid} of job {job_id} runs, and this journal does not know that"
                    )
                    _say(f"{said}; --cancel {job_id} ends it", sys.stderr if given.json else None)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as with `| head`
        sys.stderr.close()
        return 0
    return 0


def _is_about_plugins(arguments: Sequence[str]) -> bool:
    """True for the sub command; a journal may be called `plugins`, too."""
    if list(arguments[:1]) != ["plugins"]:
        return False
    return not os.path.isfile("plugins") or (len(arguments) > 1 and arguments[1] in VERBS)


def _plugins(arguments: Sequence[str]) -> int:
    from .plugins import install
    from .plugins.environments import InstallError

    given = _plugins_parser().parse_args(arguments)
    try:
        if given.verb == "install":
            if len(given.package) > 1 and (given.name or given.plugin_class):
                raise InstallError("--name and --class are of one package")
            for package in given.package:
                meta = install.install(
                    package,
                    also=given.also,
                    python=given.python,
                    data_dir=given.data_dir,
                    name=given.name,
                    plugin_class=given.plugin_class,
                    tell=lambda line: _say(line, sys.stderr),
                )
                _say(f"installed {meta.name} {meta.version}: {meta.path}")
        elif given.verb == "remove":
            for path in install.remove(given.name, data_dir=given.data_dir):
                _say(f"removed {path}")
        else:
            metas, remarks = install.discovered(given.data_dir)
            for meta in metas:
                _say(f"{meta.name} {meta.version} {meta.category}: {meta.path}")
            for remark in remarks:
                _say(remark, sys.stderr)
    except InstallError as error:
        for line in str(error).splitlines():
            _say(line, sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _plugins_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobqueue_widget plugins",
        description="Plugins, each in an environment of its own, as PluginManager() finds them.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    install = verbs.add_parser("install", help="make an environment and a manifest for each")
    install.add_argument("package", nargs="+", help="as pip takes it: NAME==VERSION, NAME @ URL")
    install.add_argument(
        "--with",
        dest="also",
        nargs="+",
        action="extend",
        default=[],
        metavar="PACKAGE",
        help="what else its environment gets",
    )
    install.add_argument("--python", help="the interpreter to use; default: one from 3.12 on")
    install.add_argument("--name", help="of environment and plugin; default: the package's")
    install.add_argument(
        "--class",
        dest="plugin_class",
        metavar="MODULE:CLASS",
        help="the plugin, where its package does not say it",
    )
    listing = verbs.add_parser("list", help="those found, and what is wrong with others")
    remove = verbs.add_parser("remove", help="remove what install has made")
    remove.add_argument("name")
    for verb in (install, listing, remove):
        verb.add_argument("--data-dir", help="default: as PluginManager(): cjm.yaml, ~/.cjm …")
    return parser


def _say(line: str, into: TextIO | None = None) -> None:
    into = into or sys.stdout
    into.write(_visible(line) + "\n")
    into.flush()


def _chosen(records: JournalRecords, status: str | None) -> list[JournalRecord]:
    return [record for record in records if status in (None, record.status)]


def _retried(records: JournalRecords) -> set[str]:
    """Return the ids of failed jobs that were tried again: a later job stands for each."""
    later: dict[str, str] = {}
    for record in records:
        last = record.retry_of or ""
        while last in later:
            last = later[last]
        if last not in ("", record.id):
            later[last] = record.id
    return {record.id for record in records if record.status == "failed" and record.id in later}


def _table(
    journaled: JournalRecords,
    status: str | None,
    show: Callable[[list[JournalRecord]], list[str]],
    *,
    head: bool,
) -> None:
    records, retried = _chosen(journaled, status), _retried(journaled)
    if head:
        sys.stdout.write(f"{_line([name for name, _ in COLUMNS])}\n")
    sys.stdout.writelines(f"{line}\n" for line in show(records))
    if head:
        counts = Counter("retried" if one.id in retried else one.status for one in records)
        kinds = (*STATUSES, "retried") if counts["retried"] else STATUSES
        sys.stdout.write(" · ".join(f"{counts[kind]} {kind}" for kind in kinds) + "\n")
    sys.stdout.flush()


def _follow(
    journal: ReadOnly, status: str | None, show: Callable[[list[JournalRecord]], list[str]]
) -> None:
    seen: dict[str, tuple[str, int, str]] = {}
    for records in journal.follow():
        now = {one.id: (one.status, one.attempt, one.running_message) for one in records}
        chosen = _chosen(records, status)
        new = [one for one in chosen if seen.get(one.id) != now[one.id]]
        seen |= {record.id: now[record.id] for record in new}
        sys.stdout.writelines(f"{line}\n" for line in show(new))
        sys.stdout.flush()


def _as_json(records: list[JournalRecord]) -> list[str]:
    return [json.dumps(record.as_dict()) for record in records]


def _as_rows(records: list[JournalRecord]) -> list[str]:
    """Lay out rows in columns; texts are cut to what tells the rows apart."""
    columns = zip(*map(_cells, records), strict=True)
    shown = [fit_all(cells, width) for cells, (_, width) in zip(columns, COLUMNS, strict=False)]
    return [_line(cells) for cells in zip(*shown, strict=True)]


def _cells(record: JournalRecord) -> list[str]:
    took = ""
    if record.started_at is not None:
        ended = record.completed_at if record.completed_at is not None else time.time()
        took = _duration(max(0.0, ended - record.started_at))
    last = record.error or record.cancel_reason or record.message or record.result
    submitted = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created_at))
    title = record.label or record.name
    # queue["…"] takes the first part of an id, too; those of 0.1 have none
    short = record.id.partition("-")[0] if len(record.id) == 36 else record.id
    cells = [short, record.status, title, record.arguments, submitted, took, last]
    return [" ".join(_visible(ends(cell, LONGEST)).split()) for cell in cells]


def _line(cells: Sequence[str]) -> str:
    parts = [cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True)]
    return "  ".join(parts).rstrip()


def _visible(text: str) -> str:
    """Return text without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in plain(text))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


if __name__ == "__main__":
    raise SystemExit(main())
