"""A database of its own for each test, on the server that all tests share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jobs.clock import SystemClock
from jobs.model import WorkerId
from jobs.store.postgres import Patience, PostgresStore, open_postgres
from tests.contract.steps import a_worker
from tests.fakes import FakeClock
from tests.postgres.server import PrivateServer, dsn_for

SOON = Patience(reconnect_s=10.0, confirm_death_s=0.0, trust_after_s=0.0)


@pytest.fixture
async def dsn(tmp_path: Path) -> str:
    """The address of an empty database with the present schema."""
    return await dsn_for(tmp_path)


@pytest.fixture
def clock() -> FakeClock:
    """The store's time."""
    return FakeClock()


@pytest.fixture
async def store(dsn: str, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    """A fresh store on the test's time."""
    opened = await open_postgres(dsn, SystemClock(), patience=SOON, time=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(dsn: str, clock: FakeClock, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same store as another process sees it."""
    opened = await open_postgres(dsn, SystemClock(), patience=SOON, time=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def worker(store: PostgresStore) -> WorkerId:
    """A live worker."""
    return await a_worker(store)


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    """A server that the test may stop and start."""
    private = PrivateServer()
    yield private
    private.remove()
