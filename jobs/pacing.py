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

LATE_LIMIT_S: Final = 0.008
"""A slot used later than this is dropped; the rest of the jitter belongs to the network."""

SLOWER: Final = 1.5
"""Factor on the spacing after a 429 that names no limit."""

FASTER: Final = 0.98
"""Factor on the spacing for each clean second after that, down to 1."""

LEARNED_FOR_S: Final = 600.0
"""How long a limit learned from a 429 holds before the configured one is tried again."""

BLIND_PAUSE_S: Final = 1.0
"""Pause after a 429 that names neither a limit nor a time."""

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
    """

    next_us: int = 0
    blocked_us: int = 0
    factor: float = 1.0
    eased_us: int = 0
    learned: Limit | None = None
    learned_until_us: int = 0


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
    """Return the stricter of the configured limit and a learned one that still holds."""
    learned = bucket.learned
    if learned is None or now_us >= bucket.learned_until_us:
        return pace.limit
    configured = pace.limit.count / pace.limit.window_s
    return learned if learned.count / learned.window_s < configured else pace.limit


def spacing_us(pace: Pace, bucket: Bucket, now_us: int) -> int:
    """Return the microseconds between two slots."""
    limit = effective_limit(pace, bucket, now_us)
    plain = (limit.window_s + pace.jitter_s) / limit.count
    return max(1, round(plain * bucket.factor * MICROSECONDS))


def ease(bucket: Bucket, now_us: int) -> Bucket:
    """Recover the factor by FASTER for each whole second since the last trouble."""
    seconds = (now_us - bucket.eased_us) // MICROSECONDS
    if bucket.factor <= 1.0 or seconds <= 0:
        return bucket
    factor = max(1.0, bucket.factor * FASTER ** min(seconds, 10_000))
    return replace(bucket, factor=factor, eased_us=bucket.eased_us + seconds * MICROSECONDS)


def free_at(pace: Pace, bucket: Bucket, now_us: int) -> int:
    """Return the earliest send time the bucket still has to give, not before *now_us*."""
    ahead = bucket.next_us
    if ahead > max(now_us, bucket.blocked_us) + seconds_to_us(MAX_AHEAD_S):
        ahead = now_us + seconds_to_us(pace.limit.window_s + pace.jitter_s)
    credit = (pace.burst - 1) * spacing_us(pace, bucket, now_us)
    return max(ahead, now_us - credit, bucket.blocked_us)


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

    A slot needs room under the shared key and under its project's key at the same
    instant; a project whose own key is not free yet is passed over and delays nobody.

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
    changed = {key: ease(buckets.get(key, Bucket()), now_us)}
    for name in projects:
        changed[name] = ease(buckets.get(name, Bucket()), now_us)
    left = {demand.project: demand.waiting for demand in demands}
    turns = list(demands)
    slots: list[Slot] = []
    while turns:
        bucket = changed[key]
        at_us = free_at(pace, bucket, now_us)
        chosen: Demand | None = None
        earliest: int | None = None
        for demand in turns:
            own = demand.project_key
            own_at = 0 if own is None else free_at(projects[own], changed[own], now_us)
            if own_at <= at_us:
                chosen = demand
                break
            earliest = own_at if earliest is None else min(earliest, own_at)
        if chosen is None:
            # Every demanding project is at its own limit: idle until the first is free.
            assert earliest is not None
            if earliest > until_us:
                break
            changed[key] = replace(bucket, next_us=earliest)
            continue
        if at_us > until_us:
            break
        slots.append(Slot(at_us=at_us, project=chosen.project))
        changed[key] = replace(bucket, next_us=at_us + spacing_us(pace, bucket, now_us))
        if chosen.project_key is not None:
            own_pace, own_bucket = projects[chosen.project_key], changed[chosen.project_key]
            changed[chosen.project_key] = replace(
                own_bucket, next_us=at_us + spacing_us(own_pace, own_bucket, now_us)
            )
        turns.remove(chosen)
        left[chosen.project] -= 1
        if left[chosen.project] > 0:
            turns.append(chosen)
    return changed, slots


def throttled(
    bucket: Bucket,
    *,
    now_us: int,
    limit: Limit | None = None,
    retry_after_s: float | None = None,
) -> Bucket:
    """Return the bucket after a 429.

    The named limit is learned as it stands, unless it is already being kept: then the
    credential is shared with somebody else and only slowing down helps.  Without a named
    limit the spacing grows by SLOWER.  Nothing is sent before the named time is over.
    """
    pause = retry_after_s
    if pause is None:
        pause = limit.window_s if limit is not None else BLIND_PAUSE_S
    blocked = max(bucket.blocked_us, now_us + seconds_to_us(pause))
    known = limit is not None and bucket.learned == limit and now_us < bucket.learned_until_us
    if limit is not None and not known:
        return replace(
            bucket,
            blocked_us=blocked,
            learned=limit,
            learned_until_us=now_us + seconds_to_us(LEARNED_FOR_S),
        )
    if now_us < bucket.blocked_us:
        # Answers to requests that were already on the wire teach nothing new.
        return replace(bucket, blocked_us=blocked)
    return replace(bucket, blocked_us=blocked, factor=bucket.factor * SLOWER, eased_us=blocked)
