"""The intake's loop: take messages, store their jobs, set aside what is none, acknowledge.

Dying anywhere in it loses nothing and doubles nothing: what was not acknowledged comes again,
and its key finds the job that is already there.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import anyio
import structlog

from jobs.clock import Clock
from jobs.errors import BadRequestError, BrokerError, BrokerRefusedError, StoreError
from jobs.intake.envelopes import opened
from jobs.intake.profile import Terms, filled, not_allowed
from jobs.intake.taking import COMMIT_LIMIT_S, IntakeVerdict
from jobs.model import JobRequest, job_name
from jobs.requests import Defaults, Problem, parse_request, problems_of
from jobs.states import JobState
from jobs.store.protocol import Enqueued, IntakeStore, Verdict
from worker.brokers.deliveries import REASON_LIMIT, Broker, Delivery

log = structlog.get_logger()
T = TypeVar("T")

TAKE_S: Final = 1.0
"""How long one question for messages waits."""

FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 15.0
"""Between two tries to reach a broker or a store that is away."""

START_WITHIN_S: Final = 30.0
"""A broker that cannot be reached for so long at the start is an error; later it is waited for."""

FULL_WAIT_S: Final = 1.0
"""Between two looks whether the queue has room again."""

NOT_BEGUN: Final = (JobState.WAITING, JobState.READY)


class Desk(IntakeStore, Protocol):
    """What the intake needs of the store."""

    async def counts(self) -> Mapping[JobState, int]:
        """Return how many jobs are in each state."""
        ...


@dataclass(slots=True)
class Taken:
    """What came of the messages, by verdict."""

    verdicts: Counter[IntakeVerdict] = field(default_factory=Counter)

    @property
    def set_aside(self) -> int:
        """How many went to the dead-letter place."""
        return self.verdicts[IntakeVerdict.INVALID] + self.verdicts[IntakeVerdict.CONFLICT]


class Intake:
    """One consumer of one broker."""

    def __init__(
        self,
        terms: Terms,
        broker: Broker,
        store: Desk,
        clock: Clock,
        *,
        defaults: Defaults,
    ) -> None:
        self._terms = terms
        self._name = terms.name
        self._broker = broker
        self._store = store
        self._clock = clock
        self._defaults = defaults
        self._stopping = anyio.Event()
        self.taken = Taken()

    def stop(self) -> None:
        """Take nothing more; the messages in hand are finished."""
        self._stopping.set()

    async def run(self, *, until_empty: bool = False) -> None:
        """Consume until stopped; with *until_empty* until the broker has nothing more.

        Raises:
            BrokerRefusedError: If a name or a right is wrong at the broker.
            BrokerError: If it cannot be reached within START_WITHIN_S at the start.
        """
        try:
            await self._begin()
            while not self._stopping.is_set():
                if await self._full():
                    continue
                if not await self._round() and until_empty:
                    return
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await self._broker.close()

    async def sweep(self) -> None:
        """Take what is there now; a place that is always open needs no more."""
        while await self._round():
            pass

    async def _begin(self) -> None:
        began, wait_s = self._clock.monotonic(), FIRST_WAIT_S
        while True:
            try:
                await self._broker.open()
            except BrokerRefusedError:
                raise
            except BrokerError:
                if self._clock.monotonic() - began + wait_s > START_WITHIN_S:
                    raise
                await self._clock.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            else:
                log.info("intake.opened", intake=self._name, place=self._broker.place)
                return

    async def _full(self) -> bool:
        """Whether the queue is as long as it may be; then wait a little."""
        most = self._terms.limits.max_queued
        if most is None:
            return False
        counts = await self._stored(self._store.counts)
        if sum(counts.get(state, 0) for state in NOT_BEGUN) < most:
            return False
        await self._pause(FULL_WAIT_S)
        return True

    async def _round(self) -> bool:
        """Take and finish some messages; return whether there were any."""
        began = self._clock.monotonic()
        try:
            deliveries = await self._broker.take(self._terms.prefetch, TAKE_S)
            if deliveries:
                await self._finish(deliveries)
        except BrokerError as error:
            await self._reopen(error)
            return True
        await self._slow_down(len(deliveries), began)
        return bool(deliveries)

    async def _slow_down(self, taken: int, began: float) -> None:
        rate = self._terms.limits.per_minute
        if rate is not None and taken:
            await self._pause(taken * 60 / rate - (self._clock.monotonic() - began))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        if seconds > 0:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._wake, tasks.cancel_scope)
                await self._clock.sleep(seconds)
                tasks.cancel_scope.cancel()

    async def _wake(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _finish(self, deliveries: Sequence[Delivery]) -> None:
        """Store, set aside, acknowledge, in this order; begun, it is not given up half-way."""
        read = [(one, *self._request(one)) for one in deliveries]
        requests = [request for _, request, _ in read if request is not None]
        with anyio.CancelScope(shield=True):
            answers = iter(await self._enqueued(requests, deliveries))
            stored = []
            for delivery, request, problems in read:
                verdict, why = _verdict(next(answers) if request else None, problems)
                if why:
                    await self._set_aside(delivery, verdict, why)
                else:
                    stored.append(delivery)
                self.taken.verdicts[verdict] += 1
            await self._broker.accept(stored)
        log.info("intake.taken", intake=self._name, messages=len(deliveries), jobs=len(requests))

    def _request(self, delivery: Delivery) -> tuple[JobRequest | None, tuple[Problem, ...]]:
        """Return the request that a message holds, or why it holds none that is taken."""
        terms = self._terms
        found = opened(delivery.arrived, key_from=terms.key_from)
        if found.problems:
            return None, found.problems
        value = filled(found.value, terms.defaults)
        try:
            source = delivery.arrived.source or self._name
            request = parse_request(value, source=source, defaults=self._defaults)
        except BadRequestError as error:
            return None, tuple(problems_of(error))
        refused = not_allowed(request, terms.allow, self._name)
        return (None, refused) if refused else (request, ())

    async def _enqueued(
        self, requests: Sequence[JobRequest], deliveries: Sequence[Delivery]
    ) -> Sequence[Enqueued]:
        if not requests:
            return ()

        async def store() -> Sequence[Enqueued]:
            with anyio.fail_after(COMMIT_LIMIT_S):
                return await self._store.enqueue(requests)

        return await self._stored(store, deliveries)

    async def _stored(
        self, ask: Callable[[], Awaitable[T]], deliveries: Sequence[Delivery] = ()
    ) -> T:
        """Ask the store until it answers; what is in hand is kept from others meanwhile."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await ask()
            except (StoreError, TimeoutError) as error:
                log.warning("intake.store_away", intake=self._name, error=type(error).__name__)
            await self._broker.hold(deliveries)
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _set_aside(
        self, delivery: Delivery, verdict: IntakeVerdict, problems: Sequence[Problem]
    ) -> None:
        reason = "; ".join(_told(problem) for problem in problems)[:REASON_LIMIT]
        # Told first: killed in between, it is told again, and never set aside in silence.
        log.warning(
            "intake.rejected",
            intake=self._name,
            verdict=verdict.value,
            position=delivery.arrived.position,
            reason=reason,
        )
        await self._broker.set_aside(delivery, reason)

    async def _reopen(self, error: BrokerError) -> None:
        """Come back to a broker that was lost; it is waited for as long as it takes."""
        log.warning("intake.broker_away", intake=self._name, error=str(error))
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            await self._pause(wait_s)
            try:
                await self._broker.open()
            except BrokerRefusedError:
                raise
            except BrokerError:
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            else:
                log.info("intake.opened", intake=self._name, place=self._broker.place)
                return


def _verdict(
    answer: Enqueued | None, problems: Sequence[Problem]
) -> tuple[IntakeVerdict, Sequence[Problem]]:
    if answer is None:
        return IntakeVerdict.INVALID, problems
    if answer.verdict is not Verdict.CONFLICT:
        return IntakeVerdict(answer.verdict.value), ()
    first = job_name(answer.job)
    message = f"the idempotency key was used before with other content, by {first}"
    return IntakeVerdict.CONFLICT, (Problem(path="idempotency_key", message=message),)


def _told(problem: Problem) -> str:
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{problem.message}{hint}"
