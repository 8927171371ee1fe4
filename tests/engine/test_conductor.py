"""One worker's looks at a rollout, step by step: what may change between two reads of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import RolloutHeldError
from jobs.model import Job, Lease, WorkerId
from jobs.rollout_states import RolloutState
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Change, Store, WorkerInfo
from jobs.store.rollouts import Order, OrderKind, RolloutRow, Word
from jobs.store.sqlite import open_sqlite
from tests.builders import NOON_US
from tests.engine.test_rollouts import planned
from tests.fakes import FakeClock
from worker.applying import Submission, begin
from worker.conductor import Conductor
from worker.sighting import RolloutReader

ANA = Word(by="ana")


@dataclass
class Me:
    """A worker with its id."""

    worker: WorkerId = field(default_factory=lambda: WorkerId(1))


@dataclass
class Desk:
    """A store with one rollout of two pools, a registered worker, and its conductor."""

    store: Store
    clock: FakeClock
    conductor: Conductor
    row: RolloutRow
    me: Me

    async def order(self, kind: OrderKind) -> None:
        """A person orders something."""
        await self.store.rollouts.order(Order(rollout=self.row.id, kind=kind, word=ANA))

    async def claim(self) -> tuple[Job, Lease]:
        """Take one job in hand."""
        ((job, lease),) = await self.store.claim(self.me.worker, limit=1, deadline_s=600)
        return job, lease

    async def state(self) -> RolloutState:
        """Return where the rollout is."""
        row = await self.store.rollouts.rollout(str(self.row.id))
        assert row is not None
        return row.state


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Begin a rollout of two pools, of which one may run at a time."""
    clock = FakeClock(NOON_US)
    store = await open_sqlite(tmp_path / "jobs.db", clock)
    plan = planned(2, budgets={"concurrency": 1})
    begun = await begin(store.rollouts, Submission(plan=plan, word=ANA), NOON_US)
    info = WorkerInfo(name="one", host="here", pid=1)
    me = Me(await store.register(info, lease_s=3600))
    yield Desk(store, clock, Conductor(store, clock, me), begun.row, me)
    await store.close()


def intent(job: Job, lease: Lease, event: JobEvent = JobEvent.INTENDED, **more: Any) -> Change:
    """Return one move of a claimed job."""
    return Change(lease=lease, event=event, progress=job.progress, **more)


async def test_a_job_that_comes_back_unsent_after_the_resume_is_let_go_on(desk: Desk) -> None:
    """Setting it aside changes no tally, so the conductor looks by the clock, too."""
    await desk.conductor.look()
    job, lease = await desk.claim()
    await desk.order(OrderKind.PAUSE)
    with pytest.raises(RolloutHeldError):
        await desk.store.record(intent(job, lease))
    await desk.order(OrderKind.RESUME)
    await desk.conductor.look()
    await desk.store.record(intent(job, lease, JobEvent.HELD, reason=WaitReason.PAUSED))

    desk.clock.advance(2.0)
    await desk.conductor.look()

    again = await desk.store.job(job.id)
    assert again is not None
    assert again.state is JobState.READY


async def test_a_pause_ends_although_no_job_ends(desk: Desk) -> None:
    """The one job in hand is set aside: nothing is in flight, so the rollout is paused."""
    await desk.conductor.look()
    job, lease = await desk.claim()
    await desk.order(OrderKind.PAUSE)
    await desk.conductor.look()
    assert await desk.state() is RolloutState.PAUSING
    await desk.store.record(intent(job, lease, JobEvent.HELD, reason=WaitReason.PAUSED))

    desk.clock.advance(2.0)
    await desk.conductor.look()

    assert await desk.state() is RolloutState.PAUSED
    await desk.order(OrderKind.ABORT)
    await desk.conductor.look()
    assert await desk.state() is RolloutState.ABORTED
    counts = await desk.store.counts()
    assert counts == {JobState.CANCELLED: 2}


class Meanwhile:
    """The rollouts of a store, on which something happens between two reads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.store.rollouts, name)

    async def rollout_jobs(self, *args: Any, **kwargs: Any) -> Any:
        """Read, and let another worker admit a job before this one goes on."""
        found = await self._desk.store.rollouts.rollout_jobs(*args, **kwargs)
        await self._desk.conductor.look()
        return found


@dataclass
class Beside:
    """A store with other rollouts."""

    rollouts: Any

    def jobs(self, *_: Any) -> Any:
        """Nothing has ended yet."""
        raise AssertionError("a look that is dropped asks nothing more")


async def test_a_rollout_that_changes_while_it_is_read_is_not_decided_on(desk: Desk) -> None:
    """The jobs in flight of one revision with the tallies of another would start too many."""
    reader = RolloutReader(Beside(Meanwhile(desk)), desk.clock)  # type: ignore[arg-type]  # only what is read

    assert await reader.sight(desk.row.id) is None


async def test_only_one_of_two_conductors_moves_it(desk: Desk) -> None:
    """Both look; the store lets one decision through, and the other looks again."""
    other = Conductor(desk.store, desk.clock, desk.me)
    await desk.conductor.look()
    await other.look()
    await other.look()

    flying = await desk.store.rollouts.rollout_jobs(desk.row.id, in_flight=True)
    assert len(flying) == 1
    assert await desk.state() is RolloutState.RUNNING
    assert not await other.rests()
