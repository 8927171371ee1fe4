"""What handlers are given: the store, the time, who hears of changes, and what is in hand."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings
from jobs.clock import Clock
from jobs.requests import Defaults
from jobs.store.protocol import Store
from worker.api.keys import Flights
from worker.api.queue import Queue
from worker.api.rates import Rates
from worker.api.tide import Tide
from worker.discovery import Discovery

Contact = Callable[[], AbstractAsyncContextManager[Discovery]]
"""Opens the cloud for as long as a plan needs it."""


@dataclass(slots=True)
class Standing:
    """What may change while the server runs."""

    draining: bool = False
    streams: int = 0
    """Callers who wait for something to happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Everything that handlers reach."""

    settings: Settings
    store: Store
    clock: Clock
    tide: Tide
    queue: Queue
    rates: Rates
    flights: Flights
    defaults: Defaults
    document: Callable[[], dict[str, Any]]
    contact: Contact
    standing: Standing = field(default_factory=Standing)
