"""A secret that is mended while a worker runs: the source is read again after a refusal."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from yarl import URL

from jobs.outcomes import Answer, Outcome
from jobs.store.protocol import LimitStore
from tests.credentials.surroundings import SDK, FakeFetcher, Machine, raw, settings
from tests.fakes import FakeClock
from worker.credentials.wallet import Credential, Wallet
from worker.guard import ASK_AGAIN_S, REST_S, SHOWN_IN_A_ROW, KeyGuard
from worker.rows import RowsInMemory

URL_ = URL("https://localhost/v2/p/pools")
FILE = "[basic]\nak = AKFILE000000000FILE6\nsk = {}\n"
REFUSED = Answer(
    outcome=Outcome.UNAUTHENTICATED,
    sent=True,
    http_status=401,
    error_code="APIG.0301",
    message="verify aksk signature fail",
)


@dataclass
class Worker:
    """One process that works with what lies around."""

    credential: Credential
    guard: KeyGuard
    clock: FakeClock

    @property
    def signature(self) -> str:
        """What its requests carry now."""
        return str(self.credential.authorizer.headers("GET", URL_, b"", 0))

    async def admits(self) -> bool:
        """Ask again after a while."""
        self.clock.advance(ASK_AGAIN_S)
        return await self.guard.admits()


def worker(machine: Machine, store: LimitStore, clock: FakeClock) -> Worker:
    """Start a process."""
    fetcher = FakeFetcher(lambda _: raw(), clock)
    credential = Wallet(settings(), machine.around, fetcher).get()
    guard = KeyGuard(
        credential.name, credential.mark, store=store, clock=clock, source=credential.source
    )
    return Worker(credential, guard, clock)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    structlog.reset_defaults()
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> RowsInMemory:
    """Return the rows that all processes share."""
    return RowsInMemory(clock)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with a wrong secret in a file."""
    return Machine(tmp_path).sdk_file(FILE.format("wrong"))


async def test_a_secret_mended_in_its_file_is_taken_by_a_running_worker(
    machine: Machine, store: RowsInMemory, clock: FakeClock
) -> None:
    """It is tried at once, and only when the file has changed."""
    one = worker(machine, store, clock)
    before = one.signature
    await one.guard.learn(REFUSED)
    assert not await one.admits()
    assert one.signature == before

    machine.sdk_file(FILE.format("right"))

    assert await one.admits()
    assert one.signature != before


@pytest.mark.parametrize("text", ["[basic]\nak = AKFILE000000000FILE6\n", "[basic", "", "[x]\n"])
async def test_a_file_that_somebody_is_writing_changes_nothing(
    machine: Machine, store: RowsInMemory, clock: FakeClock, text: str
) -> None:
    """Half a file is no credential, and the refused secret is not shown again."""
    one = worker(machine, store, clock)
    before = one.signature
    await one.guard.learn(REFUSED)

    machine.sdk_file(text)

    assert not await one.admits()
    assert one.signature == before


async def test_another_access_key_takes_a_new_process(
    machine: Machine, store: RowsInMemory, clock: FakeClock
) -> None:
    """Limits and breakers have the key's name; it is said once that a restart is needed."""
    one = worker(machine, store, clock)
    await one.guard.learn(REFUSED)
    machine.sdk_file("[basic]\nak = AKOTHER00000000OTHER\nsk = right\n")

    with capture_logs() as lines:
        admitted = [await one.admits() for _ in range(3)]

    assert admitted == [False] * 3
    assert [line["event"] for line in lines] == ["auth.replaced"]


async def test_a_refused_secret_is_not_shown_again_because_another_was_accepted(
    machine: Machine, store: RowsInMemory, clock: FakeClock
) -> None:
    """That the mended secret works says nothing for the refused one in another's environment."""
    old = worker(Machine(machine.home).set(SDK), store, clock)
    await old.guard.learn(REFUSED)
    mended = Machine(machine.home).set(SDK, {"HUAWEICLOUD_SDK_SK": "mended"})
    new = worker(mended, store, clock)
    assert await new.guard.admits()
    await new.guard.learn(None)

    assert not await old.admits()
    assert not await worker(Machine(machine.home).set(SDK), store, clock).guard.admits()
    assert await worker(mended, store, clock).guard.admits()


async def test_what_is_fetched_is_fetched_anew_once_the_breaker_is_closed(
    tmp_path: Path, store: RowsInMemory, clock: FakeClock
) -> None:
    """A pod's key has no lasting secret to tell by: the doctor's word lets it begin afresh."""
    machine = Machine(tmp_path).pod()
    keys = [
        {
            "credential": {
                "access": f"AKPOD00000000000POD{n}",
                "secret": f"s{n}",
                "securitytoken": "t",
            }
        }
        for n in range(3)
    ]
    fetcher = FakeFetcher(lambda _: raw(200, keys[len(fetcher.asked) - 1]), clock)
    credential = Wallet(settings(), machine.around, fetcher).get()
    guard = KeyGuard(
        credential.name, credential.mark, store=store, clock=clock, source=credential.source
    )
    one = Worker(credential, guard, clock)
    await credential.authorizer.ready(URL_)
    await guard.learn(REFUSED)
    assert not await one.admits()

    doctor = KeyGuard(credential.name, credential.mark, store=store, clock=clock)
    await doctor.probe()
    await doctor.learn(None)
    assert not await one.admits(), "a probe closes by `close` alone"
    assert await doctor.close()

    assert await one.admits()
    await credential.authorizer.ready(URL_)
    assert "POD1" in one.signature


async def test_asking_again_and_again_does_not_lock_the_key(
    store: RowsInMemory, clock: FakeClock
) -> None:
    """Six bad signatures in a row lock it for everybody: before that the secret rests."""
    shown = 0
    for _ in range(20):
        doctor = KeyGuard("ak", "mark", store=store, clock=clock)
        before = await doctor.probe()
        if await doctor.admits():
            shown += 1
            await doctor.learn(REFUSED)
            assert not await doctor.admits()
        else:
            assert 0 < before.rest_s <= REST_S
    assert shown == SHOWN_IN_A_ROW

    mended = KeyGuard("ak", "other", store=store, clock=clock)
    assert (await mended.probe()).rest_s == 0
    clock.advance(REST_S)
    again = KeyGuard("ak", "mark", store=store, clock=clock)
    assert (await again.probe()).rest_s == 0
    assert await again.admits()


async def test_a_secret_that_was_not_refused_closes_nothing(
    store: RowsInMemory, clock: FakeClock
) -> None:
    """`close` says whether there was anything to close."""
    guard = KeyGuard("ak", "mark", store=store, clock=clock)
    bare = KeyGuard("none", None, store=store, clock=clock)

    assert not await guard.close()
    assert not await bare.close()
