"""What answers teach about the cloud's limit: slower by a 429, faster again step by step.

A *lesson* is part of the limiter's shared row, so one answer teaches every worker on every
machine, and a restart forgets nothing.  Three things teach, in this order:

    the text of a 429    ``limit:N,time:W`` is the limit, learned by one answer
    observation          what passed between two 429s close to each other, and less than before
    silence              what passes for a while without a 429 may be exceeded a little

A single 429 that names nothing new only pauses: somebody else's burst says nothing about the
rate.  Two close to each other lower it at once (multiplicative decrease); after a time of calm
it is raised in steps that begin small and grow (`STEPS`), each kept for longer than a window.
A 429 on the way up returns to the last rate that is proven: one that no window refused.

Raising needs evidence: a rate that nobody used proves nothing and is not raised.  Nothing here
is ever faster than what is configured; with ``auto``, nothing but AUTO_MOST is.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.retries import RETRY_AFTER_CEILING_S

AUTO_START_PER_S: Final = 5.0
"""Where ``auto`` begins: the careful rate that is also the default."""

AUTO_MOST_PER_S: Final = 500.0
"""Where ``auto`` ends: no gateway of this kind is known to permit one credential more."""

FIRST_STEP: Final = 1.04
"""Factor of a rung that may exceed the limit: by so little that one or two are refused."""

STEPS: Final = (1.15, 1.4, 1.7, 2.0)
"""Factors of the rungs above a rate that was once refused and now is not: the limit was raised."""

START_STEP: Final = 1.5
"""Factor of each rung while nothing was ever refused."""

RUNG_S: Final = 1.2
"""How long a rung is kept for each second of the window; a window that is over refuses by then."""

TELLING_RUNG_S: Final = 2.1
"""The same for the rung that first exceeds what was refused: it holds a whole window, wherever
that begins, before anything faster is tried."""

CALM_S: Final = 10.0
CALM_MOST_S: Final = 16.0
"""Time without a 429 before a climb; half as much again for each one that failed in a row."""

CALM_SLOTS: Final = 130
"""And so many requests, so that failing climbs stay below 1 % of them at any rate."""

CALM_AT_LAST_S: Final = 600.0
"""After so long a climb begins however few requests there were."""

USED: Final = 0.7
"""Part of a rung's slots that must have been given for it to prove anything."""

LESS: Final = 0.5
"""One 429 lowers the rate by no more than this, whatever little passed before it."""

KEPT: Final = 0.97
"""Part of an observed limit that is used."""

KEPT_OF_HELD: Final = 0.93
"""The same when it was observed on the way up: a fixed window may have held more than one's."""

FAR: Final = 0.8
SOON_S: Final = 3.0
"""Below that part of the rate that was refused last, a climb begins after so long already."""

SLOWEST_PER_S: Final = 1 / 60
"""The rate never falls below this; what is slower still is a limit to be configured."""

CLOSE_S: Final = 5.0
CLOSE_US: Final = seconds_to_us(CLOSE_S)
"""Two 429s that are no further apart than this say the same thing."""

BLIND_PAUSE_S: Final = 1.0
"""What a window is taken for when no answer tells, and so the pause after such a 429."""

LEAST_PAUSE_S: Final = 0.25
"""What other workers have reserved already is over by then, and is not taken for more."""

MAX_PAUSE_S: Final = RETRY_AFTER_CEILING_S
"""Longest pause after one 429; a cloud that wants more is asked again after that."""


