"""Jobs over HTTP: accepted means on disk, one key is one job, and the first answer comes again."""

import asyncio
from pathlib import Path

import pytest

from jobs.store.protocol import JobFilter
from tests.api.calling import OURS, a_house, a_job
from tests.planted import ACCESS_CODE
from worker.api.taking import TRACE
from worker.api.terms import Scope

JOBS = "/api/v1/jobs"
TRACE_ID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_job_is_on_disk_when_the_call_is_answered(tmp_path: Path) -> None:
    """An answer 202 names a job that another process finds in the store."""
    async with a_house(tmp_path) as house:
        answer = await house.anybody("POST", JOBS, a_job(), key="k-1")

    assert answer.status == 202
    async with a_house(tmp_path) as again:
        job = [one async for one in again.store.jobs(JobFilter())]
    assert [f"job-{one.id}" for one in job] == [answer.body["job"]]
    assert answer.headers["Location"] == f"{JOBS}/{answer.body['job']}"


async def test_the_first_answer_comes_again_after_a_restart(tmp_path: Path) -> None:
    """The same call, however often and by whatever server, gets the same bytes and says so."""
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", JOBS, a_job(), key="k-1")
    async with a_house(tmp_path) as again:
        second = await again.anybody("POST", JOBS, a_job(), key='"k-1"')
        count = await again.store.open_jobs()

    assert (second.status, second.raw) == (first.status, first.raw)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert count == 1


async def test_a_key_with_other_content_is_refused(tmp_path: Path) -> None:
    """Same key, other content: 422, nothing is stored, and the first job is named alone."""
    async with a_house(tmp_path) as house:
        await house.anybody("POST", JOBS, a_job(), key="k-1")
        answer = await house.anybody("POST", JOBS, a_job("pool-b"), key="k-1")
        count = await house.store.open_jobs()

    assert (answer.status, answer.body["code"], count) == (422, "HTTP-11", 1)
    assert "job-1" in answer.body["detail"]


async def test_how_a_body_is_written_makes_no_difference(tmp_path: Path) -> None:
    """Spaces and the order of fields are not content."""
    raw = b'{ "pool_name":"p", "plugin": {"name":"x-y"},  "project_id":"%b"}' % OURS.encode()
    body = {"project_id": OURS, "plugin": {"name": "x-y"}, "pool_name": "p"}
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", JOBS, body, key="k")
        second = await house.anybody("POST", JOBS, raw=raw, key="k")

    assert first.raw == second.raw


async def test_the_key_may_stand_in_the_body(tmp_path: Path) -> None:
    """The body of a job is the line of a file, its key included; two keys are one too many."""
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", JOBS, a_job(idempotency_key="k"))
        second = await house.anybody("POST", JOBS, a_job(), key="k")
        two = await house.anybody("POST", JOBS, a_job(idempotency_key="k"), key="other")

    assert (first.status, first.raw) == (202, second.raw)
    assert (two.status, two.body["errors"][0]["pointer"]) == (422, "/idempotency_key")


async def test_a_job_without_a_key_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    """A call that cannot be repeated is not taken; where it is, it joins an equal open job."""
    async with a_house(tmp_path) as house:
        refused = await house.anybody("POST", JOBS, a_job())
    async with a_house(tmp_path, require_key=False) as free:
        first = await free.anybody("POST", JOBS, a_job())
        second = await free.anybody("POST", JOBS, a_job())

    assert (refused.status, refused.body["code"]) == (400, "HTTP-09")
    assert [first.body["deduplicated"], second.body["deduplicated"]] == [False, True]
    assert first.body["job"] == second.body["job"]


async def test_keys_of_one_caller_are_not_those_of_another(tmp_path: Path) -> None:
    """The same key from two systems is two jobs."""
    async with a_house(tmp_path, login=True) as house:
        one = await house.token("one", Scope.SUBMIT)
        two = await house.token("two", Scope.SUBMIT)
        answers = [await caller("POST", JOBS, a_job(), key="k") for caller in (one, two)]

    assert answers[0].body["job"] != answers[1].body["job"]


async def test_calls_with_one_key_at_once_make_one_job(tmp_path: Path) -> None:
    """Of many equal calls at once one is served; the others hear 409, or get its answer."""
    async with a_house(tmp_path) as house, asyncio.TaskGroup() as tasks:
        calls = [
            tasks.create_task(house.anybody("POST", JOBS, a_job(), key="k")) for _ in range(50)
        ]
        answers = [await call for call in calls]
        count = await house.store.open_jobs()
        late = await house.anybody("POST", JOBS, a_job(), key="k")

    assert count == 1
    assert {answer.status for answer in answers} == {202, 409}
    busy = next(answer for answer in answers if answer.status == 409)
    assert (busy.body["code"], busy.headers.get("Retry-After")) == ("HTTP-10", "1")
    assert late.status == 202


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        pytest.param({"pool_name": "../x"}, "/pool_name", id="path"),
        pytest.param({"project": "x"}, "/project", id="unknown"),
        pytest.param({"state": "succeeded"}, "/state", id="internal"),
        pytest.param({"plugin": {"name": "a", "version": 1.1}}, "/plugin/version", id="number"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, change: dict[str, object], pointer: str
) -> None:
    """A request that is not acceptable is 422 with a JSON pointer, and nothing is stored."""
    async with a_house(tmp_path) as house:
        answer = await house.anybody("POST", JOBS, {**a_job(), **change}, key="k")
        count = await house.store.open_jobs()

    assert (answer.status, count) == (422, 0)
    assert pointer in [one["pointer"] for one in answer.body["errors"]]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"a":1,"a":2}', id="twice"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b"[" * 5000, id="deep"),
    ],
)
async def test_what_is_no_json_is_refused(tmp_path: Path, raw: bytes) -> None:
    """Broken, ambiguous and bottomless bodies are 400, and are not repeated in the answer."""
    async with a_house(tmp_path) as house:
        answer = await house.anybody("POST", JOBS, raw=raw, key="k")

    assert (answer.status, answer.body["code"]) == (400, "HTTP-05")


