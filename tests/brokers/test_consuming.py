"""The intake's loop against a broker in memory: what it acknowledges, and what a death costs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio.lowlevel
import orjson
import pytest

from jobs.errors import BrokerError, BrokerRefusedError, StoreError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import IntakeProfile, terms_of
from jobs.intake.taking import IntakeVerdict
from jobs.model import JobId
from jobs.requests import NO_DEFAULTS
from jobs.states import JobState
from jobs.store.protocol import Store
from jobs.store.sqlite import open_sqlite
from tests.builders import PROJECT
from tests.fakes import FakeClock
from tests.planted import credential, secret_input
from worker.brokers.choosing import address_at, broker_of
from worker.brokers.consuming import Intake
from worker.brokers.deliveries import Delivery

GOOD: Final = 7
BAD: Final = b'{"project_id": "p"'


class DiedError(Exception):
    """The process was killed here."""


class QuickClock(FakeClock):
    """Sleeps by moving on."""

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.advance(max(seconds, 0.0))


class MemoryBroker:
    """Keeps what was not acknowledged, and delivers it again to whoever opens it next."""

    def __init__(self, *bodies: bytes) -> None:
        self.left = {f"memory:{number}": body for number, body in enumerate(bodies)}
        self.dead: list[tuple[bytes, str]] = []
        self.held = 0
        self.opened = 0
        self.dies_at = -1
        self.away_at: set[int] = set()
        self.refuses = False
        self._steps = 0
        self._in_hand: set[str] = set()

    place = "memory"

    def step(self) -> None:
        """One moment at which a process may die, or find the broker gone."""
        self._steps += 1
        if self._steps == self.dies_at:
            raise DiedError
        if self._steps in self.away_at:
            raise BrokerError("memory: gone")

    async def open(self) -> None:
        if self.refuses:
            raise BrokerRefusedError("memory: no such place")
        self.step()
        self.opened += 1
        self._in_hand.clear()

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        assert wait_s > 0
        self.step()
        names = [name for name in self.left if name not in self._in_hand][: min(most, 3)]
        self._in_hand.update(names)
        return [Delivery(Arrived(body=self.left[name], position=name), name) for name in names]

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        self.step()
        for one in deliveries:
            del self.left[one.receipt]
        self.step()

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        self.held += len(deliveries)

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        self.step()
        self.dead.append((delivery.arrived.body, reason))
        self.step()
        del self.left[delivery.receipt]

    async def replay(self, most: int) -> int:
        back, self.dead = self.dead[:most], self.dead[most:]
        self.left |= {f"again:{number}": body for number, (body, _) in enumerate(back)}
        return len(back)

    async def close(self) -> None:
        self._in_hand.clear()


def profile(**spec: Any) -> IntakeProfile:
    """Return an intake's profile."""
    return IntakeProfile.model_validate(
        {
            "apiVersion": "plugwave/v1",
            "kind": "Intake",
            "metadata": {"name": "ticketing"},
            "spec": {"from": {"redis": {"url": "redis://queue/0", "stream": "jobs"}}, **spec},
        }
    )


def body(pool: str, plugin: str = "volcano", **more: Any) -> bytes:
    """Return the message for one pool."""
    wanted = {"name": plugin, "version": "1.15.8"}
    return orjson.dumps({"project_id": PROJECT, "pool_name": pool, "plugin": wanted, **more})


