"""When the next request may leave, so that no window ever holds more than its limit.

A bucket is one row: the time of the next free slot.  Workers reserve *send times* ahead
of need; a slot that is not used on time is dropped, never sent late.  A worker that dies
wastes its few slots and cannot break the limit.

Slots are ``(window + jitter) / limit`` apart.  With arrival times uncertain by `jitter`,
that spacing is the closest at which no window of the server, wherever it starts, can hold
more than the limit (reliability notes, finding 10).  It costs jitter/window of the rate.

A 429 teaches the bucket, and the bucket is shared, so it teaches every worker on every
machine; what it teaches is `jobs.learning`.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.learning import (
    AUTO_MOST_PER_S,
    CLOSE_S,
    MAX_PAUSE_S,
    Lesson,
    Limit,
    Refused,
    Source,
    climbed,
    taught,
)

__all__ = [
    "LATE_LIMIT_S",
    "MAX_PAUSE_S",
    "Bucket",
    "Demand",
    "Limit",
    "Pace",
    "Slot",
    "allowed_per_s",
    "free_at",
    "reserve",
    "spacing_us",
    "throttled",
]

LATE_LIMIT_S: Final = 0.008
"""A slot used later than this is dropped; the rest of the jitter belongs to the network."""

MAX_AHEAD_S: Final = 60.0
"""A slot further ahead than this, with no block to explain it, is a clock that was set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The shared state of one limiter key.

    Attributes:
        next_us: The next free send time.
        blocked_us: Nothing may be sent before this instant.
        lesson: What 429s have taught; None when what is configured holds.
        gap_us: Start of a free stretch before ``next_us`` that was passed over.
        gap_end_us: Its end: a slot may start before this.
        given: Slots given since the last 429.
        strikes: On a breaker's row: refusals in a row.
        refused: On a breaker's row: the mark of the credential that the cloud refused.
    """

    next_us: int = 0
    blocked_us: int = 0
    lesson: Lesson | None = None
    gap_us: int = 0
    gap_end_us: int = 0
    given: int = 0
    strikes: int = 0
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How one key is to be paced.

    Attributes:
        limit: What is configured; with *auto* where to begin.
        jitter_s: By how much the network may shift arrivals.
        burst: Slots that may be used at once after a pause.
        auto: The limit is not known: find it.
    """

    limit: Limit
    jitter_s: float = 0.028
    burst: int = 1
    auto: bool = False

    @property
    def most_per_s(self) -> float:
        """Requests a second that are never exceeded."""
        return AUTO_MOST_PER_S if self.auto else self.limit.per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Requests that wait under one project.

    Attributes:
        project: Whose.
        waiting: How many.
        project_key: The key of its own limit; None when it has none.
        weight: Its slots for each one of a project of weight 1.
    """

    project: str
    waiting: int
    project_key: str | None = None
    weight: float = 1.0


class Slot(NamedTuple):  # a tuple: of a high limit there are ten for each request
    """The right to send one request of *project* at *at_us*, and only then."""

    at_us: int
    project: str


def allowed_per_s(pace: Pace, bucket: Bucket) -> float:
    """Return the requests a second that are allowed now, by settings and lessons."""
    if bucket.lesson is None:
        return pace.limit.per_s
    return min(bucket.lesson.per_s, pace.most_per_s)


def window_s(pace: Pace, bucket: Bucket) -> float:
    """Return the seconds of the window to be kept: the shorter one has its slots further apart."""
    if bucket.lesson is None or bucket.lesson.named is None:
        return pace.limit.window_s
    return min(pace.limit.window_s, bucket.lesson.named.window_s)


def spacing_us(pace: Pace, bucket: Bucket) -> int:
    """Return the microseconds between two slots."""
    stretch = 1.0 + pace.jitter_s / window_s(pace, bucket)
    return max(1, round(stretch / allowed_per_s(pace, bucket) * MICROSECONDS))


def learning(pace: Pace, bucket: Bucket, now_us: int) -> Bucket:
    """Return the row with what time without a 429 has taught."""
    lesson = bucket.lesson
    if lesson is None:
        if not pace.auto:
            return bucket
        start = pace.limit.per_s
        first = Lesson(per_s=start, last_per_s=start, source=Source.START, since_us=now_us)
        return replace(bucket, lesson=replace(first, since_given=bucket.given))
    after = climbed(lesson, bucket.given, now_us, pace.most_per_s)
    if after is None and pace.auto:
        return bucket
    return bucket if after is lesson else replace(bucket, lesson=after)


def believable(pace: Pace, bucket: Bucket, now_us: int) -> Bucket:
    """Return the row with instants taken back that only a clock that was set back explains.

    The row is changed, not merely read otherwise: a slot that moves ahead with every look
    would never come.
    """
    window_us = max(seconds_to_us(pace.limit.window_s), spacing_us(pace, bucket))
    if bucket.blocked_us > now_us + seconds_to_us(MAX_PAUSE_S):
        bucket = replace(bucket, blocked_us=0)
    ahead_us = seconds_to_us(MAX_AHEAD_S) + window_us
    if bucket.next_us > max(now_us, bucket.blocked_us) + ahead_us:
        bucket = replace(bucket, next_us=now_us + window_us, gap_us=0, gap_end_us=0)
    return bucket


def free_at(pace: Pace, bucket: Bucket, now_us: int, *, from_us: int = 0) -> int:
    """Return the earliest send time from *from_us* on that the bucket still has to give.

    It lies before *now_us* by up to the unused burst.
    """
    open_us = max(from_us, bucket.blocked_us)
    in_gap_us = max(open_us, bucket.gap_us, now_us)
    if in_gap_us < bucket.gap_end_us:
        return in_gap_us
    credit = (pace.burst - 1) * spacing_us(pace, bucket)
    return max(bucket.next_us, now_us - credit, open_us)


def reserve(
    shared: tuple[str, Pace],
    projects: Mapping[str, Pace],
    demands: Sequence[Demand],
    buckets: Mapping[str, Bucket],
    *,
    now_us: int,
    until_us: int,
) -> tuple[dict[str, Bucket], list[Slot]]:
    """Give out send times from *now_us* up to *until_us*, in turn over the demanding projects.

    Turns go by weight.

    A slot needs room under the shared key and under its project's key at the same instant;
    a project whose own key is not free yet is passed over.  When all are, the first of them
    gets its slot ahead of time, and that is the last one: what lies between stays free for
    others, so that a project at its own limit delays nobody.

    Args:
        shared: The credential-and-endpoint key with its pace.
        projects: The pace for each project key that occurs in *demands*.
        demands: Who waits for how many slots, in the order of their turn.
        buckets: Present rows; a missing one is fresh.
        now_us: The store's time; the earliest slot.
        until_us: Where to stop; at least one slot is given if it is due before that.

    Returns:
        The changed rows, and the slots in order of time.
    """
    key, pace = shared
    paces = {key: pace, **projects}
    changed = {
        name: believable(own, learning(own, buckets.get(name, Bucket()), now_us), now_us)
        for name, own in paces.items()
    }
    served = dict.fromkeys((demand.project for demand in demands), 0.0)
    left = {demand.project: demand.waiting for demand in demands}
    turns = [demand for demand in demands if demand.waiting > 0]
    slots: list[Slot] = []
    while turns:
        at_us = free_at(pace, changed[key], now_us)
        chosen, own_us = _whose_turn(turns, paces, changed, now_us, max(at_us, now_us))
        early = own_us > max(at_us, now_us)
        if early:
            at_us = free_at(pace, changed[key], now_us, from_us=own_us)
        if at_us > until_us:
            break
        slots.append(Slot(at_us=max(at_us, now_us), project=chosen.project))
        changed[key] = _without(pace, changed[key], at_us, now_us)
        own = chosen.project_key
        if own is not None:
            changed[own] = _used(paces[own], changed[own], max(at_us, now_us))
        turns.remove(chosen)
        left[chosen.project] -= 1
        if left[chosen.project] > 0:
            served[chosen.project] += 1 / chosen.weight
            insort(turns, chosen, key=lambda demand: served[demand.project])
        if early:
            break
        if own is None and len(turns) == 1:
            more = _in_a_row(pace, changed[key], left[chosen.project], now_us, until_us)
            slots += [Slot(at_us, chosen.project) for at_us in more]
            left[chosen.project] -= len(more)
            changed[key] = _without_row(changed[key], more)
            if left[chosen.project] <= 0:
                break
    return changed, slots


def _in_a_row(pace: Pace, bucket: Bucket, count: int, now_us: int, until_us: int) -> range:
    """Return up to *count* slots that simply follow each other: no gap, no burst, no block.

    For a high limit the loop above would be most of what a slot costs.
    """
    step_us, first_us = spacing_us(pace, bucket), bucket.next_us
    plain = first_us >= now_us and first_us >= bucket.blocked_us
    if not plain or bucket.gap_end_us or count <= 0 or first_us > until_us:
        return range(0)
    return range(first_us, min(first_us + count * step_us, until_us + 1), step_us)


def _without_row(bucket: Bucket, row: range) -> Bucket:
    """Return the shared row after the slots in *row* were given away."""
    if not row:
        return bucket
    return replace(bucket, next_us=row[-1] + row.step, given=bucket.given + len(row))


def _whose_turn(
    turns: Sequence[Demand],
    paces: Mapping[str, Pace],
    rows: Mapping[str, Bucket],
    now_us: int,
    due_us: int,
) -> tuple[Demand, int]:
    """Return the first project that is free by *due_us*, else the one that is free first."""
    earliest: tuple[Demand, int] | None = None
    for demand in turns:
        own = demand.project_key
        own_us = 0 if own is None else free_at(paces[own], rows[own], now_us)
        if own_us <= due_us:
            return demand, own_us
        if earliest is None or own_us < earliest[1]:
            earliest = (demand, own_us)
    assert earliest is not None
    return earliest


def _without(pace: Pace, bucket: Bucket, at_us: int, now_us: int) -> Bucket:
    """Return the shared row after *at_us* was given away, with the longest gap that is left.

    One gap is kept; a second one is lost, which costs slots and never breaks the limit.
    """
    step_us = spacing_us(pace, bucket)
    before_end_us = at_us - step_us + 1
    if max(bucket.gap_us, now_us) <= at_us < bucket.gap_end_us:
        gaps = [(bucket.gap_us, before_end_us), (at_us + step_us, bucket.gap_end_us)]
        next_us = bucket.next_us
    else:
        gaps = [(bucket.gap_us, bucket.gap_end_us), (bucket.next_us, before_end_us)]
        next_us = at_us + step_us
    gap_us, gap_end_us = max(gaps, key=lambda gap: gap[1] - max(gap[0], now_us))
    if gap_end_us <= max(gap_us, now_us):
        gap_us = gap_end_us = 0
    return replace(
        bucket, next_us=next_us, gap_us=gap_us, gap_end_us=gap_end_us, given=bucket.given + 1
    )


def _used(pace: Pace, bucket: Bucket, at_us: int) -> Bucket:
    """Return a project's own row after a slot at *at_us*."""
    step_us = spacing_us(pace, bucket)
    credit_us = (pace.burst - 1) * step_us
    return replace(bucket, next_us=max(bucket.next_us, at_us - credit_us) + step_us)


