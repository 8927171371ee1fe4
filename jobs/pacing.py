"""When the next request may leave, so that no window ever holds more than its limit.

A bucket is one row: the time of the next free slot.  Workers reserve *send times* ahead
of need; a slot that is not used on time is dropped, never sent late.  A worker that dies
wastes its few slots and cannot break the limit.

Slots are ``(window + jitter) / limit`` apart.  With arrival times uncertain by `jitter`,
that spacing is the closest at which no window of the server, wherever it starts, can hold
more than the limit (reliability notes, finding 10).  It costs jitter/window of the rate.

A 429 teaches the bucket, and the bucket is shared, so it teaches every worker on every
machine: first from ``limit:N,time:W`` in its text, then from ``Retry-After``, then by
slowing down and recovering step by step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.retries import RETRY_AFTER_CEILING_S

LATE_LIMIT_S: Final = 0.008
"""A slot used later than this is dropped; the rest of the jitter belongs to the network."""

SLOWER: Final = 1.5
"""Factor on the spacing when 429s come often and name no limit that we do not keep already."""

SLOWEST: Final = 64.0
"""The factor never grows beyond this; what is slower still is a limit to be configured."""

OFTEN: Final = 10
"""A 429 is a strike when fewer slots than this were given since the one before; two strikes in
a row slow down.  A single 429 among many answers is somebody else's burst or a fault of the
gateway: it pauses, as it asks, but says nothing about the rate."""

FASTER: Final = 0.95
"""Factor on the spacing for each second after that, down to 1: recovery within 30 s."""

LEARNED_FOR_S: Final = 600.0
"""How long a limit learned from a 429 holds before the configured one is tried again."""

BLIND_PAUSE_S: Final = 1.0
"""Pause after a 429 that names neither a limit nor a time."""

MAX_PAUSE_S: Final = RETRY_AFTER_CEILING_S
"""Longest pause after one 429; a cloud that wants more is asked again after that."""

MAX_AHEAD_S: Final = 60.0
"""A slot further ahead than this, with no block to explain it, is a clock that was set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most *count* requests in any *window_s* seconds."""

    count: int
    window_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The shared state of one limiter key.

    Attributes:
        next_us: The next free send time.
        blocked_us: Nothing may be sent before this instant.
        factor: Spacing is stretched by this; 1 is the plain limit.
        eased_us: Up to when `factor` has been recovered.
        learned: A limit read from a 429, in force until ``learned_until_us``.
        gap_us: Start of a free stretch before ``next_us`` that was passed over.
        gap_end_us: Its end: a slot may start before this.
        given: Slots given since the last 429.
        strikes: How many 429s in a row came often.
        refused: On a breaker's row: the mark of the credential that the cloud refused.
    """

    next_us: int = 0
    blocked_us: int = 0
    factor: float = 1.0
    eased_us: int = 0
    learned: Limit | None = None
    learned_until_us: int = 0
    gap_us: int = 0
    gap_end_us: int = 0
    given: int = 0
    strikes: int = 0
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How one key is to be paced: its configured limit, the jitter allowance and the burst."""

    limit: Limit
    jitter_s: float = 0.028
    burst: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Requests that wait under one project; *project_key* is None when it has no own limit."""

    project: str
    waiting: int
    project_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The right to send one request of *project* at *at_us*, and only then."""

    at_us: int
    project: str


def effective_limit(pace: Pace, bucket: Bucket, now_us: int) -> Limit:
    """Return the stricter of the configured limit and a learned one that still holds.

    The stricter one has its slots further apart, so that it keeps the windows of both.
    """
    learned = bucket.learned
    if learned is None or now_us >= bucket.learned_until_us:
        return pace.limit
    return max(pace.limit, learned, key=lambda limit: _plain_s(limit, pace))


def _plain_s(limit: Limit, pace: Pace) -> float:
    return (limit.window_s + pace.jitter_s) / limit.count


def spacing_us(pace: Pace, bucket: Bucket, now_us: int) -> int:
    """Return the microseconds between two slots."""
    plain_s = _plain_s(effective_limit(pace, bucket, now_us), pace)
    return max(1, round(plain_s * bucket.factor * MICROSECONDS))


def ease(bucket: Bucket, now_us: int) -> Bucket:
    """Recover the factor by FASTER for each whole second since the last trouble."""
    seconds = (now_us - bucket.eased_us) // MICROSECONDS
    if bucket.factor <= 1.0 or seconds <= 0:
        return bucket
    factor = max(1.0, bucket.factor * FASTER ** min(seconds, 10_000))
    return replace(bucket, factor=factor, eased_us=bucket.eased_us + seconds * MICROSECONDS)


def believable(pace: Pace, bucket: Bucket, now_us: int) -> Bucket:
    """Return the row with instants taken back that only a clock that was set back explains.

    The row is changed, not merely read otherwise: a slot that moves ahead with every look
    would never come.
    """
    limit = effective_limit(pace, bucket, now_us)
    window_us = seconds_to_us((limit.window_s + pace.jitter_s) * bucket.factor)
    if bucket.blocked_us > now_us + seconds_to_us(MAX_PAUSE_S):
        bucket = replace(bucket, blocked_us=0, eased_us=now_us)
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
    credit = (pace.burst - 1) * spacing_us(pace, bucket, now_us)
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
        name: believable(own, ease(buckets.get(name, Bucket()), now_us), now_us)
        for name, own in paces.items()
    }
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
            turns.append(chosen)
        if early:
            break
        if own is None and len(turns) == 1:
            more = _in_a_row(pace, changed[key], left[chosen.project], now_us, until_us)
            slots += [Slot(at_us=at_us, project=chosen.project) for at_us in more]
            left[chosen.project] -= len(more)
            changed[key] = _without_row(changed[key], more)
            if left[chosen.project] <= 0:
                break
    return changed, slots


def _in_a_row(pace: Pace, bucket: Bucket, count: int, now_us: int, until_us: int) -> range:
    """Return up to *count* slots that simply follow each other: no gap, no burst, no block.

    For a high limit the loop above would be most of what a slot costs.
    """
    step_us, first_us = spacing_us(pace, bucket, now_us), bucket.next_us
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
    step_us = spacing_us(pace, bucket, now_us)
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
    step_us = spacing_us(pace, bucket, at_us)
    credit_us = (pace.burst - 1) * step_us
    return replace(bucket, next_us=max(bucket.next_us, at_us - credit_us) + step_us)


def throttled(
    bucket: Bucket,
    *,
    now_us: int,
    limit: Limit | None = None,
    retry_after_s: float | None = None,
) -> Bucket:
    """Return the bucket after a 429: nothing is sent before the named time is over.

    A named limit is learned as it stands.  When it is being kept already, or none is named,
    the credential is shared with somebody else or the limit is unknown: then the spacing
    grows by SLOWER, once 429s come often.
    """
    pause = retry_after_s
    if pause is None:
        pause = limit.window_s if limit is not None else BLIND_PAUSE_S
    blocked = max(bucket.blocked_us, now_us + seconds_to_us(min(pause, MAX_PAUSE_S)))
    rested = replace(bucket, blocked_us=blocked, given=0, gap_us=0, gap_end_us=0)
    if limit is not None and (bucket.learned != limit or now_us >= bucket.learned_until_us):
        until_us = now_us + seconds_to_us(LEARNED_FOR_S)
        return replace(rested, learned=limit, learned_until_us=until_us, strikes=0)
    if now_us < bucket.blocked_us:
        # Answers to requests that were already on the wire teach nothing more.
        return replace(bucket, blocked_us=blocked)
    if bucket.given >= OFTEN:
        return replace(rested, strikes=0)
    if bucket.strikes == 0:
        return replace(rested, strikes=1)
    factor = min(bucket.factor * SLOWER, SLOWEST)
    return replace(rested, factor=factor, eased_us=blocked, strikes=bucket.strikes + 1)