GOOD_ONES: Final = [body(f"pool-{number}") for number in range(GOOD)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store on disk."""
    opened = await open_sqlite(tmp_path / "state.db", FakeClock())
    yield opened
    await opened.close()


def intake(broker: MemoryBroker, store: Any, **spec: Any) -> Intake:
    """Return a consumer."""
    return Intake(terms_of(profile(**spec)), broker, store, QuickClock(), defaults=NO_DEFAULTS)


async def jobs(store: Store) -> int:
    """Return how many jobs there are."""
    return sum((await store.counts()).values())


async def test_every_message_becomes_a_job_and_is_acknowledged(store: Store) -> None:
    """What was stored is gone from the broker; it leaves when there is nothing more."""
    broker = MemoryBroker(*GOOD_ONES)
    running = intake(broker, store)

    await running.run(until_empty=True)

    assert broker.left == {}
    assert await jobs(store) == GOOD
    assert running.taken.verdicts == {IntakeVerdict.CREATED: GOOD}


@pytest.mark.parametrize("moment", range(1, 24))
async def test_dying_anywhere_loses_nothing_and_doubles_nothing(store: Store, moment: int) -> None:
    """Killed before or after any step, the next consumer makes the same jobs of the same messages.

    Acknowledged before it is stored, a message would be lost here.
    """
    broker = MemoryBroker(*GOOD_ONES[:3], BAD, *GOOD_ONES[3:])
    broker.dies_at = moment

    with pytest.raises(DiedError):
        await intake(broker, store).run()
    broker.dies_at = -1
    await intake(broker, store).run(until_empty=True)

    assert broker.left == {}
    assert await jobs(store) == GOOD
    assert {one for one, _ in broker.dead} == {BAD}
    assert len(broker.dead) <= 2


async def test_a_message_that_is_no_request_is_set_aside_with_the_reason(store: Store) -> None:
    """It reaches the dead-letter place and harms no other; what it holds is not in the reason."""
    secret = secret_input("hidden")
    inputs = {"name": "volcano", "inputs": {"accessCode": secret}, "verison": "1"}
    bad = orjson.dumps({"project_id": PROJECT, "pool_name": "pool-a", "plugin": inputs})
    broker = MemoryBroker(GOOD_ONES[0], bad, GOOD_ONES[1])
    running = intake(broker, store)

    await running.run(until_empty=True)

    assert await jobs(store) == 2
    [(dead, reason)] = broker.dead
    assert dead == bad
    assert "verison" in reason
    assert secret not in reason
    assert running.taken.set_aside == 1


async def test_a_key_with_other_content_is_set_aside_as_a_conflict(store: Store) -> None:
    """The first content stays; the second is told by which job the key was used."""
    broker = MemoryBroker(
        body("pool-a", idempotency_key="t-1"), body("pool-b", idempotency_key="t-1")
    )

    await intake(broker, store).run(until_empty=True)

    assert await jobs(store) == 1
    [(_, reason)] = broker.dead
    assert "used before with other content, by job-1" in reason


@pytest.mark.parametrize(
    ("allow", "word"),
    [
        ({"plugins": ["log-agent"]}, "'volcano'"),
        ({"projects": ["f" * 32]}, PROJECT),
        ({"regions": ["cn-north-4"]}, "(none)"),
    ],
)
async def test_what_is_not_allowed_is_set_aside(
    store: Store, allow: Mapping[str, Any], word: str
) -> None:
    """An outsider gets what the profile lists, and the reason names what it asked for."""
    broker = MemoryBroker(body("pool-a"))

    await intake(broker, store, allow=allow).run(until_empty=True)

    assert await jobs(store) == 0
    assert word in broker.dead[0][1]


async def test_what_a_request_does_not_say_is_filled_in(store: Store) -> None:
    """The profile's defaults count where the message says nothing, and only there."""
    given = {"region": "cn-north-4", "priority": 5, "deadline": "2h"}
    broker = MemoryBroker(body("pool-a"), body("pool-b", priority=1))

    await intake(broker, store, defaults=given).run(until_empty=True)

    listed = [job.request for job in [await store.job(JobId(1)), await store.job(JobId(2))] if job]
    assert [one.priority for one in listed] == [5, 1]
    assert {one.target.region for one in listed} == {"cn-north-4"}
    assert {one.deadline_s for one in listed} == {7200.0}


async def test_a_store_that_is_away_costs_no_message(store: Store) -> None:
    """Nothing is acknowledged, what is in hand is held, and it goes on when the store is back."""

    class Away:
        def __init__(self) -> None:
            self.left = 3

        async def enqueue(self, requests: Any) -> Any:
            self.left -= 1
            if self.left >= 0:
                assert len(broker.left) == GOOD
                raise StoreError("the disk is full")
            return await store.enqueue(requests)

    broker = MemoryBroker(*GOOD_ONES)

    await intake(broker, Away()).run(until_empty=True)

    assert broker.held == 9  # three in hand, three times
    assert await jobs(store) == GOOD


async def test_a_broker_that_goes_away_is_opened_again(store: Store) -> None:
    """Lost before, in and after an acknowledgement: it comes back, and each job is there once."""
    broker = MemoryBroker(*GOOD_ONES)
    broker.away_at = {2, 5, 9, 10, 12, 17}

    await intake(broker, store).run(until_empty=True)

    assert broker.opened >= 4
    assert broker.left == {}
    assert await jobs(store) == GOOD


async def test_a_broker_that_never_answers_is_an_error_at_the_start(store: Store) -> None:
    """Half a minute of tries, then the error that names it; a service manager starts it again."""
    broker = MemoryBroker()
    broker.away_at = set(range(1000))

    with pytest.raises(BrokerError, match="gone"):
        await intake(broker, store).run()


async def test_a_refusal_is_told_at_once(store: Store) -> None:
    """No waiting helps against a wrong name."""
    broker = MemoryBroker()
    broker.refuses = True

    with pytest.raises(BrokerRefusedError):
        await intake(broker, store).run()


async def test_nothing_is_taken_while_the_queue_is_full(store: Store) -> None:
    """The broker keeps what the queue has no room for."""
    broker = MemoryBroker(*GOOD_ONES)
    running = intake(broker, store, limits={"maxQueued": 2})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run)
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
            await store.counts()
        running.stop()

    assert len(broker.left) == GOOD - 3  # one batch of three, then it is full
    assert (await store.counts())[JobState.READY] == 3


