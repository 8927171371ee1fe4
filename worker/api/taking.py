"""Jobs come in: one by one or many at once, each key once, refused before anything is stored."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio.to_thread
import structlog

from jobs.errors import BadRequestError
from jobs.model import JobId, JobRequest, job_name
from jobs.refusals import (
    BodyError,
    KeyMissingError,
    KeyReusedError,
    NotAllowedError,
    TooManyCallsError,
)
from jobs.requests import Defaults, Problem, canonical, parse_request, problems_of, quoted, refusal
from jobs.requests.body import MAX_LABELS
from jobs.requests.strictjson import MAX_DEPTH, JsonError, loads
from jobs.store.access import KeyedCall
from jobs.store.protocol import Verdict
from worker.api.bodies import MOST_BATCH, unacceptable
from worker.api.calls import Asked, Reply
from worker.api.keys import REPLAYED
from worker.api.problems import problem_item
from worker.api.rooms import Rooms
from worker.api.terms import Caller, why_not_queued

log = structlog.get_logger()

TRACE: Final = "traceparent"
"""The header and the label in which the caller's trace goes on."""

_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0

WRAPPED_DEPTH: Final = MAX_DEPTH + 2
"""Levels of a batch: itself, its list, and a request."""


async def queue_job(rooms: Rooms, asked: Asked) -> Reply:
    """Take one job in; the answer comes once it is on the disk."""
    value = _with_key(asked.body, asked.key)
    request = _traced(_parsed(value, asked.caller, rooms.defaults), asked.headers)
    key = request.idempotency_key
    if key is None and rooms.settings.server.require_key:
        raise KeyMissingError("the job has no idempotency key")
    refused = why_not_queued(asked.caller.terms, request)
    if refused is not None:
        raise NotAllowedError(refused)
    with rooms.flights.flight(asked.caller.source, "job", key):
        spend(rooms, asked.caller, 1)
        await rooms.queue.make_room(1)
        [enqueued] = await rooms.store.enqueue([request])
    if enqueued.verdict is Verdict.CONFLICT:
        raise _reused(key or "", enqueued.job)
    again = enqueued.verdict is Verdict.DUPLICATE
    log.debug("job.enqueued", job=job_name(enqueued.job), source=request.source, deduplicated=again)
    return _accepted(enqueued.job, again=again, keyed=key is not None)


def _accepted(job: JobId, *, again: bool, keyed: bool) -> Reply:
    """Return the answer, which is the same each time a keyed call is repeated."""
    name = job_name(job)
    here = f"/api/v1/jobs/{name}"
    body = {
        "job": name,
        "deduplicated": again and not keyed,
        "links": {
            "self": here,
            "timeline": f"{here}/timeline",
            "wait": f"{here}:wait",
            "why": f"/api/v1/why?subject={name}",
        },
    }
    replayed = {REPLAYED: "true"} if again and keyed else {}
    return Reply(status=202, body=body, headers={"Location": here, **replayed})


def _with_key(value: object, key: str | None) -> object:
    """Return the request with the key of the header in it."""
    if key is None or not isinstance(value, dict):
        return value
    own = value.get("idempotency_key")
    if own is not None and own != key:
        message = "the header and the body name different idempotency keys"
        raise refusal([Problem(path="idempotency_key", message=message, suggestion="name one")])
    return {**value, "idempotency_key": key}


def _parsed(value: object, caller: Caller, defaults: Defaults) -> JobRequest:
    return parse_request(value, source=caller.source, defaults=defaults)


def _traced(request: JobRequest, headers: Mapping[str, str]) -> JobRequest:
    """Return the request with the caller's trace, which is not part of its content."""
    trace = headers.get(TRACE)
    if trace is None or _TRACE.fullmatch(trace) is None:
        return request
    if TRACE in request.labels or len(request.labels) >= MAX_LABELS:
        return request
    return replace(request, labels={**request.labels, TRACE: trace})


def spend(rooms: Rooms, caller: Caller, jobs: int) -> None:
    """Count jobs against what the caller may queue.

    Raises:
        TooManyCallsError: If it may not queue so many now.
    """
    terms = caller.terms
    for limit, in_s, word in (
        (terms.per_minute, MINUTE_S, "minute"),
        (terms.per_day, DAY_S, "day"),
    ):
        if limit is None:
            continue
        wait_s = rooms.rates.spend(f"{caller.source} {word}", jobs, limit=limit, in_s=in_s)
        if wait_s > 0:
            raise TooManyCallsError(
                f"this token queues at most {limit} jobs in a {word}",
                retry_after_s=int(wait_s) + 1,
            )


