"""What must pass before a wave goes on: approvals, moments, bakes; pure functions.

An approval is asked for when the wave stands before its gate, and counts also when it was
given earlier: it is bound to the rollout, and the rollout to its one plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS, iso, seconds_to_us
from jobs.rollouts.course import WaveCourse
from jobs.rollouts.fields import WEEKDAYS, duration_text
from jobs.rollouts.strategy import Gate, StartAt
from jobs.rollouts.windows import instant_us
from jobs.states import WaitReason
from jobs.store.rollouts import LineStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One thing that holds a wave (or the whole rollout), for whoever asks why.

    ``until_us`` is when it ends by itself; None when a person or a job must end it.
    """

    reason: WaitReason
    text: str
    wave: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLook:
    """What is known when the gates of one side of a wave are looked at.

    Attributes:
        asked_us: When the wave came to stand before them.
        approved: Whether somebody has approved the wave.
        now_us: Now.
    """

    wave: WaveCourse
    asked_us: int
    approved: bool
    now_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """What holds still, and when an approval that is waited for lapses."""

    holds: tuple[Hold, ...]
    lapses_us: int | None = None


def line_hold(line: LineStop) -> Hold:
    """Return what a stopped line holds: everything, until a person lets it go on."""
    word, since = line.word, iso(line.at_us)
    by = word.by if word is not None else "somebody"
    why = f": {word.why}" if word is not None and word.why else ""
    return Hold(reason=WaitReason.PAUSED, text=f"the line was stopped by {by} at {since}{why}")


def bake_holds(wave: WaveCourse, *, ended_us: int, ended: int, now_us: int) -> list[Hold]:
    """Say what the bake still needs; *ended* are the jobs of the rollout that have."""
    found = []
    until_us = ended_us + seconds_to_us(wave.bake_s)
    if now_us < until_us:
        text = f"wave {wave.name} bakes for {duration_text(wave.bake_s)} until {iso(until_us)}"
        found.append(Hold(reason=WaitReason.BAKE, text=text, wave=wave.n, until_us=until_us))
    if ended < wave.needs:
        text = f"the bake of wave {wave.name} needs {wave.needs} ended jobs; {ended} have"
        found.append(Hold(reason=WaitReason.BAKE, text=text, wave=wave.n))
    return found


def look_at_gates(look: GateLook, gates: Sequence[Gate]) -> GateAnswer:
    """Say what of *gates*, those of one side of the wave, holds it."""
    holds = []
    lapses = []
    for gate in gates:
        if gate.approval is not None and not look.approved:
            text = f"wave {look.wave.name} waits for approval, asked {iso(look.asked_us)}"
            holds.append(Hold(reason=WaitReason.APPROVAL, text=text, wave=look.wave.n))
            lapses.append(look.asked_us + seconds_to_us(gate.approval.expires))
        if gate.start_at is not None:
            hold = _moment(look, gate.start_at)
            if hold is not None:
                holds.append(hold)
    return GateAnswer(holds=tuple(holds), lapses_us=min(lapses, default=None))


def _moment(look: GateLook, gate: StartAt) -> Hold | None:
    until_us = start_us(gate, look.asked_us)
    if look.now_us >= until_us:
        return None
    text = f"wave {look.wave.name} does not go on before {iso(until_us)}"
    return Hold(reason=WaitReason.NOT_BEFORE, text=text, wave=look.wave.n, until_us=until_us)


def start_us(gate: StartAt, asked_us: int) -> int:
    """Return the moment that a ``startAt`` names, the first from *asked_us* on."""
    zone = ZoneInfo(gate.time_zone)
    if gate.at is not None:
        return instant_us(datetime.fromisoformat(gate.at), zone)
    assert gate.time is not None
    at = clock_time.fromisoformat(gate.time)
    asked = datetime.fromtimestamp(asked_us // MICROSECONDS, tz=UTC)
    day = asked.astimezone(zone).date()
    while True:
        if gate.weekday is None or WEEKDAYS[day.weekday()] == gate.weekday:
            found = instant_us(datetime.combine(day, at), zone)
            if found >= asked_us:
                return found
        day += timedelta(days=1)