class Source(StrEnum):
    """Where the present rate is known from."""

    TEXT = "text"  # a 429 named it
    OBSERVED = "observed"  # from what passed and what did not
    START = "start"  # nothing was ever refused: on the way up from AUTO_START_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most *count* requests in any *window_s* seconds."""

    count: int
    window_s: float = 1.0

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return self.count / self.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is known of one limiter key's limit beyond what is configured.

    Attributes:
        per_s: Requests a second that are allowed now.
        source: Where that is known from.
        named: The limit that the cloud named last.
        last_per_s: The rung below the present one.
        proven_per_s: The fastest rate that surely passed.
        ceiling_per_s: The rate that was refused last; 0 is none.
        step: How many rungs this climb has; 0 is calm.
        failures: Climbs that failed in a row.
        since_us: When the present rung, or the calm, began.
        since_given: The row's count of slots at that time.
        taught_us: When a 429 taught last; 0 is never.
    """

    per_s: float
    source: Source = Source.OBSERVED
    named: Limit | None = None
    last_per_s: float = 0.0
    proven_per_s: float = 0.0
    ceiling_per_s: float = 0.0
    step: int = 0
    failures: int = 0
    since_us: int = 0
    since_given: int = 0
    taught_us: int = 0

    @property
    def window_s(self) -> float:
        """Seconds of the window that is counted in."""
        return BLIND_PAUSE_S if self.named is None else self.named.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A 429 as the shared row sees it.

    Attributes:
        now_us: When it is told.
        sent_us: When its request left.
        passed: Slots given and used before it since the pause for the 429 before.
        resumed_us: When that pause ended.
        limit: What its text names.
        retry_after_s: What its header names.
        stretch: By how much wider than the plain rate slots are spaced.
    """

    now_us: int
    sent_us: int
    passed: float = 0.0
    stretch: float = 1.0
    resumed_us: int = 0
    limit: Limit | None = None
    retry_after_s: float | None = None


def taught(lesson: Lesson, refused: Refused, *, close: bool) -> tuple[Lesson, float]:
    """Return the lesson after a 429, and the pause in seconds that it asks for.

    Args:
        lesson: What was known; ``per_s`` is the rate at which the request was sent.
        refused: The 429, to a request that was sent after the last lesson.
        close: Whether the one before is close to it.
    """
    fresh = replace(
        lesson,
        named=refused.limit or lesson.named,
        ceiling_per_s=lesson.per_s,
        step=0,
        since_us=refused.now_us,
        since_given=0,
        taught_us=refused.now_us,
    )
    told = refused.limit
    after = fresh
    if told is not None and told.per_s < lesson.per_s * 0.999:
        failures = lesson.failures + 1 if told == lesson.named else 0
        after = replace(fresh, failures=failures, source=Source.TEXT, per_s=told.per_s)
        after = replace(after, proven_per_s=told.per_s, ceiling_per_s=told.per_s)
    elif lesson.step > 0:
        after = replace(fresh, failures=lesson.failures + 1, per_s=_overtaken(lesson, refused))
    elif close or _is_used(lesson, refused):
        after = replace(fresh, failures=0, source=Source.OBSERVED, per_s=_less(lesson, refused))
    if after.source is Source.START:
        after = replace(after, source=Source.OBSERVED)
    pause_s = fresh.window_s
    if after.per_s < lesson.per_s and not close:
        # What passed at the old rate fills the window up to here; the rest of it is empty.
        pause_s *= 1.0 - after.per_s / lesson.per_s
    if refused.retry_after_s is not None:
        pause_s = refused.retry_after_s
    return after, min(max(pause_s, LEAST_PAUSE_S), MAX_PAUSE_S)


def _overtaken(lesson: Lesson, refused: Refused) -> float:
    """Return the rate for a climb that was refused: what the window held then, and a bit less.

    A sliding window held exactly its limit, the others no less; what was proven is kept.
    """
    on_rung_s = (refused.sent_us - lesson.since_us) / MICROSECONDS
    share = min(max(on_rung_s / lesson.window_s, 0.0), 1.0)
    held = share * lesson.per_s + (1.0 - share) * lesson.last_per_s
    return max(KEPT_OF_HELD * held / refused.stretch, min(lesson.proven_per_s, lesson.last_per_s))


