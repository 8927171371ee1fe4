"""Who works on the queue, and how much there is to do."""

from collections.abc import Mapping
from typing import Any

from jobs.clock import iso
from jobs.states import HELD_STATES, JobState
from jobs.store.protocol import OperatorStore, WorkerRow


def worker_fields(row: WorkerRow) -> dict[str, Any]:
    """Return a worker as JSON shows it."""
    return {
        "worker": row.info.name,
        "host": row.info.host,
        "pid": row.info.pid,
        "alive": row.alive,
        "jobs": row.jobs,
        "profiles": list(row.info.profiles),
        "started_at": iso(row.started_us),
        "heartbeat_at": iso(row.heartbeat_us),
        "lease_until": iso(row.lease_until_us),
    }


async def queue_fields(store: OperatorStore) -> Mapping[str, int]:
    """Return how much there is to do, and who does it."""
    counts = await store.counts()
    now_us = await store.now_us()
    workers = await store.workers()
    return {
        "queued": counts.get(JobState.WAITING, 0) + counts.get(JobState.READY, 0),
        "running": sum(counts.get(state, 0) for state in HELD_STATES),
        "workers_alive": sum(one.alive and one.lease_until_us > now_us for one in workers),
    }
