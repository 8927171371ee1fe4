"""In which line a job stands: the codes that the partial indexes name (see the schema)."""

from typing import Final

from jobs.states import FINAL_STATES, JobState, WaitReason

ASIDE: Final = 0
READY: Final = 1
TIMED: Final = 2
BEHIND: Final = 3
IN_HAND: Final = 4
ORPHANED: Final = 5
ENDED: Final = 6


def line_of(
    state: JobState,
    reason: WaitReason | None = None,
    *,
    run_at_us: int | None = None,
    held: bool = False,
) -> int:
    """Return where a job in that state stands; *held* says that a worker has it in hand."""
    if state in FINAL_STATES:
        return ENDED
    if state is JobState.READY:
        return READY
    if state is JobState.WAITING:
        if run_at_us is not None:
            return TIMED
        return BEHIND if reason is WaitReason.POOL_BUSY else ASIDE
    return IN_HAND if held else ORPHANED
