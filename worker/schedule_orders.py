"""A person's word about a schedule: pause, resume, run now; each is one change of its revision.

Whatever fell due before the word is decided first, as it stood: a tick of the time in which a
schedule was paused stays a paused one, also when nobody looked meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jobs.errors import ScheduleBusyError, StaleRevisionError
from jobs.rollouts.firing import ScheduleLook, fire, paused_by, resumed, run_now
from jobs.rollouts.recurrence import recurrence_of_row
from jobs.schedule_states import TickState
from jobs.store.rollouts import Word
from jobs.store.schedule_rows import no_schedule
from jobs.store.schedules import ScheduleChange, ScheduleRow, TickRow
from worker.scheduler import sight_of, tell
from worker.ticking import SchedulingStore

Change = Callable[[ScheduleLook], ScheduleChange | None]

MOST_TRIES: Final = 1_000
"""Of a change that others overtake: far more than there are workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The schedule after an order; *already* says that nothing was left to do."""

    row: ScheduleRow
    already: bool = False


async def existing(store: SchedulingStore, name: str) -> ScheduleRow:
    """Return the schedule of that name.

    Raises:
        NothingMatchedError: If there is none.
    """
    row = await store.schedules.schedule(name)
    if row is None:
        raise no_schedule(name)
    return row


async def pause(store: SchedulingStore, name: str, word: Word) -> Answer:
    """Let nothing of the schedule begin any more; what was begun goes on.

    Raises:
        NothingMatchedError: If there is none.
    """

    def change(look: ScheduleLook) -> ScheduleChange | None:
        if look.row.paused is not None:
            return None
        return ScheduleChange(row=paused_by(look.row, word, look.now_us))

    return await _changed(store, name, change)


async def resume(store: SchedulingStore, name: str) -> Answer:
    """Let it tick again; failures are counted anew.

    Raises:
        NothingMatchedError: If there is none.
    """

    def change(look: ScheduleLook) -> ScheduleChange | None:
        return None if look.row.paused is None else ScheduleChange(row=resumed(look.row))

    return await _changed(store, name, change)


async def run(store: SchedulingStore, name: str, word: Word) -> tuple[ScheduleRow, TickRow]:
    """Ask for a run now, also of a paused schedule; a worker plans and begins it.

    Raises:
        NothingMatchedError: If there is none.
        ScheduleBusyError: If the run before it has not ended, and the schedule skips then.
    """
    asked: list[TickRow] = []

    def change(look: ScheduleLook) -> ScheduleChange:
        wanted = run_now(recurrence_of_row(look.row), look, word)
        (tick,) = wanted.fresh
        if tick.state is TickState.SKIPPED:
            raise ScheduleBusyError(f"schedule '{name}' runs already: {tick.why}")
        asked[:] = [tick]
        return wanted

    answer = await _changed(store, name, change)
    return answer.row, asked[0]


async def _changed(store: SchedulingStore, name: str, change: Change) -> Answer:
    for _ in range(MOST_TRIES):
        row = await existing(store, name)
        look = await sight_of(store, row.id)
        if look is None:
            continue  # removed since; a new one may have its name
        decided = fire(recurrence_of_row(look.row), look)
        wanted = decided.change or change(look)
        if wanted is None:
            return Answer(row=look.row, already=True)
        try:
            written = await store.schedules.change_schedule(wanted)
        except StaleRevisionError:
            continue
        if decided.change is None:
            return Answer(row=written)
        tell(decided)
    raise StaleRevisionError(f"schedule '{name}' changes all the time")
