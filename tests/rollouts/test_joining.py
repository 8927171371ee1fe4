"""Pools that come later: who is one, what it joins, and that nobody joins twice."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.model import RolloutId
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.joining import MOST_JOINERS, joiners, member_words, members
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan, PlanPlace
from jobs.rollouts.planning import Terms, make_plan
from jobs.store.protocol import Store
from jobs.store.rollouts import Order, OrderKind, RolloutKind, RolloutRow, Word
from jobs.store.sqlite import open_sqlite
from tests.builders import NOON_US, PROJECT
from tests.fakes import FakeClock
from tests.rollouts.building import REST, TERMS, a_manifest, a_pool
from worker.applying import Submission, begin
from worker.conductor import Conductor
from worker.membership import LOOK_EVERY_S, Membership

JOINS = {"membership": "continuous", "onJoin": "last-wave"}
WAVES = [{"name": "one", "pick": {"count": 1}}, REST]
ANA = Word(by="ana")


def planned(pools: Sequence[Observed], **spec: Any) -> Plan:
    """Return the plan of a manifest that takes joiners."""
    terms = Terms(now_us=NOON_US, mask=TERMS.mask, places=[(PROJECT, "cn-north-4")])
    fields = {"targets": JOINS, "waves": WAVES, **spec}
    return make_plan(a_manifest(**fields), pools, terms)


@dataclass
class Fleet:
    """The pools as they are now, and how often somebody looked."""

    pools: list[Observed]
    looks: list[tuple[Sequence[PlanPlace], str | None]] = field(default_factory=list)
    trouble: Exception | None = None

    async def __call__(
        self, manifest: Manifest, places: Sequence[PlanPlace], profile: str | None
    ) -> Sequence[Observed]:
        """Tell what there is."""
        del manifest
        self.looks.append((places, profile))
        if self.trouble is not None:
            raise self.trouble
        return list(self.pools)


@dataclass
class Scene:
    """A rollout under way over three pools, and a worker that looks for more."""

    store: Store
    clock: FakeClock
    fleet: Fleet
    plan: Plan

    def worker(self, *serves: str | None) -> Membership:
        """Return the duty of one more worker."""
        rollouts = self.store.rollouts
        return Membership(rollouts, self.clock, self.fleet, serves or (None,))

    async def row(self) -> RolloutRow:
        """Return the rollout as it is."""
        row = await self.store.rollouts.rollout("a-rollout")
        assert row is not None
        return row


async def scene_of(folder: Path, clock: Clock, plan: Plan, pools: list[Observed]) -> Scene:
    """Begin the rollout of *plan* and let a conductor open its first wave."""
    assert isinstance(clock, FakeClock)
    store = await open_sqlite(folder / "jobs.db", clock)
    await begin(store.rollouts, Submission(plan=plan, word=ANA), clock.now_us())
    return Scene(store, clock, Fleet(pools), plan)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a rollout over pools 1 to 3."""
    pools = [a_pool(number) for number in (1, 2, 3)]
    found = await scene_of(tmp_path, FakeClock(), planned(pools), pools)
    yield found
    await found.store.close()


async def test_who_comes_later_joins_the_last_wave_once(scene: Scene) -> None:
    """Ten minutes later a new pool stands behind the last one, whoever looks and how often."""
    scene.fleet.pools.append(a_pool(9))
    first, second = scene.worker(), scene.worker()

    await first.look()
    assert scene.fleet.looks == []
    scene.clock.advance(LOOK_EVERY_S)
    await first.look()
    await second.look()

    assert scene.fleet.looks == [((PlanPlace(project_id=PROJECT, region="cn-north-4"),), None)]
    row = await scene.row()
    assert [wave.tally.size for wave in row.waves] == [1, 3]
    assert members(row)["joined"] == [["cn-north-4", PROJECT, "pool-0009"]]
    assert member_words(row) == ["1 pools came later and joined the last wave"]
    scene.clock.advance(LOOK_EVERY_S)
    await second.look()
    assert (await scene.row()).waves[1].tally.size == 3
    last = (await scene.store.rollouts.rollout_jobs(row.id, in_flight=False, wave=1))[-1]
    job = await scene.store.job(last.job)
    assert job is not None
    assert (job.request.target.pool_name, job.request.plugin.version) == ("pool-0009", "1.6.63")
    assert job.request.terms is not None


async def test_two_workers_do_not_look_at_the_same_time(scene: Scene) -> None:
    """Who read the rollout before another took the turn finds it taken."""
    scene.clock.advance(LOOK_EVERY_S)
    before = await scene.store.rollouts.rollouts(live=True)
    await scene.worker().look()

    late = Membership(Behind(scene.store, before), scene.clock, scene.fleet, (None,))
    await late.look()

    assert len(scene.fleet.looks) == 1


class Behind:
    """The rollouts of a store, listed as they were."""

    def __init__(self, store: Store, rows: Sequence[RolloutRow]) -> None:
        self._store = store.rollouts
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def rollouts(self, *, live: bool = False, limit: int = 100) -> Sequence[RolloutRow]:
        """Return what was read before."""
        del live, limit
        return self._rows


async def test_a_joiner_is_conducted_like_the_others(scene: Scene) -> None:
    """Its wave waits for it, too: a wave that has a joiner in line is not through."""
    scene.fleet.pools.append(a_pool(9))
    scene.clock.advance(LOOK_EVERY_S)
    await scene.worker().look()
    await Conductor(scene.store, scene.clock, Somebody()).look()

    row = await scene.row()
    assert row.state is RolloutState.RUNNING
    assert row.waves[0].state is WaveState.RUNNING
    line = await scene.store.rollouts.rollout_jobs(row.id, in_flight=False, wave=1)
    assert len(line) == 3


