"""What comes through a pipe is taken apart exactly, however it was cut, or refused."""

from __future__ import annotations

import array
import collections
import itertools
import json
import os
import pickle
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobqueue_widget.child import wire
from jobqueue_widget.workers import pipes
from jobqueue_widget.workers.system.posix import PipeEnd

KINDS = [wire.READY, wire.PROGRESS, wire.END, wire.VALUE]
Frame = tuple[bytes, int, bytes]
frames = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 2**32 - 1),
    st.one_of(
        st.binary(max_size=40),
        st.integers(1, 3).map(lambda times: bytes(range(256)) * 256 * times + b"!"),
    ),
)


class Pipe:
    """A real pipe and the reader at its end."""

    def __init__(self) -> None:
        read, self.write_fd = os.pipe()
        self.reader = pipes.FrameReader(PipeEnd.prepared(read))
        self.writer = pipes.PipeWriter(PipeEnd.prepared(self.write_fd))
        self.seen: list[Frame] = []

    def send(self, data: bytes) -> None:
        assert os.write(self.write_fd, data) == len(data)

    def read(self) -> bool:
        return self.reader.read(
            lambda kind, number, body: self.seen.append((kind, number, bytes(body)))
        )

    def close_writer(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *error: object) -> None:
        self.close_writer()
        os.close(self.reader.fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with Pipe() as pipe:
        yield pipe


def in_bytes(sent: list[Frame]) -> bytes:
    return b"".join(b"".join(wire.frame(kind, number, [body])) for kind, number, body in sent)


# -- frames ----------------------------------------------------------------------------------------


@given(st.lists(frames, max_size=5), st.lists(st.integers(1, 100_000), max_size=20))
def test_frames_arrive_whole_and_in_order_however_the_bytes_are_cut(
    sent: list[Frame], cuts: list[int]
) -> None:
    data = in_bytes(sent)
    with Pipe() as pipe:
        places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
        for start, stop in itertools.pairwise(places):
            pipe.send(data[start:stop])
            assert pipe.read()
        assert pipe.seen == sent
        pipe.close_writer()
        assert not pipe.read(), "the end of the pipe"


def test_a_frame_that_arrives_byte_by_byte_is_one_frame(pipe: Pipe) -> None:
    sent = [(wire.PROGRESS, 7, b"[0.5, null]"), (wire.READY, 0, b"")]
    for byte in in_bytes(sent):
        pipe.send(bytes([byte]))
        assert pipe.read()
    assert pipe.seen == sent


@given(st.binary(max_size=200))
@example(wire.HEADER.pack(wire.END, 1, wire.FRAME_CAP + 1))
@example(wire.HEADER.pack(wire.JOB, 1, 0))
def test_bytes_that_are_no_frames_of_a_worker_are_refused(data: bytes) -> None:
    with Pipe() as pipe:
        pipe.send(data)
        try:
            assert pipe.read()
        except wire.ProtocolError:
            pipe.seen.clear()
        else:
            left = data[len(in_bytes(pipe.seen)) :]
            assert in_bytes(pipe.seen) + left == data
            if len(left) >= wire.HEADER.size:
                kind, _, length = wire.HEADER.unpack_from(left)
                assert kind in KINDS
                assert len(left) - wire.HEADER.size < length <= wire.FRAME_CAP


def test_an_oversized_frame_is_refused_by_its_header(pipe: Pipe) -> None:
    pipe.send(in_bytes([(wire.READY, 0, b"")]) + wire.HEADER.pack(wire.END, 1, 2**63))
    with pytest.raises(wire.ProtocolError, match="no frame of ours"):
        pipe.read()
    assert pipe.seen == [(wire.READY, 0, b"")], "what came before it counts"


def test_a_frame_whose_writer_dies_half_way_is_not_handed_over(pipe: Pipe) -> None:
    pipe.send(in_bytes([(wire.END, 1, b"x" * 200_000)])[:-1])
    assert pipe.read()
    pipe.close_writer()
    assert not pipe.read()
    assert pipe.seen == []


def test_a_pipe_that_is_full_gets_the_rest_later(pipe: Pipe) -> None:
    writer = pipe.writer
    sent = [(wire.END, number, bytes([number]) * 700_000) for number in range(5)]
    pieces = [part for kind, number, body in sent for part in wire.frame(kind, number, [body])]
    done = writer.write(pieces)
    assert not done
    while not done:
        assert pipe.read()
        done = writer.write(())
    assert pipe.read()
    assert pipe.seen == sent


def test_writing_to_a_worker_that_is_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    assert pipes.PipeWriter(PipeEnd(write)).write([b"x"])
    os.close(write)


def test_a_job_that_is_larger_than_a_frame_is_sent_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "FRAME_CAP", 64)
    data = b"".join(wire.pieces(wire.JOB, 9, [pickle.dumps((b"x" * 200,), 5)]))
    kinds, body = [], b""
    while data:
        kind, number, length = wire.HEADER.unpack_from(data)
        assert number == 9
        assert length <= 32
        kinds.append(kind)
        body += data[wire.HEADER.size : wire.HEADER.size + length]
        data = data[wire.HEADER.size + length :]
    assert kinds == [wire.MORE] * (len(kinds) - 1) + [wire.JOB]
    assert pickle.loads(body) == (b"x" * 200,)


