"""A credential that ends: renewed early, once for everybody, and served as long as it lasts."""

from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
import structlog
from structlog.testing import capture_logs

from jobs.clock import seconds_to_us
from jobs.outcomes import Answer, Outcome
from tests.fakes import FakeClock
from worker.credentials.renewing import Renewing
from worker.modelarts.auth import NoCredentialError
from worker.modelarts.keys import Token

DAY_S = 86_400.0
HOUR_S = 3600.0


@dataclass
class Bank:
    """Hands out tokens that live as long as it says, when it is let."""

    clock: FakeClock
    life_s: float | None = DAY_S
    failing: Outcome | None = None
    handed: int = 0
    open: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def fetch(self) -> Token:
        """Hand out the next token."""
        self.handed += 1
        await self.open.wait()
        await anyio.lowlevel.checkpoint()
        if self.failing is not None:
            raise NoCredentialError(Answer(outcome=self.failing, sent=False, message="no luck"))
        end = None if self.life_s is None else self.clock.wall_us() + seconds_to_us(self.life_s)
        return Token.of(f"token-{self.handed}", expires_us=end)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def bank(clock: FakeClock) -> Bank:
    """Return a bank that hands out tokens for a day."""
    structlog.reset_defaults()
    return Bank(clock)


@pytest.fixture
def held(bank: Bank) -> Renewing[Token]:
    """Return a holder that has nothing yet."""
    return Renewing(bank.fetch, bank.clock, "token")


def text(held: Renewing[Token]) -> str:
    """Return the token that requests would carry."""
    return held.current().secret.reveal()


async def test_nothing_is_asked_for_while_it_lasts(bank: Bank, held: Renewing[Token]) -> None:
    """A fresh credential costs no request, however often it is used."""
    for _ in range(10):
        await held.ready()
        bank.clock.advance(hours=2)

    assert (bank.handed, text(held)) == (1, "token-1")


@pytest.mark.parametrize(
    ("life_s", "renewed_after_s"),
    [(DAY_S, DAY_S - 2400), (HOUR_S, HOUR_S * 0.75), (900.0, 675.0), (9600.0, 7200.0)],
)
async def test_it_is_renewed_early(
    bank: Bank, held: Renewing[Token], life_s: float, renewed_after_s: float
) -> None:
    """Forty minutes before its end, or a quarter of its life, whichever is less."""
    bank.life_s = life_s
    await held.ready()
    bank.clock.advance(renewed_after_s - 1)
    await held.ready()
    before = bank.handed
    bank.clock.advance(1)
    await held.ready()

    assert (before, bank.handed, text(held)) == (1, 2, "token-2")


async def test_fifty_waiters_cost_one_request(bank: Bank, held: Renewing[Token]) -> None:
    """However many requests need a credential at once, it is asked for once."""
    bank.open = anyio.Event()
    seen: list[str] = []

    async def use() -> None:
        await held.ready()
        seen.append(text(held))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        bank.open.set()

    assert bank.handed == 1
    assert seen == ["token-1"] * 50


async def test_fifty_waiters_share_one_failure(bank: Bank, held: Renewing[Token]) -> None:
    """A failure is shared as well: fifty requests do not become fifty questions."""
    bank.open, bank.failing = anyio.Event(), Outcome.CONNECT_REFUSED
    failed: list[Answer] = []

    async def use() -> None:
        with pytest.raises(NoCredentialError) as caught:
            await held.ready()
        failed.append(caught.value.answer)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        bank.open.set()

    assert bank.handed == 1
    assert {one.outcome for one in failed} == {Outcome.CONNECT_REFUSED}
    assert len(failed) == 50


async def test_a_waiter_that_gives_up_leaves_the_renewal_to_the_next(
    bank: Bank, held: Renewing[Token]
) -> None:
    """Cancelling the request that was renewing costs the others nothing but another question."""
    bank.open = anyio.Event()
    scope = anyio.CancelScope()

    async def impatient() -> None:
        with scope:
            await held.ready()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(impatient)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(held.ready)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        bank.open.set()

    assert (bank.handed, text(held)) == (2, "token-2")


async def test_the_others_go_on_with_the_old_one_during_an_early_renewal(
    bank: Bank, held: Renewing[Token]
) -> None:
    """Only one request waits for an early renewal."""
    await held.ready()
    bank.clock.advance(DAY_S - 2400)
    bank.open = anyio.Event()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.ready)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(1):
            await held.ready()
        used = text(held)
        bank.open.set()

    assert (used, text(held)) == ("token-1", "token-2")


async def test_the_old_one_serves_while_renewal_fails(bank: Bank, held: Renewing[Token]) -> None:
    """IAM may be down for half an hour, and no request fails for it."""
    await held.ready()
    bank.clock.advance(DAY_S - 2400)
    bank.failing = Outcome.CONNECT_TIMEOUT

    asked_at = []
    for second in range(2399):
        handed = bank.handed
        await held.ready()
        if bank.handed > handed:
            asked_at.append(second)
        bank.clock.advance(1)

    assert text(held) == "token-1"
    # 5 s, doubled up to 5 min.
    assert asked_at[:7] == [0, 5, 15, 35, 75, 155, 315]
    assert all(later - sooner == 300 for sooner, later in pairwise(asked_at[6:]))

    bank.clock.advance(1)
    with pytest.raises(NoCredentialError, match="no luck"):
        await held.ready()


