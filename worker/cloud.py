"""What the executor needs of the cloud: three requests, each ended in one value.

`worker.modelarts.client` speaks it over HTTP; tests and rehearsals bring their own.
"""

from collections.abc import Callable
from typing import Protocol

from jobs.decide import Offered
from jobs.model import PluginWish, PoolRead, Target
from jobs.outcomes import Answer
from worker.modelarts.faults import GateClosed

__all__ = ["Cloud", "Gate", "GateClosed"]

Gate = Callable[[], None]
"""Called right before the first byte leaves; raises `GateClosed` to send nothing."""


class Cloud(Protocol):
    """The plug-in calls of one endpoint with one credential.

    No method retries, waits for a turn or raises for anything the cloud or the network
    does; cancellation passes through.
    """

    @property
    def endpoint(self) -> str:
        """The base URL, for messages."""
        ...

    async def create(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Send the install or upgrade; *wish* carries the full inputs."""
        ...

    async def update(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Change the installed plug-in; NO_SUCH_API where the site has no such call."""
        ...

    async def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> PoolRead | Answer:
        """Read the pool's plug-ins."""
        ...

    async def offers(
        self, target: Target, plugin: str, *, gate: Gate, timeout_s: float
    ) -> Offered | Answer:
        """Read what the template offers this pool."""
        ...
