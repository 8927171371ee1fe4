"""procrastinate on psycopg: jobs deferred in batches, done ones deleted."""

import procrastinate

from benchmarks.peers.posting import AT_ONCE, Poster

NEEDS = "postgres"
BATCH = 1000


def _app(address: str) -> procrastinate.App:
    return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs, BATCH in a statement."""
    app = _app(address)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, jobs, BATCH):
            numbers = range(first, min(first + BATCH, jobs))
            task = app.configure_task("post", allow_unknown=True)
            await task.batch_defer_async(*({"number": one} for one in numbers))


async def work(address: str, poster: Poster) -> None:
    """Drain the queue."""
    app = _app(address)
    app.task(name="post")(poster.post)
    async with app.open_async():
        await app.run_worker_async(
            wait=False,
            concurrency=AT_ONCE,
            delete_jobs="always",
            install_signal_handlers=False,
        )
