"""One result line for each job that ended, whoever writes it and whoever looks for it."""

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from jobs.model import WorkerId
from jobs.states import JobState
from jobs.store.protocol import Result, WorkStore
from tests.builders import a_job
from worker.reporting import Cursor, Reporter

ONE, TWO = WorkerId(1), WorkerId(2)


class Results:
    """A store of which only the results are asked; *meanwhile* happens during each question."""

    def __init__(self) -> None:
        self._rows: defaultdict[WorkerId, list[Result]] = defaultdict(list)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def ended(self, worker: WorkerId, *numbers: int) -> None:
        """Let jobs end in a worker's hands."""
        row = self._rows[worker]
        for number in numbers:
            job = a_job(JobState.SUCCEEDED, number=number)
            row.append(Result(seq=len(row) + 1, job=job, worker_name="w"))

    async def results_after(self, worker: WorkerId, seq: int) -> Sequence[Result]:
        """Return what ended after *seq*."""
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return self._rows[worker][seq:]

    async def reported(self, worker: WorkerId, seq: int) -> None:
        """Hear how far the lines are written: never beyond what has ended."""
        assert seq <= len(self._rows[worker])


class Team:
    """Reporters on one folder and one store, and what they wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Results()
        self.written: list[int] = []

    def reporter(self) -> Reporter:
        """Return one more of them."""
        store = cast("WorkStore", self.store)
        return Reporter(store, self.folder, lambda result: self.written.append(result.job.id))

    def killed(self, worker: WorkerId) -> None:
        """Leave what a worker leaves that was killed before it wrote anything."""
        reporter = self.reporter()
        reporter.start(worker)
        reporter.abandon()


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """Nobody yet."""
    return Team(tmp_path / "results")


async def test_what_a_killed_worker_left_is_written_by_the_next(team: Team) -> None:
    """From where it stopped, and only once."""
    team.store.ended(ONE, 1)
    first = team.reporter()
    first.start(ONE)
    await first.flush()
    team.store.ended(ONE, 2)
    first.abandon()

    await team.reporter().adopt()
    await team.reporter().adopt()

    assert team.written == [1, 2]


async def test_two_who_look_at_once_write_nothing_twice(team: Team) -> None:
    """Who saw a dead worker's file that another has finished meanwhile does not begin it anew."""
    team.store.ended(ONE, 1)
    team.store.ended(TWO, 2, 3)
    team.killed(ONE)
    team.killed(TWO)
    team.store.meanwhile = team.reporter().adopt  # it finds ONE's in use, and finishes TWO's

    await team.reporter().adopt()

    assert sorted(team.written) == [1, 2, 3]
    assert list(team.folder.iterdir()) == []


async def test_a_file_that_was_removed_before_it_was_locked_is_not_gone_on_with(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking another may have finished with it."""
    team.store.ended(ONE, 1)
    team.killed(ONE)
    real = os.open

    def slow(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", slow)

    await team.reporter().adopt()

    assert team.written == []


def test_a_new_workers_file_is_never_seen_unlocked(tmp_path: Path) -> None:
    """Nobody adopts from a worker that is just beginning, and an old file of its name is gone."""
    path = tmp_path / "1.reported"
    old = Cursor.create(path)
    old.advance(7)
    old.close(done=False)

    cursor = Cursor.create(path)

    with pytest.raises(BlockingIOError):
        Cursor.adopt(path)
    assert cursor.value == 0
    cursor.close(done=True)