def _reused(key: str, first: JobId) -> KeyReusedError:
    return KeyReusedError(
        f"the idempotency key {quoted(key)} was used before with other content, by"
        f" {job_name(first)}",
        job=job_name(first),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One request of a batch: acceptable, or what is wrong with it."""

    request: JobRequest | None
    problems: tuple[Problem, ...] = ()


async def queue_batch(rooms: Rooms, asked: Asked) -> Reply:
    """Take many jobs in, each by itself; a repeated call gets the first one's answer."""
    assert asked.key is not None, "the door insists on it"
    caller = asked.caller
    read = _batch(asked.body, caller, rooms.defaults, asked.headers)
    call, items = await anyio.to_thread.run_sync(read, asked.key)
    requests = [item.request for item in items if item.request is not None]
    with rooms.flights.flight(caller.source, "batch", asked.key):
        spend(rooms, caller, len(requests))
        await rooms.queue.make_room(len(requests))
        receipt = await rooms.store.access.enqueue_once(call, requests)
    if receipt.fingerprint != call.fingerprint or len(receipt.answers) != len(requests):
        raise KeyReusedError(
            f"the idempotency key {quoted(asked.key)} was used before with another batch"
        )
    told = _told(items, receipt.answers)
    counts = dict.fromkeys(("created", "duplicate", "conflict", "invalid"), 0)
    for one in told:
        counts[one["verdict"]] += 1
    headers = {} if receipt.fresh else {REPLAYED: "true"}
    return Reply(body={"kind": "batch", "counts": counts, "items": told}, headers=headers)


def _batch(
    body: bytes, caller: Caller, defaults: Defaults, headers: Mapping[str, str]
) -> "_BatchReader":
    return _BatchReader(body, caller, defaults, headers)


class _BatchReader:
    """Reads a batch in another thread: a large one takes a while."""

    def __init__(
        self, body: bytes, caller: Caller, defaults: Defaults, headers: Mapping[str, str]
    ) -> None:
        self._body = body
        self._caller = caller
        self._defaults = defaults
        self._headers = headers

    def __call__(self, key: str) -> tuple[KeyedCall, list[_Item]]:
        value = json_of(self._body, WRAPPED_DEPTH)
        wanted = value.get("jobs") if isinstance(value, dict) else None
        if not isinstance(wanted, list) or not isinstance(value, dict) or len(value) != 1:
            message = 'the body is an object with one field, "jobs", a list of job requests'
            raise unacceptable([Problem(path="jobs", message=message)])
        if not 0 < len(wanted) <= MOST_BATCH:
            message = f"a batch has 1 to {MOST_BATCH} jobs, not {len(wanted)}"
            raise unacceptable([Problem(path="jobs", message=message)])
        digest = hashlib.sha256(canonical(value)).hexdigest()
        call = KeyedCall(source=self._caller.source, key=key, fingerprint=digest)
        return call, [self._item(one) for one in wanted]

    def _item(self, value: object) -> _Item:
        try:
            request = _traced(_parsed(value, self._caller, self._defaults), self._headers)
        except BadRequestError as error:
            return _Item(request=None, problems=problems_of(error))
        refused = why_not_queued(self._caller.terms, request)
        if refused is not None:
            return _Item(request=None, problems=(Problem(path="", message=refused),))
        return _Item(request=request)


def _told(items: Sequence[_Item], answers: Sequence[tuple[str, JobId]]) -> list[dict[str, Any]]:
    """Return one line for each request, in order."""
    answer = iter(answers)
    told: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        verdict, job = ("invalid", None) if item.request is None else next(answer)
        told.append(
            {
                "index": number,
                "verdict": verdict,
                "job": None if job is None else job_name(job),
                "errors": [problem_item(one) for one in item.problems],
            }
        )
    return told


def json_of(body: bytes, depth: int = MAX_DEPTH) -> object:
    """Return the value of a JSON body.

    Raises:
        BodyError: If it is not acceptable.
    """
    try:
        return loads(body, max_depth=depth)
    except JsonError as error:
        found = error.problem
    place = f"line {found.line}, character {found.column}"
    raise BodyError(f"the body is not JSON: {place}: {found.message}", do=found.suggestion)
