"""One step of one job: limit, call, verify, record.

The executor acts out what `jobs.decide` decides and decides nothing itself.  A step ends
when there is nothing to do before some later instant; until then no task exists for the
job, only its place in the runner's heap.

The order in `_send` is the point: a turn is taken, the intent is committed, and only then,
on that turn, may the first byte leave.  A crash at any point leaves an intent that a later
read resolves; a crash before the send costs one needless read and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from jobs import causes
from jobs.changing import changed, swift
from jobs.clock import MICROSECONDS, Clock, iso, seconds_to_us
from jobs.decide import Answered, Move, Rules, Seen, Step, first_look, next_move
from jobs.decide.rules import failed, let_go, obeying
from jobs.errors import LineStoppedError, RolloutHeldError
from jobs.model import Job, Lease, PoolRead, Progress, Terms, job_name
from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from jobs.states import FINAL_STATES, JobEvent, JobState
from jobs.store.protocol import Change
from worker.calls import Requests, Wire
from worker.limiter import Closed, Kind

log = structlog.get_logger()

SEND_WINDOW_S: Final = 1.0
"""How long a committed intent allows the send; beyond that it is committed anew.

So long, and no longer, may a request leave after a pause has answered."""

CHECK_FRESH_S: Final = 30.0
"""A check older than this is repeated before the send."""


SHARED_READ_S: Final = 5.0
"""One read serves the pool's next job too when it is younger than this."""

SHARED_READS: Final = 4096

_WINDOW_US: Final = seconds_to_us(SEND_WINDOW_S)
_SHARED_READ_US: Final = seconds_to_us(SHARED_READ_S)
TERMS_KEPT: Final = 256
"""Rollouts have one each."""


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Held:
    """A job in this worker's hands, and what to do with it next."""

    job: Job
    lease: Lease
    move: Move
    claimed_at: float
    checked_us: int = 0
    """When the read was asked on which a coming send stands."""


class Records(Protocol):
    """What a step writes; see `jobs.store.protocol.WorkStore`."""

    async def record(self, change: Change) -> Job:
        """Apply a move of a job."""
        ...

    async def note(self, lease: Lease, progress: Progress, data: Mapping[str, Any]) -> None:
        """Save where a job stands without a move."""
        ...


