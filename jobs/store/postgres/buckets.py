"""The limiter's shared rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from jobs.pacing import Bucket
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.wire import Wire
from jobs.store.schema import bucket_text, bucket_value

T = TypeVar("T")
Change = Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]]

_ALL: Final = "SELECT key, body FROM plugwave.buckets"
# A lock for each key, also of a row that does not exist yet; in one order, against deadlocks.
_LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended(u.key, 0)) FROM unnest($1::text[]) AS u(key)
"""
_SOME: Final = f"{_ALL} WHERE key = ANY($1::text[])"
_SET: Final = """
INSERT INTO plugwave.buckets(key, body)
SELECT u.key, u.body FROM unnest($1::text[], $2::text[]) AS u(key, body)
ON CONFLICT (key) DO UPDATE SET body = excluded.body
"""


async def buckets(wire: Wire) -> Mapping[str, Bucket]:
    """See `OperatorStore.buckets`."""
    return {key: bucket_value(body) for key, body in await wire.rows(_ALL)}


async def update(transaction: Transaction, keys: Sequence[str], change: Change[T]) -> T:
    """See `LimitStore.update_buckets`.

    The time is read after the locks were taken and just before *change* is called: a caller
    may read its own clock there to learn how the two differ.
    """
    wire = transaction.wire
    await wire.rows(_LOCK, sorted(keys))
    found = {key: bucket_value(body) for key, body in await wire.rows(_SOME, list(keys))}
    now_us = await transaction.read_now_us()
    changed, answer = change(found, now_us)
    if changed:
        told = sorted((key, bucket_text(row)) for key, row in changed.items())
        await wire.rows(_SET, *columns(told, 2))
    return answer
