"""A rollout as JSON shows it, what holds it, and which wave a person means."""

from collections.abc import Sequence
from typing import Any

from jobs.clock import SystemClock, iso
from jobs.errors import NothingMatchedError
from jobs.model import rollout_name
from jobs.rollout_states import WaveState
from jobs.rollouts.advancing import decide
from jobs.rollouts.course import Course
from jobs.rollouts.gates import Hold, line_hold
from jobs.rollouts.joining import members
from jobs.rollouts.sight import turn
from jobs.rollouts.verdicts import stopped_by
from jobs.store.protocol import Store
from jobs.store.rollouts import Approved, RolloutRow, RolloutStore
from worker.sighting import RolloutReader


async def existing_rollout(store: RolloutStore, name: str) -> RolloutRow:
    """Return the rollout that is called so, or has that id.

    Raises:
        NothingMatchedError: If there is none.
    """
    row = await store.rollout(name)
    if row is None:
        raise NothingMatchedError(
            f"there is no rollout '{name}' in this store", do="list them: plugwave status"
        )
    return row


def approval_fields(given: Approved) -> dict[str, Any]:
    """Return an approval as JSON shows it."""
    return {
        "by": given.word.by,
        "at": iso(given.at_us),
        "groups": list(given.groups),
        "reason": given.word.why,
        "where": given.word.where,
        "seen": dict(given.seen),
    }


def rollout_fields(row: RolloutRow) -> dict[str, Any]:
    """Return a rollout as JSON shows it."""
    return {
        "rollout": rollout_name(row.id),
        "name": row.name,
        "rollout_kind": row.kind.value,
        "state": row.state.value,
        "plan": row.plan,
        "stopped_by": stopped_by(row),
        "created_at": iso(row.created_us),
        "started_at": iso(row.started_us),
        "finished_at": iso(row.finished_us),
        "expires_at": iso(row.expires_us),
        "labels": dict(row.labels),
        "joined": len(members(row).get("joined", ())),
        "held": len(members(row).get("held", ())),
        "waves": [
            {
                "wave": wave.n,
                "state": wave.state.value,
                "size": wave.tally.size,
                "ended": wave.tally.ended,
                "succeeded": wave.tally.succeeded,
                "unchanged": wave.tally.unchanged,
                "failed": wave.tally.failed,
                "unresolved": wave.tally.unresolved,
                "skipped": wave.tally.skipped,
                "cancelled": wave.tally.cancelled,
                "opened_at": iso(wave.opened_us),
                "ended_at": iso(wave.ended_us),
                "approved_by": wave.approvals[0].word.by if wave.approvals else None,
                "approvals": [approval_fields(one) for one in wave.approvals],
            }
            for wave in row.waves
        ],
    }


async def holds_of(store: Store, row: RolloutRow) -> tuple[Hold, ...]:
    """Return what holds the rollout now, as its rules tell it."""
    clock = SystemClock()
    clock.anchor(await store.now_us())
    read = await RolloutReader(store, clock).sight(row.id)
    if read is None:
        return ()
    stop, holds = read[1].line_stop, decide(*read).holds
    told = stop.stopped and row.finished_us is None and line_hold(stop) not in holds
    return (line_hold(stop), *holds) if told else holds


def hold_fields(hold: Hold) -> dict[str, Any]:
    """Return a hold as JSON shows it."""
    return {
        "reason": hold.reason.value,
        "wave": hold.wave,
        "text": hold.text,
        "until": iso(hold.until_us),
    }


def rollout_why(row: RolloutRow, holds: Sequence[Hold]) -> dict[str, Any]:
    """Return why a rollout is where it is, as JSON shows it."""
    return {**rollout_fields(row), "holds": [hold_fields(hold) for hold in holds]}


def wave_number(course: Course, name: str) -> int:
    """Return the number of the wave that is called so, or is the n-th, counting from 1.

    Raises:
        NothingMatchedError: If there is none.
    """
    for wave in course.waves:
        if name in {wave.name, str(wave.n + 1)}:
            return wave.n
    known = ", ".join(wave.name for wave in course.waves)
    raise NothingMatchedError(f"there is no wave '{name}'", do=f"its waves are {known}")


def waiting_wave(course: Course, row: RolloutRow) -> int | None:
    """Return the wave whose turn it is, if it stands before an approval or will."""
    first = turn(row)
    if first is None:
        return None
    wave = course.waves[first.n]
    gates = wave.before if first.state in {WaveState.PENDING, WaveState.GATED} else wave.after
    return first.n if any(gate.approval is not None for gate in gates) else None
