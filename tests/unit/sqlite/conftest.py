"""A store in a file of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.store.sqlite import SqliteStore, open_sqlite
from tests.fakes import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file goes."""
    return tmp_path / "jobs.db"


@pytest.fixture
def clock() -> FakeClock:
    """The store's time."""
    return FakeClock()


@pytest.fixture
async def store(path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    """A fresh store that gives up early when it is locked."""
    opened = await open_sqlite(path, clock, busy_s=0.05)
    yield opened
    await opened.close()
