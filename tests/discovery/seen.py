"""A simulated cloud and somebody who looks at it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from config.settings import Settings
from worker.contact import discovering
from worker.discovery import Discovery, Place
from worker.simulator import Simulator
from worker.stores import opened_store

FAST: dict[str, Any] = {"auth": "none", "rate": 1000}


def settings(url: str, folder: Path, **cloud: Any) -> Settings:
    """Return settings for the cloud at *url* with a store in *folder*."""
    values: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'store.db'}"},
        "cloud": {"endpoint": url, **FAST, **cloud},
    }
    return Settings.model_validate(values)


@asynccontextmanager
async def looking(told: Settings) -> AsyncIterator[Discovery]:
    """Look at the cloud that the settings name."""
    async with opened_store(told.store) as store, discovering(told, store) as discovery:
        yield discovery


def places(cloud: Simulator) -> Sequence[Place]:
    """Return every project of the fleet, as if named by a person."""
    return [Place(project_id=one) for one in cloud.fleet.projects]
