"""What must pass before a wave goes on: approvals, moments, bakes; pure functions.

An approval is asked for when the wave stands before its gate, and counts also when it was
given earlier: it is bound to the rollout, and the rollout to its one plan.  Each gate counts
persons for itself: those of its groups, whoever they are without any.  Where a wave has
approvals on both sides, what was given before it opened says nothing about what came of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Final
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS, iso, seconds_to_us
from jobs.errors import ApprovalRefusedError
from jobs.rollouts.course import WaveCourse
from jobs.rollouts.fields import WEEKDAYS, duration_text
from jobs.rollouts.strategy import Approval, Gate, StartAt
from jobs.rollouts.windows import instant_us
from jobs.states import WaitReason
from jobs.store.rollouts import GLASS, Approved, LineStop, RolloutRow, WaveRow

SUBMITTER: Final = "submitter"
"""Under this fact of the rollout: who started it."""


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
        approvals: Those that count on this side.
        submitter: Who started the rollout.
        now_us: Now.
        asks: Whether approvals are asked for: nothing else is open, or time alone.
    """

    wave: WaveCourse
    asked_us: int
    approvals: Sequence[Approved]
    submitter: str | None
    now_us: int
    asks: bool = True


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


def glass_is_broken(facts: Mapping[str, Any]) -> bool:
    """Whether enough persons want windows and freezes to hold the rollout no longer."""
    broken = facts.get(GLASS)
    return broken is not None and len(broken["words"]) >= broken["needs"]


def glass_text(facts: Mapping[str, Any]) -> str | None:
    """Return who broke the glass and why, or how many are still missing; None for nobody."""
    broken = facts.get(GLASS)
    if broken is None:
        return None
    words = broken["words"]
    said = "; ".join(f"{one['by']} at {iso(one['at_us'])}: {one['why']}" for one in words)
    missing = broken["needs"] - len(words)
    if missing > 0:
        return f"the glass is not broken before {missing} more want it ({said})"
    return f"windows and freezes do not hold it: the glass was broken by {said}"


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
        if gate.approval is not None:
            given = approvers(gate.approval, look.approvals, look.submitter)
            if len(given) < gate.approval.count:
                text = _approval_words(look, gate.approval, given)
                holds.append(Hold(reason=WaitReason.APPROVAL, text=text, wave=look.wave.n))
                if look.asks:
                    lapses.append(look.asked_us + seconds_to_us(gate.approval.expires))
        if gate.start_at is not None:
            hold = _moment(look, gate.start_at)
            if hold is not None:
                holds.append(hold)
    return GateAnswer(holds=tuple(holds), lapses_us=min(lapses, default=None))


def approvals_of(wave: WaveCourse, row: WaveRow, *, after: bool) -> Sequence[Approved]:
    """Return the approvals that count before the wave, or after it."""
    if not after or not any(gate.approval for gate in wave.before):
        return row.approvals
    return [one for one in row.approvals if one.opened]


def pending(
    wave: WaveCourse, row: WaveRow, submitter: str | None
) -> Sequence[tuple[Approval, int]]:
    """Return the approvals that are missing now or next, each with how many persons are."""
    sides = [(False, wave.before)] if row.opened_us is None else []
    for after, gates in [*sides, (True, wave.after)]:
        approvals = approvals_of(wave, row, after=after)
        asked = [gate.approval for gate in gates if gate.approval is not None]
        missing = [(one, one.count - len(approvers(one, approvals, submitter))) for one in asked]
        if any(number > 0 for _, number in missing):
            return [(one, number) for one, number in missing if number > 0]
    return []


def insist_useful(row: RolloutRow, wave: WaveCourse, person: str, groups: Sequence[str]) -> None:
    """Refuse an approval that would count for nothing, because it would look like one that does.

    Raises:
        ApprovalRefusedError: If so, with why.
    """
    submitter = row.facts.get(SUBMITTER)
    asked = [gate for gate, _ in pending(wave, row.waves[wave.n], submitter)]
    why = why_useless(asked, person, groups, submitter)
    if why is not None:
        raise ApprovalRefusedError(
            f"wave {wave.name} of {row.name} waits for {asked[0].words}", why=why
        )


def why_useless(
    gates: Iterable[Approval], person: str, groups: Sequence[str], submitter: str | None
) -> str | None:
    """Return why an approval by *person* counts for none of *gates*; None when it does."""
    whys = [why_not_counted(gate, person, groups, submitter) for gate in gates]
    return whys[0] if whys and all(why is not None for why in whys) else None


def approvers(
    gate: Approval, approvals: Iterable[Approved], submitter: str | None
) -> Sequence[str]:
    """Return the persons whose approval counts for *gate*, each once, in order."""
    found: dict[str, None] = {}
    for one in approvals:
        if why_not_counted(gate, one.word.by, one.groups, submitter) is None:
            found[one.word.by] = None
    return list(found)


def why_not_counted(
    gate: Approval, person: str, groups: Iterable[str], submitter: str | None
) -> str | None:
    """Return why an approval by *person* would not count for *gate*, None when it does."""
    if gate.four_eyes and person == submitter:
        return f"{person} started the rollout, and another person must approve it (fourEyes)"
    if gate.groups and not set(gate.groups) & set(groups):
        return f"{person} is in none of its groups: {', '.join(gate.groups)}"
    return None


def _approval_words(look: GateLook, gate: Approval, given: Sequence[str]) -> str:
    wanted = f"wave {look.wave.name} waits for {gate.words}"
    if gate.four_eyes and look.submitter is not None:
        wanted += f", not by {look.submitter}"
    if given:
        wanted += f" ({len(given)} of {gate.count}: {', '.join(given)})"
    asked = f"asked {iso(look.asked_us)}" if look.asks else "which is asked for after the rest"
    return f"{wanted}, {asked}"


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
