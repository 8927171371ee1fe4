"""What is known of the cloud's limits, in words: how fast, and from where."""

from collections.abc import Mapping
from typing import Final

from jobs.clock import MICROSECONDS
from jobs.durations import format_duration
from jobs.learning import Lesson, Source
from jobs.pacing import Bucket

_SOURCES: Final = {
    Source.TEXT: "named by a 429",
    Source.OBSERVED: "observed",
    Source.START: "rate is auto: nothing was refused yet",
}


def lesson_text(lesson: Lesson, now_us: int) -> str:
    """Return what a lesson says: ``at most 24.5 requests a second (observed 2m ago)``."""
    rate = f"at most {lesson.per_s:.3g} requests a second"
    origin = _SOURCES[lesson.source]
    if lesson.source is Source.TEXT and lesson.named is not None:
        window = format_duration(lesson.named.window_s)
        origin = f"{origin}: {lesson.named.count} in {window}"
    if lesson.taught_us:
        past_s = max(0.0, (now_us - lesson.taught_us) / MICROSECONDS)
        origin += f", last 429 {format_duration(past_s)} ago"
    if lesson.step and lesson.source is not Source.START:
        origin += ", trying more"
    return f"{rate} ({origin})"


def lessons(buckets: Mapping[str, Bucket], now_us: int) -> list[tuple[str, str]]:
    """Return key and words of every limiter row that has learned something, in order of keys."""
    return [
        (key, lesson_text(bucket.lesson, now_us))
        for key, bucket in sorted(buckets.items())
        if bucket.lesson is not None
    ]
