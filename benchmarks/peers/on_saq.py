"""saq on Redis, in burst mode."""

from saq import Queue, Worker

from benchmarks.peers.posting import AT_ONCE, Poster

NEEDS = "redis"


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs; the library takes one at a time."""
    queue = Queue.from_url(address)
    await queue.connect()
    for number in range(jobs):
        await queue.enqueue("post", number=number)
    await queue.disconnect()


async def work(address: str, poster: Poster) -> None:
    """Drain the queue."""
    queue = Queue.from_url(address)
    await queue.connect()

    async def post(_: object, *, number: int) -> None:
        await poster.post(number)

    worker = Worker(
        queue, functions=[("post", post)], concurrency=AT_ONCE, burst=True, dequeue_timeout=0.5
    )
    worker.SIGNALS = []
    await worker.start()
    await queue.disconnect()
