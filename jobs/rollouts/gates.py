"""What must pass before a wave goes on: approvals, moments, bakes; pure functions.

An approval is asked for when the wave stands before its gate, and counts for the gate that it
was given for: what was said before the wave opened is about its start, what was said after
that is about the next one's.  A wave with approvals on one side only takes it whenever it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS, iso, seconds_to_us
from jobs.rollouts.course import WaveCourse
from jobs.rollouts.fields import WEEKDAYS, duration_text
from jobs.rollouts.strategy import Approval, Gate, StartAt
from jobs.rollouts.windows import instant_us
from jobs.states import WaitReason


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
class Approved:
    """One person's approval of a wave."""

    wave: int
    by: str
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLook:
    """What is known when the gates of one side of a wave are looked at.

    Attributes:
        asked_us: When the wave came to stand before them.
        opened_us: When the wave opened; None before that.
        approvals: All that were given for the rollout.
        now_us: Now.
    """

    wave: WaveCourse
    asked_us: int
    opened_us: int | None
    approvals: Sequence[Approved]
    now_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """What holds still, and when an approval that is waited for lapses."""

    holds: tuple[Hold, ...]
    lapses_us: int | None = None


def before_gates(look: GateLook) -> GateAnswer:
    """Say what keeps the wave from starting."""
    both = _has_approval(look.wave.before) and _has_approval(look.wave.after)
    given = [
        one
        for one in look.approvals
        if not both or look.opened_us is None or one.at_us < look.opened_us
    ]
    return _answer(look, look.wave.before, given)


def after_gates(look: GateLook) -> GateAnswer:
    """Say what keeps the next wave from its turn, the bake apart."""
    both = _has_approval(look.wave.before) and _has_approval(look.wave.after)
    given = [one for one in look.approvals if not both or one.at_us >= (look.opened_us or 0)]
    return _answer(look, look.wave.after, given)


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


def _has_approval(gates: Sequence[Gate]) -> bool:
    return any(gate.approval is not None for gate in gates)


def _answer(look: GateLook, gates: Sequence[Gate], given: Sequence[Approved]) -> GateAnswer:
    holds = []
    lapses = []
    for gate in gates:
        if gate.approval is not None:
            hold = _approval(look, gate.approval, given)
            if hold is not None:
                holds.append(hold)
                lapses.append(look.asked_us + seconds_to_us(gate.approval.expires))
        if gate.start_at is not None:
            hold = _moment(look, gate.start_at)
            if hold is not None:
                holds.append(hold)
    return GateAnswer(holds=tuple(holds), lapses_us=min(lapses, default=None))


def _approval(look: GateLook, gate: Approval, given: Sequence[Approved]) -> Hold | None:
    people = {one.by for one in given if one.wave == look.wave.n}
    if len(people) >= gate.count:
        return None
    counted = f", {len(people)} of {gate.count} given" if gate.count > 1 else ""
    text = f"wave {look.wave.name} waits for approval, asked {iso(look.asked_us)}{counted}"
    return Hold(reason=WaitReason.APPROVAL, text=text, wave=look.wave.n)


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
