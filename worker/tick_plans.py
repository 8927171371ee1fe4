"""Plan the tick of a schedule: the same cloud, code and plan as with `plugwave plan`."""

from config.settings import Settings
from jobs.clock import Clock
from jobs.rollouts.fleetfile import read_fleet
from jobs.rollouts.plan import Plan
from jobs.rollouts.recurrence import recurrence_of_row
from jobs.store.protocol import LimitStore
from jobs.store.schedules import ScheduleRow
from worker.contact import discovering
from worker.planning import plan_of


class TickPlans:
    """Makes plans with the accounts that the settings of one worker have."""

    def __init__(self, settings: Settings, store: LimitStore, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def serves(self, profile: str | None) -> bool:
        """Whether this worker has the account."""
        return profile is None or profile in self._settings.profiles

    async def plan(self, row: ScheduleRow) -> Plan:
        """Return the plan of the schedule's rollout for the fleet as it is now.

        Raises:
            PlugwaveError: If none can be made now.
        """
        manifest = recurrence_of_row(row).manifest
        name = manifest.spec.targets.file or ""
        listed = None if row.fleet is None else read_fleet(row.fleet.encode(), name)
        settings = self._as(row.profile)
        async with discovering(settings, self._store, self._clock) as cloud:
            plan, _ = await plan_of(manifest, listed, settings, cloud, self._clock.now_us())
        return plan

    def _as(self, profile: str | None) -> Settings:
        """Return the settings as they are with ``--profile``."""
        if profile is None:
            return self._settings
        cloud = self._settings.cloud.model_copy(update={"profile": profile})
        return self._settings.model_copy(update={"cloud": cloud})