async def test_a_compressed_body_is_not_unpacked(tmp_path: Path) -> None:
    """A bomb is not opened: a compressed body, or one that is no JSON, is 415."""
    async with a_house(tmp_path) as house:
        packed = await house.anybody("POST", JOBS, a_job(), key="k", Content_Encoding="gzip")
        form = await house.anybody("POST", JOBS, a_job(), key="k", Content_Type="text/plain")

    assert (packed.status, form.status) == (415, 415)


async def test_the_callers_trace_goes_on_with_the_job(tmp_path: Path) -> None:
    """`traceparent` is kept as a label and is no content: another trace repeats the same call."""
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", JOBS, a_job(), key="k", traceparent=TRACE_ID)
        other = TRACE_ID.replace("4736", "4737")
        second = await house.anybody("POST", JOBS, a_job(), key="k", traceparent=other)
        nonsense = await house.anybody("POST", JOBS, a_job("b"), key="n", traceparent="00-x")
        job = await house.anybody("GET", f"{JOBS}/{first.body['job']}")
        plain = await house.anybody("GET", f"{JOBS}/{nonsense.body['job']}")

    assert (second.status, second.raw) == (202, first.raw)
    assert (job.body["labels"], plain.body["labels"]) == ({TRACE: TRACE_ID}, {})


async def test_a_full_queue_takes_nothing_more(tmp_path: Path) -> None:
    """At its depth the queue refuses with 429 and says when to come again."""
    async with a_house(tmp_path, max_queued=2) as house:
        answers = [await house.anybody("POST", JOBS, a_job(f"p{n}"), key=f"k{n}") for n in range(3)]
        count = await house.store.open_jobs()

    assert [answer.status for answer in answers] == [202, 202, 429]
    assert (answers[2].body["code"], count) == ("HTTP-15", 2)
    assert int(answers[2].headers["Retry-After"]) > 0


async def test_a_server_that_leaves_takes_nothing_new(tmp_path: Path) -> None:
    """While it drains, changes are 503 with Retry-After and reads are still answered."""
    async with a_house(tmp_path) as house:
        house.rooms.standing.draining = True
        refused = await house.anybody("POST", JOBS, a_job(), key="k")
        read = await house.anybody("GET", JOBS)
        ready = await house.anybody("GET", "/readyz")
        alive = await house.anybody("GET", "/healthz")

    assert (refused.status, read.status, ready.status, alive.status) == (503, 200, 503, 200)
    assert refused.headers["Retry-After"]


BATCH = f"{JOBS}:batch"


async def test_a_batch_is_answered_item_by_item(tmp_path: Path) -> None:
    """Each request is taken in or refused by itself, in order."""
    jobs = [a_job("a"), {"pool_name": "b"}, a_job("a"), a_job("c", idempotency_key="x")]
    jobs.append(a_job("d", idempotency_key="x"))
    async with a_house(tmp_path) as house:
        answer = await house.anybody("POST", BATCH, {"jobs": jobs}, key="b")

    verdicts = [item["verdict"] for item in answer.body["items"]]
    assert verdicts == ["created", "invalid", "duplicate", "created", "conflict"]
    assert answer.body["counts"] == {"created": 2, "duplicate": 1, "conflict": 1, "invalid": 1}
    assert answer.body["items"][1]["errors"]


async def test_a_batch_gets_its_first_answer_again(tmp_path: Path) -> None:
    """A repeated batch changes nothing and is answered as the first time, after a restart too."""
    batch = {"jobs": [a_job("a"), {"pool_name": "b"}, a_job("c")]}
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", BATCH, batch, key="b")
    async with a_house(tmp_path) as again:
        second = await again.anybody("POST", BATCH, batch, key="b")
        other = await again.anybody("POST", BATCH, {"jobs": [a_job("z")]}, key="b")
        count = await again.store.open_jobs()

    assert (first.raw, first.status) == (second.raw, second.status)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.body["code"], count) == (422, "HTTP-11", 2)


async def test_a_batch_needs_a_key_and_a_size(tmp_path: Path) -> None:
    """Without a key 400; none or too many jobs, or another field, 422."""
    async with a_house(tmp_path) as house:
        keyless = await house.anybody("POST", BATCH, {"jobs": [a_job()]})
        empty = await house.anybody("POST", BATCH, {"jobs": []}, key="a")
        many = await house.anybody("POST", BATCH, {"jobs": [1] * 1001}, key="b")
        strange = await house.anybody("POST", BATCH, {"jobs": [1], "x": 1}, key="c")

    assert [one.status for one in (keyless, empty, many, strange)] == [400, 422, 422, 422]


async def test_inputs_never_come_back_in_an_answer(tmp_path: Path) -> None:
    """Secret-looking inputs are masked where a job is shown, and no refusal repeats them."""
    broken = a_job()
    broken["plugin"]["nam"] = ACCESS_CODE[:4]
    async with a_house(tmp_path) as house:
        first = await house.anybody("POST", JOBS, a_job(), key="k")
        shown = await house.anybody("GET", f"{JOBS}/{first.body['job']}")
        refused = await house.anybody("POST", JOBS, broken, key="n")

    assert shown.body["inputs"] == {"custom": {"accessCode": "***"}}
    assert ACCESS_CODE.encode() not in shown.raw + refused.raw
