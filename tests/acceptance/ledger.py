"""What the store itself says about workers: who they were, when they were declared dead.

Read past the product, with plain SQL, once every process has ended.  Instants come back on the
scale of the cloud's record, in monotonic seconds of this machine.
"""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types

_WORKERS: Final = "SELECT id, pid, started_us, dead_us, lease_until_us FROM {schema}workers"
_LOST: Final = "SELECT job, at_us, data FROM {schema}events WHERE event = 'lease-lost'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One registration of a worker process; a process that was fenced has several."""

    worker: int
    pid: int
    started: float
    dead: float | None
    lease_end: float
    jobs: tuple[str, ...]
    """What it held when it was declared dead, by name."""


def lives(store: Path | str, *, wall: float) -> list[Life]:
    """Return every registration in the store.

    Args:
        store: The file, or the address of the database.
        wall: What the store's clock is ahead of the record's, in seconds.
    """
    found, lost = asyncio.run(_asked(store)) if isinstance(store, str) else _read(store)
    held: dict[int, list[str]] = {}
    for job, _, data in lost:
        held.setdefault(int(json.loads(data)["worker"]), []).append(f"job-{job}")

    def at(instant_us: int) -> float:
        return instant_us / 1e6 - wall

    return [
        Life(
            worker=worker,
            pid=pid,
            started=at(started_us),
            dead=None if dead_us is None else at(dead_us),
            lease_end=at(lease_us),
            jobs=tuple(held.get(worker, ())),
        )
        for worker, pid, started_us, dead_us, lease_us in found
    ]


def _read(store: Path) -> tuple[Sequence[Any], Sequence[Any]]:
    connection = sqlite3.connect(store)
    try:
        return tuple(
            connection.execute(sql.format(schema="")).fetchall() for sql in (_WORKERS, _LOST)
        )  # type: ignore[return-value]  # two statements, two answers
    finally:
        connection.close()


async def _asked(dsn: str) -> tuple[Sequence[Any], Sequence[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        workers = await connection.fetch(_WORKERS.format(schema="plugwave."))
        lost = await connection.fetch(_LOST.format(schema="plugwave."))
    finally:
        await connection.close()
    return workers, lost