async def test_it_recovers_as_soon_as_renewal_works(bank: Bank, held: Renewing[Token]) -> None:
    """After a failure the next question comes after a pause, and then all is well."""
    bank.failing = Outcome.DNS_FAILED
    with pytest.raises(NoCredentialError):
        await held.ready()
    bank.failing = None
    with pytest.raises(NoCredentialError):
        await held.ready()
    bank.clock.advance(5)
    await held.ready()

    assert (bank.handed, text(held)) == (2, "token-2")


async def test_a_refusal_is_not_repeated_for_five_minutes(
    bank: Bank, held: Renewing[Token]
) -> None:
    """Six refusals in a row would lock the user for everybody."""
    bank.failing = Outcome.UNAUTHENTICATED
    for _ in range(299):
        with pytest.raises(NoCredentialError):
            await held.ready()
        bank.clock.advance(1)

    assert bank.handed == 1


async def test_the_clouds_word_that_it_ended_renews_it_once(
    bank: Bank, held: Renewing[Token]
) -> None:
    """Many requests are told at once that the token expired; one new token serves them all."""
    await held.ready()
    bank.clock.advance(hours=1)
    used = held.current()

    again = [held.invalidate(used) for _ in range(50)]
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(held.ready)

    assert again == [True] * 50
    assert (bank.handed, text(held)) == (2, "token-2")
    assert held.invalidate(used) is True
    await held.ready()
    assert bank.handed == 2


async def test_a_renewed_credential_that_is_refused_at_once_is_not_renewed_again(
    bank: Bank, held: Renewing[Token]
) -> None:
    """A token of another region is refused as ended, too; one renewal shows that it is not old."""
    await held.ready()
    first = held.invalidate(held.current())
    await held.ready()

    second = held.invalidate(held.current())
    bank.clock.advance(59)
    third = held.invalidate(held.current())
    await held.ready()

    assert (first, second, third) == (True, False, False)
    assert bank.handed == 2
    bank.clock.advance(1)
    assert held.invalidate(held.current()) is True


async def test_an_ended_one_is_not_served_when_renewal_fails(
    bank: Bank, held: Renewing[Token]
) -> None:
    """What the cloud called ended does not become valid again because IAM is down."""
    await held.ready()
    bank.clock.advance(hours=1)
    held.invalidate(held.current())
    bank.failing = Outcome.CONNECT_TIMEOUT

    with pytest.raises(NoCredentialError):
        await held.ready()


async def test_a_credential_without_a_known_end_is_kept_until_it_is_refused(
    bank: Bank, held: Renewing[Token]
) -> None:
    """A token from a file tells no end."""
    bank.life_s = None
    await held.ready()
    bank.clock.advance(hours=1000)
    await held.ready()
    assert bank.handed == 1

    assert held.invalidate(held.current()) is True
    await held.ready()
    assert bank.handed == 2


async def test_a_new_credential_that_has_ended_tells_of_a_wrong_clock(
    bank: Bank, held: Renewing[Token]
) -> None:
    """It is not asked for again and again."""
    bank.life_s = -1.0

    with pytest.raises(NoCredentialError, match="clock of this machine is wrong"):
        await held.ready()
    with pytest.raises(NoCredentialError):
        await held.ready()
    assert bank.handed == 1


def test_before_the_first_there_is_none(held: Renewing[Token]) -> None:
    """Nothing is signed with nothing."""
    with pytest.raises(NoCredentialError, match="no token has been asked for"):
        held.current()


async def test_renewals_are_logged_without_the_credential(
    bank: Bank, held: Renewing[Token]
) -> None:
    """The log tells that and until when, never what."""
    with capture_logs() as lines:
        await held.ready()
        bank.clock.advance(hours=24)
        bank.failing = Outcome.CONNECT_TIMEOUT
        with pytest.raises(NoCredentialError):
            await held.ready()

    assert [line["event"] for line in lines] == ["auth.renewed", "auth.renewal_failed"]
    assert lines[0]["until"] == "2026-11-25T12:00:00.000Z"
    assert (lines[1]["still_valid"], lines[1]["retry_in_s"]) == (False, 5.0)
    assert "token-1" not in repr(lines)


async def test_a_credential_ends_by_the_worlds_clock(bank: Bank, held: Renewing[Token]) -> None:
    """After a machine was paused for a day its wall clock is set, and the token is renewed."""
    await held.ready()

    bank.clock.step(DAY_S)
    await held.ready()

    assert (bank.handed, text(held)) == (2, "token-2")


async def test_setting_the_clock_does_not_shorten_the_rest_after_a_refusal(
    bank: Bank, held: Renewing[Token]
) -> None:
    """Six refusals in a row lock a user: five minutes are five minutes, whatever is set."""
    bank.failing = Outcome.UNAUTHENTICATED
    for step_s in (HOUR_S, -HOUR_S, DAY_S):
        with pytest.raises(NoCredentialError):
            await held.ready()
        bank.clock.step(step_s)

    assert bank.handed == 1
