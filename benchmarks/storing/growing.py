"""One subject as its queue grows: enqueue, claims and the cost of a job at each size.

    python -m benchmarks.storing.growing SUBJECT ADDRESS LIMIT SERVER_PID

Prints JSON.  CPU is that of this process with all its threads, and beside it that of the process
tree SERVER_PID (the database; 0 for none), whose clock ticks are 10 ms.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import anyio

from benchmarks.processes import peak_mb, tree_cpu
from benchmarks.storing.subjects import SUBJECTS, Subject

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
BATCH: Final = 1_000
CLAIM: Final = 500
CLAIMS: Final = 40
CARRIED: Final = 2_000
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
        self.sizes: list[dict[str, Any]] = []

    @property
    def left(self) -> int:
        """Jobs that are queued now."""
        return self.stored - self._gone

    async def grow(self, size: int) -> None:
        """Fill up to *size* queued jobs, and measure there."""
        while self.left < size:
            await self._fill(min(BATCH, size - self.left))
        claims = await self._claims()
        await anyio.sleep(0.2)  # the database hands in what it owes before CPU is read
        self.sizes.append(
            {"size": size, "claims_ms": claims, "rss_mb": peak_mb()} | await self._carried(size)
        )

    async def _fill(self, many: int) -> None:
        begun = time.perf_counter()
        batch = self._subject.prepare(self.stored, self.stored + many)
        ready = time.perf_counter()
        await self._subject.store(batch)
        self.prepared_s += ready - begun
        self.stored_s += time.perf_counter() - ready
        self.stored += many

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

    async def _carried(self, size: int) -> dict[str, float]:
        jobs = min(CARRIED, size // 2)
        server = tree_cpu(self._server) if self._server else 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(jobs // CLAIM):
            taken: Sequence[Any] = await self._subject.claim(CLAIM)
            await self._subject.carry(taken)
        told = {
            "cpu_us": (time.process_time() - cpu) / jobs * 1e6,
            "wall_us": (time.perf_counter() - wall) / jobs * 1e6,
        }
        if self._server:
            told["server_us"] = (tree_cpu(self._server) - server) / jobs * 1e6
        self._gone += jobs
        return told


async def main(name: str, address: str, limit: int, server: int) -> None:
    """Measure and print."""
    async with SUBJECTS[name](address) as subject:
        growth = Growth(subject, server)
        for size in SIZES:
            if size <= limit:
                await growth.grow(size)
        told = {
            "stored": growth.stored,
            "left": growth.left,
            "prepare_s": growth.prepared_s,
            "store_s": growth.stored_s,
            "sizes": growth.sizes,
        }
    print(json.dumps(told))


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        backend_options={"use_uvloop": True},
    )
