"""When a schedule is due, which missed ticks are caught up, and what else is skipped and why.

A tick is the nominal time at which a cron line fires in its zone; its id is the schedule's
name with that time, and the store lets each id fire once, so any number of schedulers may ask
this module the same question.  cronsim does the calendar: over a change of the clock it keeps
the rule of Debian's cron, which is ours too (a time in the gap fires right behind it, one in
the repeated hour fires once).

Jitter is a hash of the schedule and the tick, so every scheduler computes the same delay.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jobs.clock import MICROSECONDS, seconds_to_us

MOST_MISSED: Final = 10_000
"""Missed ticks that are told of one by one; a minutely schedule has that many in a week."""

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


class Skipped(StrEnum):
    """Why a tick did not fire."""

    MISSED = "missed"  # later than the grace allows
    CAUGHT_UP = "caught-up"  # a newer missed tick was run instead
    OVERLAP = "overlap"  # the run before it was still alive
    PAUSED = "paused"  # the schedule was paused


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
    """One due tick; *skipped* says why it must not fire, None that it must."""

    at_us: int
    skipped: Skipped | None = None


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
    """Yield the nominal times of the ticks after *after_us*, in order."""
    local = (_EPOCH + after_us * _MICROSECOND).astimezone(timing.zone)
    for moment in CronSim(timing.cron, local):
        at_us = (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
        if at_us > after_us:
            yield at_us


def jitter_us(timing: Timing, name: str, tick_us: int) -> int:
    """Return by how much the tick of this schedule is delayed; the same everywhere."""
    if timing.jitter_s <= 0:
        return 0
    digest = hashlib.sha256(f"{name}|{tick_us}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return int(share * timing.jitter_s * MICROSECONDS)


def due_ticks(timing: Timing, name: str, *, last_us: int, now_us: int) -> Sequence[Tick]:
    """Return the ticks after *last_us* that are due by now, oldest first, each with its fate.

    A tick is due once its jitter has passed.  One that is later than the grace is MISSED.
    Of the others all fire, or only the newest, or only one that is not late at all, by the
    policy; "late" is a tick that a newer one has overtaken.  A clock that went backwards
    makes nothing due twice, because ticks up to *last_us* are never looked at again.
    """
    nominal = takewhile(lambda at_us: at_us <= now_us, ticks(timing, last_us))
    newest = deque(nominal, maxlen=MOST_MISSED)
    due = [at for at in newest if at + jitter_us(timing, name, at) <= now_us]
    grace_us = seconds_to_us(timing.misfire_grace_s)
    return [Tick(at_us=at, skipped=_fate(timing, due, at, now_us - grace_us)) for at in due]


def _fate(timing: Timing, due: Sequence[int], at_us: int, oldest_us: int) -> Skipped | None:
    newest = at_us == due[-1]
    if at_us < oldest_us:
        return Skipped.MISSED
    match timing.catch_up:
        case CatchUp.ALL:
            return None
        case CatchUp.LATEST:
            return None if newest else Skipped.CAUGHT_UP
        case CatchUp.NONE:
            # With nobody there for several ticks, even the newest was missed.
            return None if newest and len(due) == 1 else Skipped.MISSED


def next_due_us(timing: Timing, name: str, *, last_us: int, now_us: int) -> int | None:
    """Return when to look again: the first moment a tick after *last_us* and *now_us* is due."""
    at_us = next(ticks(timing, max(last_us, now_us)), None)
    late = [
        at + jitter_us(timing, name, at)
        for at in takewhile(lambda at: at <= now_us, ticks(timing, last_us))
    ][:1]
    coming = [] if at_us is None else [at_us + jitter_us(timing, name, at_us)]
    return min(late + coming, default=None)
