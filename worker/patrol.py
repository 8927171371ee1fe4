"""Look again at pools that are done: during a bake, and slowly while the rollout goes on.

A pool that turned Abnormal or was changed by somebody else counts as a late failure of its
job, once it was seen so twice.  The store gives each look to one of all workers, and each is one
read in turn with all others; what was seen once is remembered here alone, so that a worker
that dies costs a second look and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from jobs.clock import Clock, seconds_to_us
from jobs.errors import StoreError
from jobs.model import Job, JobId, PoolRead, job_name, rollout_name
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.course import Course
from jobs.rollouts.lasting import Turned, look_every_s, turned
from jobs.states import JobState
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import Deed, LateFailure, RolloutKind, RolloutRow, WaveRow
from worker.calls import Calls, Wire
from worker.limiter import Closed, Kind
from worker.sighting import RolloutReader

log = structlog.get_logger()

LOOK_EVERY_S: Final = 5.0
"""How often is asked whether a look is due."""

MOST: Final = 5
"""Pools of one wave that are looked at in one go."""

CONFIRM_S: Final = 30.0
"""How much later the second look is: one read may be old, and Abnormal may pass."""

_WATCHED: Final = frozenset(
    {RolloutState.WAITING, RolloutState.RUNNING, RolloutState.PAUSING, RolloutState.PAUSED}
)


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A pool that was seen bad once, and when it is looked at again."""

    row: RolloutRow
    plugin: str
    deed: Deed
    due_us: int


class Patrol:
    """One worker's looks at pools that are done."""

    def __init__(
        self, store: Store, clock: Clock, calls_for: Callable[[Job], Calls | None]
    ) -> None:
        """Take the store, the clock, and who asks the cloud for a job."""
        self._store = store
        self._clock = clock
        self._calls_for = calls_for
        self._reader = RolloutReader(store, clock)
        self._suspects: dict[JobId, _Suspect] = {}

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except StoreError as error:
                log.warning("store.trouble", error=str(error), doing="patrol")
            except Closed:
                return  # the worker drains

    async def look(self) -> None:
        """Look at the pools that are due."""
        now_us = self._clock.now_us()
        for suspect in [one for one in self._suspects.values() if one.due_us <= now_us]:
            del self._suspects[suspect.deed.job]
            found = await self._turned(suspect.plugin, suspect.deed)
            if found is not None:
                await self._tell(suspect, found)
        for row in await self._store.rollouts.rollouts(live=True):
            if row.state in _WATCHED and row.kind is RolloutKind.ROLLOUT:
                course = await self._reader.course(row)
                for wave in row.waves:
                    await self._look_at(row, course, wave)

    async def _look_at(self, row: RolloutRow, course: Course, wave: WaveRow) -> None:
        bake_s = course.waves[wave.n].bake_s if wave.state is WaveState.BAKING else None
        if wave.state not in {WaveState.BAKING, WaveState.PASSED} or not wave.tally.succeeded:
            return
        every_s = look_every_s(wave.tally.size, bake_s)
        deeds = await self._store.rollouts.take_looks(row.id, wave.n, every_s=every_s, most=MOST)
        for deed in deeds:
            known = deed.late is not None or deed.job in self._suspects
            if deed.state is not JobState.SUCCEEDED or known:
                continue
            if await self._turned(course.plugin, deed) is not None:
                due_us = self._clock.now_us() + seconds_to_us(CONFIRM_S)
                self._suspects[deed.job] = _Suspect(row, course.plugin, deed, due_us)

    async def _turned(self, plugin: str, deed: Deed) -> Turned | None:
        """Read the pool once; what cannot be read says nothing."""
        job = await self._store.job(deed.job)
        calls = None if job is None else self._calls_for(job)
        if job is None or calls is None:
            return None
        read = await calls.look(job, Kind.LOOK, Wire())
        return turned(deed, read.plugins.get(plugin)) if isinstance(read, PoolRead) else None

    async def _tell(self, suspect: _Suspect, found: Turned) -> None:
        row, deed = suspect.row, suspect.deed
        who = await self._who(suspect) if found.drift else ""
        late = LateFailure(
            rollout=row.id, job=deed.job, text=f"{found.text}{who}", drift=found.drift
        )
        if await self._store.rollouts.late_failure(late):
            log.error(
                "rollout.late_failure",
                rollout=rollout_name(row.id),
                job=job_name(deed.job),
                pool=deed.target.pool_name,
                why=late.text,
            )

    async def _who(self, suspect: _Suspect) -> str:
        """Return who has changed the pool since, if it was a job of this store."""
        target = suspect.deed.target
        wanted = JobFilter(
            states=frozenset({JobState.SUCCEEDED}),
            project_id=target.project_id,
            pool_name=target.pool_name,
            plugin=suspect.plugin,
        )
        async for job in self._store.jobs(wanted):
            if job.id <= suspect.deed.job:
                break
            if job.request.target.region in {None, target.region}:
                return f", by {job_name(job.id)} ({job.request.source})"
        return ", by somebody outside of this store"
