"""The rules of memory: what fits beside what was promised, who is unloaded, what is impossible."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget._core.jobs import BlockReason
from jobqueue_widget._core.machine.eviction import plan_eviction, relieved
from jobqueue_widget._core.machine.learned import MOST_KEYS, Learned
from jobqueue_widget._core.machine.resources import (
    Admitted,
    Decision,
    GpuStats,
    IdlePlugin,
    Impossible,
    Ledger,
    MachineStats,
    ProcessMemory,
    ResourceRequest,
    clean,
)


def machine(
    ram: float = 16_000, free: float | None = None, gpus: tuple[tuple[float, float], ...] = ()
) -> MachineStats:
    """`gpus` as pairs of total and free."""
    return MachineStats(
        ram_total_mib=ram,
        ram_available_mib=ram if free is None else free,
        cpus=8,
        gpus=tuple(GpuStats(total, left) for total, left in gpus),
    )


def request(job: str, plugin: tuple[int, str] | None = None, **need: float) -> ResourceRequest:
    return ResourceRequest(job, job, need, plugin)


def idle(
    name: str, ram: float = 0, gpu: Mapping[int, float] | None = None, at: int = 0
) -> IdlePlugin:
    return IdlePlugin((1, name), name, ProcessMemory(ram, gpu or {}), at)


def take(ledger: Ledger, wanted: ResourceRequest, stats: MachineStats) -> Decision:
    decision = ledger.decide(wanted, stats)
    if isinstance(decision, Admitted):
        ledger.reserve(wanted, decision.gpus)
    return decision


def text_of(decision: Decision) -> str:
    assert not isinstance(decision, Admitted)
    return decision.text


# -- memory and processors -----------------------------------------------------------------------


def test_what_is_promised_is_not_promised_again() -> None:
    ledger, stats = Ledger(), machine(ram=10_000)
    assert take(ledger, request("a", ram_mib=6_000), stats) == Admitted()
    assert "needs 6,000 MiB RAM, 4,000 free; a holds 6,000" in text_of(
        take(ledger, request("b", ram_mib=6_000), stats)
    )
    assert take(ledger, request("c", ram_mib=4_000), stats) == Admitted()
    ledger.release("a")
    ledger.looked(ledger.left())
    assert take(ledger, request("b", ram_mib=6_000), stats) == Admitted()


def test_what_a_job_left_behind_counts_until_the_machine_was_looked_at() -> None:
    ledger, before = Ledger(), machine(ram=10_000)
    take(ledger, request("a", ram_mib=6_000), before)
    ledger.note_use("a", ProcessMemory(1_000))  # and then it took 5,000 more, and ended
    ledger.release("a")
    old = machine(ram=10_000, free=9_000)
    assert isinstance(ledger.decide(request("b", ram_mib=5_000), old), BlockReason)
    assert isinstance(ledger.decide(request("b", ram_mib=4_000), old), Admitted)
    left = ledger.left()
    take(ledger, request("c", ram_mib=100), old)
    ledger.release("c")  # during the look: that one does not show what it left
    ledger.looked(left)
    assert isinstance(ledger.decide(request("b", ram_mib=9_000), old), BlockReason)
    assert isinstance(ledger.decide(request("b", ram_mib=8_900), old), Admitted)


def test_what_is_promised_and_used_is_counted_once() -> None:
    ledger = Ledger()
    take(ledger, request("a", ram_mib=6_000), machine(ram=10_000))
    ledger.note_use("a", ProcessMemory(5_000))
    later = machine(ram=10_000, free=5_000)  # of which a will take 1,000 more
    assert isinstance(ledger.decide(request("b", ram_mib=4_000), later), Admitted)
    assert isinstance(ledger.decide(request("b", ram_mib=4_001), later), BlockReason)


def test_what_a_process_maps_and_the_machine_calls_free_is_promised_all_the_same() -> None:
    """Pages of files count as held by the process, and as available."""
    ledger, stats = Ledger(), machine(ram=10_000)
    take(ledger, request("a", ram_mib=6_000), stats)
    ledger.note_use("a", ProcessMemory(6_000))
    assert isinstance(ledger.decide(request("b", ram_mib=4_000), stats), Admitted)
    assert isinstance(ledger.decide(request("b", ram_mib=4_001), stats), BlockReason)


def test_what_other_programs_use_is_not_free() -> None:
    reason = Ledger().decide(request("a", ram_mib=6_000), machine(ram=10_000, free=2_159))
    assert isinstance(reason, BlockReason)
    assert reason.text == "needs 6,000 MiB RAM, 2,150 free; other programs use the rest"
    assert reason.need == {"ram_mib": 6_000}
    assert reason.have == {"ram_mib": 2_150}
    assert reason.holders == ()
    assert not reason.may_be_passed


def test_processors_are_counted_and_never_measured() -> None:
    ledger, stats = Ledger(), machine()
    for job in "ab":
        take(ledger, request(job, cpus=3), stats)
    assert text_of(ledger.decide(request("c", cpus=2.5), stats)) == (
        "needs 2.5 processors, 2 free; a holds 3; b holds 3"
    )


def test_everything_that_is_short_is_told() -> None:
    ledger, stats = Ledger(), machine(ram=10_000)
    take(ledger, request("a", ram_mib=6_000, cpus=6), stats)
    assert text_of(ledger.decide(request("b", ram_mib=5_000, cpus=4), stats)) == (
        "needs 5,000 MiB RAM, 4,000 free and 4 processors, 2 free; a holds 6,000"
    )


def test_only_the_largest_holders_are_named() -> None:
    ledger, stats = Ledger(), machine(ram=10_000)
    for number in range(1, 5):
        take(ledger, request(f"j{number}", ram_mib=number * 1_000), stats)
    reason = ledger.decide(request("next", ram_mib=9_000), stats)
    assert isinstance(reason, BlockReason)
    assert reason.text.endswith("; j4 holds 4,000; j3 holds 3,000; 2 more hold the rest")
    assert [holder.name for holder in reason.holders] == ["j4", "j3", "j2", "j1"]


# -- GPUs ----------------------------------------------------------------------------------------


def test_the_sentence_of_the_specification() -> None:
    whisper = idle("whisper", ram=2_000, gpu={0: 9_800.4})
    reason = Ledger().decide(
        request("a", gpu_mib=4_096), machine(gpus=((12_000, 2_157),)), [whisper]
    )
    assert text_of(reason) == "needs 4,096 MiB GPU, 2,150 free; whisper holds 9,800, idle"


def test_a_job_gets_one_gpu_that_holds_it_all_and_the_fullest_that_does() -> None:
    ledger, stats = Ledger(), machine(gpus=((24_000, 24_000), (24_000, 9_000), (24_000, 7_000)))
    assert take(ledger, request("a", gpu_mib=8_000), stats) == Admitted((1,))
    assert take(ledger, request("b", gpu_mib=8_000), stats) == Admitted((0,))
    reason = take(ledger, request("c", gpu_mib=20_000), stats)
    assert text_of(reason).startswith("needs 20,000 MiB GPU, 16,000 free; ")


def test_a_plugin_stays_on_the_gpu_that_it_is_loaded_on() -> None:
    holds = ProcessMemory(0, {0: 5_000})
    stats = machine(gpus=((24_000, 19_000), (24_000, 9_000)))
    wanted = ResourceRequest("a", "a", {"gpu_mib": 6_000}, (1, "p"), holds, (0,))
    assert Ledger().decide(wanted, stats) == Admitted((0,))
    more = ResourceRequest("a", "a", {"gpu_mib": 25_000}, (1, "p"), holds, (0,))
    full = machine(gpus=((26_000, 19_000), (26_000, 26_000)))
    assert text_of(Ledger().decide(more, full)).startswith("needs 25,000 MiB GPU, 24,000 free; ")


def test_a_plugin_that_is_loaded_needs_only_the_rest() -> None:
    holds = ProcessMemory(0, {0: 9_800})
    stats = machine(gpus=((12_000, 500),))
    wanted = ResourceRequest("a", "a", {"gpu_mib": 10_000}, (1, "p"), holds)
    assert Ledger().decide(wanted, stats) == Admitted((0,))


def test_a_whole_gpu_is_shared_with_no_other_job() -> None:
    ledger, stats = Ledger(), machine(gpus=((24_000, 24_000), (24_000, 24_000)))
    assert take(ledger, request("a", gpus=1), stats) == Admitted((0,))
    assert take(ledger, request("b", gpu_mib=1_000), stats) == Admitted((1,))
    assert text_of(take(ledger, request("c", gpus=1), stats)) == (
        "needs 1 whole GPUs, 0 free; a holds 1; b holds 1"
    )
    ledger.release("b")
    ledger.looked(ledger.left())
    assert take(ledger, request("c", gpus=1), stats) == Admitted((1,))
    assert isinstance(take(ledger, request("d", gpu_mib=1), stats), BlockReason)


# -- impossible ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("need", "text"),
    [
        (
            {"gpu_mib": 30_100},
            "needs 30,100 MiB GPU, this machine can give 21,600: 8,500 too much; "
            "lower what it asks for (gpu_mib)",
        ),
        (
            {"ram_mib": 16_001},
            "needs 16,001 MiB RAM, this machine can give 16,000: 1 too much; "
            "lower what it asks for (ram_mib)",
        ),
        (
            {"cpus": 9},
            "needs 9 processors, this machine can give 8: 1 too much; "
            "lower what it asks for (cpus)",
        ),
    ],
)
def test_more_than_the_machine_has_is_impossible_and_by_how_much_is_told(
    need: dict[str, float], text: str
) -> None:
    stats = machine(gpus=((21_600, 100), (8_000, 8_000)))
    assert Ledger().decide(ResourceRequest("a", "a", need), stats) == Impossible(text)


def test_without_a_gpu_it_is_told_why_there_is_none() -> None:
    stats = MachineStats(16_000, 16_000, 8, gpus=(), gpu_note="no NVIDIA driver")
    assert text_of(Ledger().decide(request("a", gpu_mib=100), stats)) == (
        "needs 100 MiB GPU, and no GPU is known here (no NVIDIA driver)"
    )


def test_gpus_that_cannot_be_read_block_and_refuse_nothing() -> None:
    stats = MachineStats(16_000, 16_000, 8, gpus=None, gpu_note="the GPU driver does not answer")
    reason = Ledger().decide(request("a", gpu_mib=100), stats)
    assert isinstance(reason, BlockReason)
    assert reason.text == "needs 100 MiB GPU; the GPU driver does not answer"
    assert Ledger().decide(request("b", ram_mib=100), stats) == Admitted()


# -- keeping room for one that waits -------------------------------------------------------------


def test_what_is_kept_for_a_waiting_job_is_not_given_to_those_that_pass() -> None:
    ledger, stats = Ledger(), machine(ram=10_000)
    take(ledger, request("runs", ram_mib=4_000), stats)
    waits = request("waits", ram_mib=8_000)
    assert isinstance(ledger.decide(request("a", ram_mib=1), stats, (), waits), BlockReason)
    assert ledger.decide(request("a", cpus=8), stats, (), waits) == Admitted()
    small = request("small", ram_mib=5_000)
    assert ledger.decide(request("a", ram_mib=1_000), stats, (), small) == Admitted()


def test_another_gpu_than_the_one_that_is_kept_may_be_used() -> None:
    ledger, stats = Ledger(), machine(gpus=((24_000, 20_000), (24_000, 9_000)))
    waits = request("waits", gpu_mib=22_000)
    assert ledger.decide(request("a", gpu_mib=8_000), stats, (), waits) == Admitted((1,))
    assert isinstance(ledger.decide(request("a", gpu_mib=9_500), stats, (), waits), BlockReason)


# -- unloading -----------------------------------------------------------------------------------


def names(plan: list[IdlePlugin]) -> list[str]:
    return [plugin.name for plugin in plan]


def test_the_least_recently_used_is_unloaded_first_and_no_more_than_needed() -> None:
    plugins = [
        idle("new", ram=3_000, at=3),
        idle("old", ram=3_000, at=1),
        idle("mid", ram=3_000, at=2),
    ]
    stats = machine(ram=10_000, free=1_000)
    for need, plan in (
        (900, []),
        (3_500, ["old"]),
        (5_000, ["old", "mid"]),
        (9_500, ["old", "mid", "new"]),
    ):
        found = plan_eviction(Ledger(), request("a", ram_mib=need), stats, plugins)
        assert names(found) == plan


def test_nobody_is_unloaded_in_vain() -> None:
    stats = machine(ram=10_000, free=1_000, gpus=((12_000, 2_000),))
    plugins = [
        idle("small", ram=10, gpu={0: 100}, at=1),
        idle("no gpu", ram=5_000, at=2),
        idle("big", ram=10, gpu={0: 9_000}, at=3),
    ]
    assert names(plan_eviction(Ledger(), request("a", gpu_mib=8_000), stats, plugins)) == ["big"]
    assert plan_eviction(Ledger(), request("a", gpu_mib=11_900), stats, plugins) == []


def test_a_plugin_that_runs_a_job_or_is_the_jobs_own_is_not_unloaded() -> None:
    ledger, stats = Ledger(), machine(ram=10_000, free=1_000)
    ledger.reserve(ResourceRequest("b", "b", {"cpus": 1}, (1, "taken")), ())
    plugins = [idle("taken", ram=8_000), idle("own", ram=8_000)]
    assert plan_eviction(ledger, request("a", (1, "own"), ram_mib=9_500), stats, plugins) == []


def test_of_what_a_host_or_a_journal_says_only_amounts_are_taken() -> None:
    said = {"ram_mib": "much", "gpu_mib": float("nan"), "cpus": -1, "gpus": 0, "disk": 5}
    assert clean(said) == {}
    assert clean({"ram_mib": 5, "cpus": 0.5, "other": 1}) == {"ram_mib": 5.0, "cpus": 0.5}


# -- for any figures -----------------------------------------------------------------------------

AMOUNTS = st.integers(1, 12_000)
NEEDS = st.fixed_dictionaries(
    {},
    optional={
        "ram_mib": AMOUNTS,
        "gpu_mib": AMOUNTS,
        "cpus": st.integers(1, 9),
        "gpus": st.integers(1, 3),
    },
)
ACTS = st.lists(st.tuples(st.sampled_from(["take", "take", "release", "use"]), NEEDS), max_size=30)
TOTALS = st.lists(st.integers(1_000, 12_000), max_size=3)


@given(ACTS, TOTALS, st.integers(0, 4_000))
def test_never_is_more_promised_than_there_is(
    acts: list[tuple[str, dict[str, float]]], totals: list[float], foreign: float
) -> None:
    """Jobs use up to what they were promised; other programs use `foreign` MiB everywhere."""
    ledger = Ledger()
    running: dict[str, tuple[dict[str, float], tuple[int, ...]]] = {}
    used: dict[str, float] = {}

    def look() -> MachineStats:
        gpus = []
        for number, total in enumerate(totals):
            held = sum(
                need.get("gpu_mib", 0) * used[job]
                for job, (need, places) in running.items()
                if number in places
            )
            gpus.append((total, max(0, total - foreign - held)))
        held = sum(need.get("ram_mib", 0) * used[job] for job, (need, _) in running.items())
        return machine(10_000, max(0, 10_000 - foreign - held), tuple(gpus))

    for number, (act, need) in enumerate(acts):
        job = f"j{number}"
        if act == "take":
            decision = ledger.decide(ResourceRequest(job, job, need), look())
            if isinstance(decision, Admitted):
                ledger.reserve(ResourceRequest(job, job, need), decision.gpus)
                running[job], used[job] = (need, decision.gpus), 0.0
        elif running and act == "release":
            oldest = next(iter(running))
            del running[oldest]
            ledger.release(oldest)
            ledger.looked(ledger.left())
        elif running:
            chosen = list(running)[number % len(running)]
            used[chosen] = 1.0
            need, places = running[chosen]
            ledger.note_use(
                chosen,
                ProcessMemory(
                    need.get("ram_mib", 0), dict.fromkeys(places, need.get("gpu_mib", 0))
                ),
            )
        needs = [need for need, _ in running.values()]
        assert sum(need.get("ram_mib", 0) for need in needs) <= 10_000 - foreign * any(
            need.get("ram_mib") for need in needs
        )
        assert sum(need.get("cpus", 0) for need in needs) <= 8
        for place, total in enumerate(totals):
            there = [need for need, places in running.values() if place in places]
            assert sum(need.get("gpu_mib", 0) for need in there) <= total - foreign * any(
                need.get("gpu_mib") for need in there
            )
            assert len(there) == 1 or not any(need.get("gpus") for need in there)


@given(
    NEEDS,
    st.lists(st.tuples(AMOUNTS, AMOUNTS, st.integers(0, 5)), max_size=5),
    st.integers(0, 10_000),
)
def test_a_plan_makes_the_job_fit_and_is_the_smallest_of_its_kind(
    need: dict[str, float], held: list[tuple[int, int, int]], free: int
) -> None:
    stats = machine(12_000, free, ((12_000, free),))
    plugins = [idle(f"p{number}", ram, {0: gpu}, at) for number, (ram, gpu, at) in enumerate(held)]
    wanted = ResourceRequest("a", "a", need)
    plan = plan_eviction(Ledger(), wanted, stats, plugins)
    after = Ledger().decide(wanted, relieved(stats, plan))
    if plan:
        assert isinstance(after, Admitted)
        for spared in plan:
            rest = [plugin for plugin in plan if plugin is not spared]
            assert not isinstance(Ledger().decide(wanted, relieved(stats, rest)), Admitted)
    elif not isinstance(after, Admitted):
        assert not isinstance(Ledger().decide(wanted, relieved(stats, plugins)), Admitted)


# -- what was learned ----------------------------------------------------------------------------


def test_the_largest_peak_is_remembered_and_a_little_more_is_asked_for() -> None:
    learned: Learned[str] = Learned()
    assert learned.need("f") == {}
    learned.note("f", 1_000, 0)
    learned.note("f", 500, 0)
    assert learned.need("f") == {"ram_mib": 1_100}
    learned.note("f", 500, 2_000)
    assert learned.need("f") == {"ram_mib": 1_100, "gpu_mib": 2_200}
    assert dict(learned.items())["f"].ram_mib == 1_000


def test_what_has_not_run_for_long_is_forgotten() -> None:
    learned: Learned[str] = Learned()
    for number in range(MOST_KEYS + 1):
        learned.note(f"f{number}", 100, 0)
    assert learned.need("f0") == {}
    assert learned.need("f1") == {"ram_mib": 111}
