"""Look for pools that come to the fleet while a rollout with continuous membership is under way.

A duty of every worker; for each rollout one of them takes the turn, by a compare-and-set on
its revision, and what it finds is written the same way, so nobody joins twice.  One that dies
in between has taken a turn for nothing: the next one is LOOK_EVERY_S later.  Pools that leave
need no look: their jobs find them gone when their turn comes, and are skipped.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from config.settings import Settings
from jobs.clock import Clock, iso, seconds_to_us
from jobs.errors import ConflictError, PlugwaveError, StaleRevisionError, StoreError
from jobs.model import RolloutId, rollout_name
from jobs.rollout_states import STARTING_ROLLOUTS
from jobs.rollouts.course import manifest_of
from jobs.rollouts.joining import PROFILE, Joiner, joined, joiners, looked, members
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan, PlanPlace, kept_plan
from jobs.store.protocol import LimitStore
from jobs.store.rollouts import RolloutKind, RolloutRow, RolloutStore
from worker.discovery import Discovery, Place
from worker.observing import observe

log = structlog.get_logger()

LOOK_EVERY_S: Final = 600.0
"""How often the fleet is read for one rollout: some requests for each project and new pool."""

ASK_EVERY_S: Final = 30.0
"""How often is asked whether a look is due."""

TRIES: Final = 20
"""Times at which the rollout may have moved on before what was found is left for the next look."""

Observe = Callable[[Manifest, Sequence[PlanPlace], str | None], Awaitable[Sequence[Observed]]]
"""Reads the pools that a manifest may mean, as an account."""

Ask = Callable[[Settings, LimitStore, Clock], AbstractAsyncContextManager[Discovery]]
"""Opens what is needed to ask the cloud; see `worker.app.discovering`."""


class FleetReader:
    """Reads the fleet anew, by requests that take their turn from the limiter of all."""

    def __init__(self, settings: Settings, store: LimitStore, clock: Clock, ask: Ask) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._ask = ask

    async def __call__(
        self, manifest: Manifest, places: Sequence[PlanPlace], profile: str | None
    ) -> Sequence[Observed]:
        """Return the pools that *manifest* may mean, as the account *profile* sees them."""
        cloud = self._settings.cloud.model_copy(update={"profile": profile})
        settings = self._settings.model_copy(update={"cloud": cloud})
        where = [Place(project_id=one.project_id, region=one.region) for one in places]
        async with self._ask(settings, self._store, self._clock) as discovery:
            return (await observe(discovery, manifest, where)).pools


class Membership:
    """Lets joiners join."""

    def __init__(
        self,
        store: RolloutStore,
        clock: Clock,
        observe: Observe,
        serves: Collection[str | None],
    ) -> None:
        """Take the store, the clock, who reads the fleet, and the accounts this worker has."""
        self._store = store
        self._clock = clock
        self._observe = observe
        self._serves = serves
        self._static: set[RolloutId] = set()

    async def run(self) -> None:
        """Look whenever it is due, until cancelled.

        Raises:
            StoreError: When the store cannot be read or written any more.
        """
        while True:
            await self.look()
            await self._clock.sleep(ASK_EVERY_S)

    async def look(self) -> None:
        """Look once at every live rollout whose turn it is."""
        for row in await self._store.rollouts(live=True, limit=1_000):
            if row.id in self._static or row.state not in STARTING_ROLLOUTS:
                continue
            last_us = members(row).get("looked_us", row.created_us)
            if self._clock.now_us() - last_us < seconds_to_us(LOOK_EVERY_S):
                continue
            try:
                await self._look_at(row)
            except StoreError:
                raise
            except PlugwaveError as error:
                log.warning("rollout.troubled", rollout=rollout_name(row.id), error=str(error))
            except Exception:  # a bug here stops neither rollouts nor jobs
                log.exception("rollout.crashed", rollout=rollout_name(row.id))

    async def _look_at(self, row: RolloutRow) -> None:
        kept = await self._store.plan(row.plan)
        assert kept is not None, "the store keeps the plan of every rollout"
        plan = kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")
        manifest = manifest_of(plan)
        undoes = row.kind is RolloutKind.ROLLBACK  # it is about the pools of another rollout
        if undoes or not manifest.spec.targets.takes_joiners:
            self._static.add(row.id)
            return
        profile = row.facts.get(PROFILE)
        if profile not in self._serves:
            return
        try:
            await self._store.advance(looked(row, self._clock.now_us()))
        except StaleRevisionError:
            return  # it moved on, or somebody else looks; ASK_EVERY_S later is soon enough
        pools = await self._observe(manifest, plan.places, profile)
        await self._join(plan, row.id, pools, profile)

    async def _join(
        self, plan: Plan, rollout: RolloutId, pools: Sequence[Observed], profile: str | None
    ) -> None:
        """Let joiners join together; where another rollout has one's pool, one by one."""
        taken: set[Joiner] = set()
        together = True
        for _ in range(TRIES + len(pools)):
            row = await self._store.rollout(rollout_name(rollout))
            if row is None or row.state not in STARTING_ROLLOUTS:
                return
            found = [one for one in joiners(plan, row, pools) if one not in taken]
            wanted = found if together else found[:1]
            change = joined(plan, row, wanted, profile=profile)
            if change is None:
                return
            try:
                await self._store.advance(change)
            except StaleRevisionError:
                continue
            except ConflictError:
                if not together:
                    taken.update(wanted)
                together = False
                continue
            _tell(row, wanted, held=not change.join)


def _tell(row: RolloutRow, found: Sequence[Joiner], *, held: bool) -> None:
    log.info(
        "rollout.joined",
        rollout=rollout_name(row.id),
        pools=[one.target.pool_name for one in found[:10]],
        number=len(found),
        held=held,
    )
