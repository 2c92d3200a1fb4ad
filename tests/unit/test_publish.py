"""Subscribers and streams: in order, bounded, and never able to hold up or break the queue."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jobqueue_widget._runtime import publish
from jobqueue_widget._runtime.publish import JobEvent, Publisher


def event(type: str = "started", job_id: str | None = "a", **payload: object) -> JobEvent:
    return JobEvent(type, job_id, 0.0, payload)


def publisher() -> Publisher:
    return Publisher(lambda: None, logging.getLogger)


def test_subscribers_get_events_in_order_when_they_are_delivered() -> None:
    source, seen = publisher(), list[JobEvent]()
    source.subscribe(seen.append)
    wanted = [event("started"), event("ended"), event("started", "b")]
    for item in wanted:
        source.push(item)
    assert not seen
    source.deliver()
    assert seen == wanted


def test_unread_progress_of_a_job_is_thinned_to_the_newest() -> None:
    source, seen = publisher(), list[JobEvent]()
    source.subscribe(seen.append)
    for number in range(100):
        source.push(event("progress", "a", progress=number))
    source.push(event("ended", "a"))
    source.deliver()
    assert [item.type for item in seen] == ["progress", "ended"]
    assert seen[0].payload["progress"] == 99


def test_an_ended_subscription_gets_nothing_more() -> None:
    source, seen = publisher(), list[JobEvent]()
    unsubscribe = source.subscribe(seen.append)
    unsubscribe()
    unsubscribe()
    source.push(event())
    source.deliver()
    assert not seen
    assert not source.active


def test_a_subscriber_that_raises_is_counted_and_dropped_after_three_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, seen = publisher(), list[JobEvent]()

    def broken(item: JobEvent) -> None:
        raise ValueError("no")

    source.subscribe(broken)
    source.subscribe(seen.append)
    for _ in range(5):
        source.push(event())
    source.deliver()
    assert len(seen) == 5
    assert source.failures == 3
    assert "dropped" in caplog.text


def test_a_subscriber_that_waits_gets_what_happens_meanwhile_in_order_and_so_do_others() -> None:
    source, seen = publisher(), list[str]()

    def waits(item: JobEvent) -> None:
        seen.append(f"waits {item.job_id}")
        if item.job_id == "1":
            source.push(event("started", "3"))
            source.deliver()  # as its wait has the loop do

    source.subscribe(lambda item: seen.append(f"first {item.job_id}"))
    source.subscribe(waits)
    source.subscribe(lambda item: seen.append(f"last {item.job_id}"))
    for number in "12":
        source.push(event("started", number))
    source.deliver()
    assert seen == [f"{who} {number}" for number in "123" for who in ("first", "waits", "last")]
    assert not source._calls


def test_a_queue_that_nobody_drains_is_bounded_and_counts_its_losses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = publisher()
    source.subscribe(lambda item: None)
    for _ in range(publish.BACKLOG + 7):
        source.push(event())
    assert source.dropped == 7


async def read_all(stream: publish.EventStream) -> list[JobEvent]:
    return [item async for item in stream]


def test_a_stream_of_one_job_ends_with_it_and_sees_only_it() -> None:
    async def scenario() -> list[JobEvent]:
        source = publisher()
        stream = source.stream("a")
        for item in (event("started"), event("started", "b"), event("ended"), event("started")):
            source.push(item)
        seen = await asyncio.wait_for(read_all(stream), 10)
        assert not source.active, "a stream that is over is forgotten"
        return seen

    assert [item.type for item in asyncio.run(scenario())] == ["started", "ended"]


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    async def scenario() -> None:
        source = publisher()
        stream = source.stream(None)
        for number in range(publish.STREAM_BACKLOG + 5):
            source.push(event("started", str(number)))
        source.close()
        seen = await asyncio.wait_for(read_all(stream), 10)
        assert stream.dropped == 5
        assert [item.job_id for item in seen][:1] == ["5"]
        assert len(seen) == publish.STREAM_BACKLOG

    asyncio.run(scenario())


def test_a_stream_whose_loop_is_gone_is_forgotten() -> None:
    source = publisher()

    async def open_only() -> publish.EventStream:
        return source.stream(None)

    stream = asyncio.run(open_only())
    source.push(event())
    assert stream is not None
    assert not source.active
