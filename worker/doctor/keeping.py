"""Where jobs are kept, and whether any of them rest behind a breaker.

Nothing is made and nothing is brought up to date: a store that is missing is told, and a
store that cannot be used is no reason to look away from its shared limit.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import StoreSettings
from jobs.clock import Clock
from jobs.errors import ConfigError, StoreError
from jobs.states import OPEN_STATES, WaitReason
from jobs.store.protocol import LimitStore, Store
from worker.doctor.lines import CheckLine
from worker.rows import RowsInMemory
from worker.stores import opened_store

LITTLE_BYTES: Final = 1_000_000_000
"""Free space below which a person should look: a million jobs take about this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of the store.

    Attributes:
        line: What to tell.
        store: To ask further; None when there is none.
        rows: The limiter's rows; None when the shared ones cannot be reached, so that no
            request may leave.
    """

    line: CheckLine
    store: Store | None = None
    rows: LimitStore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits: open jobs, those behind a breaker, and who works on them."""

    open: int
    parked: int
    workers: int


@asynccontextmanager
async def kept(settings: StoreSettings, clock: Clock) -> AsyncIterator[Kept]:
    """Open the store as it is while the block lasts; never raises for the store."""
    path = settings.sqlite_path
    if path is not None and _is_missing(path):
        text = f"there is none yet at {path}"
        do = "`plugwave enqueue FILE` or `plugwave store migrate` makes it"
        yield Kept(line=CheckLine.warn("store", text, do), rows=RowsInMemory(clock))
        return
    async with AsyncExitStack() as stack:
        try:
            opened = opened_store(settings, clock, migrate=False)
            store = await stack.enter_async_context(opened)
            line = await _line(store, path)
        except (StoreError, ConfigError) as error:
            found = Kept(line=CheckLine.fail("store", error))
        else:
            found = Kept(line=line, store=store, rows=store)
        yield found


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # opening it says why
    return False


async def _line(store: Store, path: Path | None) -> CheckLine:
    facts = await store.facts()
    engine = facts.engine.partition(" ")[0].lower()
    text = f"{engine} {facts.place}, schema {facts.schema}, {facts.engine}"
    if path is None:
        return CheckLine.ok("store", text)
    free = shutil.disk_usage(path.parent).free
    text += f", {free / 1e9:.1f} GB free"
    if free < LITTLE_BYTES:
        return CheckLine.warn("store", text, "free disk space before the store is full")
    return CheckLine.ok("store", text)


async def queue_of(store: Store | None) -> Queue:
    """Return what waits in the store."""
    if store is None:
        return Queue(open=0, parked=0, workers=0)
    counts, waiting = await store.counts(), await store.waiting_counts()
    alive = [row for row in await store.workers() if row.alive]
    return Queue(
        open=sum(counts.get(state, 0) for state in OPEN_STATES),
        parked=waiting.get(WaitReason.BREAKER, 0),
        workers=len(alive),
    )


async def refused_in(store: Store | None) -> list[str]:
    """Return the names of the credentials of which a secret was refused."""
    if store is None:
        return []
    rows = await store.buckets()
    found = [key.partition("|") for key, row in rows.items() if row.refused is not None]
    return sorted(name for kind, _, name in found if kind == "breaker")
