"""dramatiq on Redis: its threads take the messages, one event loop makes the requests."""

import time

import anyio.to_thread
import dramatiq
import uvloop
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, AsyncIO, Retries, ShutdownNotifications, TimeLimit
from dramatiq.worker import Worker

from benchmarks.peers.posting import Poster

NEEDS = "redis"
THREADS = 16


def _broker(address: str) -> RedisBroker:
    middleware = [AgeLimit(), TimeLimit(), ShutdownNotifications(), Retries(), AsyncIO()]
    broker = RedisBroker(url=address, middleware=middleware)
    dramatiq.set_broker(broker)
    return broker


async def enqueue(address: str, jobs: int) -> None:
    """Store the jobs; the library takes one at a time."""
    _broker(address)

    async def post(number: int) -> None:
        raise NotImplementedError  # the worker's process has the actor

    actor = dramatiq.actor(post, actor_name="post")
    await anyio.to_thread.run_sync(lambda: [actor.send(number) for number in range(jobs)])


async def work(address: str, poster: Poster) -> None:
    """Drain the queue."""
    uvloop.install()  # for the loop that dramatiq starts
    broker = _broker(address)

    async def post(number: int) -> None:
        await poster.post(number)

    dramatiq.actor(post, actor_name="post")

    def drain() -> None:
        worker = Worker(broker, worker_timeout=100, worker_threads=THREADS)
        worker.start()
        while not poster.done:
            time.sleep(0.05)
        worker.join()
        worker.stop()

    await anyio.to_thread.run_sync(drain)
