"""taskiq on NATS JetStream: a pull consumer in batches of 100."""

import asyncio

import anyio
from taskiq.receiver import Receiver
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks.peers.posting import AT_ONCE, Poster

NEEDS = "nats"


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs; the library takes one at a time."""
    broker = PullBasedJetStreamBroker(address)
    await broker.startup()

    async def post(number: int) -> None:
        raise NotImplementedError  # the worker's process has the task

    task = broker.register_task(post, task_name="post")
    for number in range(jobs):
        await task.kiq(number)
    await broker.shutdown()


async def work(address: str, poster: Poster) -> None:
    """Receive until every job was posted, then let the receiver end by itself."""
    broker = PullBasedJetStreamBroker(address, pull_consume_batch=100, pull_consume_timeout=0.2)
    ended = asyncio.Event()

    async def post(number: int) -> None:
        await poster.post(number)
        if poster.done:
            ended.set()

    broker.register_task(post, task_name="post")
    broker.is_worker_process = True
    await broker.startup()
    receiver = Receiver(broker, max_async_tasks=AT_ONCE, max_prefetch=AT_ONCE, run_startup=False)
    with anyio.move_on_after(600):
        await receiver.listen(ended)
    await broker.shutdown()
