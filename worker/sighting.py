"""Read a rollout as its rules need to see it: at one revision, nothing counted too low.

The order of the reads is the point: the jobs under way come first and the tallies after them,
at one revision.  A job that ends in between is then counted twice, never not at all, so that
no more are started than may fail.
"""

from collections.abc import AsyncIterator
from typing import Final

from jobs.clock import MICROSECONDS, Clock, iso, seconds_to_us
from jobs.model import RolloutId, rollout_name
from jobs.rollout_states import RolloutState
from jobs.rollouts.course import Course, course_of
from jobs.rollouts.plan import kept_plan
from jobs.rollouts.sight import Sight, turn
from jobs.states import JobState
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import MOST_CANCELLED, Deed, RolloutJob, RolloutRow, RolloutStore

LINE: Final = 1_000
"""Jobs of a wave's line that are read first; more when all of these have no room."""

MOST_FLYING: Final = 20_000
"""More than `spec.budgets.concurrency` may be."""

SUCCESSES: Final = 100
SUCCESSES_FRESH_S: Final = 30.0
"""From how many successes their usual duration is told, and how old that may be."""


DEEDS: Final = 1_000
"""Places of a rollout that are read at a time."""


async def all_deeds(store: RolloutStore, rollout: RolloutId) -> AsyncIterator[Deed]:
    """Yield what a rollout has done at each of its places, by wave and rank."""
    since = (0, 0)
    while True:
        found = await store.deeds(rollout, since=since, limit=DEEDS)
        for one in found:
            yield one
        if len(found) < DEEDS:
            return
        since = (found[-1].wave, found[-1].rank + 1)


class RolloutReader:
    """Reads rollouts; keeps what does not change, and for a while what hardly does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._courses: dict[RolloutId, Course] = {}
        self._successes: dict[str, tuple[int, tuple[float, ...]]] = {}

    async def sight(self, rollout: RolloutId, line: int = LINE) -> tuple[Course, Sight] | None:
        """Return the rollout's plan as it is run, and the rollout as it is now.

        None when it changed while it was read, or is gone.
        """
        rollouts = self._store.rollouts
        before = await rollouts.rollout(rollout_name(rollout))
        if before is None:
            return None
        flying = await rollouts.rollout_jobs(rollout, in_flight=True, limit=MOST_FLYING)
        waiting = await self._line(before, line)
        course = await self.course(before)
        row = await rollouts.rollout(rollout_name(rollout))
        if row is None or row.rev != before.rev:
            return None
        sight = Sight(
            row=row,
            now_us=self._clock.now_us(),
            flying=flying,
            line=waiting,
            successes_s=await self._durations(course.plugin),
            line_stop=await rollouts.line(),
        )
        return course, sight

    async def _line(self, row: RolloutRow, line: int) -> tuple[RolloutJob, ...]:
        """Return the jobs in line of the wave whose turn it is; of all when it is wound up."""
        rollouts = self._store.rollouts
        if row.state is RolloutState.ABORTING:
            return tuple(await rollouts.rollout_jobs(row.id, in_flight=False, limit=MOST_CANCELLED))
        first = turn(row)
        if first is None:
            return ()
        return tuple(await rollouts.rollout_jobs(row.id, in_flight=False, wave=first.n, limit=line))

    async def course(self, row: RolloutRow) -> Course:
        """Return how the rollout's plan is run."""
        course = self._courses.get(row.id)
        if course is None:
            kept = await self._store.rollouts.plan(row.plan)
            assert kept is not None, "the store keeps the plan of every rollout"
            plan = kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")
            course = self._courses[row.id] = course_of(plan, row.created_us)
        return course

    async def _durations(self, plugin: str) -> tuple[float, ...]:
        """Return how long recent successes of the plug-in took, in seconds."""
        now_us = self._clock.now_us()
        read_us, found = self._successes.get(plugin, (None, ()))
        if read_us is not None and now_us - read_us < seconds_to_us(SUCCESSES_FRESH_S):
            return found
        taken = await recent_successes(self._store, plugin)
        self._successes[plugin] = (now_us, taken)
        return taken


async def recent_successes(store: Store, plugin: str) -> tuple[float, ...]:
    """Return how long the last successes of a plug-in took, in seconds, newest first."""
    taken = []
    wanted = JobFilter(states=frozenset({JobState.SUCCEEDED}), plugin=plugin)
    async for job in store.jobs(wanted):
        if job.started_us is not None and job.finished_us is not None:
            taken.append((job.finished_us - job.started_us) / MICROSECONDS)
        if len(taken) >= SUCCESSES:
            break
    return tuple(taken)
