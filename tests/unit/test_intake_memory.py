"""Intake of a large file: the memory does not grow with it."""

import io
import tracemalloc
from collections.abc import Sequence

import pytest

from jobs.intake.records import jsonl_records
from jobs.intake.taking import IntakeSummary, take_in
from jobs.model import JobId, JobRequest
from jobs.store.protocol import Enqueued, IntakePosition, Verdict


class Endless(io.RawIOBase):
    """A file that makes its lines while it is read."""

    def __init__(self, count: int, width: int) -> None:
        self._lines = iter(range(count))
        self._filler = "x" * width
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # as io calls it
        while not self._rest:
            number = next(self._lines, None)
            if number is None:
                return 0
            self._rest = (
                b'{"project_id":"p","pool_name":"pool-%d","plugin":{"name":"v","inputs":{"a":"%b"}}}\n'
                % (number, self._filler.encode())
            )
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


class ForgetfulStore:
    """Keeps nothing, so that what grows is intake's."""

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """Forget the requests."""
        return [Enqueued(verdict=Verdict.CREATED, job=JobId(1)) for _ in requests]

    async def intake_position(self, source: str, digest: str) -> int:
        """Know no files."""
        return 0


async def peak_bytes(count: int, width: int) -> int:
    """Return the most memory that was in use while taking *count* lines in."""
    file = io.BufferedReader(Endless(count, width))
    tracemalloc.start()
    try:
        summary = await take_in(
            ForgetfulStore(), jsonl_records(file), source="cli", on_result=lambda _result: None
        )
        assert summary == IntakeSummary(created=count)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file() -> None:
    """A file ten times as long needs no more memory."""
    await peak_bytes(1_000, 50)  # caches fill up
    short = await peak_bytes(2_000, 50)

    long = await peak_bytes(20_000, 50)

    assert long < short * 1.2
    assert long < 16 * 1024 * 1024
