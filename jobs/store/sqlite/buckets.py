"""The limiter's shared rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from jobs.pacing import Bucket
from jobs.store.schema import bucket_text, bucket_value
from jobs.store.sqlite.transaction import Snapshot, Transaction

T = TypeVar("T")

_ALL: Final = "SELECT key, body FROM buckets"
_ONE: Final = "SELECT body FROM buckets WHERE key = ?"
_SET: Final = "INSERT OR REPLACE INTO buckets(key, body) VALUES (?, ?)"


def buckets(snapshot: Snapshot) -> Mapping[str, Bucket]:
    """See `OperatorStore.buckets`."""
    return {key: bucket_value(body) for key, body in snapshot.rows(_ALL)}


def update(
    transaction: Transaction,
    keys: Sequence[str],
    change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
) -> T:
    """See `LimitStore.update_buckets`; the write lock is the lock of every row."""
    found = {}
    for key in keys:
        row = transaction.row(_ONE, (key,))
        if row is not None:
            found[key] = bucket_value(row[0])
    changed, answer = change(found, transaction.now_us)
    transaction.each(_SET, ((key, bucket_text(new)) for key, new in changed.items()))
    return answer
