"""The way to the database breaks: nothing is lost, nothing happens twice, nobody guesses."""

import random
import socket
from dataclasses import replace

import anyio
import pytest

from jobs.clock import SystemClock
from jobs.errors import StoreError
from jobs.model import Job, Lease, WorkerId
from jobs.states import JobEvent, JobState
from jobs.store.postgres import Patience, PostgresStore, open_postgres
from jobs.store.postgres.address import parse
from jobs.store.postgres.wire import Wire, connect
from jobs.store.protocol import Change
from tests.builders import a_request
from tests.contract.steps import (
    LEASE_S,
    ONE,
    SENT,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    move,
    state_of,
    story,
)
from tests.fakes import FakeClock
from tests.postgres.server import PrivateServer
from tests.postgres.steps import kill_backends, no_commits, opened, run, waiting
from tests.postgres.wires import Fault, Line, listening, through

BRIEF = Patience(reconnect_s=0.3, connect_s=0.2)
LASTING = Patience(reconnect_s=20.0)


@pytest.mark.slow
async def test_a_killed_connection_costs_a_call_nothing(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """Claim, record, note, heartbeat, questions: each goes on by itself on a new connection."""
    [job] = await accept(store)

    assert await kill_backends(dsn)
    [(_, lease)] = await claim(store, worker)
    assert await kill_backends(dsn)
    await move(store, lease, JobEvent.INTENDED)
    assert await kill_backends(dsn)
    await store.note(lease, SENT, {})
    assert await kill_backends(dsn)
    await store.heartbeat(worker, lease_s=LEASE_S)
    assert await kill_backends(dsn)

    assert await state_of(store, job) is JobState.SENDING
    assert await story(store, job) == ["created", "claimed", "intended", "seen"]
    await all_is_well(store)


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
async def test_a_commit_without_an_answer_is_looked_up(
    dsn: str, clock: FakeClock, fault: Fault
) -> None:
    """Whether the server committed before the line broke or not, the move happens once."""
    line = Line(dsn)
    async with listening(line) as port:
        store = await open_postgres(through(dsn, port), SystemClock(), patience=LASTING, time=clock)
        [job] = await accept(store)
        lease = await bring(store, await a_worker(store), JobState.CHECKING)
        line.faults.append(fault)

        told = await move(store, lease, JobEvent.INTENDED)

        assert (line.broken, store.looked_up) == (1, 1)
        assert told == await store.job(job)
        assert await story(store, job) == ["created", "claimed", "intended"]
        await all_is_well(store)
        await store.close()


async def test_a_commit_that_is_still_on_its_way_is_waited_for(dsn: str, clock: FakeClock) -> None:
    """A server that gets the COMMIT only after we asked about it decides once, not twice."""
    line = Line(dsn)
    async with listening(line) as port:
        store = await open_postgres(through(dsn, port), SystemClock(), patience=LASTING, time=clock)
        [job] = await accept(store)
        lease = await bring(store, await a_worker(store), JobState.CHECKING)
        line.faults.append(Fault.LATE)

        async with anyio.create_task_group() as group:
            group.start_soon(move, store, lease, JobEvent.INTENDED)
            await waiting(dsn, 1)
            line.let_late_through.set()

        assert store.looked_up == 1
        assert await story(store, job) == ["created", "claimed", "intended"]
        await all_is_well(store)
        await store.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "really"), [(Fault.BEFORE, JobState.CHECKING), (Fault.AFTER, JobState.SENDING)]
)
async def test_a_commit_that_nobody_can_ask_about_is_not_guessed(
    dsn: str, clock: FakeClock, fault: Fault, really: JobState
) -> None:
    """When the server stays away, the caller hears that nobody knows, so nothing is sent.

    Both is possible then, and the next worker finds in the store which it was.
    """
    line = Line(dsn)
    line.stays_down = True
    async with listening(line) as port:
        store = await open_postgres(through(dsn, port), SystemClock(), patience=BRIEF, time=clock)
        [job] = await accept(store)
        lease = await bring(store, await a_worker(store), JobState.CHECKING)
        line.faults.append(fault)

        with pytest.raises(StoreError, match=r"outcome of a commit .* unknown") as caught:
            await move(store, lease, JobEvent.INTENDED)

        await store.close()
    assert "nothing is half done" in caught.value.do
    async with opened(dsn) as after:
        assert await state_of(after, job) is really