def test_small_frames_are_one_piece_and_large_ones_are_not_copied() -> None:
    large = memoryview(bytes(wire.SMALL))
    assert len(wire.frame(wire.END, 1, [b"a", b"b"])) == 1
    assert wire.frame(wire.END, 1, [b"a", large])[2] is large


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_parts_come_apart_as_they_were_joined(parts: list[bytes]) -> None:
    joined = b"".join(wire.join_parts(parts))
    assert [bytes(part) for part in wire.split_parts(memoryview(joined))] == parts


@given(st.binary(max_size=100))
@example((2**64 - 1).to_bytes(8, "big"))
@example(b"".join(number.to_bytes(8, "big") for number in (2, 2**64 - 1, 1)))
@example(b"".join(wire.join_parts([b"one", b"two"])) + b"more")
def test_an_index_that_does_not_fit_its_data_is_refused(data: bytes) -> None:
    try:
        parts = wire.split_parts(memoryview(data))
    except wire.ProtocolError:
        return
    assert b"".join(wire.join_parts([bytes(part) for part in parts])) == data


def test_everything_is_written_also_when_the_pipe_takes_a_part_only() -> None:
    read, write = os.pipe()
    got = bytearray()

    def drain() -> None:
        while data := os.read(read, 1 << 16):
            got.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    numbers = array.array("q", range(300_000))
    wire.write_all(write, [b"head", b"", memoryview(numbers)])
    os.close(write)
    thread.join()
    os.close(read)
    assert bytes(got) == b"head" + numbers.tobytes()


# -- values ----------------------------------------------------------------------------------------

texts = st.text("ab\xe9\u20ac\U0001f600", max_size=5)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


class Text(str):
    __slots__ = ()


@given(plain)
def test_a_plain_value_comes_back_without_anybodys_code(value: object) -> None:
    assert wire.is_plain(value)
    head, *buffers = wire.dump(value, pickle.dumps)
    assert not buffers
    assert wire.load_plain([memoryview(head)]) == value


