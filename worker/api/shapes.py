"""What calls are answered with: the models of every answer, for the document and its test.

Handlers answer with the very dictionaries that commands print, so nothing is built from these
models; a test holds every answer against them.  Within v1 fields are only added.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Text = str | None
Seconds = float | None


class Shape(BaseModel):
    """An answer: every field is there, and no other."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ProblemItem(Shape):
    """One thing that is wrong with a request."""

    pointer: str
    """JSON pointer to the field; empty for the whole document."""
    detail: str
    do: Text


class ProblemShape(BaseModel):
    """Why a call was not served (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: str
    """Leads to what the catalogue says about the code."""
    title: str
    status: int
    detail: str
    code: str
    """Stable; the same as that of the commands."""
    why: Text
    do: list[str]
    request_id: str
    """Also in the header X-Request-Id and in the server's log."""
    errors: list[ProblemItem] | None = None


class Links(Shape):
    """Where to go on."""

    self: str
    timeline: str
    wait: str
    why: str


class Accepted(Shape):
    """A job that was taken in: it is on the disk."""

    job: str
    deduplicated: bool
    """It had no key, and joined an equal open job."""
    links: Links


class BatchItem(Shape):
    """What became of one request of a batch."""

    index: int
    """Its place in the list, counting from 0."""
    verdict: Literal["created", "duplicate", "conflict", "invalid"]
    job: Text
    errors: list[ProblemItem]


class Counts(Shape):
    """How many had which verdict."""

    created: int
    duplicate: int
    conflict: int
    invalid: int


class Batch(Shape):
    """What became of a batch, in its order."""

    kind: Literal["batch"]
    counts: Counts
    items: list[BatchItem]


class JobShape(Shape):
    """A job as one of many."""

    job: str
    state: str
    outcome: Text
    """The state once it is final."""
    running: bool
    waiting: Text
    """The reason for which it waits."""
    idempotency_key: Text
    source: str
    region: Text
    project_id: str
    pool_name: str
    plugin: str
    version_from: Text
    version_to: Text
    cause: Text
    cause_class: Text
    error_code: Text
    http_status: int | None
    cloud_request_id: Text
    phase: Text
    reason: Text
    attempts: int
    calls: int
    throttled: int
    wait_s: Seconds
    run_s: Seconds
    inputs_changed: list[str]
    """Paths alone, never values."""
    rollout: Text
    wave: int | None
    worker: Text
    labels: dict[str, str]
    profile: Text
    priority: int
    cancel_asked: bool
    created_at: Text
    not_before: Text
    run_at: Text
    started_at: Text
    deadline_at: Text
    finished_at: Text


class JobFull(JobShape):
    """A job with every fact; secret-looking inputs are masked."""

    base: str
    inputs: dict[str, Any] | None
    inputs_sent: dict[str, Any] | None
    sent_at: Text
    read_not_before: Text
    accepted_at: Text
    adopted: bool
    detail: Text
    looks: int
    fence: int
    deadline_s: Seconds


class JobsPage(Shape):
    """A page of jobs, newest first."""

    kind: Literal["jobs"]
    items: list[dict[str, Any]]
    """Each a JobShape, or the fields of it that were asked for."""
    next: Text
    """The parameter `after` of the next page; none when this is the last."""


class HistoryEvent(Shape):
    """One line of a job's history."""

    seq: int
    job: str
    at: str
    after_s: float
    event: str
    state: str
    data: dict[str, Any]


class Timeline(Shape):
    """What happened to a job, in order."""

    kind: Literal["timeline"]
    events: list[HistoryEvent]


class EventShape(Shape):
    """One event of all jobs."""

    kind: Literal["event"]
    cursor: str
    seq: int
    at: str
    job: str
    event: str
    state: str
    data: dict[str, Any]


class EventsPage(Shape):
    """A page of events; also what each event of a stream has as its data."""

    kind: Literal["events"]
    items: list[EventShape]
    cursor: str
    """Go on after this."""


class Retried(Shape):
    """What a retry did."""

    job: str
    result: Literal["created", "there"]
    retry: str
    """The new job, or the one that an earlier call made."""


class Cancelled(Shape):
    """What a cancel did."""

    job: str
    result: Literal["cancelled", "already-cancelled", "stopping", "final", "too-late"]
    state: str
    text: str


class QueueShape(Shape):
    """How much there is to do."""

    kind: Literal["queue"]
    queued: int
    running: int
    workers_alive: int
    states: dict[str, int]
    waiting: dict[str, int]


class WorkerShape(Shape):
    """One worker."""

    worker: str
    host: str
    pid: int
    alive: bool
    jobs: int
    profiles: list[str]
    started_at: str
    heartbeat_at: str
    lease_until: str


class Workers(Shape):
    """The workers."""

    workers: list[WorkerShape]


class ReasonShape(Shape):
    """One reason why something is where it is."""

    kind: str
    text: str
    until: Text
    job: Text


class Explanation(Shape):
    """Why one job is where it is."""

    job: str
    state: str
    headline: str
    reasons: list[ReasonShape]
    do: list[str]


class Cause(Shape):
    """Jobs that ended badly in the same way."""

    id: str
    fingerprint: str
    cause: Text
    cause_class: Text
    title: str
    known: bool
    retry: str
    likely: str
    do: str
    command: Text
    jobs: int
    states: dict[str, int]
    first_at: str
    last_at: str
    pools: int
    pool_names: list[str]
    http_status: int | None
    error_code: Text
    cloud_request_id: Text
    cloud: Text

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        alias_generator=lambda name: "class" if name == "cause_class" else name,
    )


class Failures(Shape):
    """What ended badly, by cause."""

    kind: Literal["failures"]
    jobs: dict[str, int]
    left_out: int
    causes: list[Cause]


class Entry(Shape):
    """What the catalogue says about a code."""

    key: str
    family: str
    codes: list[str]
    http_statuses: list[int]
    pattern: Text
    cause_class: str
    retry: str
    title: str
    likely: str
    do: str

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        alias_generator=lambda name: "class" if name == "cause_class" else name,
    )


class Explained(Shape):
    """What a code means."""

    code: str
    language: str
    entries: list[Entry]


class Status(Shape):
    """That it works."""

    status: str


class Version(Shape):
    """Which program this is."""

    name: str
    version: str


class Document(BaseModel):
    """This document (OpenAPI 3.1)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    openapi: str
