"""Takes the place of a plugin's interpreter and answers as an enemy would."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
from typing import Any

from jobqueue_widget.child import wire
from jobqueue_widget.child.plugins import typed

_, JOBS, FRAMES = map(int, sys.argv[-3:]) if __name__ == "__main__" else (0, 0, 0)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (os.environ["BOMB"], "w"))


def read(count: int) -> bytes:
    data = b""
    while len(data) < count:
        got = os.read(JOBS, count - len(data))
        if not got:
            raise SystemExit
        data += got
    return data


def send(kind: bytes, number: int, body: bytes) -> None:
    os.write(FRAMES, wire.HEADER.pack(kind, number, len(body)) + body)


def end(number: int, meta: object, *parts: bytes) -> None:
    send(wire.END, number, b"".join(wire.join_parts([json.dumps(meta).encode(), *parts])))


def value(number: int, *parts: bytes) -> None:
    end(number, {"kind": "value", "plain": True}, *parts)


def attack(how: str, number: int) -> None:
    """One wrong answer to a call."""
    bomb = pickle.dumps(Bomb())
    if how == "pickle as a frame":
        send(wire.VALUE, number, bomb)
    elif how == "pickle as a value":
        value(number, bomb)
    elif how == "pickle that is said to be plain":
        end(number, {"kind": "value", "plain": False}, bomb)
    elif how == "pickle as an exception":
        meta = {"kind": "error", "type": "X", "message": "m", "traceback": "t"}
        end(number, meta, bomb)
    elif how == "a class that nobody registered":
        value(number, b'{"t":"object","v":["subprocess.Popen",{"args":"id"}]}')
    elif how == "a file of the user":
        end(number, {"kind": "value", "plain": True, "file": os.environ["VICTIM"]})
    elif how == "a file outside":
        spool = os.environ["SPOOL"]
        end(number, {"kind": "value", "plain": True, "file": f"{spool}/../victim"})
    elif how == "a length without end":
        os.write(FRAMES, struct.pack(">cIQ", wire.END, number, 1 << 60))
    elif how == "no frame at all":
        os.write(FRAMES, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    elif how == "an end without words":
        end(number, {"kind": "error"})
    elif how == "an end that is a list":
        end(number, [1])
    elif how == "an end of no parts":
        send(wire.END, number, struct.pack(">Q", 0))
    elif how == "odd progress":
        send(wire.PROGRESS, number, b'{"__class__": 1}')
    elif how == "answers that nobody asked for":
        for _ in range(100):
            send(wire.ANSWER, 7, b"".join(wire.join_parts([b"{}", bomb])))
        value(number, bomb)
    elif how == "chunks that nobody reads":
        head = json.dumps({"kind": "value", "plain": True}).encode()
        for _ in range(100):
            send(wire.CHUNK, number, b"".join(wire.join_parts([head, bomb])))
        value(number, bomb)
    elif how == "the end of another job":
        value(number + 1, b"1")
        value(number, bomb)


def main() -> None:
    send(wire.READY, 0, b"{}")
    while True:
        _, number, length = wire.HEADER.unpack(read(wire.HEADER.size))
        call = json.loads(bytes(wire.split_parts(memoryview(read(length)))[0]))
        if call["op"] == "load":
            os.environ["SPOOL"] = call["spool"]
            value(number, *typed.encode({"name": "x", "can": 5}, {}))
        elif call["op"] == "execute":
            attack(os.environ["ATTACK"], number)
        else:
            value(number, b"null")


if __name__ == "__main__":
    sys.stderr.write("hostile\n")
    main()