def throttled(
    pace: Pace,
    bucket: Bucket,
    *,
    now_us: int,
    age_s: float = 0.0,
    limit: Limit | None = None,
    retry_after_s: float | None = None,
) -> Bucket:
    """Return the bucket after a 429: nothing is sent before the pause is over.

    A request that had left before the last lesson's pause was over teaches nothing new; its
    wish for time is obeyed all the same.

    Args:
        pace: How the key is paced.
        bucket: Its row.
        now_us: The store's time.
        age_s: How long ago the refused request left.
        limit: What the answer's text names.
        retry_after_s: What its header names.
    """
    sent_us = now_us - seconds_to_us(age_s)
    lesson = bucket.lesson or Lesson(per_s=pace.limit.per_s)
    if lesson.taught_us and max(lesson.taught_us, bucket.blocked_us) > sent_us:
        wish_us = now_us + seconds_to_us(min(retry_after_s or 0.0, MAX_PAUSE_S))
        return replace(bucket, blocked_us=max(bucket.blocked_us, wish_us))
    close_us = bucket.blocked_us + seconds_to_us(CLOSE_S * max(1.0, lesson.window_s))
    refused = Refused(
        now_us=now_us,
        sent_us=sent_us,
        passed=max(0.0, bucket.given - (bucket.next_us - sent_us) / spacing_us(pace, bucket)),
        resumed_us=bucket.blocked_us,
        stretch=1.0 + pace.jitter_s / window_s(pace, bucket),
        limit=limit,
        retry_after_s=retry_after_s,
    )
    close = lesson.taught_us > 0 and sent_us <= close_us
    after, pause_s = taught(lesson, refused, close=close)
    blocked_us = max(bucket.blocked_us, now_us + seconds_to_us(pause_s))
    return replace(bucket, lesson=after, blocked_us=blocked_us, given=0, gap_us=0, gap_end_us=0)
