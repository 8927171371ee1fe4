"""What a person's order makes of a rollout: rules over values, for every engine.

Each order may be repeated: the second one changes nothing and hears who was first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jobs.errors import BadRequestError, ConflictError, IllegalTransitionError
from jobs.model import rollout_name
from jobs.rollout_states import LIVE_ROLLOUTS, STARTING_ROLLOUTS, RolloutEvent, RolloutState
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import (
    GLASS,
    Approved,
    Order,
    Ordered,
    OrderKind,
    RecordEntry,
    RolloutRow,
    WaveRow,
    Word,
)
from jobs.store.steering import Line, Steered, check_digest, turned, wave_of

APPROVED: Final = "approved"
"""A word of the record beside the events of the tables."""

_EVENT_OF: Final[Mapping[OrderKind, RolloutEvent]] = {
    OrderKind.PAUSE: RolloutEvent.PAUSED,
    OrderKind.RESUME: RolloutEvent.RESUMED,
    OrderKind.ABORT: RolloutEvent.ABORTED,
}
_DONE_IN: Final[Mapping[OrderKind, frozenset[RolloutState]]] = {
    OrderKind.PAUSE: frozenset({RolloutState.PAUSING, RolloutState.PAUSED}),
    OrderKind.RESUME: STARTING_ROLLOUTS,
    OrderKind.ABORT: frozenset({RolloutState.ABORTING, RolloutState.ABORTED}),
}
"""The states in which an order has nothing left to do."""


def ordered(row: RolloutRow, order: Order, now_us: int) -> Steered | None:
    """Return the rollout after *order*, None when it was ordered before.

    Raises:
        IllegalTransitionError: If its state does not allow it.
        NothingMatchedError: If an approval names a wave that is not there.
        ConflictError: If an approval names another plan.
        BadRequestError: If an approval names no wave, or too short a digest.
    """
    if order.kind is OrderKind.APPROVE:
        return _approved(row, order, now_us)
    if order.kind is OrderKind.BREAK_GLASS:
        return _unheld(row, order, now_us)
    if row.state in _DONE_IN[order.kind]:
        return None
    _check_live(row, order.kind)
    event = _EVENT_OF[order.kind]
    row = _asked(turned(row, event, now_us), order, now_us)
    return Steered(row=row, lines=[Line(event=event, data=told_by(order.word))])


def _check_live(row: RolloutRow, kind: OrderKind) -> None:
    if row.state not in LIVE_ROLLOUTS:
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} has ended as {row.state}: nothing is left to {kind}",
            state=row.state,
        )


def _asked(row: RolloutRow, order: Order, now_us: int) -> RolloutRow:
    asked = {"asked": order.word, "asked_kind": order.kind, "asked_us": now_us}
    return replace(row, rev=row.rev + 1, **asked)  # type: ignore[arg-type]  # three fields by name


def _approved(row: RolloutRow, order: Order, now_us: int) -> Steered | None:
    if order.wave is None:
        raise BadRequestError("an approval names the wave that may go on")
    waves = {wave.n: wave for wave in row.waves}
    wave = wave_of(waves, order.wave)
    _check_live(row, order.kind)
    if order.digest is not None:
        check_digest(order.digest)
        if not row.plan.startswith(order.digest):
            raise ConflictError(
                f"{rollout_name(row.id)} has another plan than the one that is approved",
                do="look at the plan of the rollout, and approve that one",
                plan=row.plan,
            )
    if _approval_by(wave, order.word) is not None:
        return None
    given = Approved(
        word=order.word,
        at_us=now_us,
        opened=wave.opened_us is not None,
        groups=order.groups,
        seen=_counted(row),
    )
    wave = replace(wave, approvals=(*wave.approvals, given))
    waves[wave.n] = wave
    row = _asked(replace(row, waves=tuple(waves.values())), order, now_us)
    told = {**told_by(order.word), "plan": row.plan, "seen": given.seen}
    if given.groups:
        told["groups"] = list(given.groups)
    return Steered(row=row, waves=[wave], lines=[Line(event=APPROVED, wave=wave.n, data=told)])


def _unheld(row: RolloutRow, order: Order, now_us: int) -> Steered | None:
    """Return the rollout with one more person who wants windows and freezes not to hold it."""
    if order.word.why is None:
        raise BadRequestError("who breaks the glass says why")
    _check_live(row, order.kind)
    if glass_word(row, order.word.by) is not None:
        return None
    broken = row.facts.get(GLASS, {"words": [], "needs": 1})
    told = {**told_by(order.word), "at_us": now_us}
    words = [*broken["words"], told]
    needs = max(order.persons, broken["needs"])
    row = replace(
        row, rev=row.rev + 1, facts={**row.facts, GLASS: {"words": words, "needs": needs}}
    )
    lines = [Line(event=OrderKind.BREAK_GLASS, data={**told_by(order.word), "needs": needs})]
    return Steered(row=row, lines=lines)


def glass_word(row: RolloutRow, by: str) -> Mapping[str, Any] | None:
    """Return what a person said who broke the glass; None if they did not."""
    words = row.facts.get(GLASS, {}).get("words", ())
    return next((one for one in words if one["by"] == by), None)


def _approval_by(wave: WaveRow, word: Word) -> Approved | None:
    """Return what the same person has said already; before the wave opened is another time."""
    opened = wave.opened_us is not None
    said = [one for one in wave.approvals if one.word.by == word.by and one.opened is opened]
    return said[-1] if said else None


def _counted(row: RolloutRow) -> dict[str, int]:
    """Return what there is to see of the rollout's jobs."""
    tallies = [wave.tally for wave in row.waves]
    return {
        "jobs": sum(one.size for one in tallies),
        "ended": sum(one.ended for one in tallies),
        "failed": sum(one.failed + one.unresolved for one in tallies),
    }


def ordered_before(row: RolloutRow, order: Order, record: Sequence[RecordEntry]) -> Ordered:
    """Return the answer to an order that has nothing left to do."""
    if order.kind is OrderKind.APPROVE:
        wave = next(wave for wave in row.waves if wave.n == order.wave)
        given = _approval_by(wave, order.word)
        assert given is not None, "that is why nothing is left to do"
        return Ordered(row=row, already=given.word, already_us=given.at_us)
    if order.kind is OrderKind.BREAK_GLASS:
        told = glass_word(row, order.word.by)
        assert told is not None, "that is why nothing is left to do"
        return Ordered(row=row, already=order.word, already_us=told["at_us"])
    event = _EVENT_OF[order.kind]
    said = [entry for entry in record if entry.event == event and entry.wave is None]
    if not said:
        return Ordered(row=row)
    data = said[-1].data
    why, where = (None if data.get(name) is None else str(data[name]) for name in ("why", "where"))
    word = Word(by=str(data.get("by") or rollout_name(row.id)), why=why, where=where)
    return Ordered(row=row, already=word, already_us=said[-1].at_us)
