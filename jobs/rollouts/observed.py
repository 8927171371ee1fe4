"""One pool as a plan sees it: what the cloud told about it, and what it did not tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobs.model import Inputs, PluginSeen, PoolSeen, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One version on offer; ``defaults`` is None when the template tells none."""

    version: str
    defaults: Inputs | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is known of one pool.

    Attributes:
        target: The pool.
        pool: As the list of pools shows it; None when it is not there.
        plugin: The plug-in in question; None when it is absent or was not read.
        looked: Whether the pool's plug-ins were read.
        offers: Versions on offer, newest first; None when they were not read.
        blocked: Why it cannot take a plug-in now; None when it can.
        trouble: Why something above could not be read; None when nothing went wrong.
        labels: What a fleet file says beside the cloud; it wins.
    """

    target: Target
    pool: PoolSeen | None = None
    plugin: PluginSeen | None = None
    looked: bool = False
    offers: tuple[Offer, ...] | None = None
    blocked: str | None = None
    trouble: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """The order of pools in a plan."""
        return self.target.pool

    @property
    def all_labels(self) -> dict[str, str]:
        """Labels of the cloud and of the fleet file."""
        return {**(self.pool.labels if self.pool is not None else {}), **self.labels}

    @property
    def installed(self) -> str | None:
        """The installed version, None when absent or not told."""
        return None if self.plugin is None else self.plugin.version

    @property
    def versions(self) -> list[str]:
        """The versions on offer, newest first."""
        return [one.version for one in self.offers or ()]

    def with_trouble(self, why: str) -> "Observed":
        """Return the same with a reason why it is not known."""
        return replace(self, trouble=why)
