"""Intake: every record gets one result, in order, after what it tells is durable."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InputFileError, StoreError, StoreFullError
from jobs.intake import taking as intake
from jobs.intake.records import FileFormat, Record, RecordFile, jsonl_records
from jobs.intake.taking import IntakeResult, IntakeSummary, IntakeVerdict, start_position, take_in
from jobs.model import JobId, JobRequest
from jobs.store.protocol import Enqueued, IntakePosition, Verdict


@dataclass
class FakeStore:
    """An `IntakeStore` in memory that keeps the protocol's promises about keys and positions."""

    first: dict[tuple[str, str], tuple[str, JobId]] = field(default_factory=dict)
    open: dict[str, JobId] = field(default_factory=dict)
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    requests: list[JobRequest] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    before: Callable[[int], None] = lambda _batch: None
    """Called with the number of the batch, from 1, before anything is stored."""

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """Store the requests."""
        await anyio.lowlevel.checkpoint()
        self.before(len(self.batches) + 1)
        await anyio.lowlevel.checkpoint()
        self.batches.append(len(requests))
        if position:
            self.positions[position.source, position.digest] = position.records
        return [self._enqueue(request) for request in requests]

    def _enqueue(self, request: JobRequest) -> Enqueued:
        if request.idempotency_key is None:
            known = self.open.get(request.natural_key)
            if known is not None:
                return Enqueued(verdict=Verdict.DUPLICATE, job=known)
        else:
            fingerprint, job = self.first.get((request.source, request.idempotency_key), ("", None))
            if job is not None:
                same = fingerprint == request.fingerprint
                return Enqueued(verdict=Verdict.DUPLICATE if same else Verdict.CONFLICT, job=job)
        self.requests.append(request)
        job = JobId(len(self.requests))
        self.open[request.natural_key] = job
        if request.idempotency_key is not None:
            self.first[request.source, request.idempotency_key] = (request.fingerprint, job)
        return Enqueued(verdict=Verdict.CREATED, job=job)

    async def intake_position(self, source: str, digest: str) -> int:
        """Return how far that file came."""
        return self.positions.get((source, digest), 0)


def line(pool: str, key: str | None = None, version: str = "1.0") -> bytes:
    """Return one line of JSONL with its end."""
    body = {
        "project_id": "p",
        "pool_name": pool,
        "plugin": {"name": "volcano", "version": version},
        "idempotency_key": key,
    }
    return orjson.dumps(body) + b"\n"


def lines(count: int) -> bytes:
    """Return that many lines, each for another pool and with another key."""
    return b"".join(line(f"pool-{number}", f"key-{number}") for number in range(1, count + 1))


async def taken_in(
    store: FakeStore, data: bytes, *, batch: int = 1000, resume: bool = False
) -> tuple[list[IntakeResult], IntakeSummary]:
    """Take a JSONL file in under the source cli."""
    file = RecordFile(io.BytesIO(data), "jobs.jsonl", FileFormat.JSONL)
    results: list[IntakeResult] = []
    summary = await take_in(
        store,
        file.records(),
        source="cli",
        on_result=results.append,
        position=await start_position(store, source="cli", digest=file.digest, resume=resume),
        batch=batch,
    )
    return results, summary


def told(results: Iterable[IntakeResult]) -> list[tuple[int, str, int | None]]:
    """Return number, verdict and job of each."""
    return [(result.number, result.verdict.value, result.job) for result in results]


async def test_each_record_gets_its_verdict_in_order() -> None:
    """Created, duplicate, conflict and invalid, one for each record and as in the file."""
    store = FakeStore()
    data = b"".join(
        [
            line("a", "k1"),
            line("a", "k1"),
            line("b", "k1"),
            b"nope\n\n",
            line("c"),
            line("c"),
            line("a/b", "k2"),
            line("d", "k2"),
        ]
    )

    results, summary = await taken_in(store, data)

    assert told(results) == [
        (1, "created", 1),
        (2, "duplicate", 1),
        (3, "conflict", 1),
        (4, "invalid", None),
        (5, "created", 2),
        (6, "duplicate", 2),
        (7, "invalid", None),
        (8, "created", 3),
    ]
    assert [result.line for result in results] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert summary == IntakeSummary(created=3, duplicate=2, conflict=1, invalid=2)
    assert summary.records == 8


