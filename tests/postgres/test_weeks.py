"""History by weeks: ready before their time, dropped after it, and nothing of it lost between."""

import anyio
import pytest

from jobs.model import JobId, WorkerId
from jobs.retention import DAY_S, Retention
from jobs.states import JobEvent
from jobs.store.cursor import EventCursor
from jobs.store.postgres import PostgresStore
from tests.builders import NOON_US, a_request
from tests.contract.steps import a_worker, accept, all_is_well, claim, move, story
from tests.fakes import FakeClock
from tests.postgres.steps import admin, run

pytestmark = pytest.mark.slow

MONTH = Retention(finished_s=30 * DAY_S, keys_s=30 * DAY_S)
WEEK_US = 604_800_000_000


async def weeks(dsn: str) -> list[tuple[str, int | None, int | None]]:
    """Return the partitions, in their order, but for the one that takes what no other does."""
    sql = "SELECT name, from_us, to_us FROM plugwave.event_weeks WHERE NOT rest ORDER BY to_us"
    return [tuple(row) for row in await run(dsn, sql)]


async def rest(dsn: str) -> int:
    """Return how many events came when there was no partition for them."""
    return int((await run(dsn, "SELECT count(*) FROM plugwave.events_rest"))[0][0])


async def finish(store: PostgresStore, worker: WorkerId, name: str) -> JobId:
    """Accept a job and end it."""
    [job] = await accept(store, a_request(name))
    [(_, lease)] = await claim(store, worker, 1)
    await move(store, lease, JobEvent.ALREADY)
    return job


@pytest.fixture
async def months(dsn: str, store: PostgresStore, clock: FakeClock) -> FakeClock:
    """A clock whose coming half year has its partitions, as workers would have made them."""
    for _ in range(26):
        await store.tidy(MONTH)
        clock.advance(hours=24 * 7)
    clock.advance(hours=-24 * 7 * 26)
    return clock


async def test_partitions_are_there_before_their_weeks(
    store: PostgresStore, dsn: str, clock: FakeClock
) -> None:
    """They follow each other without a gap, begin on Mondays, and reach a month ahead."""
    for _ in range(8):
        clock.advance(hours=24 * 7)
        await store.tidy(MONTH)
    found = await weeks(dsn)

    assert [one[2] for one in found[:-1]] == [one[1] for one in found[1:]]
    assert all((to_us or 0) % WEEK_US == 4 * 86_400_000_000 for _, _, to_us in found)
    assert (found[-1][2] or 0) >= clock.now_us() + 5 * WEEK_US
    assert await rest(dsn) == 0
    await all_is_well(store)


async def test_a_store_without_partitions_ahead_goes_on_and_says_so(
    store: PostgresStore, dsn: str, clock: FakeClock
) -> None:
    """When no worker has run for months nothing is refused; `store check` tells, pruning mends."""
    clock.advance(hours=24 * 400)
    [job] = await accept(store)
    told = [finding.name for finding in await store.check() if not finding.ok]
    kept_apart = await rest(dsn)
    await store.tidy(MONTH)
    await store.cancel(job, by="test")
    clock.advance(hours=24 * 31)
    await store.prune(MONTH)
    await store.tidy(MONTH)

    assert told == ["history"]
    assert kept_apart == 1
    assert await rest(dsn) == 0
    await all_is_well(store)


async def test_a_week_goes_when_its_jobs_have_gone(
    store: PostgresStore, dsn: str, months: FakeClock
) -> None:
    """The partition is dropped; no event of a job that is still there goes with it."""
    worker = await a_worker(store)
    old = await finish(store, worker, "old")
    [waits] = await accept(store, a_request("waits", not_before_us=NOON_US + 10**15))
    before = [event.event for event in await store.history(waits)]
    months.advance(hours=24 * 40)
    young = await finish(store, worker, "young")
    await store.reported(worker, 2)
    count = len(await weeks(dsn))

    early = (await store.forget(MONTH)).weeks
    await store.prune(MONTH)
    gone = (await store.forget(MONTH)).weeks
    again = (await store.forget(MONTH)).weeks

    seen, _ = await store.events_after(EventCursor())
    assert (early, gone, again) == (0, 1, 0)
    assert len(await weeks(dsn)) == count
    assert before == await story(store, waits) != []
    assert len(await store.history(young)) == 3
    assert {event.job for event in seen} == {waits, young}
    assert old not in {event.job for event in seen}
    await accept(store, a_request("later"))
    await all_is_well(store)


async def test_empty_weeks_go_as_a_whole(store: PostgresStore, dsn: str, months: FakeClock) -> None:
    """What is older than all jobs leaves no partition behind."""
    count = len(await weeks(dsn))
    months.advance(hours=24 * 70)

    dropped = (await store.forget(MONTH)).weeks

    assert dropped >= 5
    assert len(await weeks(dsn)) == count - dropped


async def test_dropping_gives_way_to_the_work(
    store: PostgresStore, dsn: str, months: FakeClock
) -> None:
    """While somebody reads for long, nothing is dropped, and nobody queues behind the wish."""
    months.advance(hours=24 * 70)
    async with admin(dsn) as connection, connection.transaction():
        await connection.fetch("SELECT * FROM plugwave.events")
        with anyio.fail_after(5), pytest.raises(Exception, match="lock"):
            await store.forget(MONTH)
        await accept(store, a_request("meanwhile"))

    assert (await store.forget(MONTH)).weeks >= 5


async def test_a_worker_needs_no_right_to_create(
    store: PostgresStore, dsn: str, clock: FakeClock
) -> None:
    """A role that may read, write and call the two functions keeps the weeks in order."""
    await run(dsn, "DROP ROLE IF EXISTS plugwave_work")
    async with admin(dsn) as connection:
        await connection.execute(
            "CREATE ROLE plugwave_work LOGIN;"
            "GRANT USAGE ON SCHEMA plugwave TO plugwave_work;"
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA plugwave"
            " TO plugwave_work;"
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA plugwave TO plugwave_work;"
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA plugwave TO plugwave_work;"
        )
        clock.advance(hours=24 * 30)
        made = "SELECT plugwave.add_event_weeks($1)"
        try:
            await connection.execute("SET ROLE plugwave_work")
            assert await connection.fetchval(made, clock.now_us() + 5 * WEEK_US) >= 3
            await connection.execute(
                "INSERT INTO plugwave.events(job, project, at_us, event, state)"
                " VALUES (1, 1, $1, 'created', 2)",
                clock.now_us(),
            )
        finally:
            await connection.execute("RESET ROLE; DROP OWNED BY plugwave_work")
            await connection.execute("DROP ROLE plugwave_work")

    assert await rest(dsn) == 0
