"""The tasks in which steps run: as few as there are jobs due at a time, and none is lost."""

import anyio
import anyio.lowlevel

from jobs.decide import Move, Step
from jobs.model import JobId, Lease, Progress, WorkerId
from tests.builders import a_job
from worker.executor import Held
from worker.stepping import Steppers


def held(number: int) -> Held:
    """Return a job in hand."""
    lease = Lease(job=JobId(number), worker=WorkerId(1), fence=1)
    move = Move(progress=Progress(), step=Step.LOOK)
    return Held(job=a_job(), lease=lease, move=move, claimed_at=0.0)


class Work:
    """Steps that note who ran in which task, and jobs that are due meanwhile."""

    def __init__(self) -> None:
        self.ran: list[tuple[int, int]] = []
        self.due: list[Held] = []
        self.follows: dict[int, Held] = {}
        self.rested = 0
        self.steppers = Steppers(self.step, self.next_due, self.rest)

    async def step(self, one: Held) -> Held | None:
        """Run one step."""
        await anyio.lowlevel.checkpoint()
        self.ran.append((one.lease.job, anyio.get_current_task().id))
        return self.follows.pop(one.lease.job, None)

    def next_due(self) -> Held | None:
        """Take what is due."""
        return self.due.pop(0) if self.due else None

    def rest(self) -> None:
        """Count who found nothing more to do."""
        self.rested += 1


async def settled(work: Work, steps: int) -> None:
    """Wait until so many steps have run and their tasks sleep."""
    with anyio.fail_after(5):
        while len(work.ran) < steps or not work.rested:
            await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()


async def test_a_task_goes_on_with_the_same_job_then_with_what_is_due() -> None:
    """Three steps that follow each other need one task."""
    work = Work()
    work.follows[1] = held(2)
    work.due = [held(3)]
    async with anyio.create_task_group() as tasks:
        work.steppers.run(tasks, held(1))
        await settled(work, 3)
        work.steppers.end()

    assert [job for job, _ in work.ran] == [1, 2, 3]
    assert len({task for _, task in work.ran}) == 1
    assert work.rested == 1


async def test_a_task_that_sleeps_takes_the_next_job() -> None:
    """A job that falls due later wakes a task instead of making one."""
    work = Work()
    async with anyio.create_task_group() as tasks:
        work.steppers.run(tasks, held(1))
        await settled(work, 1)
        work.steppers.run(tasks, held(2))
        await settled(work, 2)
        work.steppers.end()

    assert len({task for _, task in work.ran}) == 1


async def test_at_the_end_no_task_stays_and_what_runs_is_run_to_its_end() -> None:
    """Ending waits for nothing but the steps that are being run."""
    work = Work()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            work.steppers.run(tasks, held(1))
            await settled(work, 1)
            work.steppers.run(tasks, held(2))
            work.steppers.end()
    assert [job for job, _ in work.ran] == [1, 2]


async def test_a_job_is_never_given_to_a_task_that_has_just_been_cancelled() -> None:
    """Tasks that sleep in a group that is over are passed over; the job gets a new one."""
    work = Work()
    async with anyio.create_task_group() as over:
        work.steppers.run(over, held(1))
        await settled(work, 1)
        over.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        work.steppers.run(tasks, held(2))
        await settled(work, 2)
        work.steppers.end()
    assert [job for job, _ in work.ran] == [1, 2]