@pytest.mark.parametrize(
    "value",
    [
        Text("x"),
        [1, {"key": (Text("x"),)}],
        collections.OrderedDict(),
        np.float64(1.0),
        len,
        list(range(1_000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_of_another_type_or_large_is_not_plain(value: object) -> None:
    assert not wire.is_plain(value)


def test_a_value_that_contains_itself_is_looked_at_to_an_end() -> None:
    value: list[object] = []
    value += [value, value]
    assert not wire.is_plain(value)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.putenv, ("JOBQUEUE_TEST_BOMB", "exploded"))


@pytest.mark.parametrize("one", wire.PLAIN_TYPES | wire.CONTAINERS, ids=lambda kind: kind.__name__)
def test_a_value_of_each_plain_type_is_read(one: type) -> None:
    value = None if one is type(None) else one()
    assert wire.is_plain([value])
    assert wire.load_plain([memoryview(pickle.dumps([value], 5))]) == [value]


class Nameless(type):
    """Its classes answer nothing that they are asked."""

    def __getattribute__(cls, name: str) -> object:
        raise RuntimeError(name)


class Numbered(type):
    """Its classes have no text for a module."""

    @property
    def __module__(cls) -> int:  # type: ignore[override]
        return 5


@pytest.mark.parametrize("meta", [Nameless, Numbered])
def test_a_value_that_is_not_kept_is_described_whatever_its_class_does(meta: type) -> None:
    value = meta("Odd", (), {})()
    lost = wire.not_kept(value, "no")["lost"]
    assert lost["type"].endswith("Odd")
    assert lost["reason"] == "no"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [Bomb(), collections.OrderedDict(a=1), len, ValueError("no")])
def test_a_class_in_a_value_that_was_said_to_be_plain_is_refused(
    value: object, protocol: int
) -> None:
    with pytest.raises(pickle.UnpicklingError, match="said to be plain"):
        wire.load_plain([memoryview(pickle.dumps(value, protocol))])


def test_large_arrays_travel_beside_the_pickle_and_come_back_equal() -> None:
    value = {"numbers": np.arange(100_000), "text": "x"}
    head, *buffers = wire.dump(value, pickle.dumps)
    assert len(head) < 1_000
    assert sum(map(len, buffers)) == value["numbers"].nbytes  # type: ignore[attr-defined]
    joined = memoryview(b"".join(wire.join_parts([head, *buffers])))
    loaded = wire.load(wire.split_parts(joined))
    assert loaded["text"] == "x"
    assert (loaded["numbers"] == value["numbers"]).all()


# -- errors in words -------------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit("not even my name")


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as found:
        return found


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        Mute(),
        KeyboardInterrupt(),
        ValueError("\ud800 half a character"),
        ValueError("x" * 10_000_000),
        ExceptionGroup("several", [ValueError("a"), Mute()]),
        json.JSONDecodeError("bad", "{", 0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_exception_can_be_told(error: BaseException) -> None:
    told = wire.describe(caught(error))
    assert told[0] == type(error).__name__
    assert all(len(text.encode()) <= wire.TEXT_CAP for text in told)
    assert type(error).__name__ in told[2]


def test_a_cause_that_leads_back_to_itself_is_told_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in wire.describe(first)[2]


def test_our_own_frames_are_left_out_of_a_traceback_but_never_all() -> None:
    error = caught(ValueError("no"))
    assert "test_wire.py" in wire.describe(error, (__file__,))[2], "better ours than none"

    def theirs() -> None:
        exec(compile("raise ValueError('no')", "cell 1", "exec"))

    try:
        theirs()
    except ValueError as found:
        text = wire.describe(found, (__file__,))[2]
    assert "cell 1" in text
    assert "test_wire.py" not in text


@given(st.text("y\n\xe9\u20ac\U0001f600\ud800\udfff\0"))
@example("y" * 100_000)
@example("y" + "\U0001f600" * 40_000 + "y")
@example("y" + "\ud800" * 40_000 + "y")
@example("\ud800" * (wire.TEXT_CAP // 6))
def test_clean_text_can_be_encoded_and_keeps_its_ends(text: str) -> None:
    cleaned = wire.clean(text)
    assert len(cleaned.encode()) <= wire.TEXT_CAP
    if len(text) > wire.TEXT_CAP // 6:
        assert "characters ..." in cleaned
        assert (cleaned[0], cleaned[-1]) == ("y", "y")
