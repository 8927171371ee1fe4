"""How rollouts and waves are written down, the same way in every engine.

States and events are the words that every surface shows.  What no query looks into is JSON.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from jobs.model import JobId, Progress, RolloutId, Target
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState, WaveState
from jobs.states import BAD_STATES, JobEvent, JobState
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import (
    Approved,
    LineStop,
    NewRollout,
    OrderKind,
    RecordEntry,
    RolloutJob,
    RolloutKind,
    RolloutRow,
    StoredPlan,
    Tally,
    WaveRow,
    Word,
)
from jobs.store.schema import REASONS, STATES, json_text, json_value

Cells = Sequence[Any]

ROLLOUT: Final = (
    "id, name, kind, plan, state, rev, created_us, started_us, finished_us, expires_us,"
    " of_rollout, asked, facts, labels"
)
"""The columns that `rollout_value` reads."""

TALLY: Final = (
    *("admitted", "succeeded", "unchanged", "failed", "unresolved", "skipped"),
    *("cancelled", "failures", "rejected", "late"),
)
"""The columns of a tally, in the order of `Tally` after its size."""

COUNTED_AS: Final[Mapping[JobState, str]] = MappingProxyType(
    {
        JobState.SUCCEEDED: "succeeded",
        JobState.UNCHANGED: "unchanged",
        JobState.FAILED: "failed",
        JobState.UNRESOLVED: "unresolved",
        JobState.SKIPPED: "skipped",
        JobState.CANCELLED: "cancelled",
    }
)
"""The column that counts the jobs of a wave that ended in a state."""


def ended_as(state: JobState, *, rejected: bool = False) -> tuple[int, ...]:
    """Return what a job that ends in *state* adds to each column of TALLY."""
    added = {COUNTED_AS[state]}
    added |= {"failures"} if state in BAD_STATES else set()
    added |= {"rejected"} if rejected else set()
    return tuple(int(name in added) for name in TALLY)


def was_rejected(event: JobEvent, progress: Progress) -> bool:
    """Whether a job that ends by *event* was refused before anything of it was sent."""
    return event is JobEvent.REFUSED and progress.sends <= progress.spared


def line_value(row: Cells) -> LineStop:
    """Return the line of (stopped, at_us, word)."""
    word = json_value(row[2])
    return LineStop(
        stopped=bool(row[0]), at_us=row[1], word=None if word is None else word_value(word)
    )


def word_value(told: Mapping[str, Any]) -> Word:
    """Return the word of one JSON object."""
    return Word(by=told["by"], why=told.get("why"), where=told.get("where"))


def _said(word: Word | None, at_us: int | None, **more: object) -> str | None:
    if word is None:
        return None
    return json_text({"by": word.by, "why": word.why, "where": word.where, "at_us": at_us, **more})


def rollout_value(row: Cells, waves: Sequence[WaveRow]) -> RolloutRow:
    """Return the rollout of one row of ROLLOUT."""
    asked = json_value(row[11])
    return RolloutRow(
        id=RolloutId(row[0]),
        name=row[1],
        kind=RolloutKind(row[2]),
        plan=row[3],
        state=RolloutState(row[4]),
        rev=row[5],
        created_us=row[6],
        started_us=row[7],
        finished_us=row[8],
        expires_us=row[9],
        of=None if row[10] is None else RolloutId(row[10]),
        asked=None if asked is None else word_value(asked),
        asked_kind=None if asked is None else OrderKind(asked["kind"]),
        asked_us=None if asked is None else asked["at_us"],
        facts=json_value(row[12]) or {},
        labels=json_value(row[13]) or {},
        waves=tuple(waves),
    )


def new_rollout_cells(new: NewRollout, now_us: int) -> tuple[Any, ...]:
    """Return name, kind, plan, state, created, expires, of, key, fingerprint, labels."""
    labels = json_text(new.labels) if new.labels else None
    identity = (new.key, new.fingerprint, labels)
    what = (new.name, new.kind.value, new.plan, RolloutState.PLANNED.value)
    return (*what, now_us, new.expires_us, new.of, *identity)


def rollout_cells(row: RolloutRow) -> tuple[Any, ...]:
    """Return what may change of a rollout: state, live, rev, started, finished, asked, facts."""
    asked = None
    if row.asked_kind is not None:
        asked = _said(row.asked, row.asked_us, kind=row.asked_kind)
    facts = json_text(row.facts) if row.facts else None
    times = (row.started_us, row.finished_us)
    return (row.state.value, row.state in LIVE_ROLLOUTS, row.rev, *times, asked, facts)


def wave_value(row: Cells) -> WaveRow:
    """Return the wave of (n, state, size, written, opened, approved, facts, last, *TALLY)."""
    tally = Tally(size=row[2], **dict(zip(TALLY, row[8:], strict=True)))
    return WaveRow(
        n=row[0],
        state=WaveState(row[1]),
        tally=tally,
        written=row[3],
        opened_us=row[4],
        ended_us=row[7] if tally.ended == tally.size else None,
        approvals=_approvals(json_value(row[5])),
        facts=json_value(row[6]) or {},
    )


def wave_cells(wave: WaveRow) -> tuple[Any, ...]:
    """Return what may change of a wave beside its tally: state, opened, approved, facts."""
    facts = json_text(wave.facts) if wave.facts else None
    return (wave.state.value, wave.opened_us, _approvals_text(wave.approvals), facts)


_MORE: Final = "more"
"""Approvals after the first one stand inside it, as it was when there could be one alone."""


def _approvals_text(approvals: Sequence[Approved]) -> str | None:
    if not approvals:
        return None
    first, *more = (
        {
            **told_by(one.word),
            "at_us": one.at_us,
            "opened": one.opened,
            "groups": one.groups,
            "seen": one.seen,
        }
        for one in approvals
    )
    return json_text({**first, _MORE: more} if more else first)


def _approvals(told: Mapping[str, Any] | None) -> tuple[Approved, ...]:
    if told is None:
        return ()
    return tuple(
        Approved(
            word=word_value(one),
            at_us=one["at_us"],
            opened=one.get("opened", False),
            groups=tuple(one.get("groups", ())),
            seen=one.get("seen", {}),
        )
        for one in (told, *told.get(_MORE, ()))
    )


def entry_value(row: Cells) -> RecordEntry:
    """Return the entry of (seq, at_us, event, wave, data)."""
    return RecordEntry(
        seq=row[0], at_us=row[1], event=row[2], wave=row[3], data=json_value(row[4]) or {}
    )


def plan_value(row: Cells) -> StoredPlan:
    """Return the plan of (digest, name, body, made_us)."""
    return StoredPlan(digest=row[0], name=row[1], body=row[2], made_us=row[3])


def job_value(row: Cells) -> RolloutJob:
    """Return the job of (id, wave, rank, project, pool, region, state, reason, left, started)."""
    return RolloutJob(
        job=JobId(row[0]),
        wave=row[1],
        rank=row[2],
        target=Target(project_id=row[3], pool_name=row[4], region=row[5] or None),
        state=STATES[row[6]],
        reason=REASONS[row[7]],
        since_us=row[8],
        started_us=row[9],
    )


def rollout_number(name_or_id: str) -> int | None:
    """Return the number in ``ro-12`` or ``12``, None when it must be a name."""
    digits = name_or_id.removeprefix("ro-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 18:
        return int(digits)
    return None
