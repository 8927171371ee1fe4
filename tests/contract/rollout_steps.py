"""Steps that many promises about rollouts begin with."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jobs.model import JobId, Lease, RolloutId, WorkerId
from jobs.rollout_states import RolloutEvent, WaveEvent
from jobs.states import JobEvent
from jobs.store.protocol import Store
from jobs.store.rollouts import (
    Advance,
    NewRollout,
    Order,
    Ordered,
    OrderKind,
    PlannedJob,
    RolloutRow,
    StoredPlan,
    Tally,
    WaveMove,
    Word,
)
from tests.builders import NOON_US, a_request, digest
from tests.contract.steps import claim, move

ANA: Final = Word(by="ana", why="it is time", where="host-a")
BEN: Final = Word(by="ben")
PLAN: Final = StoredPlan(
    digest=digest("plan"), name="volcano", body='{"plan":"volcano"}', made_us=NOON_US
)


def new(*sizes: int, name: str = "volcano", **more: Any) -> NewRollout:
    """Return a rollout to start with that many jobs in its waves."""
    return NewRollout(name=name, plan=PLAN.digest, sizes=sizes or (1,), word=ANA, **more)


def planned(sizes: Sequence[int], prefix: str = "pool", **more: Any) -> list[PlannedJob]:
    """Return the jobs of all waves, each on a pool of its own."""
    return [
        PlannedJob(wave=wave, rank=rank, request=a_request(f"{prefix}-{wave}-{rank}", **more))
        for wave, size in enumerate(sizes)
        for rank in range(size)
    ]


async def started(store: Store, *sizes: int, prefix: str = "pool", **more: Any) -> RolloutId:
    """Keep the plan, start a rollout and write its jobs down."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(*sizes, **more))).rollout
    await store.rollouts.plan_jobs(rollout, planned(sizes, prefix))
    return rollout


async def row_of(store: Store, rollout: RolloutId) -> RolloutRow:
    """Return the rollout as it is."""
    row = await store.rollouts.rollout(str(rollout))
    assert row is not None
    return row


async def advance(store: Store, rollout: RolloutId, **change: Any) -> RolloutRow:
    """Advance the rollout from where it is."""
    row = await row_of(store, rollout)
    return await store.rollouts.advance(Advance(rollout=rollout, rev=row.rev, **change))


def moves(*events: RolloutEvent) -> list[tuple[RolloutEvent, Mapping[str, Any]]]:
    """Return events of a rollout that have nothing else to say."""
    return [(event, {}) for event in events]


def wave_moves(wave: int, *events: WaveEvent) -> list[WaveMove]:
    """Return events of a wave that have nothing else to say."""
    return [WaveMove(wave=wave, event=event) for event in events]


async def running(store: Store, *sizes: int, **more: Any) -> RolloutId:
    """Start a rollout whose first wave may start jobs."""
    rollout = await started(store, *sizes, **more)
    await advance(
        store,
        rollout,
        moves=moves(RolloutEvent.APPLIED, RolloutEvent.OPENED),
        waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED),
    )
    return rollout


async def line(store: Store, rollout: RolloutId, wave: int | None = None) -> list[JobId]:
    """Return the jobs in line."""
    found = await store.rollouts.rollout_jobs(rollout, in_flight=False, wave=wave)
    return [one.job for one in found]


async def flight(store: Store, rollout: RolloutId, wave: int | None = None) -> list[JobId]:
    """Return the jobs that were admitted and have not ended."""
    found = await store.rollouts.rollout_jobs(rollout, in_flight=True, wave=wave)
    return [one.job for one in found]


async def admit(store: Store, rollout: RolloutId, count: int = 1) -> list[JobId]:
    """Admit the first jobs in line of any wave, and return them."""
    jobs = (await line(store, rollout))[:count]
    await advance(store, rollout, admit=jobs)
    return jobs


async def in_hand(
    store: Store, worker: WorkerId, rollout: RolloutId, count: int = 1
) -> list[Lease]:
    """Admit jobs and claim them."""
    await admit(store, rollout, count)
    return [lease for _, lease in await claim(store, worker, count)]


async def end(store: Store, lease: Lease, *events: JobEvent) -> None:
    """Record one event after the other."""
    for event in events:
        await move(store, lease, event)


async def order(store: Store, rollout: RolloutId, kind: OrderKind, **more: Any) -> Ordered:
    """Order something as Ana."""
    facts: dict[str, Any] = {"word": ANA, **more}
    return await store.rollouts.order(Order(rollout=rollout, kind=kind, **facts))


async def tally(store: Store, rollout: RolloutId, wave: int = 0) -> Tally:
    """Return the tally of a wave."""
    return (await row_of(store, rollout)).waves[wave].tally


async def told(store: Store, rollout: RolloutId) -> list[tuple[str, int | None]]:
    """Return the record as (event, wave)."""
    return [(entry.event, entry.wave) for entry in await store.rollouts.record_of(rollout)]