class Executor:
    """Takes a job one step further."""

    def __init__(self, store: Records, clock: Clock, rules: Rules) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._log = log.bind()  # looking it up anew for a line below the level costs 5 µs
        self._by_terms: dict[Terms, Rules] = {}
        self._last_reads: dict[tuple[str, str, str], tuple[int, PoolRead | None]] = {}
        self.lost_answers = 0

    def begin(self, job: Job, lease: Lease) -> Held:
        """Say how to begin with a job that was just claimed."""
        move = first_look(job, self._clock.now_us(), self._rules_for(job))
        ready = changed(job, progress=move.progress)
        return Held(job=ready, lease=lease, move=move, claimed_at=self._clock.monotonic())

    def _rules_for(self, job: Job) -> Rules:
        """Return the worker's patience, or the job's own where it came with one."""
        terms = job.request.terms
        if terms is None:
            return self._rules
        rules = self._by_terms.get(terms)
        if rules is None:
            while len(self._by_terms) >= TERMS_KEPT:
                del self._by_terms[next(iter(self._by_terms))]
            rules = self._by_terms[terms] = obeying(self._rules, terms)
        return rules

    async def advance(self, held: Held, calls: Requests | None) -> Held | Job:
        """Do the next step; return the job still held, or the job that was let go.

        Raises:
            LeaseLostError: If the job is somebody else's by now.
            StoreError: If the step could not be written down.
        """
        if calls is None:
            detail = "the job names no region and cloud.endpoint is not set"
            move = failed(held.job.progress, JobEvent.REFUSED, causes.NO_ENDPOINT, detail)
            return await self._apply(held, move)
        if held.move.step is Step.SEND:
            try:
                return await self._send(held, calls)
            except RolloutHeldError as error:  # before anything of it was written or sent
                return await self._apply(held, let_go(held.job.progress, error))
            except LineStoppedError:  # likewise; it is claimed again when the line goes on
                return await self.hand_back(held)
        wire = Wire()
        seen: Seen
        if held.move.step is Step.OFFERS:
            seen = await calls.offers(held.job, wire)
        else:
            seen = self._known(held) or await calls.look(held.job, self._kind(held.job), wire)
        return await self._decide(held, seen, wire)

    def _known(self, held: Held) -> PoolRead | None:
        """Return the read that ended the pool's job before this one, while it still serves.

        It does when nobody held the pool in between (the fence tells) and it is fresh.
        """
        if held.job.state is not JobState.CHECKING:
            return None
        fence, read = self._last_reads.pop(held.job.request.target.pool, (0, None))
        if read is None or fence + 1 != held.lease.fence:
            return None
        oldest_us = self._clock.now_us() - _SHARED_READ_US
        return read if read.asked_us >= oldest_us else None

    def _remember(self, held: Held, read: PoolRead) -> None:
        """Keep the read for the pool's next job; the oldest ones are forgotten."""
        self._last_reads[held.job.request.target.pool] = (held.lease.fence, read)
        while len(self._last_reads) > SHARED_READS:
            del self._last_reads[next(iter(self._last_reads))]

    async def hand_back(self, held: Held) -> Job:
        """Give the job back to the store with its place, for any worker to go on."""
        change = Change(lease=held.lease, event=JobEvent.HANDED_BACK, progress=held.job.progress)
        return await self._store.record(change)

    @staticmethod
    def _kind(job: Job) -> Kind:
        return Kind.CHECK if job.state is JobState.CHECKING else Kind.LOOK

    async def _decide(self, held: Held, seen: Seen, wire: Wire) -> Held | Job:
        """Ask the rules what was seen means, and act until they ask for a later step."""
        progress = held.job.progress
        counted = changed(
            progress,
            calls=progress.calls + wire.sent,
            throttled=progress.throttled + wire.throttled,
        )
        last_us = held.checked_us
        asked_us = seen.asked_us if isinstance(seen, PoolRead) else held.checked_us
        held = changed(held, job=changed(held.job, progress=counted), checked_us=asked_us)
        while True:
            move = next_move(held.job, seen, self._clock.now_us(), self._rules_for(held.job))
            outcome = await self._apply(held, move)
            if move.event is JobEvent.SETTLED:
                self._learn(held.job, last_us, asked_us)
            if isinstance(outcome, Job) and isinstance(seen, PoolRead):
                self._remember(held, seen)
            if isinstance(outcome, Job) or not move.again:
                return outcome
            held = outcome

    def _learn(self, job: Job, last_us: int, asked_us: int) -> None:
        """Remember how long it took, if it was ours from the send to the end."""
        usual, progress = self._rules.usual, job.progress
        if usual is None or progress.accepted_us is None or progress.adopted or progress.stale:
            return
        if progress.not_before_us is not None and progress.accepted_us >= progress.not_before_us:
            return  # found by a late read: nobody knows when it began
        by_us = progress.target_us or asked_us
        over_us = last_us if last_us < by_us else 0
        usual.took(
            job.request.plugin.name,
            progress.version,
            over_s=max(0.0, (over_us - progress.accepted_us) / MICROSECONDS),
            by_s=max(0.0, (by_us - progress.accepted_us) / MICROSECONDS),
        )

    async def _apply(self, held: Held, move: Move) -> Held | Job:
        """Write the move down; return the job with its next step, or as it was let go."""
        job = held.job
        if move.event is not None:
            change = Change(
                lease=held.lease,
                event=move.event,
                progress=move.progress,
                reason=move.reason,
                run_at_us=(move.at_us or None) if move.reason is not None else None,
                data=move.data,
            )
            job = await self._store.record(change)
            self._tell(job, move)
        else:
            job = changed(job, progress=move.progress)
            if move.save:
                await self._store.note(held.lease, move.progress, move.data)
        if move.step is Step.REST or job.state in FINAL_STATES:
            return job
        return changed(held, job=job, move=move)

    def _tell(self, job: Job, move: Move) -> None:
        """Log what an operator should see of a move that is not final."""
        if move.event is JobEvent.ANSWER_LOST:
            self.lost_answers += 1
            log.warning(
                "job.answer_lost",
                job=job_name(job.id),
                pool=job.request.target.pool_name,
                cause=job.progress.cause,
                status=job.progress.http_status,
                not_before=iso(job.progress.not_before_us),
            )
        elif job.state is JobState.WAITING:
            self._log.debug(
                "job.waiting",
                job=job_name(job.id),
                reason=move.reason,
                until=iso(move.at_us),
                cause=job.progress.cause,
            )

    async def _send(self, held: Held, calls: Requests) -> Held | Job:
        """Take a turn, commit the intent, send once on that turn."""
        wire = Wire()
        intended = False
        until_us = 0
        project = held.job.request.target.project_id
        while True:
            try:
                async with calls.limiter.turn(project, Kind.SEND) as turn:
                    now_us = self._clock.now_us()
                    if not intended and self._is_stale(held, now_us, calls):
                        return changed(held, move=changed(held.move, step=Step.LOOK, at_us=0))
                    if now_us + _WINDOW_US // 4 >= until_us:
                        until_us = self._allowed_until(held.job, now_us)
                        try:
                            held = await self._intend(held, until_us, first=not intended)
                        except (RolloutHeldError, LineStoppedError):
                            if not intended:
                                raise
                            return await self._not_sent(held, wire)
                        intended = True
                    if held.job.cancel_asked:
                        return await self._not_sent(held, wire)
                    answered = await calls.send(held.job, turn, wire, until_us)
            except Closed:
                if not intended:
                    raise
                return await self._not_sent(held, wire)
            if answered is not None:
                return await self._decide(held, answered, wire)

    def _is_stale(self, held: Held, now_us: int, calls: Requests) -> bool:
        """Whether the read before the send is too old, unless the permitted rate is that low."""
        if held.checked_us == 0:
            return False
        patience_s = max(CHECK_FRESH_S, 5.0 / calls.limiter.limit_per_s)
        return now_us > held.checked_us + seconds_to_us(patience_s)

    @staticmethod
    def _allowed_until(job: Job, now_us: int) -> int:
        until_us = now_us + _WINDOW_US
        if job.deadline_us is None:
            return until_us
        return min(until_us, job.deadline_us)

    async def _intend(self, held: Held, until_us: int, *, first: bool) -> Held:
        """Commit that the request may leave until *until_us*; durable when this returns."""
        progress = held.job.progress
        progress = changed(
            progress,
            sends=progress.sends + 1 if first else progress.sends,
            sent_us=until_us,
            not_before_us=until_us + seconds_to_us(self._rules.settle_s),
            accepted_us=None,
            no_effect_us=None,
        )
        if not first:
            await self._store.note(held.lease, progress, {"send_until": iso(until_us)})
            return changed(held, job=changed(held.job, progress=progress))
        change = Change(
            lease=held.lease,
            event=JobEvent.INTENDED,
            progress=progress,
            data={
                "attempt": progress.sends,
                "version": progress.version,
                "version_from": progress.version_from,
                "inputs_changed": list(progress.inputs_changed),
                "send_until": iso(until_us),
            },
        )
        job = await self._store.record(change)
        self._log.debug("job.sending", job=job_name(job.id), attempt=progress.sends)
        return changed(held, job=job)

    async def _not_sent(self, held: Held, wire: Wire) -> Held | Job:
        """Withdraw an intent of which nothing has left."""
        gate = Answer(
            outcome=Outcome.GATE_CLOSED,
            sent=False,
            message=BY_OUTCOME[Outcome.GATE_CLOSED].what,
        )
        return await self._decide(held, Answered(answer=gate), wire)
