"""Schedules by the whole engine on virtual time: real store, real workers, real decisions.

Ticks come every minute from 08:01 on; a rollout takes some six seconds and its bake.
"""

from pathlib import Path

import pytest

from jobs.rollout_states import RolloutState
from jobs.schedule_states import Skipped, TickState
from tests.engine.scheduled import Stand, a_schedule, staged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def test_every_tick_makes_one_rollout_of_the_versions_of_its_time(tmp_path: Path) -> None:
    """Two workers, two ticks: each pool is sent to once a tick, each time a newer version."""

    async def play(stand: Stand) -> None:
        stand.worker()
        stand.worker()
        await stand.clock.sleep(155)
        rollouts = await stand.rollouts()
        assert await stand.fates() == [TickState.ENDED] * 2
        assert [row.state for row in rollouts] == [RolloutState.SUCCEEDED] * 2
        assert [tick.rollout for tick in await stand.ticks()] == [row.id for row in rollouts]
        assert len(stand.fleet.planned) == len({row.plan for row in rollouts}) == 2

    stand = staged(tmp_path, a_schedule(), play)
    assert len(stand.cloud.sends) == 4
    assert {version for version, _ in stand.cloud.final().values()} == {"3.0"}


@pytest.mark.parametrize(
    ("overlap", "fates", "states"),
    [
        (
            "skip",
            [TickState.STARTED, Skipped.OVERLAP, Skipped.OVERLAP],
            [RolloutState.WAITING],
        ),
        (
            "queue-one",
            [TickState.STARTED, Skipped.SUPERSEDED, TickState.QUEUED],
            [RolloutState.WAITING],
        ),
        (
            "replace",
            [TickState.ENDED, TickState.ENDED, TickState.STARTED],
            [RolloutState.SUPERSEDED, RolloutState.SUPERSEDED, RolloutState.WAITING],
        ),
    ],
    ids=["skip", "queue-one", "replace"],
)
def test_a_tick_meets_the_run_before_it(
    tmp_path: Path, overlap: str, fates: list[str], states: list[RolloutState]
) -> None:
    """It is skipped; or one waits, the newest; or it takes the place of the run before it."""

    async def play(stand: Stand) -> None:
        stand.worker()
        await stand.clock.sleep(225)
        assert await stand.fates() == fates
        assert [row.state for row in await stand.rollouts()] == states

    staged(tmp_path, a_schedule(f"overlap: {overlap}", "10m"), play)


def test_what_waited_in_the_queue_goes_on_when_the_run_before_it_ends(tmp_path: Path) -> None:
    """One rollout after the other, never two of a schedule at once."""

    async def play(stand: Stand) -> None:
        stand.worker()
        await stand.clock.sleep(170)
        rows = await stand.rollouts()
        ends, begins = rows[0].finished_us, rows[1].created_us
        assert ends is not None
        assert ends <= begins
        assert await stand.fates() == [TickState.ENDED, TickState.STARTED]

    staged(tmp_path, a_schedule("overlap: queue-one", "65s"), play)
