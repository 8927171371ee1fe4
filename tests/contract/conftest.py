"""One suite for every engine: an engine joins by one line in ENGINES."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from jobs.clock import Clock, SystemClock
from jobs.model import WorkerId
from jobs.store.postgres import Patience, open_postgres
from jobs.store.protocol import Store
from jobs.store.sqlite import open_sqlite
from tests.contract.steps import ONE, a_worker
from tests.fakes import FakeClock
from tests.postgres.server import dsn_for

Opener = Callable[[Path, Clock], Awaitable[Store]]
"""Opens the one store that belongs to a folder; twice the same folder is twice the same store."""


async def _sqlite(place: Path, clock: Clock) -> Store:
    return await open_sqlite(place / "jobs.db", clock)


async def _postgres(place: Path, clock: Clock) -> Store:
    # The store's time is the database's, in production; here it is the test's.
    at_once = Patience(confirm_death_s=0, trust_after_s=0)
    return await open_postgres(await dsn_for(place), SystemClock(), patience=at_once, time=clock)


ENGINES: Mapping[str, Opener] = {"postgres": _postgres, "sqlite": _sqlite}


@pytest.fixture
def clock() -> FakeClock:
    """The store's time; it stands still until a test moves it."""
    return FakeClock()


@pytest.fixture(params=sorted(ENGINES))
def opener(request: pytest.FixtureRequest) -> Opener:
    """Every engine in turn."""
    return ENGINES[request.param]


@pytest.fixture
async def store(opener: Opener, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    """A fresh store."""
    opened = await opener(tmp_path, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(
    opener: Opener, tmp_path: Path, clock: FakeClock, store: Store
) -> AsyncIterator[Store]:
    """The same store as another process sees it."""
    opened = await opener(tmp_path, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def worker(store: Store) -> WorkerId:
    """A live worker."""
    return await a_worker(store, ONE)
