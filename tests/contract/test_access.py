"""Access: tokens are kept by their hash, and a keyed call of many jobs is answered once."""

import hashlib
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from jobs.errors import ConflictError, NothingMatchedError
from jobs.retention import DAY_S, Retention
from jobs.store.access import KeyedCall, Receipt, Token
from jobs.store.protocol import Store
from tests.builders import NOON_US, a_request
from tests.contract.conftest import Opener
from tests.fakes import FakeClock

CALL = KeyedCall(source="http:a", key="b-1", fingerprint="ab" * 32)


def a_token(name: str = "ticketing", **more: object) -> Token:
    """Return a token that opens something."""
    digest = hashlib.sha256(name.encode()).digest()
    made = Token(name=name, digest=digest, created_us=NOON_US, by="ana", terms={"scopes": ["x"]})
    return replace(made, **more)  # type: ignore[arg-type] # fields of a token


async def test_a_token_is_kept_as_it_was_made(store: Store) -> None:
    """Name, hash, terms and end come back; a name is never given out twice."""
    tokens = [a_token("b", expires_us=NOON_US + 5), a_token("a")]
    for token in tokens:
        await store.access.add_token(token)

    assert list(await store.access.tokens()) == tokens[::-1]
    with pytest.raises(ConflictError):
        await store.access.add_token(a_token("a", digest=b"x" * 32))


async def test_a_token_is_live_until_it_ends_or_is_revoked(store: Store, clock: FakeClock) -> None:
    """Revoking ends it now, and again changes nothing."""
    await store.access.add_token(a_token(expires_us=NOON_US + 60_000_000))
    [before] = await store.access.tokens()
    clock.advance(seconds=1)
    revoked = await store.access.revoke_token("ticketing")
    clock.advance(seconds=1)
    again = await store.access.revoke_token("ticketing")

    assert [before.is_live(NOON_US), before.is_live(NOON_US + 60_000_000)] == [True, False]
    assert (again, again.is_live(NOON_US)) == (revoked, False)
    assert revoked.revoked_us == NOON_US + 1_000_000
    with pytest.raises(NothingMatchedError):
        await store.access.revoke_token("nobody")


async def test_a_keyed_call_makes_its_jobs_once(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """A second call with the key gets the receipt of the first, from another process, too."""
    requests = [a_request("a"), a_request("b"), a_request("a")]
    first = await store.access.enqueue_once(CALL, requests)
    other = await opener(tmp_path, clock)
    second = await other.access.enqueue_once(replace(CALL, fingerprint="cd" * 32), [a_request("z")])
    count = await other.open_jobs()
    await other.close()

    assert [verdict for verdict, _ in first.answers] == ["created", "created", "duplicate"]
    assert second == replace(first, fresh=False, answers=list(second.answers))
    assert [tuple(one) for one in second.answers] == list(first.answers)
    assert (first.fresh, count) == (True, 2)


async def test_of_two_calls_at_once_one_is_the_first(store: Store) -> None:
    """However they meet, one call makes the jobs and all get its receipt."""
    receipts: list[Receipt] = []

    async def call(number: int) -> None:
        requests = [a_request(f"pool-{number}")]
        receipts.append(await store.access.enqueue_once(CALL, requests))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(call, number)

    assert sum(receipt.fresh for receipt in receipts) == 1
    assert len({tuple(map(tuple, receipt.answers)) for receipt in receipts}) == 1
    assert await store.open_jobs() == 1


async def test_keys_of_calls_are_each_sources_own(store: Store) -> None:
    """The same key of another source is another call; an empty call has a receipt, too."""
    await store.access.enqueue_once(CALL, [])
    other = await store.access.enqueue_once(replace(CALL, source="http:b"), [a_request()])
    again = await store.access.enqueue_once(CALL, [a_request("z")])

    assert (len(other.answers), other.fresh) == (1, True)
    assert (list(again.answers), again.fresh) == ([], False)


async def test_a_receipt_goes_when_its_time_has_come(store: Store, clock: FakeClock) -> None:
    """Receipts are kept as long as keys, and then removed."""
    await store.access.enqueue_once(CALL, [a_request(key="k")])
    retention = Retention(finished_s=DAY_S, keys_s=2 * DAY_S)
    clock.advance(hours=47)
    early = await store.tidy(retention)
    clock.advance(hours=2)
    late = await store.tidy(retention)
    anew = await store.access.enqueue_once(CALL, [a_request(key="k")])

    assert (early.keys, late.keys) == (0, 1)
    assert anew.fresh
