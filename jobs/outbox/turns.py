"""When a sink delivers: one process at a time, the same events with the same id, and backoff.

Rules about one `SinkRow`; each returns the new row.  Nothing is ever passed over: a
receiver that stays away stops the sink, and a person lets it go on from where it stood.
"""

import hashlib
import random
from dataclasses import dataclass, replace
from typing import Final

from jobs.clock import seconds_to_us
from jobs.store.sinks import Delivery, SinkRow

SCHEDULE_S: Final = (
    5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0,
)  # fmt: skip
"""Waits after the first try and each that follows; Standard Webhooks, "retry schedule"."""

LONGEST_ASKED_S: Final = 86_400.0
"""How long a Retry-After is believed."""

LOG_KEPT: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one try.

    Attributes:
        ok: The receiver has it.
        outcome: In short, for the log.
        retry_after_s: When the receiver wants to be asked again; None when it does not say.
        gone: The receiver wants nothing more, ever (410).
    """

    ok: bool
    outcome: str
    retry_after_s: float | None = None
    gone: bool = False


def begun(row: SinkRow | None, cursor: str) -> SinkRow:
    """Return the row of a sink that was never there before; it begins at *cursor*."""
    return row or SinkRow(cursor=cursor)


def taken(row: SinkRow, owner: str, now_us: int, *, lease_s: float) -> SinkRow | None:
    """Return the row with *owner*'s turn begun or renewed; None while another has it.

    A turn of which more than half is left is as it was: whoever only looks writes nothing.
    """
    if row.owner not in {"", owner} and now_us < row.lease_until_us:
        return None
    if row.owner == owner and row.lease_until_us - now_us > seconds_to_us(lease_s / 2):
        return row
    return replace(row, owner=owner, lease_until_us=now_us + seconds_to_us(lease_s))


def passed(row: SinkRow, cursor: str) -> SinkRow:
    """Return the row after events that nobody asked for."""
    return replace(row, cursor=cursor)


def loaded(row: SinkRow, until: str, raw: int) -> SinkRow:
    """Return the row with what is delivered next fixed: the *raw* events up to *until*."""
    return replace(row, pending=until, raw=raw, attempt=0)


def message_id(name: str, row: SinkRow) -> str:
    """Return the id of what is pending: the same for every try, and no other's."""
    told = f"{name} {row.cursor} {row.pending}".encode()
    return f"msg_{hashlib.sha256(told).hexdigest()[:32]}"


def after(
    row: SinkRow, tried: Tried, name: str, *, events: int, now_us: int, dice: random.Random
) -> SinkRow:
    """Return the row after a try."""
    entry = Delivery(at_us=now_us, id=message_id(name, row), events=events, outcome=tried.outcome)
    row = replace(row, log=(*row.log, entry)[-LOG_KEPT:], attempt=row.attempt + 1)
    if tried.ok:
        assert row.pending is not None
        return replace(
            row,
            cursor=row.pending,
            pending=None,
            attempt=0,
            next_us=0,
            delivered=row.delivered + events,
        )
    if tried.gone:
        return replace(row, stopped="the receiver wants nothing more (410)")
    if row.attempt > len(SCHEDULE_S):
        return replace(row, stopped=f"{row.attempt} tries failed, last: {tried.outcome}")
    wait_s = SCHEDULE_S[row.attempt - 1] * (1 + 0.2 * dice.random())
    if tried.retry_after_s is not None:
        wait_s = max(min(tried.retry_after_s, LONGEST_ASKED_S), 1.0)
    return replace(row, next_us=now_us + seconds_to_us(wait_s))


def resumed(row: SinkRow) -> SinkRow:
    """Return the row of a sink that a person lets go on: the pending events are tried at once."""
    return replace(row, stopped=None, attempt=0, next_us=0)


def rewound(row: SinkRow, cursor: str) -> SinkRow:
    """Return the row of a sink that delivers again from *cursor* on."""
    return replace(resumed(row), cursor=cursor, pending=None)
