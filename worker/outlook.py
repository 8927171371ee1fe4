"""What whoever looks at the cloud has in hand."""

from dataclasses import dataclass

from config.settings import Settings
from jobs.store.protocol import Store
from worker.discovery import Discovery


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The settings, the store, and the cloud to be asked."""

    settings: Settings
    store: Store
    cloud: Discovery
