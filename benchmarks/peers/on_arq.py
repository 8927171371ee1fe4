"""arq on Redis, in burst mode, keeping no results."""

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.peers.posting import AT_ONCE, Poster

NEEDS = "redis"


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs; the library takes one at a time."""
    pool = await create_pool(RedisSettings.from_dsn(address))
    for number in range(jobs):
        await pool.enqueue_job("post", number)
    await pool.aclose()


async def work(address: str, poster: Poster) -> None:
    """Drain the queue."""

    async def post(_: object, number: int) -> None:
        await poster.post(number)

    worker = Worker(
        functions=[func(post, name="post", keep_result=0)],
        redis_settings=RedisSettings.from_dsn(address),
        burst=True,
        max_jobs=AT_ONCE,
        handle_signals=False,
        poll_delay=0.01,
    )
    await worker.async_run()
    await worker.close()
