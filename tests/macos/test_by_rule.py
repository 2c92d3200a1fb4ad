"""What every operating system must give, in an imitation of macOS, where nothing was ever run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.macos.imitation import make_python

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="it is imitated on Linux"),
]

TESTS = Path(__file__).parents[1]
SYSTEMS = "contract/test_systems.py"
DETACHED = "crash/test_detached_jobs.py"
CLAIMS = (
    f"{SYSTEMS}::test_a_sleep_hears_a_request_to_stop_and_costs_no_worker",
    f"{SYSTEMS}::test_a_forced_end_takes_all_that_the_job_has_started",
    f"{SYSTEMS}::test_a_forced_end_takes_what_has_left_the_group",
    f"{SYSTEMS}::test_what_has_left_the_group_ends_with_a_killed_kernel",
    f"{SYSTEMS}::test_what_a_job_leaves_running_ends_with_its_worker",
    f"{SYSTEMS}::test_a_worker_that_is_killed_costs_its_job_and_no_other",
    f"{SYSTEMS}::test_large_values_go_there_and_come_back_byte_for_byte[3000000]",
    f"{DETACHED}::test_it_runs_on_and_the_next_kernel_has_it",
    f"{DETACHED}::test_force_in_the_next_kernel_ends_it_with_all_that_it_started",
    "integration/test_detached.py::test_a_retry_has_a_folder_of_its_own",
    "integration/test_journal_reading.py"
    "::test_workers_of_an_earlier_kernel_are_shown_and_ended_on_request",
)


@pytest.mark.parametrize("kqueue", [True, False], ids=["kqueue", "no kqueue"])
def test_jobs_run_and_end_without_what_only_linux_has(
    kqueue: bool, tmp_path: Path, note: Callable[[str], None]
) -> None:
    python = make_python(tmp_path, kqueue=kqueue)
    ran = subprocess.run(
        [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--basetemp={tmp_path / 'inner'}",
        ]
        + [f"tests/{claim}" for claim in CLAIMS],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    note(ran.stdout.strip().splitlines()[-1])


def test_what_is_imitated_is_taken_away(tmp_path: Path) -> None:
    program = "import os, sys, psutil; from jobqueue_widget.child import guardian, offspring; "
    program += "print(sys.platform, hasattr(os, 'pidfd_open'), offspring.children_of(os.getpid()), "
    program += "os.getppid() in guardian.carriers({b'MARK=of a test'}))"
    python = make_python(tmp_path, kqueue=False)
    command = ["sh", "-c", '"$0" -c "$1"; true', str(python), program]
    told = subprocess.run(
        command, cwd=TESTS.parent, env={"MARK": "of a test"}, capture_output=True, text=True
    )
    assert told.stdout.split() == ["darwin", "False", "[]", "True"], told.stderr


WATCHES = """
import select, subprocess, sys
from jobqueue_widget.workers.system.exits import Exit

process = subprocess.Popen(["sleep", "600"])
try:
    end = Exit(process.pid)
    print(select.select([end.fd], [], [], 0)[0] == [])
    process.kill()
    print(select.select([end.fd], [], [], 20)[0] == [end.fd])
    process.wait()
    end.close()
    Exit(process.pid)
except (ProcessLookupError, AttributeError) as error:
    print(type(error).__name__)
finally:
    process.kill()
    process.wait()
"""


@pytest.mark.parametrize(
    ("kqueue", "told"),
    [(True, "True True ProcessLookupError"), (False, "AttributeError")],
    ids=["kqueue", "no kqueue"],
)
def test_a_kqueue_tells_the_end_of_a_process(kqueue: bool, told: str, tmp_path: Path) -> None:
    python = make_python(tmp_path, kqueue=kqueue)
    ran = subprocess.run(
        [str(python), "-c", WATCHES], cwd=TESTS.parent, capture_output=True, text=True, timeout=60
    )
    assert " ".join(ran.stdout.split()) == told, ran.stderr