async def test_no_more_than_so_many_a_minute(store: Store) -> None:
    """Seven messages at 60 a minute take seven seconds."""
    clock = QuickClock()
    broker = MemoryBroker(*GOOD_ONES)
    limits = {"perMinute": 60}
    running = Intake(terms_of(profile(limits=limits)), broker, store, clock, defaults=NO_DEFAULTS)

    await running.run(until_empty=True)

    assert clock.monotonic() == pytest.approx(GOOD, abs=0.5)


async def test_dead_messages_are_put_back_and_judged_anew(store: Store) -> None:
    """What was mended meanwhile, here the list of plug-ins, lets them in."""
    broker = MemoryBroker(body("pool-a"))
    await intake(broker, store, allow={"plugins": ["log-agent"]}).run(until_empty=True)

    assert await broker.replay(10) == 1
    await intake(broker, store).run(until_empty=True)

    assert await jobs(store) == 1
    assert broker.dead == []


def test_an_address_is_read_from_where_the_profile_says(tmp_path: Path) -> None:
    """A password stands in a variable or a file, and no error shows what is there."""
    address = f"redis://:{credential('pw')}@queue/0"
    (tmp_path / "address").write_text(address + "\n")

    assert address_at("env:QUEUE", {"QUEUE": address}) == address
    assert address_at(f"file:{tmp_path}/address", {}) == address
    assert address_at("redis://queue/0", {}) == "redis://queue/0"


@pytest.mark.parametrize("text", ["env:NOT_THERE", "file:/not/there", "env:EMPTY"])
def test_an_address_that_is_not_there_is_an_error(text: str) -> None:
    """It names the place that was looked at."""
    with pytest.raises(Exception, match=text):
        address_at(text, {"EMPTY": " "})


@pytest.mark.parametrize(
    "place",
    [
        {"nats": {"url": "nats://queue:4222", "stream": "JOBS"}},
        {"rabbitmq": {"url": "amqp://queue/", "queue": "jobs"}},
        {"redis": {"url": "redis://queue/0", "stream": "jobs"}},
        {"kafka": {"url": "queue:9092", "topic": "jobs"}},
    ],
    ids=lambda place: next(iter(place)),
)
async def test_each_broker_is_named_without_its_address(place: Mapping[str, Any]) -> None:
    """What messages call it holds no address, because an address may hold a password."""
    broker = broker_of(profile(**{"from": place}), {})

    assert "queue:" not in broker.place
    assert "://" not in broker.place