@pytest.mark.slow
async def test_a_line_that_keeps_breaking_repeats_nothing(dsn: str, clock: FakeClock) -> None:
    """Fifty moves over a line that breaks at every third commit: each is in the history once."""
    line = Line(dsn)
    rng = random.Random(4711)
    async with listening(line) as port:
        store = await open_postgres(through(dsn, port), SystemClock(), patience=LASTING, time=clock)
        jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(10)])
        taken = await claim(store, await a_worker(store))

        for event in (JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED):
            for _, lease in taken:
                if rng.random() < 0.34:
                    line.faults.append(rng.choice([Fault.BEFORE, Fault.AFTER]))
                await move(store, lease, event)

        assert line.broken >= 5
        told = ["created", "claimed", "intended", "accepted", "settled"]
        assert [await story(store, job) for job in jobs] == [told] * len(jobs)
        assert len(await store.results_after(taken[0][1].worker, 0)) == len(jobs)
        await all_is_well(store)
        await store.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_server_that_crashes_loses_and_repeats_nothing(server: PrivateServer) -> None:
    """2,000 moves recorded while the server crashes twice and comes back: each is there once."""
    store = await open_postgres(server.dsn, SystemClock(), patience=LASTING)
    worker = await a_worker(store, replace(ONE, name="steady"))
    await accept(store, *[a_request(f"pool-{n:04d}") for n in range(1000)])
    taken = await claim(store, worker, 1000)
    done: list[Job] = []

    async def record(leases: list[Lease]) -> None:
        for lease in leases:
            for event in (JobEvent.INTENDED, JobEvent.ACCEPTED):
                done.append(await move(store, lease, event))  # noqa: PERF401 - others watch it grow

    async def crash_at(moves: int) -> None:
        while len(done) < moves:
            await anyio.lowlevel.checkpoint()
        await anyio.to_thread.run_sync(server.stop)
        await anyio.to_thread.run_sync(_start_soon, server)

    async with anyio.create_task_group() as group:
        for first in range(50):
            group.start_soon(record, [lease for _, lease in taken[first::50]])
        await crash_at(300)
        await crash_at(1100)

    assert len(done) == 2000
    assert await store.counts() == {JobState.WATCHING: 1000}
    told = await run(server.dsn, "SELECT event, count(*) FROM plugwave.events GROUP BY event")
    assert dict(told) == {"created": 1000, "claimed": 1000, "intended": 1000, "accepted": 1000}
    await all_is_well(store)
    await store.heartbeat(worker, lease_s=LEASE_S)
    await store.close()


def _start_soon(server: PrivateServer) -> None:
    server.start(tied=False)


@pytest.mark.slow
async def test_a_server_that_stays_away_is_an_error_that_names_it(
    dsn: str, clock: FakeClock
) -> None:
    """Patience has an end; what is said then holds the place and no password."""
    line = Line(dsn)
    secret = "hunter2"
    async with listening(line) as port:
        address = through(dsn, port).replace("postgres@", f"postgres:{secret}@")
        store = await open_postgres(address, SystemClock(), patience=BRIEF, time=clock)
        worker = await a_worker(store)
    await kill_backends(dsn)

    with pytest.raises(StoreError) as caught:
        await store.heartbeat(worker, lease_s=LEASE_S)
    with pytest.raises(StoreError):
        await store.counts()

    assert f"127.0.0.1:{port}" in str(caught.value)
    assert secret not in str(caught.value.as_dict())
    assert caught.value.__suppress_context__
    await store.close()


