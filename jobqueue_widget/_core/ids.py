"""Job ids: UUIDs whose first eight characters tell the jobs of a queue apart.

Laid out as a UUID of version 8, whose bits are free (RFC 9562, section 5.8): the job's number,
scrambled; four characters of its kernel's run id; the version and the number's high bits; the
variant and random bits; the rest of the run id and random bits. Ids of 0.1 are `run_id-number`.
"""

from __future__ import annotations

from contextlib import suppress

_MASK = (1 << 32) - 1
_FACTOR = 0x9E3779B1  # odd, so that multiplying by it modulo 2**32 can be undone
_INVERSE = pow(_FACTOR, -1, 1 << 32)
_LENGTH = 36


class JobIds:
    """Makes and reads the ids of one queue.

    Args:
        run_id: eight hexadecimal digits, of this kernel's queue.
        random: 5 random bytes.
    """

    def __init__(self, run_id: str, random: bytes) -> None:
        self._run_id = run_id
        self._key = int(run_id, 16)
        self._tail = random.hex()

    def continue_run(self, run_id: str) -> None:
        """Scramble as that kernel did, the first one of a journal."""
        with suppress(ValueError):  # no id of ours: a journal may hold anything
            self._key = int(run_id, 16) & _MASK

    def continue_from(self, job_id: str, number: int) -> None:
        """Scramble as the journal's earlier kernels did, so that its ids begin differently."""
        with suppress(ValueError):
            if len(job_id) == _LENGTH:
                self._key = int(job_id[:8], 16) ^ _scrambled(number)

    def id_of(self, number: int) -> str:
        """Return the id of the job with this number."""
        first = _scrambled(number) ^ self._key
        high = (number >> 32) & 0xFFF
        run, tail = self._run_id, self._tail
        return f"{first:08x}-{run[:4]}-8{high:03x}-8{tail[:3]}-{run[4:]}{tail[2:10]}"

    def number_of(self, job_id: str, run_ids: frozenset[str]) -> int | None:
        """Return the number of a job's id; None if that is of none of these runs."""
        try:
            if len(job_id) != _LENGTH:
                run_id, _, number = job_id.partition("-")
                return int(number) if run_id in run_ids else None
            if job_id[9:13] + job_id[24:28] not in run_ids:
                return None
            low = (int(job_id[:8], 16) ^ self._key) * _INVERSE & _MASK
            return low | int(job_id[15:18], 16) << 32
        except ValueError:
            return None


def _scrambled(number: int) -> int:
    return number * _FACTOR & _MASK
