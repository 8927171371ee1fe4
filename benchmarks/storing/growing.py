"""One subject as its queue grows: enqueue, claims and the cost of a job at each size.

    python -m benchmarks.storing.growing SUBJECT ADDRESS LIMIT SERVER_PID

Prints JSON.  CPU is that of this process with all its threads, and beside it that of the process
tree SERVER_PID (the database; 0 for none), whose clock ticks are 10 ms.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import anyio

from benchmarks.processes import peak_mb, tree_cpu
from benchmarks.storing.parts import Parts
from benchmarks.storing.subjects import SUBJECTS, Subject
from worker.garbage import collected_rarely

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
BATCH: Final = 1_000
AHEAD: Final = 10
"""Batches that are built in memory before they are stored."""
CLAIM: Final = 500
CLAIMS: Final = 40
CARRIED: Final = 4_000
"""Jobs that are carried to the end at each size; no more than half of them."""


class Growth:
    """A subject, and the figures so far."""

    def __init__(self, subject: Subject, server: int) -> None:
        self._subject = subject
        self._server = server
        self.stored = 0
        """Jobs stored so far."""
        self._gone = 0
        self.prepared_s = 0.0
        self.stored_s = 0.0
        self.stored_cpu_s = 0.0
        self.stored_server_s = 0.0
        self.sizes: list[dict[str, Any]] = []

    @property
    def left(self) -> int:
        """Jobs that are queued now."""
        return self.stored - self._gone

    async def grow(self, size: int) -> None:
        """Fill up to *size* queued jobs, and measure there."""
        while self.left < size:
            await self._fill(min(AHEAD * BATCH, size - self.left))
        claims = await self._claims()
        await anyio.sleep(0.2)  # the database hands in what it owes before CPU is read
        self.sizes.append(
            {"size": size, "claims_ms": claims, "rss_mb": peak_mb()} | await self._carried(size)
        )

    async def _fill(self, many: int) -> None:
        begun, end = time.perf_counter(), self.stored + many
        batches = [
            self._subject.prepare(first, min(first + BATCH, end))
            for first in range(self.stored, end, BATCH)
        ]
        server, ready, cpu = self._server_s(), time.perf_counter(), time.process_time()
        coming = iter(batches)
        async with anyio.create_task_group() as tasks:
            for _ in range(self._subject.at_a_time):
                tasks.start_soon(self._store_all, coming)
        self.prepared_s += ready - begun
        self.stored_s += time.perf_counter() - ready
        self.stored_cpu_s += time.process_time() - cpu
        self.stored_server_s += self._server_s() - server
        self.stored += many

    async def _store_all(self, batches: Iterator[Any]) -> None:
        for batch in batches:
            await self._subject.store(batch)

    def _server_s(self) -> float:
        return tree_cpu(self._server) if self._server else 0.0

    async def _claims(self) -> list[float]:
        """Claim and put back again and again; return what each claim took, in milliseconds."""
        taken_ms = []
        for _ in range(CLAIMS):
            begun = time.perf_counter()
            taken = await self._subject.claim(CLAIM)
            taken_ms.append((time.perf_counter() - begun) * 1e3)
            assert len(taken) == CLAIM, len(taken)
            await self._subject.put_back(taken)
        return taken_ms

    async def _carried(self, size: int) -> dict[str, Any]:
        jobs = min(CARRIED, size // 2)
        parts, server, wall = Parts(), self._server_s(), time.perf_counter()
        for _ in range(jobs // CLAIM):
            with parts.of("claim"):
                taken: Sequence[Any] = await self._subject.claim(CLAIM)
            await self._subject.carry(taken, parts)
        self._gone += jobs
        told: dict[str, Any] = {
            "cpu_us": parts.store_us(jobs),
            "parts_us": parts.us(jobs),
            "wall_us": (time.perf_counter() - wall) / jobs * 1e6,
        }
        if self._server:
            await anyio.sleep(0.2)
            told["server_us"] = (self._server_s() - server) / jobs * 1e6
        return told


async def main(name: str, address: str, limit: int, server: int) -> None:
    """Measure and print."""
    async with SUBJECTS[name](address) as subject:
        with collected_rarely():  # as in a worker; peers have it, too
            told = await _grown(Growth(subject, server), limit)
    print(json.dumps(told))


async def _grown(growth: Growth, limit: int) -> dict[str, Any]:
    """Grow a subject up to *limit* and return the figures."""
    for size in SIZES:
        if size <= limit:
            await growth.grow(size)
    return {
        "stored": growth.stored,
        "left": growth.left,
        "prepare_s": growth.prepared_s,
        "store_s": growth.stored_s,
        "store_cpu_us": growth.stored_cpu_s / growth.stored * 1e6,
        "store_server_us": growth.stored_server_s / growth.stored * 1e6,
        "sizes": growth.sizes,
    }


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        backend_options={"use_uvloop": True},
    )
