"""Take job requests in: each becomes a stored job, once per key, and gets one result.

Records are read and checked batch by batch in a thread, stored in one transaction, and only
then reported, in the order of the file.  What was reported survives kill -9.  The place in
the file is committed with each batch, so an interrupted run can go on where it stopped.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from jobs.errors import BadRequestError, StoreError
from jobs.intake.lines import Record
from jobs.model import JobId, JobRequest, job_name
from jobs.requests import NO_DEFAULTS, Defaults, Problem, parse_request, problems_of, quoted
from jobs.requests.strictjson import locate
from jobs.store.protocol import Enqueued, IntakePosition, IntakeStore, Verdict

BATCH_BYTES: Final = 4 * 1024 * 1024
"""A batch ends before its count when its records grow larger than this."""

COMMIT_LIMIT_S: Final = 120.0
"""How long one batch may take to be stored, once it has been begun; it is not cancelled."""


class IntakeVerdict(StrEnum):
    """What became of one record."""

    CREATED = "created"
    DUPLICATE = "duplicate"  # same key and content, or an equal open job
    CONFLICT = "conflict"  # same key, other content: nothing was stored
    INVALID = "invalid"  # not acceptable: nothing was stored


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeResult:
    """The one result of one record.

    Attributes:
        record: As it was read; its ``raw`` and ``value`` may hold secrets.
        verdict: What became of it.
        job: The new job, or the one that was there first; None when invalid.
        problems: Why it was not taken in; empty when it was.
    """

    record: Record = field(repr=False)
    verdict: IntakeVerdict
    job: JobId | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def number(self) -> int:
        """The record's number in the file, from 1."""
        return self.record.number

    @property
    def line(self) -> int:
        """The line at which the record begins, from 1."""
        return self.record.line

    @property
    def taken_in(self) -> bool:
        """Whether there is a job for it; else it belongs to the rejects."""
        return self.verdict in {IntakeVerdict.CREATED, IntakeVerdict.DUPLICATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSummary:
    """How many records had which verdict; ``skipped`` were taken in by an earlier run."""

    created: int = 0
    duplicate: int = 0
    conflict: int = 0
    invalid: int = 0
    skipped: int = 0

    @property
    def records(self) -> int:
        """All of them."""
        return self.created + self.duplicate + self.conflict + self.invalid + self.skipped


async def start_position(
    store: IntakeStore, *, source: str, digest: str | None, resume: bool
) -> IntakePosition | None:
    """Return where to begin in the file with that digest; None when it cannot be known.

    Without *resume* it is the beginning, whatever an earlier run has done.
    """
    if digest is None:
        return None
    records = await store.intake_position(source, digest) if resume else 0
    return IntakePosition(source=source, digest=digest, records=records)


async def take_in(  # noqa: PLR0913 - it is where a file, its terms and the store meet
    store: IntakeStore,
    records: Iterable[Record],
    *,
    source: str,
    defaults: Defaults = NO_DEFAULTS,
    on_result: Callable[[IntakeResult], None],
    position: IntakePosition | None = None,
    batch: int = 1000,
) -> IntakeSummary:
    """Store every acceptable record and report each, in order.

    A batch that has been begun is finished and reported also when the caller is cancelled.

    Args:
        store: Where the jobs go.
        records: Numbered from 1 without gaps; read in another thread.
        source: The scope of idempotency keys.
        defaults: What requests get that they do not say.
        on_result: Called once for each record, after what it tells is durable.
        position: Where to begin, from `start_position`; committed anew with each batch.
            None keeps no place.
        batch: How many records at most go into one transaction.

    Raises:
        InputFileError: If the file cannot be read on; what was reported stays stored.
        StoreError: If the store fails; what was reported stays stored.  The error tells
            after which record it stopped and how to go on.
    """
    check = partial(_checked, source=source, defaults=defaults)
    batches = _Batches(records, check, batch, position.records if position else 0)
    counts: Counter[str] = Counter()
    last = batches.skip
    while items := await anyio.to_thread.run_sync(batches.read, abandon_on_cancel=True):
        requests = [item.request for item in items if item.request]
        if position:
            position = replace(position, records=items[-1].record.number)
        try:
            with anyio.fail_after(COMMIT_LIMIT_S, shield=True):
                answers = await store.enqueue(requests, position=position)
        except (StoreError, TimeoutError) as error:
            raise _stopped(error, last, can_resume=position is not None) from error
        for result in _results(items, answers):
            counts[result.verdict.value] += 1
            on_result(result)
        last = items[-1].record.number
    return IntakeSummary(skipped=batches.skipped, **counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A checked record: a request, or the problems that make it none."""

    record: Record
    request: JobRequest | None
    problems: tuple[Problem, ...] = ()


class _Batches:
    """Reads and checks records; runs in another thread, one call at a time."""

    def __init__(
        self, records: Iterable[Record], check: Callable[[Record], _Item], size: int, skip: int
    ) -> None:
        self.skip = skip
        self.skipped = 0
        self._stream = iter(records)
        self._check = check
        self._size = size

    def read(self) -> list[_Item]:
        """Return the next batch; empty at the end."""
        items: list[_Item] = []
        size_bytes = 0
        for record in self._stream:
            if record.number <= self.skip:
                self.skipped += 1
                continue
            items.append(self._check(record))
            size_bytes += len(record.raw)
            if len(items) >= self._size or size_bytes >= BATCH_BYTES:
                break
        return items


def _checked(record: Record, *, source: str, defaults: Defaults) -> _Item:
    """Check one record; what could be read of a broken one is checked, too."""
    if record.problems and record.value is None:
        return _Item(record=record, request=None, problems=record.problems)
    try:
        request = parse_request(record.value, source=source, defaults=defaults)
    except BadRequestError as error:
        found = problems_of(error)
    else:
        if not record.problems:
            return _Item(record=record, request=request)
        found = ()
    return _Item(record=record, request=None, problems=(*record.problems, *_placed(record, found)))


def _placed(record: Record, problems: Sequence[Problem]) -> Iterator[Problem]:
    """Add the column at which each field stands; a row of CSV is no JSON, so it gets none."""
    columns = locate(record.raw, frozenset(problem.path for problem in problems if problem.path))
    for problem in problems:
        yield replace(problem, column=columns.get(problem.path))


def _results(items: Sequence[_Item], answers: Sequence[Enqueued]) -> Iterator[IntakeResult]:
    """Put the store's answers, which are those of the acceptable records, beside their records."""
    answer = iter(answers)
    for item in items:
        if item.request is None:
            invalid = IntakeVerdict.INVALID
            yield IntakeResult(record=item.record, verdict=invalid, problems=item.problems)
            continue
        enqueued = next(answer)
        yield IntakeResult(
            record=item.record,
            verdict=IntakeVerdict(enqueued.verdict.value),
            job=enqueued.job,
            problems=_conflict(item.request, enqueued),
        )


def _conflict(request: JobRequest, enqueued: Enqueued) -> tuple[Problem, ...]:
    if enqueued.verdict is not Verdict.CONFLICT:
        return ()
    key, first = quoted(request.idempotency_key or ""), job_name(enqueued.job)
    message = f"the idempotency key {key} was used before with other content, by {first}"
    hint = "use a new key for new content"
    return (Problem(path="idempotency_key", message=message, suggestion=hint),)


def _stopped(error: StoreError | TimeoutError, last: int, *, can_resume: bool) -> StoreError:
    """Return the store's error with what a person needs to go on."""
    how = (
        "run the same command again with --resume"
        if can_resume
        else f"hand in the records after number {last} again"
    )
    if isinstance(error, StoreError):
        facts = {**error.facts, "after_record": last}
        message, do = f"{error}; intake stopped after record {last}", f"{error.do}; then {how}"
        return type(error)(message, why=error.why, do=do, proof=error.proof, **facts)
    message = (
        f"the store did not answer in {COMMIT_LIMIT_S:g} s; intake stopped after record {last}"
    )
    return StoreError(message, do=how, after_record=last)