def _is_used(lesson: Lesson, refused: Refused) -> bool:
    """Whether the refused rate was really sent since the last 429, so that it is the cause."""
    if lesson.taught_us == 0:
        return False
    elapsed_s = (refused.sent_us - refused.resumed_us) / MICROSECONDS
    return refused.passed * refused.stretch >= USED * lesson.per_s * elapsed_s


def _less(lesson: Lesson, refused: Refused) -> float:
    """Return a lower rate: what passed since the last 429's pause.

    The pause had emptied part of a window, or filled a bucket; a quarter of it is allowed for.
    """
    window_s = lesson.window_s
    elapsed_s = (refused.sent_us - refused.resumed_us) / MICROSECONDS
    passed_per_s = refused.passed / max(elapsed_s + window_s / 4, window_s)
    return max(min(KEPT * passed_per_s, lesson.per_s * KEPT), LESS * lesson.per_s, SLOWEST_PER_S)


def climbed(lesson: Lesson, given: int, now_us: int, most_per_s: float) -> Lesson | None:
    """Return the lesson after a time without a 429; None when nothing of it is left to know.

    Args:
        lesson: What is known.
        given: The row's count of slots since the last 429.
        now_us: The store's time.
        most_per_s: What is configured; reaching it ends the lesson.
    """
    elapsed_us = now_us - lesson.since_us
    if elapsed_us < 0:  # the clock was set back
        return replace(lesson, since_us=now_us, since_given=given)
    used = given - lesson.since_given
    calm = lesson.step == 0 and lesson.source is not Source.START
    if calm and not _is_calm(lesson, elapsed_us, used):
        return lesson
    if not calm and elapsed_us < seconds_to_us(_rung_s(lesson)):
        return lesson
    if lesson.per_s >= most_per_s:
        return None
    if not calm and used < USED * lesson.per_s * elapsed_us / MICROSECONDS:
        return replace(lesson, since_us=now_us, since_given=given)
    return replace(
        lesson,
        per_s=min(lesson.per_s * _factor(lesson), most_per_s),
        last_per_s=lesson.per_s,
        proven_per_s=lesson.last_per_s if lesson.step else lesson.per_s,
        step=lesson.step + 1,
        since_us=now_us,
        since_given=given,
    )


def _is_calm(lesson: Lesson, elapsed_us: int, used: int) -> bool:
    """Whether a climb may begin: soon where the rate is far below the one that was refused."""
    window_s = max(1.0, lesson.window_s)
    if lesson.per_s < FAR * lesson.ceiling_per_s:
        return elapsed_us >= seconds_to_us(SOON_S * window_s) and used >= SOON_S * lesson.per_s / 2
    calm_s = min(CALM_S * 1.5 ** min(lesson.failures, 10), CALM_MOST_S) * window_s
    enough = used >= CALM_SLOTS or elapsed_us >= seconds_to_us(CALM_AT_LAST_S)
    return elapsed_us >= seconds_to_us(calm_s) and enough


def _rung_s(lesson: Lesson) -> float:
    """Return how long the present rung is kept: the one that tells lasts for a whole window."""
    tells = lesson.source is not Source.START and lesson.last_per_s <= lesson.ceiling_per_s
    tells = tells and lesson.per_s >= lesson.ceiling_per_s
    return (TELLING_RUNG_S if tells else RUNG_S) * lesson.window_s


def _factor(lesson: Lesson) -> float:
    """Return the factor of the next rung: small up to what was refused, growing beyond it."""
    if lesson.source is Source.START:
        return START_STEP
    if lesson.per_s < lesson.ceiling_per_s:
        return min(max(math.sqrt(lesson.ceiling_per_s / lesson.per_s), FIRST_STEP), STEPS[0])
    if lesson.step == 0 or lesson.last_per_s <= lesson.ceiling_per_s * 0.999:
        return FIRST_STEP
    told = 1 if lesson.named is not None else 0  # what ends this climb will tell the limit
    return STEPS[min(lesson.step + told, len(STEPS)) - 1]
