"""pgqueuer on asyncpg: batches of 100, which is its best size in the notes."""

from datetime import timedelta

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.peers.posting import Poster

NEEDS = "postgres"
BATCH = 1000


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs, BATCH in a statement."""
    connection = await asyncpg.connect(address)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for first in range(0, jobs, BATCH):
        numbers = range(first, min(first + BATCH, jobs))
        await queries.enqueue(
            ["post"] * len(numbers), [b"%d" % one for one in numbers], [0] * len(numbers)
        )
    await connection.close()


async def work(address: str, poster: Poster) -> None:
    """Drain the queue."""
    connection = await asyncpg.connect(address)
    queue = PgQueuer(AsyncpgDriver(connection))

    async def post(job: object) -> None:
        await poster.post(int(job.payload))  # type: ignore[attr-defined]  # pgqueuer's Job

    queue.entrypoint("post")(post)
    await queue.run(
        batch_size=100,
        dequeue_timeout=timedelta(seconds=1),
        mode=QueueExecutionMode.drain,
    )
    if not connection.is_closed():
        await connection.close()
