"""An event of a job as other systems get it: a CloudEvent 1.0, never with inputs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jobs.model import Job, job_name
from jobs.outbox.profile import EventKind, Which
from jobs.report.results import result_fields
from jobs.states import FINAL_STATES, HistoryNote, JobEvent
from jobs.store.protocol import Event

SOURCE: Final = "/plugwave"
TYPE: Final = "io.plugwave.job.{}.v1"


def kind_of(event: Event) -> EventKind | None:
    """Return what the event is to others; None for what only we care about."""
    if event.event == HistoryNote.CREATED:
        return "queued"
    if event.event == JobEvent.CLAIMED:
        return "started"
    return "finished" if event.state in FINAL_STATES and event.event in _MOVES else None


_MOVES: Final = frozenset(str(move) for move in JobEvent)


def is_asked_for(kind: EventKind, job: Job, which: Which) -> bool:
    """Whether a sink wants to hear of the job."""
    if which.sources and job.request.source not in which.sources:
        return False
    if which.plugins and job.request.plugin.name not in which.plugins:
        return False
    return kind != "finished" or not which.outcomes or job.state.value in which.outcomes


def cloud_event(kind: EventKind, event: Event, job: Job) -> Mapping[str, Any]:
    """Return the event.

    ``id`` is the same for every delivery; ``data`` has the keys of a `job.result` line, for
    *queued* and *started* those that are known then.
    """
    at = datetime.fromtimestamp(event.at_us / 1_000_000, UTC)
    fields = result_fields(job, event.data.get("worker"), event.at_us)
    if kind != "finished":
        fields = {name: fields[name] for name in _BEFORE}
    return {
        "specversion": "1.0",
        "id": f"{event.job}-{event.seq}",
        "source": SOURCE,
        "type": TYPE.format(kind),
        "subject": job_name(event.job),
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": fields,
    }


_BEFORE: Final = (
    "job", "idempotency_key", "source", "region", "project_id", "pool_name", "plugin",
    "rollout", "wave", "labels",
)  # fmt: skip
