"""When a schedule is due, which missed ticks are caught up, and what else is skipped and why.

A tick is the nominal time at which a cron line fires in its zone; its id is the schedule's
name with that time, and the store lets each id fire once, so any number of schedulers may ask
this module the same question.  cronsim does the calendar: over a change of the clock it keeps
the rule of Debian's cron, which is ours too (a time in the gap fires right behind it, one in
the repeated hour fires once).

Jitter is a hash of the schedule and the tick, so every scheduler computes the same delay.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.schedule_states import Skipped

MOST_AT_ONCE: Final = 500
"""Due ticks that one look decides about: some 30 ms of reckoning."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class CatchUp(StrEnum):
    """What happens to ticks that nobody was there for."""

    NONE = "none"  # all are skipped
    LATEST = "latest"  # one late run, for the newest of them; the default
    ALL = "all"  # each is run, oldest first


class Overlap(StrEnum):
    """What happens to a tick while the run before it is still alive."""

    SKIP = "skip"
    QUEUE_ONE = "queue-one"  # one waits; a newer one takes its place
    REPLACE = "replace"  # the older run is superseded


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule fires; ``misfire_grace_s`` is how late a tick may still fire."""

    cron: str
    zone: ZoneInfo
    jitter_s: float = 0.0
    misfire_grace_s: float = 7200.0
    catch_up: CatchUp = CatchUp.LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One due tick; *skipped* says why it must not fire, None that it must.

    *late*: newer ticks are due as well, so it is a missed one that is run all the same.
    """

    at_us: int
    skipped: Skipped | None = None
    late: bool = False


def checked_cron(text: str) -> str:
    """Return the five-field form of a cron line.

    Raises:
        ValueError: If it is none, or names a day that never comes.
    """
    line = _NICKNAMES.get(text.strip().lower(), text.strip())
    if len(line.split()) != 5:
        found = len(line.split())
        raise ValueError(f"{text!r} has {found} fields; a cron line has five: 0 1 * * 2")
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        detail = str(error) or "it never fires"
        raise ValueError(f"{text!r} is no cron line: {detail}") from None
    return line


def in_words(cron: str) -> str:
    """Return what a cron line means, as in "At 03:00 on Sunday"."""
    return CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)).explain()


def ticks(timing: Timing, after_us: int) -> Iterator[int]:
    """Yield the nominal times of the ticks after *after_us*, in order.

    Each is asked for anew from the one before, as a scheduler does: around a change of the clock
    what a list says that comes is what will fire.
    """
    at_us = _following(timing, after_us)
    while at_us is not None:
        yield at_us
        at_us = _following(timing, at_us)


def _following(timing: Timing, after_us: int) -> int | None:
    local = (_EPOCH + after_us * _MICROSECOND).astimezone(timing.zone)
    instants = (
        (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND for moment in CronSim(timing.cron, local)
    )
    return next((at_us for at_us in instants if at_us > after_us), None)


def jitter_us(timing: Timing, name: str, tick_us: int) -> int:
    """Return by how much the tick of this schedule is delayed; the same everywhere."""
    if timing.jitter_s <= 0:
        return 0
    digest = hashlib.sha256(f"{name}|{tick_us}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return int(share * timing.jitter_s * MICROSECONDS)


def due_us(timing: Timing, name: str, tick_us: int) -> int:
    """Return when a tick fires: its nominal time and its jitter."""
    return tick_us + jitter_us(timing, name, tick_us)


def due_ticks(timing: Timing, name: str, *, last_us: int, now_us: int) -> Sequence[Tick]:
    """Return the ticks after *last_us* that are due by now, oldest first, each with its fate.

    A tick is due once its jitter has passed, and never before the one in front of it: with a
    jitter longer than their distance ticks keep their order.  One that is later than the grace
    is MISSED.  Of the others all fire, or only the newest, or only one that is not late at
    all, by the policy; "late" is a tick that a newer one has overtaken.  A clock that went
    backwards makes nothing due twice, because ticks up to *last_us* are never looked at again.

    At most MOST_AT_ONCE; whoever gets some asks again from the last of them on, until none come.
    """
    due: list[int] = []
    for at_us in islice(ticks(timing, last_us), MOST_AT_ONCE + 1):
        if due_us(timing, name, at_us) > now_us:
            break
        due.append(at_us)
    newest_us = due[-1] if due else None
    oldest_us = now_us - seconds_to_us(timing.misfire_grace_s)
    alone = len(due) == 1
    # The rest of a long row is never a single tick, which would look as if it were on time.
    told = due if len(due) <= MOST_AT_ONCE else due[: MOST_AT_ONCE - 1]
    return [
        _fate(timing, name, at_us, oldest_us, newest=at_us == newest_us, alone=alone)
        for at_us in told
    ]


def _fate(  # each fact of a tick that decides
    timing: Timing, name: str, at_us: int, oldest_us: int, *, newest: bool, alone: bool
) -> Tick:
    if due_us(timing, name, at_us) < oldest_us:
        return Tick(at_us=at_us, skipped=Skipped.MISSED)
    match timing.catch_up:
        case CatchUp.ALL:
            return Tick(at_us=at_us, late=not alone)
        case CatchUp.LATEST:
            return Tick(at_us=at_us, skipped=None if newest else Skipped.CAUGHT_UP)
        case CatchUp.NONE:
            # With nobody there for several ticks, even the newest was missed.
            return Tick(at_us=at_us, skipped=None if alone else Skipped.MISSED)


def next_due_us(timing: Timing, name: str, *, last_us: int) -> int | None:
    """Return when the first tick after *last_us* is due; in the past when it is already."""
    at_us = next(ticks(timing, last_us), None)
    return None if at_us is None else due_us(timing, name, at_us)