async def test_the_same_file_again_creates_nothing() -> None:
    """Same key and same content is the same job, however often the file is handed in."""
    store = FakeStore()
    first, _ = await taken_in(store, lines(5))

    again, summary = await taken_in(store, lines(5))

    assert summary == IntakeSummary(duplicate=5)
    assert [result.job for result in again] == [result.job for result in first]


async def test_a_conflict_names_the_first_job_and_is_no_job() -> None:
    """The same key with other content is refused, and the message says which job has the key."""
    store = FakeStore()

    results, _ = await taken_in(store, line("a", "k1") + line("b", "k1"))

    [problem] = results[1].problems
    assert "the idempotency key 'k1' was used before with other content, by job-1" in str(problem)
    assert not results[1].taken_in
    assert results[0].taken_in
    assert len(store.requests) == 1


async def test_keys_belong_to_their_source() -> None:
    """Two systems may use the same key for different jobs."""
    store = FakeStore()
    results: list[IntakeResult] = []
    for source, pool in (("cli", "a"), ("http", "b")):
        records = jsonl_records(io.BytesIO(line(pool, "k1")))
        await take_in(store, records, source=source, on_result=results.append)

    assert [result.verdict for result in results] == [IntakeVerdict.CREATED] * 2


async def test_results_come_only_after_their_batch_is_stored() -> None:
    """Whoever reads "created" can rely on it, also if the power fails at that moment."""
    store, seen = FakeStore(), list[tuple[int, int]]()
    records = jsonl_records(io.BytesIO(lines(7)))

    await take_in(
        store,
        records,
        source="cli",
        batch=3,
        on_result=lambda result: seen.append((result.number, len(store.requests))),
    )

    assert store.batches == [3, 3, 1]
    assert seen == [(1, 3), (2, 3), (3, 3), (4, 6), (5, 6), (6, 6), (7, 7)]


async def test_a_batch_is_bounded_in_bytes() -> None:
    """A file of the longest lines does not fill the memory with one batch."""
    store = FakeStore()
    padded = line("a", "k").replace(b"}\n", b" " * 200 * 1024 + b"}\n")

    await taken_in(store, padded * 50)

    assert max(store.batches) <= intake.BATCH_BYTES // (200 * 1024) + 1


async def test_a_stopped_file_goes_on_where_it_was() -> None:
    """After a failure, --resume takes in the rest and reports only that."""
    store = FakeStore()

    def fail(batch: int) -> None:
        if batch == 3:
            raise StoreFullError("the disk is full")

    store.before = fail
    with pytest.raises(StoreFullError) as caught:
        await taken_in(store, lines(10), batch=4 - 1)
    store.before = lambda _batch: None
    assert len(store.requests) == 6

    results, summary = await taken_in(store, lines(10), resume=True)

    assert str(caught.value) == "the disk is full; intake stopped after record 6"
    assert caught.value.facts["after_record"] == 6
    assert "free disk space" in caught.value.do
    assert caught.value.do.endswith("then run the same command again with --resume")
    assert [result.number for result in results] == [7, 8, 9, 10]
    assert summary == IntakeSummary(created=4, skipped=6)
    assert [request.target.pool_name for request in store.requests] == [
        f"pool-{number}" for number in range(1, 11)
    ]


async def test_the_place_is_stored_with_the_batch_also_when_all_of_it_is_invalid() -> None:
    """What was refused once is not refused again by a resumed run."""
    store = FakeStore()
    data = b"nope\n" * 5 + line("a")

    await taken_in(store, data, batch=5)
    results, summary = await taken_in(store, data, batch=5, resume=True)

    assert list(store.positions.values()) == [6]
    assert results == []
    assert summary == IntakeSummary(skipped=6)


async def test_another_file_begins_at_its_beginning() -> None:
    """A file that was changed, or the same file from another source, has its own place."""
    store = FakeStore()
    await taken_in(store, lines(3))

    assert await start_position(store, source="cli", digest="other", resume=True) == IntakePosition(
        source="cli", digest="other", records=0
    )
    [(source, digest)] = store.positions
    assert source == "cli"
    other = await start_position(store, source="http", digest=digest, resume=True)
    assert other == IntakePosition(source="http", digest=digest, records=0)


