"""The limiter's shared rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from jobs.pacing import Bucket
from jobs.store.sqlite import rows
from jobs.store.sqlite.transaction import Snapshot, Transaction

T = TypeVar("T")

_BUCKET: Final = f"{rows.BUCKETS} WHERE key = ?"
_SET: Final = "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def buckets(snapshot: Snapshot) -> Mapping[str, Bucket]:
    """See `OperatorStore.buckets`."""
    return {row[0]: rows.bucket(row) for row in snapshot.rows(rows.BUCKETS)}


def update(
    transaction: Transaction,
    keys: Sequence[str],
    change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
) -> T:
    """See `LimitStore.update_buckets`; the write lock is the lock of every row."""
    found = {}
    for key in keys:
        row = transaction.row(_BUCKET, (key,))
        if row is not None:
            found[key] = rows.bucket(row)
    changed, answer = change(found, transaction.now_us)
    transaction.each(_SET, (rows.bucket_cells(key, new) for key, new in changed.items()))
    return answer