async def test_a_store_that_cannot_be_opened_is_not_waited_for(dsn: str) -> None:
    """A command on a server that is down says so at once, and what to do."""
    clock = SystemClock()
    began = clock.monotonic()

    with pytest.raises(StoreError) as caught:
        await open_postgres(through(dsn, 1).replace("@", ":hunter2@"), clock)

    assert clock.monotonic() - began < 2.0
    assert "start the PostgreSQL server" in caught.value.do
    assert "hunter2" not in str(caught.value.as_dict())


async def test_a_line_that_was_cut_is_noticed_by_the_kernel(dsn: str) -> None:
    """A connection that leads nowhere ends within seconds, not after a quarter of an hour.

    What happens then on a real cut is shown by the trial with two hosts.
    """
    wire = await connect(parse(dsn), connect_s=4.0, answer_s=60.0)
    sock = wire._connection._transport.get_extra_info("socket")

    unacknowledged_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    idle_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    keepalive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await wire.close()

    assert (unacknowledged_ms, idle_s, keepalive) == (4000, 4, 1)


@pytest.mark.parametrize("cancelled", [0, 1, 7])
async def test_a_cancelled_caller_disturbs_no_other(
    store: PostgresStore, worker: WorkerId, cancelled: int
) -> None:
    """When one caller of a group goes away, its move is whole or not there; all others happen."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(20)])
    taken = await claim(store, worker)
    scopes = [anyio.CancelScope() for _ in taken]

    async def record(scope: anyio.CancelScope, lease: Lease) -> None:
        with scope:
            await store.record(Change(lease=lease, event=JobEvent.INTENDED, progress=SENT))

    async with anyio.create_task_group() as group:
        for scope, (_, lease) in zip(scopes, taken, strict=True):
            group.start_soon(record, scope, lease)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        scopes[cancelled].cancel()

    states = [await state_of(store, job) for job in jobs]
    others = states[:cancelled] + states[cancelled + 1 :]
    assert set(others) == {JobState.SENDING}
    await all_is_well(store)


@pytest.mark.parametrize("cancelled", [0, 4])
async def test_a_caller_cancelled_during_the_commit_disturbs_no_other(
    store: PostgresStore, worker: WorkerId, dsn: str, cancelled: int
) -> None:
    """Who leads a group finishes the transaction it has begun, also when it is cancelled."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(5)])
    taken = await claim(store, worker)
    scopes = [anyio.CancelScope() for _ in taken]

    async def record(scope: anyio.CancelScope, lease: Lease) -> None:
        with scope:
            await store.record(Change(lease=lease, event=JobEvent.INTENDED, progress=SENT))

    async with anyio.create_task_group() as group, no_commits(dsn):
        for scope, (_, lease) in zip(scopes, taken, strict=True):
            group.start_soon(record, scope, lease)
        await waiting(dsn, 1)
        scopes[cancelled].cancel()

    assert [await state_of(store, job) for job in jobs] == [JobState.SENDING] * 5
    await all_is_well(store)


async def test_a_cancelled_question_leaves_the_store_usable(store: PostgresStore) -> None:
    """Who stops waiting for an answer does not spoil the connection for the next one."""
    for _ in range(6):
        with anyio.move_on_after(0.01):
            await store._read(lambda wire: wire.value("SELECT pg_sleep(10)"))

    assert await store.counts() == {}


async def test_a_question_whose_connection_broke_is_asked_again(store: PostgresStore) -> None:
    """A reader does not notice that its connection was ended in the middle."""
    asked = 0

    async def ask(wire: Wire) -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            await wire.value("SELECT pg_terminate_backend(pg_backend_pid())")
        return int(await wire.value("SELECT 1"))

    assert await store._read(ask) == 1
    assert asked == 2
