"""What may be started and written down as a rollout, and what is told when it may not be."""

from collections.abc import Iterable, Mapping

from jobs.errors import (
    BadRequestError,
    ConflictError,
    IllegalTransitionError,
    NothingMatchedError,
)
from jobs.model import JobRequest, RolloutId, rollout_name
from jobs.rollout_states import RolloutState
from jobs.store.rollouts import PlannedJob, RolloutRow


def check_places(row: RolloutRow, jobs: Iterable[PlannedJob]) -> None:
    """Refuse jobs that have no place in the rollout.

    Raises:
        IllegalTransitionError: If it takes none any more.
        BadRequestError: If a wave or a rank is outside of the sizes, or a request has a key.
    """
    if row.state is not RolloutState.PLANNED:
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} takes no jobs any more: it is {row.state}", state=row.state
        )
    sizes = {wave.n: wave.tally.size for wave in row.waves}
    for planned in jobs:
        if not 0 <= planned.rank < sizes.get(planned.wave, 0):
            raise BadRequestError(
                f"{rollout_name(row.id)} has no place {planned.rank} in wave {planned.wave}"
            )
        if planned.request.idempotency_key is not None:
            raise BadRequestError("a job of a rollout has no idempotency key: its place is its key")


def by_place(jobs: Iterable[PlannedJob]) -> Mapping[int, Mapping[int, PlannedJob]]:
    """Return the jobs by wave and rank; of those that share a place the first."""
    places: dict[int, dict[int, PlannedJob]] = {}
    for planned in jobs:
        places.setdefault(planned.wave, {}).setdefault(planned.rank, planned)
    return places


def no_rollout(rollout: RolloutId) -> NothingMatchedError:
    """Return the error for a rollout that is not there."""
    return NothingMatchedError(
        f"there is no {rollout_name(rollout)}", do="name a rollout that exists", rollout=rollout
    )


def no_plan(digest: str) -> NothingMatchedError:
    """Return the error for a plan that was not kept."""
    return NothingMatchedError("there is no such plan", do="keep the plan first", plan=digest)


def name_is_taken(whose: RolloutId) -> ConflictError:
    """Return the error for the name of another live rollout."""
    return ConflictError(
        f"{rollout_name(whose)} of the same name has not ended",
        why="a name means one rollout at a time",
        do="wait for its end, abort it, or choose another name",
        rollout=whose,
    )


def pool_is_taken(request: JobRequest, whose: RolloutId) -> ConflictError:
    """Return the error for a pool on which another live rollout changes the same plug-in."""
    pool = request.target.pool_name
    return ConflictError(
        f"{rollout_name(whose)} changes {request.plugin.name} on pool {pool} already",
        why="two rollouts that change the same would undo each other",
        do="wait for its end, abort it, or leave the pool out",
        rollout=whose,
        pool_name=pool,
    )
