"""A job's log is bounded, exact at both ends, and says where something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue_widget._runtime.storage.told.logs import JobLog


@pytest.fixture
def log(tmp_path: Path) -> JobLog:
    return JobLog(lambda: tmp_path / "job.log", memory_bytes=1000, file_bytes=5000)


def test_the_last_lines_are_shown_as_text(log: JobLog) -> None:
    log.write("one\ntwo\n")
    log.write(b"three\n\xff\n")
    assert log.tail(2) == "three\n\\xff\n"
    assert log.tail(100) == "one\ntwo\nthree\n\\xff\n"
    assert log.tail(0) == ""


def test_a_small_log_never_touches_the_disk(log: JobLog, tmp_path: Path) -> None:
    log.write("x" * 900)
    assert not list(tmp_path.iterdir())


def test_what_leaves_memory_can_still_be_read_in_order(log: JobLog) -> None:
    written = b"".join(b"line %d\n" % number for number in range(400))
    for line in written.splitlines(keepends=True):
        log.write(line)
    found, start = b"", 0
    while start < log.size:
        start, data = log.read(start, 333)
        found += data
        start += len(data)
    assert found == written
    assert log.tail(400) == written.decode()


def test_a_flood_without_a_newline_stays_bounded_and_the_gap_is_named(
    log: JobLog, tmp_path: Path
) -> None:
    for _ in range(1000):
        log.write(b"x" * 997)
    assert log.size == 997_000
    assert (tmp_path / "job.log").stat().st_size <= 5000
    assert "bytes were dropped here" in log.tail(5)
    start, data = log.read(6000, 10)
    assert start > 6000, "the reader is told where it really is"
    assert data == b"x" * 10


def test_one_write_larger_than_memory_is_kept_like_many(log: JobLog) -> None:
    log.write(b"a" * 3000 + b"b" * 100)
    assert log.read(0, 10) == (0, b"a" * 10)
    assert log.tail(1).endswith("b" * 100)


def test_a_full_disk_costs_old_lines_and_nothing_else(tmp_path: Path) -> None:
    log = JobLog(lambda: tmp_path / "no" / "such" / "folder", memory_bytes=100)
    for number in range(100):
        log.write(f"line {number}\n")
    assert log.tail(1) == "line 99\n"
    assert log.size == sum(len(f"line {number}\n") for number in range(100))


def test_removing_deletes_the_file(log: JobLog, tmp_path: Path) -> None:
    log.write(b"x\n" * 1000)
    assert (tmp_path / "job.log").exists()
    log.remove()
    assert not (tmp_path / "job.log").exists()
    assert log.tail(1) == "x\n"


def test_what_was_removed_from_the_disk_is_named_and_the_rest_is_there(
    log: JobLog, tmp_path: Path
) -> None:
    log.write("".join(f"line {number}\n" for number in range(300)))
    (tmp_path / "job.log").unlink()
    assert "was removed" in log.tail(300).splitlines()[0]
    assert log.tail(2) == "line 298\nline 299\n"
    start, data = log.read(0, 10_000)
    assert start > 0, "the reader is told where it really is"
    assert data.endswith(b"line 299\n")
