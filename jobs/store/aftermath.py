"""What a rollout has left on its pools: rules over rows, the same for every engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.clock import seconds_to_us
from jobs.model import JobId, PluginSeen, Target
from jobs.states import JobEvent
from jobs.store.rollouts import Deed, LateFailure
from jobs.store.schema import NO_PROFILE, STATES, json_value, progress_value
from jobs.store.steering import Line

LATE: Final = "late-failure"
"""Word of the record."""

LATE_TALLY: Final = frozenset({"failures", "late"})
"""The columns of a tally that a late failure adds to."""

NO_EFFECT: Final = frozenset({JobEvent.NOT_SENT, JobEvent.REFUSED, JobEvent.REREAD})
"""How attempts ended that certainly changed nothing."""

DEED: Final = (
    "j.id, j.wave, j.rank, r.name, p.name, p.region, j.profile, j.state, j.progress, f.told"
)
"""The columns of a place that `deed_of` reads."""

ATTEMPT: Final = "job, outcome, before, inputs"
"""The columns of an attempt, in the order of job and number."""

Cells = Sequence[Any]


def deed_of(row: Cells, attempts: Iterable[Cells]) -> Deed:
    """Return what was done at a place.

    Args:
        row: DEED of the job that stands there.
        attempts: ATTEMPT of all jobs that stood there, in order.
    """
    progress = progress_value(row[8])
    mattered = [one for one in attempts if one[1] not in NO_EFFECT]
    before = json_value(mattered[0][2]) if mattered else None
    late = json_value(row[9])
    return Deed(
        job=JobId(row[0]),
        wave=row[1],
        rank=row[2],
        target=Target(project_id=row[3], pool_name=row[4], region=row[5] or None),
        profile=None if row[6] == NO_PROFILE else row[6],
        state=STATES[row[7]],
        cause=progress.cause,
        version=progress.version,
        shown=progress.shown,
        inputs=json_value(mattered[-1][3]) if mattered else None,
        sent=bool(mattered),
        checked=progress.checked,
        baseline=None if before is None else PluginSeen(**before),
        late=None if late is None else late["text"],
    )


def deeds_of(
    found: Sequence[Cells], stood: Mapping[tuple[int, int], Sequence[int]], tried: Iterable[Cells]
) -> list[Deed]:
    """Return the deeds of places; *stood* are all jobs of each, *tried* their attempts."""
    attempts: dict[int, list[Cells]] = {}
    for one in tried:
        attempts.setdefault(one[0], []).append(one)
    return [
        deed_of(row, [one for job in stood[row[1], row[2]] for one in attempts.get(job, ())])
        for row in found
    ]


def stood_at(found: Sequence[Cells], before: Iterable[Cells]) -> dict[tuple[int, int], list[int]]:
    """Return the jobs of each place in their order; *before* are (id, wave, rank) of older ones."""
    stood: dict[tuple[int, int], list[int]] = {(row[1], row[2]): [] for row in found}
    for job, wave, rank in before:
        if (wave, rank) in stood:
            stood[wave, rank].append(job)
    for row in found:
        stood[row[1], row[2]].append(row[0])
    return stood


def told_late(late: LateFailure) -> dict[str, Any]:
    """Return a late failure as JSON."""
    return {"job": late.job, "text": late.text, "drift": late.drift}


def late_line(late: LateFailure, wave: int) -> Line:
    """Return its line for the record."""
    return Line(event=LATE, wave=wave, data=told_late(late))


@dataclass(frozen=True, slots=True)
class Looks:
    """The ranks that are looked at now, and what the wave remembers of it."""

    first: int
    count: int
    looks: int
    look_us: int


def next_looks(size: int, looks: int, look_us: int | None, now_us: int, *, most: int) -> Looks:
    """Return the next ranks of a wave; none when it is not time, see `RolloutStore.take_looks`."""
    if size == 0 or (look_us is not None and now_us < look_us):
        return Looks(0, 0, looks, look_us or now_us)
    first = looks % size
    count = min(most, size - first)
    return Looks(first, count, looks + count, now_us)


def pause_us(size: int, count: int, every_s: float) -> int:
    """Return how long after *count* looks the next ones are due."""
    return seconds_to_us(every_s * count / size)
