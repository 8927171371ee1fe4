"""What calls bring: the models of query parameters and bodies.

Parameters are texts, so their models read texts; bodies are strict.  A job request has the
model that files have, too (`jobs.requests.body`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jobs.durations import parse_duration
from jobs.model import JobId
from jobs.refusals import BodyValueError, QueryError
from jobs.requests import Closed, JobRequestBody, Problem, did_you_mean, quoted, refusal
from jobs.states import HELD_STATES, JobState
from jobs.store.cursor import EventCursor
from worker.telling.jobs import job_id

M = TypeVar("M", bound=BaseModel)

MOST_ITEMS: Final = 500
MOST_BATCH: Final = 1_000
LONGEST_WAIT_S: Final = 120
TEXT: Final = 128
_FIELDS: Final = re.compile(r"[a-z_,]{1,1000}")

RUNNING: Final = "running"
STATE_WORDS: Final = (RUNNING, *JobState)


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    return value


def _cursor(value: object) -> object:
    if isinstance(value, str):
        EventCursor.parse(value)
    return value


def _job_name(value: object) -> object:
    if isinstance(value, str) and job_id(value) is None:
        raise ValueError("write job-42")
    return value


def _states(value: object) -> object:
    for word in value if isinstance(value, list) else [value]:
        if word not in STATE_WORDS:
            raise ValueError(f"there are {', '.join(STATE_WORDS)}")
    return value


Name = Annotated[str, Field(min_length=1, max_length=TEXT)]
Since = Annotated[
    float, BeforeValidator(_duration, json_schema_input_type=str), Field(ge=0, le=1e9)
]
CursorText = Annotated[str, BeforeValidator(_cursor), Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")]
JobName = Annotated[
    str, BeforeValidator(_job_name), Field(pattern=r"^(job-)?[1-9][0-9]{0,17}$", max_length=22)
]
StateWords = Annotated[
    list[Annotated[str, Field(json_schema_extra={"enum": list(STATE_WORDS)})]],
    BeforeValidator(_states),
    Field(max_length=len(STATE_WORDS)),
]


class Query(BaseModel):
    """Parameters of a call: closed, and silent about what was typed in wrongly."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class JobsQuery(Query):
    """Which jobs."""

    state: StateWords = Field(default_factory=list)
    """Only this state; `running` is all that a worker has in hand. Repeatable."""

    pool: Name | None = None
    """Only this pool."""

    project: Name | None = None
    """Only this project id."""

    plugin: Name | None = None
    """Only this plug-in."""

    cause: Name | None = None
    """Only jobs with this cause."""

    source: Name | None = None
    """Only jobs from this source."""

    since: Since | None = None
    """Only jobs created in this time, such as 1h."""

    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 50
    """How many at most."""

    after: JobName | None = None
    """Go on after this job: what `next` of the page before says."""

    fields: Annotated[str, Field(pattern=f"^{_FIELDS.pattern}$")] | None = None
    """Only these fields of each job, separated by commas; `job` is always there."""

    @property
    def states(self) -> frozenset[JobState]:
        """The states that are meant; empty for all."""
        found: set[JobState] = set()
        for word in self.state:
            found |= HELD_STATES if word == RUNNING else {JobState(word)}
        return frozenset(found)

    @property
    def place(self) -> JobId | None:
        """The job after which to go on."""
        return None if self.after is None else job_id(self.after)


class WaitQuery(Query):
    """How long to wait."""

    timeout: Annotated[int, Field(ge=0, le=LONGEST_WAIT_S)] = 30
    """Seconds after which the answer comes in any case."""


class WhyQuery(Query):
    """Whom a question is about."""

    subject: Annotated[str, Field(min_length=1, max_length=400)]
    """A job (job-42), a pool (POOL, PROJECT/POOL, REGION/PROJECT/POOL) or a rollout."""


class FailuresQuery(Query):
    """Which failures."""

    source: Name | None = None
    """Only jobs from this source."""

    since: Since | None = None
    """Only jobs that ended in this time, such as 24h."""


class EventsQuery(Query):
    """Where to begin, and how much."""

    after: CursorText | None = None
    """Go on after this cursor; the header Last-Event-ID is the same."""

    since: Since | None = None
    """Begin so long ago, such as 1h."""

    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 100
    """How many at most; a stream has no end."""


class ListQuery(Query):
    """How much."""

    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 100
    """How many at most."""


def query_of(model: type[M], text: str) -> M:
    """Return the parameters that the text of a query says.

    Raises:
        QueryError: If one is unknown, there twice, or not what it takes.
    """
    found = _parameters(model, text)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems = [_query_problem(model, detail["loc"], detail["msg"]) for detail in details]
    raise QueryError(
        "; ".join(one["detail"] for one in problems),
        errors=[{"pointer": "", "do": None, **one} for one in problems],
    )


def _parameters(model: type[BaseModel], text: str) -> dict[str, Any]:
    many = {name for name, info in model.model_fields.items() if info.default_factory is list}
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict",
            max_num_fields=100,
        )  # fmt: skip
    except ValueError:
        raise QueryError("the query is not written as name=value&name=value") from None
    for name, value in pairs:
        if name in many:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise QueryError(f"the parameter {quoted(name)} is there twice")
        else:
            found[name] = value
    return found


def _query_problem(
    model: type[BaseModel], place: Sequence[int | str], message: str
) -> dict[str, str]:
    name = str(place[0]) if place else "the query"
    if name not in model.model_fields and place:
        near = did_you_mean(name, model.model_fields)
        hint = f", did you mean '{near}'?" if near else ""
        return {"detail": f"unknown parameter {quoted(name)}{hint}"}
    told = message.removeprefix("Value error, ")
    return {"detail": f"{name}: {told[:1].lower()}{told[1:]}"}


NO_QUERY: Final = Query


class BatchBody(Closed):
    """Many job requests at once."""

    jobs: Annotated[list[JobRequestBody], Field(min_length=1, max_length=MOST_BATCH)]
    """The requests; each is taken in or refused by itself."""


class ReasonBody(Closed):
    """Why somebody does something."""

    reason: Annotated[str, Field(max_length=500)] | None = None
    """Kept in the record."""


def unacceptable(problems: Sequence[Problem]) -> BodyValueError:
    """Return the error for a body that is no job request, with everything that is wrong."""
    told = refusal(problems)
    return BodyValueError(str(told), do=told.do, problems=tuple(problems))


def body_of(model: type[M], value: object) -> M:
    """Return the body as its model.

    Raises:
        BodyValueError: With everything that is wrong with it.
    """
    try:
        return model.model_validate(value if value is not None else {})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise _body_refusal(model, details)


def _body_refusal(model: type[BaseModel], details: Sequence[Mapping[str, Any]]) -> BodyValueError:
    problems = []
    for detail in details:
        path = ".".join(str(part) for part in detail["loc"])
        name = path or "the body"
        if detail["type"] == "extra_forbidden":
            near = did_you_mean(path, model.model_fields)
            hint = f"did you mean '{near}'?" if near else None
            message = f"unknown field {quoted(path)}"
            problems.append(Problem(path=quoted(path)[1:-1], message=message, suggestion=hint))
        else:
            told = detail["msg"].removeprefix("Value error, ")
            problems.append(Problem(path=path, message=f"{name}: {told[:1].lower()}{told[1:]}"))
    return unacceptable(problems)
