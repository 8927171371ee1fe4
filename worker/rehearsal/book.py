"""What a store would hold of one rollout: its row, its lines, its jobs under way.

Moves of jobs go by `jobs.states`, moves of the rollout by `jobs.store.steering`, as in every
engine; only the tables are dictionaries here, and there is one worker.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from jobs.changing import changed
from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.model import Job, JobId, Lease, Progress, RolloutId, WorkerId
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.course import Course, WaveCourse, planned_jobs
from jobs.rollouts.plan import Plan
from jobs.rollouts.sight import Sight, turn
from jobs.states import BAD_STATES, FINAL_STATES, JobEvent, JobState, WaitReason, next_state
from jobs.store.ordering import ordered
from jobs.store.protocol import Change
from jobs.store.rollouts import (
    Advance,
    Order,
    OrderKind,
    RolloutJob,
    RolloutKind,
    RolloutRow,
    Tally,
    WaveRow,
    Word,
)
from jobs.store.steering import advanced, check_admitted, check_may_send

ME: Final = WorkerId(1)
ROLLOUT: Final = RolloutId(1)
SUCCESSES: Final = 100
"""From how many successes their usual duration is told; as `worker.sighting` has it."""


class Book:
    """One rollout and its jobs; steps write by `record` and `note`, as they do to a store."""

    def __init__(self, plan: Plan, course: Course, clock: Clock) -> None:
        self._clock = clock
        self._deadline_s = course.deadline_s
        self._jobs: dict[JobId, Job] = {}
        self._flying: dict[JobId, RolloutJob] = {}
        self._lines: list[dict[JobId, RolloutJob]] = [{} for _ in plan.waves]
        self._counts: list[Counter[str]] = [Counter() for _ in plan.waves]
        self._ended_us: dict[int, int] = {}
        self._successes: list[float] = []
        now_us = clock.now_us()
        for number, planned in enumerate(planned_jobs(plan), start=1):
            job = JobId(number)
            self._lines[planned.wave][job] = RolloutJob(
                job=job,
                wave=planned.wave,
                rank=planned.rank,
                target=planned.request.target,
                state=JobState.WAITING,
                reason=WaitReason.WAVE,
            )
            self._jobs[job] = Job(
                id=job,
                request=planned.request,
                state=JobState.WAITING,
                created_us=now_us,
                rollout=ROLLOUT,
                wave=planned.wave,
            )
        self._sizes = [len(line) for line in self._lines]
        self._row = RolloutRow(
            id=ROLLOUT,
            name=plan.name,
            kind=RolloutKind.ROLLOUT,
            plan=plan.digest,
            state=RolloutState.WAITING,
            rev=1,
            created_us=now_us,
            expires_us=now_us + seconds_to_us(course.expires_s),
            waves=tuple(
                WaveRow(n=n, state=WaveState.PENDING, tally=Tally(size=size), written=size)
                for n, size in enumerate(self._sizes)
            ),
        )
        self._stale: set[int] = set()

    @property
    def row(self) -> RolloutRow:
        """The rollout as it is now."""
        if self._stale:
            waves = list(self._row.waves)
            for n in self._stale:
                tally = Tally(size=self._sizes[n], **self._counts[n])
                waves[n] = replace(waves[n], tally=tally, ended_us=self._ended_us.get(n))
            self._stale.clear()
            self._row = replace(self._row, waves=tuple(waves))
        return self._row

    @property
    def under_way(self) -> int:
        """How many jobs were admitted and are not final."""
        return len(self._flying)

    def sight(self, line: int, before_s: Sequence[float]) -> Sight:
        """Return what a look sees; *before_s* are durations of successes before this rollout."""
        row = self.row
        first = turn(row)
        if row.state is RolloutState.ABORTING:
            waiting = [job for jobs in self._lines for job in jobs.values()]
        elif first is None:
            waiting = []
        else:
            waiting = list(islice(self._lines[first.n].values(), line))
        return Sight(
            row=row,
            now_us=self._clock.now_us(),
            flying=tuple(self._flying.values()),
            line=waiting,
            successes_s=[*self._successes, *before_s][-SUCCESSES:],
        )

    def advance(self, change: Advance) -> list[Job]:
        """Apply a decision; return the jobs that may be claimed now."""
        change = replace(change, worker=ME)
        self._row = advanced(self.row, change, self._clock.now_us()).row
        admitted = [self._admit(job) for job in change.admit]
        check_admitted(self._row, {job.wave for job in admitted if job.wave is not None})
        self._cancel(change.cancel)
        return admitted

    def approve(self, wave: WaveCourse) -> None:
        """Let as many persons approve the wave as its gates ask for, each in all their groups."""
        gates = [gate.approval for gate in (*wave.before, *wave.after) if gate.approval]
        groups = sorted({group for gate in gates for group in gate.groups})
        for person in range(max((gate.count for gate in gates), default=1)):
            word = Word(by=f"rehearsal {person + 1}")
            order = Order(
                rollout=ROLLOUT, kind=OrderKind.APPROVE, word=word, wave=wave.n, groups=groups
            )
            found = ordered(self.row, order, self._clock.now_us())
            if found is not None:
                self._row = found.row

    def claim(self, job: Job) -> tuple[Job, Lease]:
        """Take a job that may start."""
        now_us = self._clock.now_us()
        claimed = changed(
            job,
            state=next_state(JobState.READY, JobEvent.CLAIMED),
            reason=None,
            started_us=job.started_us or now_us,
            deadline_us=now_us + seconds_to_us(job.request.deadline_s or self._deadline_s),
            fence=job.fence + 1,
        )
        self._keep(claimed)
        return claimed, Lease(job=job.id, worker=ME, fence=claimed.fence)

    async def record(self, change: Change) -> Job:
        """Apply a move of a job, as `jobs.store.protocol.WorkStore.record` does.

        Raises:
            RolloutHeldError: If it would send, and the rollout lets nothing be sent now.
        """
        job = self._jobs[change.lease.job]
        if change.event is JobEvent.INTENDED:
            check_may_send(ROLLOUT, self._row.state)
        state = next_state(job.state, change.event)
        now_us = self._clock.now_us()
        moved = changed(
            job,
            state=state,
            progress=change.progress,
            reason=change.reason,
            run_at_us=change.run_at_us,
            finished_us=now_us if state in FINAL_STATES else None,
        )
        self._keep(moved)
        return moved

    async def note(self, lease: Lease, progress: Progress, data: Mapping[str, Any]) -> None:  # noqa: ARG002 - there is no history
        """Save where a job stands."""
        self._jobs[lease.job] = changed(self._jobs[lease.job], progress=progress)

    def _admit(self, number: JobId) -> Job:
        job = self._jobs[number]
        assert job.wave is not None
        waiting = self._lines[job.wave].pop(number, None)
        if waiting is not None:
            self._count(job.wave, "admitted")
            self._flying[number] = replace(waiting, since_us=self._clock.now_us())
        return job

    def _keep(self, job: Job) -> None:
        """Write the job down, where it is under way, and when it ends how."""
        self._jobs[job.id] = job
        known = self._flying[job.id]
        if job.state not in FINAL_STATES:
            if (known.state, known.reason) != (job.state, job.reason):
                self._flying[job.id] = replace(
                    known, state=job.state, reason=job.reason, started_us=job.started_us
                )
            return
        del self._flying[job.id]
        self._end(job)

    def _end(self, job: Job) -> None:
        assert job.wave is not None
        self._count(job.wave, job.state.value)
        if job.state in BAD_STATES:
            self._count(job.wave, "failures")
        if job.state is JobState.SUCCEEDED and job.started_us and job.finished_us:
            self._successes.append((job.finished_us - job.started_us) / MICROSECONDS)

    def _count(self, wave: int, what: str) -> None:
        counts = self._counts[wave]
        counts[what] += 1
        self._stale.add(wave)
        ended = sum(counts[state.value] for state in FINAL_STATES)
        if ended == self._sizes[wave]:
            self._ended_us.setdefault(wave, self._clock.now_us())

    def _cancel(self, count: int) -> None:
        idle = [job for job in self._flying.values() if job.state is JobState.WAITING]
        for known in idle[:count]:
            del self._flying[known.job]
            self._end(self._cancelled(known))
        count -= min(count, len(idle))
        for wave, line in enumerate(self._lines):
            for known in list(line.values())[:count]:
                del line[known.job]
                self._count(wave, "admitted")
                self._end(self._cancelled(known))
                count -= 1

    def _cancelled(self, known: RolloutJob) -> Job:
        job = changed(self._jobs[known.job], state=JobState.CANCELLED)
        self._jobs[known.job] = job
        return job
