"""When a finite run is over: its own work is done, or nobody lets it in, or nobody answers."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from jobs.decide import Move, Step
from jobs.errors import CloudUnreachableError, CredentialsRefusedError
from jobs.model import JobId, Lease, Progress, WorkerId
from jobs.outcomes import Answer, Outcome
from jobs.states import JobState
from jobs.store.protocol import WorkStore
from tests.builders import a_job, a_request
from tests.fakes import FakeClock
from worker.executor import Held
from worker.hand import Hand
from worker.prospects import Prospects
from worker.troubles import Troubles

CREDENTIALS = {None: "ak-main", "main": "ak-main", "east": "ak-east"}
REFUSED = Answer(
    outcome=Outcome.UNAUTHENTICATED, sent=True, http_status=401, error_code="APIG.0301", message="x"
)


class Left:
    """A store in which that much is left."""

    def __init__(self, left: Mapping[str | None, int]) -> None:
        self._left = left

    async def left_by_profile(self) -> Mapping[str | None, int]:
        """Return it."""
        return self._left


def held(profile: str | None, number: int = 1) -> Held:
    """Return a job of *profile* in this worker's hands."""
    job = a_job(JobState.WATCHING, number=number, request=a_request(profile=profile))
    return Held(
        job=job,
        lease=Lease(job=JobId(number), worker=WorkerId(1), fence=1),
        move=Move(progress=Progress(), step=Step.LOOK),
        claimed_at=0.0,
    )


async def ending(
    left: Mapping[str | None, int], *in_hand: str | None, refused: tuple[str, ...] = ()
) -> tuple[bool, Any]:
    """Return whether the run is over, and as what."""
    troubles = Troubles(FakeClock())
    for credential in refused:
        troubles.met(REFUSED, "https://cloud", credential)
    hand = Hand()
    for number, profile in enumerate(in_hand, start=1):
        hand.put(held(profile, number))
    store = cast("WorkStore", Left(left))
    prospects = Prospects(store, troubles, CREDENTIALS, unreachable_after_s=60)
    return await prospects.ended(hand), prospects.failure


@pytest.mark.parametrize("profile", [None, "main", "east"])
async def test_it_goes_on_while_anything_of_its_own_is_left(profile: str | None) -> None:
    """In hand or in the queue, of whatever account: there is work."""
    assert await ending({}, profile) == (False, None)
    assert await ending({profile: 1}) == (False, None)


async def test_it_ends_when_nothing_is_left() -> None:
    """An empty queue is a good end."""
    assert await ending({}) == (True, None)


async def test_jobs_of_profiles_it_lacks_are_left_to_others() -> None:
    """They neither keep it waiting nor make its end a bad one."""
    assert await ending({"elsewhere": 7}) == (True, None)
    assert await ending({"elsewhere": 7, None: 1}) == (False, None)


@pytest.mark.parametrize("others", [{None: 1}, {"main": 1}])
async def test_a_refused_account_does_not_end_the_work_of_another(
    others: dict[str | None, int],
) -> None:
    """As long as the other has work the run goes on."""
    over = await ending({**others, "east": 3}, refused=("ak-east",))
    in_hand = await ending({"east": 3}, "east", *others, refused=("ak-east",))

    assert over == in_hand == (False, None)


async def test_it_gives_up_when_only_refused_accounts_have_work() -> None:
    """Also with their jobs still in hand, because nothing can be read of them."""
    over, failure = await ending({"east": 2}, "east", "east", refused=("ak-east",))

    assert over
    assert isinstance(failure, CredentialsRefusedError)
    assert failure.proof == "401 APIG.0301 x"


async def test_a_credential_is_refused_for_each_profile_that_uses_it() -> None:
    """Jobs without a profile and those of a profile with the same key stand and fall together."""
    over, failure = await ending({None: 1, "main": 1}, refused=("ak-main",))

    assert (over, type(failure)) == (True, CredentialsRefusedError)


async def test_a_refused_account_without_work_ends_nothing_badly() -> None:
    """A profile nobody uses may be wrong."""
    assert await ending({}, refused=("ak-east",)) == (True, None)


async def test_it_gives_up_when_nobody_answers() -> None:
    """Whatever is left: without an answer nothing can be done."""
    clock = FakeClock()
    troubles = Troubles(clock)
    refused = Answer(outcome=Outcome.CONNECT_REFUSED, sent=False)
    troubles.met(refused, "https://cloud", "ak-main")
    clock.advance(seconds=61)
    prospects = Prospects(
        cast("WorkStore", Left({None: 1})), troubles, CREDENTIALS, unreachable_after_s=60
    )

    assert await prospects.ended(Hand())
    assert isinstance(prospects.failure, CloudUnreachableError)


async def test_troubles_of_credentials_are_told_apart() -> None:
    """A success of one says nothing about the other; the line for people names who is refused."""
    troubles = Troubles(FakeClock())
    troubles.met(REFUSED, "https://cloud", "ak-east")
    troubles.met(REFUSED, "https://cloud", "ak-main")
    troubles.accepted("ak-main")

    assert set(troubles.refused) == {"ak-east"}
    assert "ak-east" in (troubles.sentence() or "")
