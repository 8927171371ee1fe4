"""When a rollout may start jobs: maintenance windows, freezes, and the clock's two bad nights.

Windows open on days at a wall-clock time of an IANA zone and last for an elapsed time.
One rule for both changes of the clock: a start that does not exist moves to the first instant
after the gap, a start that exists twice is the first of the two.  Freezes close whatever
windows open.  Everything is asked and answered in microseconds since 1970 (UTC), because
adding durations to aware local times gives the wall clock's answer and not the elapsed one.

Which windows count for a pool: those without regions hold for the whole rollout, those that
name the pool's region hold for it as well, and both must be open.  A rollout that has windows,
none of which covers a region, never opens there; the plan says so.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS
from jobs.rollouts.days import Days

Span = tuple[int, int]
"""Beginning and end in microseconds since 1970; the end is not part of it."""

FOREVER_US: Final = 2**62

HORIZON_DAYS: Final = 400
"""How far ahead an opening is looked for: a yearly window is found, an impossible one ends."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Opens on ``days`` at ``start`` in ``zone`` and stays open ``duration_s``.

    ``regions`` empty means every region.
    """

    name: str
    days: Days
    start: time
    duration_s: float
    zone: ZoneInfo
    regions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Nothing starts from ``from_us`` until before ``until_us``; ``regions`` empty means all."""

    name: str
    from_us: int
    until_us: int
    reason: str = ""
    regions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The windows and freezes of one rollout."""

    windows: Sequence[Window] = ()
    freezes: Sequence[Freeze] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whether jobs may start now.

    ``until_us`` is when that ends (FOREVER_US: never); when closed, ``closed_by`` is the freeze
    that closes it, or None when it is outside every window.
    """

    is_open: bool
    until_us: int
    closed_by: Freeze | None = field(default=None)


def instant_us(local: datetime, zone: ZoneInfo) -> int:
    """Return the instant of a wall-clock time; see the rule at the top for the two bad nights."""
    first = local.replace(tzinfo=zone, fold=0)
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if back == local:
        return _us(first.astimezone(UTC))
    # In the gap.  Both readings lie around the change; the later offset's gives the time
    # before it, the earlier offset's the time after: the change lies between them.
    low = _us(local.replace(tzinfo=zone, fold=1).astimezone(UTC))
    high = _us(first.astimezone(UTC))
    return _change_between(min(low, high), max(low, high), zone)


def _change_between(low: int, high: int, zone: ZoneInfo) -> int:
    """Return the first second in (low, high] that has another offset than *low*."""
    before = _offset(low, zone)
    left, right = low // MICROSECONDS, -(-high // MICROSECONDS)
    while right - left > 1:
        middle = (left + right) // 2
        if _offset(middle * MICROSECONDS, zone) == before:
            left = middle
        else:
            right = middle
    return right * MICROSECONDS


def _offset(us: int, zone: ZoneInfo) -> timedelta | None:
    return (_EPOCH + us * _MICROSECOND).astimezone(zone).utcoffset()


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def opening(calendar: Calendar, region: str, now_us: int) -> Opening:
    """Say whether a pool of *region* may be started now, and until when that stays so."""
    frozen = [one for one in _freezes(calendar, region) if one.from_us <= now_us < one.until_us]
    span = next(open_spans(calendar, region, now_us), None)
    if span is not None and span[0] <= now_us:
        return Opening(is_open=True, until_us=span[1])
    closed_by = max(frozen, key=lambda one: one.until_us) if frozen else None
    return Opening(
        is_open=False, until_us=FOREVER_US if span is None else span[0], closed_by=closed_by
    )


def open_spans(calendar: Calendar, region: str, from_us: int) -> Iterator[Span]:
    """Yield when pools of *region* may be started, from *from_us* on, disjoint and in order.

    The first may have begun before *from_us*.  Ends when nothing opens within HORIZON_DAYS.
    """
    everywhere = [one for one in calendar.windows if not one.regions]
    own = [one for one in calendar.windows if region in one.regions]
    if calendar.windows and not everywhere and not own:
        return
    spans = _both(_union(everywhere, from_us), _union(own, from_us))
    for begin, end in _without(spans, sorted(_closed(calendar, region))):
        if end > from_us:
            yield (begin, end)


def _freezes(calendar: Calendar, region: str) -> Iterator[Freeze]:
    return (one for one in calendar.freezes if not one.regions or region in one.regions)


def _closed(calendar: Calendar, region: str) -> Iterator[Span]:
    return ((one.from_us, one.until_us) for one in _freezes(calendar, region))


def _union(windows: Sequence[Window], from_us: int) -> Iterator[Span]:
    """Yield the merged spans of *windows*; no windows at all means always open."""
    if not windows:
        yield (-FOREVER_US, FOREVER_US)
        return
    held: Span | None = None
    for span in heapq.merge(*(_spans(one, from_us) for one in windows)):
        if held is None:
            held = span
        elif span[0] <= held[1]:
            held = (held[0], max(held[1], span[1]))
        else:
            yield held
            held = span
    if held is not None:
        yield held


def _spans(window: Window, from_us: int) -> Iterator[Span]:
    """Yield the spans of one window that end after *from_us*, in order."""
    length = round(window.duration_s * MICROSECONDS)
    long_ago = timedelta(days=2) + timedelta(seconds=window.duration_s)
    day: date = (_EPOCH + from_us * _MICROSECOND - long_ago).date()
    for _ in range(HORIZON_DAYS + long_ago.days):
        if window.days.holds(day):
            begin = instant_us(datetime.combine(day, window.start), window.zone)
            if begin + length > from_us:
                yield (begin, begin + length)
        day += timedelta(days=1)


def _both(left: Iterator[Span], right: Iterator[Span]) -> Iterator[Span]:
    """Yield where both rows of spans are open."""
    one, two = next(left, None), next(right, None)
    while one is not None and two is not None:
        begin, end = max(one[0], two[0]), min(one[1], two[1])
        if begin < end:
            yield (begin, end)
        if one[1] <= two[1]:
            one = next(left, None)
        else:
            two = next(right, None)


def _without(spans: Iterator[Span], closed: Sequence[Span]) -> Iterator[Span]:
    """Yield what is left of *spans* when *closed* (sorted by beginning) is cut out."""
    for begin, end in spans:
        at = begin
        for shut, opened in closed:
            if opened <= at or shut >= end:
                continue
            if shut > at:
                yield (at, shut)
            at = max(at, opened)
        if at < end:
            yield (at, end)