async def test_without_resume_a_file_begins_at_its_beginning() -> None:
    """Who does not ask to go on gets a result for every record."""
    store = FakeStore()
    await taken_in(store, lines(3))

    results, _ = await taken_in(store, lines(3), resume=False)

    assert [result.number for result in results] == [1, 2, 3]


async def test_an_input_that_cannot_be_read_twice_has_no_place() -> None:
    """From a pipe nothing can be resumed, and the error says what to hand in instead."""
    store = FakeStore()
    assert await start_position(store, source="cli", digest=None, resume=True) is None

    def fail(_batch: int) -> None:
        raise StoreError("no store")

    await taken_in(store, lines(2))
    store.before = fail
    with pytest.raises(StoreError) as caught:
        await take_in(
            store, jsonl_records(io.BytesIO(lines(2))), source="cli", on_result=lambda _result: None
        )

    assert caught.value.do.endswith("hand in the records after number 0 again")
    assert list(store.positions.values()) == [2]


async def test_a_store_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging store ends the command with an error instead of hanging it, too."""
    monkeypatch.setattr(intake, "COMMIT_LIMIT_S", 0.0)

    with pytest.raises(StoreError, match="did not answer") as caught:
        await taken_in(FakeStore(), lines(2))

    assert caught.value.facts["after_record"] == 0


async def test_a_cancelled_intake_reports_what_it_stored() -> None:
    """Ctrl-C while a batch is being stored loses no result of that batch."""
    store, results = FakeStore(), list[IntakeResult]()

    with anyio.CancelScope() as scope:
        store.before = lambda batch: scope.cancel() if batch == 2 else None
        await take_in(
            store,
            jsonl_records(io.BytesIO(lines(9))),
            source="cli",
            on_result=results.append,
            batch=3,
        )

    assert scope.cancelled_caught
    assert [result.number for result in results] == [1, 2, 3, 4, 5, 6]
    assert len(store.requests) == 6


async def test_a_file_that_breaks_off_keeps_what_was_reported() -> None:
    """When the file cannot be read on, the batches before stay stored."""
    store, results = FakeStore(), list[IntakeResult]()

    def broken() -> Iterator[Record]:
        yield from jsonl_records(io.BytesIO(lines(2)))
        raise InputFileError("jobs.jsonl cannot be read on")

    with pytest.raises(InputFileError):
        await take_in(store, broken(), source="cli", on_result=results.append, batch=2)

    assert [result.number for result in results] == [1, 2]


async def test_all_problems_of_a_csv_row_are_told_together() -> None:
    """A cell that is no JSON does not hide that the pool's name is wrong, too."""
    store, results = FakeStore(), list[IntakeResult]()
    data = b"project_id,pool_name,plugin,inputs,priority\np,a/b,v,{x,high\n"
    file = RecordFile(io.BytesIO(data), "jobs.csv", FileFormat.CSV)

    await take_in(store, file.records(), source="cli", on_result=results.append)

    assert [problem.path for problem in results[0].problems] == [
        "plugin.inputs",
        "pool_name",
        "priority",
    ]
    assert all(problem.column is None for problem in results[0].problems)


async def test_a_good_rest_does_not_save_a_broken_cell() -> None:
    """A row whose inputs cannot be read is never taken in without them."""
    store = FakeStore()
    data = b"project_id,pool_name,plugin,inputs\np,a,v,{x\n"
    file = RecordFile(io.BytesIO(data), "jobs.csv", FileFormat.CSV)

    summary = await take_in(store, file.records(), source="cli", on_result=lambda _result: None)

    assert summary == IntakeSummary(invalid=1)
    assert store.requests == []


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.sampled_from([line("a", "k"), line("b", "k"), line("c"), b"{}\n", b"\n"])
        | st.binary(max_size=20).map(lambda data: data + b"\n"),
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_every_record_gets_exactly_one_result(parts: list[bytes], batch: int) -> None:
    """Whatever bytes a file holds, results are as many as records, in order, and counted."""
    data = b"\n" + b"".join(parts)
    expected = [record.number for record in jsonl_records(io.BytesIO(data))]

    results, summary = anyio.run(lambda: taken_in(FakeStore(), data, batch=batch))

    assert [result.number for result in results] == expected
    assert summary.records == len(expected)
    assert all(bool(result.problems) != result.taken_in for result in results)
    assert all((result.job is None) == (result.verdict == "invalid") for result in results)
