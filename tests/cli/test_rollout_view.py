"""The view of a followed rollout: never larger than the terminal, always with the reasons."""

from dataclasses import replace

import pytest

from jobs.clock import MICROSECONDS
from jobs.model import Job, JobId, Progress, RolloutId
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.course import course_of, planned_jobs
from jobs.rollouts.gates import Hold
from jobs.rollouts.plan import Plan
from jobs.states import JobState, WaitReason
from jobs.store.rollouts import RolloutKind, RolloutRow, Tally, WaveRow
from tests.builders import NOON_US
from tests.rehearsal.rehearsing import planned
from tests.rollouts.building import REST
from worker.cli.printing import cells
from worker.cli.rollout_view import Glance, glance_lines
from worker.cli.symbols import ASCII, UNICODE

MINUTE_US = 60 * MICROSECONDS


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Return a plan of two waves with a cap."""
    waves = [{"name": "canary", "pick": {"count": 4}}, REST]
    return planned(20, waves=waves, stop=[{"name": "cap", "failures": 2}])


def a_glance(plan: Plan, *, running: int = 2, latest: int = 2) -> Glance:
    """Return a view of the plan's first wave."""
    waves = (
        WaveRow(
            n=0,
            state=WaveState.RUNNING,
            tally=Tally(size=4, admitted=4, succeeded=1, failed=1, failures=1),
        ),
        WaveRow(n=1, state=WaveState.PENDING, tally=Tally(size=16)),
    )
    row = RolloutRow(
        id=RolloutId(1),
        name="a-rollout",
        kind=RolloutKind.ROLLOUT,
        plan=plan.digest,
        state=RolloutState.RUNNING,
        rev=3,
        created_us=NOON_US,
        waves=waves,
    )
    hold = Hold(
        reason=WaitReason.WINDOW, text="outside every window", until_us=NOON_US + 60 * MINUTE_US
    )
    return Glance(
        row=row,
        course=course_of(plan),
        now_us=NOON_US + 5 * MINUTE_US,
        running=[a_job(plan, number) for number in range(running)],
        holds=(hold,),
        causes={"image could not be pulled": 1},
        latest=[f"12:0{n}:00 something\x1b[31m happened" for n in range(latest)],
        hint="Ctrl-C stops following",
    )


def a_job(plan: Plan, number: int) -> Job:
    """Return a job that is being watched."""
    request = next(iter(planned_jobs(plan))).request
    progress = Progress(version_from="1.6.36", version="1.6.63", phase="Updating", sends=1)
    return Job(
        id=JobId(number + 1),
        request=request,
        state=JobState.WATCHING,
        created_us=NOON_US,
        started_us=NOON_US + MINUTE_US,
        progress=progress,
    )


def test_it_tells_waves_work_holds_and_causes(plan: Plan) -> None:
    """What is done, what runs in which step, why it waits and until when, what failed."""
    glance = a_glance(plan)
    pool = glance.running[0].request.target.pool_name

    lines = glance_lines(glance, ASCII, width=100, height=30)

    assert lines == [
        f"a-rollout   running   wave 1 of 2   5m so far   plan {plan.digest[:12]}",
        (
            "  1 canary         ##########..........       2/4  ok 1  X 1  > 2              "
            "1 of 2 failures used"
        ),
        "  2 rest           ....................      0/16  . 16                        pending",
        (
            "  Running now                                                 Step       "
            "               For  Try"
        ),
        *[
            (
                f"  > {pool}  1.6.36 -> 1.6.63                               "
                "watching: Updating         4m    1"
            )
        ]
        * 2,
        "  Waits    outside every window (until 2026-11-24T13:00:00.000Z)",
        "  Failed   image could not be pulled 1",
        "  Latest",
        "  12:00:00 something happened",
        "  12:01:00 something happened",
        "  2 of 20 ended, 1 failed   Ctrl-C stops following",
    ]


@pytest.mark.parametrize("height", [4, 8, 12, 30])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_is_never_larger_than_the_terminal(plan: Plan, width: int, height: int) -> None:
    """Jobs that do not fit are folded into one line."""
    glance = replace(a_glance(plan, running=40), more_running=7)

    lines = glance_lines(glance, UNICODE, width=width, height=height)

    assert len(lines) <= height
    assert max(cells(line) for line in lines) <= width
    if height == 30:
        folded = [line for line in lines if line.startswith("  and ") and line.endswith(" more")]
        shown = sum(line.startswith("  ▶ ") for line in lines)
        assert folded == [f"  and {47 - shown} more"]


def test_a_stopped_rollout_says_by_which_rule(plan: Plan) -> None:
    """The rule with its numbers stands in the view, not only in the recap."""
    glance = a_glance(plan, running=0, latest=0)
    row = replace(glance.row, state=RolloutState.PAUSED, facts={"stop": {"why": "cap: 3 of 5"}})

    lines = glance_lines(replace(glance, row=row, holds=()), ASCII, width=80, height=20)

    assert "  Stopped  cap: 3 of 5" in lines