class Somebody:
    """A worker without an id."""

    worker: Any = 1


async def test_a_pool_that_another_rollout_changes_stays_out(scene: Scene) -> None:
    """The others join all the same."""
    theirs = make_plan(
        a_manifest(waves=[REST]).model_copy(
            update={"metadata": a_manifest().metadata.model_copy(update={"name": "theirs"})}
        ),
        [a_pool(8)],
        TERMS,
    )
    await begin(scene.store.rollouts, Submission(plan=theirs, word=ANA), scene.clock.now_us())
    scene.fleet.pools += [a_pool(7), a_pool(8), a_pool(9)]
    scene.clock.advance(LOOK_EVERY_S)
    await scene.worker().look()

    names = [name for _, _, name in members(await scene.row())["joined"]]
    assert names == ["pool-0007", "pool-0009"]


async def test_a_fleet_that_cannot_be_read_changes_nothing(scene: Scene) -> None:
    """It is told, and looked at again ten minutes later; a bug is no worse."""
    scene.fleet.pools.append(a_pool(9))
    for trouble in (ConfigError("no credential"), RuntimeError("a bug")):
        scene.fleet.trouble = trouble
        scene.clock.advance(LOOK_EVERY_S)
        await scene.worker().look()
    assert len(scene.fleet.looks) == 2
    assert (await scene.row()).waves[1].tally.size == 2

    scene.fleet.trouble = None
    await scene.worker().look()
    assert len(scene.fleet.looks) == 2
    scene.clock.advance(LOOK_EVERY_S)
    await scene.worker().look()
    assert (await scene.row()).waves[1].tally.size == 3


async def test_who_cannot_ask_as_the_rollouts_account_does_not(scene: Scene) -> None:
    """A worker without that account leaves the turn to one that has it."""
    scene.clock.advance(LOOK_EVERY_S)
    await scene.worker("prod").look()
    assert scene.fleet.looks == []
    await scene.worker("prod", None).look()
    assert len(scene.fleet.looks) == 1


async def test_nobody_joins_a_paused_rollout(scene: Scene) -> None:
    """Until it is resumed."""
    scene.fleet.pools.append(a_pool(9))
    row = await scene.row()
    for kind in (OrderKind.PAUSE, OrderKind.RESUME):
        await scene.store.rollouts.order(Order(rollout=row.id, kind=kind, word=ANA))
        scene.clock.advance(LOOK_EVERY_S)
        await scene.worker().look()
        joined = (await scene.row()).waves[1].tally.size == 3
        assert joined is (kind is OrderKind.RESUME)


@pytest.mark.parametrize(
    ("targets", "held"),
    [
        ({"membership": "continuous", "onJoin": "hold"}, 1),
        ({"membership": "continuous", "onJoin": "ignore"}, 0),
        ({}, 0),
    ],
    ids=["hold", "ignore", "snapshot"],
)
async def test_who_does_not_join_is_held_or_ignored(
    tmp_path: Path, targets: dict[str, str], held: int
) -> None:
    """Held ones are named to whoever asks; the rollout stays as it was planned."""
    pools = [a_pool(1), a_pool(2)]
    scene = await scene_of(tmp_path, FakeClock(), planned(pools, targets=targets), pools)
    scene.fleet.pools.append(a_pool(9))
    scene.clock.advance(LOOK_EVERY_S)
    await scene.worker().look()

    row = await scene.row()
    assert [wave.tally.size for wave in row.waves] == [1, 1]
    assert len(members(row).get("held", ())) == held
    assert len(scene.fleet.looks) == held
    if held:
        assert "pool-0009" in member_words(row)[0]
    await scene.store.close()


async def test_who_is_known_or_has_nothing_to_do_is_no_joiner(scene: Scene) -> None:
    """A relabelled pool keeps its place; one that is as wanted, blocked or unread stays out."""
    row = await scene.row()
    found = joiners(
        scene.plan,
        row,
        [
            a_pool(1, labels={"ring": "other"}),
            a_pool(2, installed="1.6.36"),
            a_pool(5, installed="1.6.63", inputs={}),
            a_pool(6, blocked="frozen"),
            a_pool(7, trouble="not read"),
            a_pool(8, installed=None),
            a_pool(9),
        ],
    )
    assert [one.target.pool_name for one in found] == ["pool-0009"]


BARE = RolloutRow(
    id=RolloutId(1),
    name="a-rollout",
    kind=RolloutKind.ROLLOUT,
    plan="",
    state=RolloutState.RUNNING,
    rev=1,
    created_us=0,
    waves=(),
)
"""A rollout that nobody has joined."""


def test_a_rollout_takes_so_many_joiners_and_no_more() -> None:
    """A fleet that grows without end does not make a rollout without end."""
    plan = planned([a_pool(1), a_pool(2)])
    found = joiners(plan, BARE, [a_pool(10 + number) for number in range(MOST_JOINERS + 5)])
    assert len(found) == MOST_JOINERS


def test_a_consistent_version_is_the_plans_for_joiners_too() -> None:
    """A newer offer on the new pool does not give it another version than all others."""
    plan = planned([a_pool(1, offers=("1.6.63", "1.6.36"))], version="consistent")
    (one,) = joiners(plan, BARE, [a_pool(9)])
    assert one.version == "1.6.63"
