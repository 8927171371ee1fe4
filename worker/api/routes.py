"""Every route there is: the table that the router, the document and the rights are made from.

A new route is a line here, a handler, and models for what it takes and answers.
"""

from collections.abc import Sequence
from typing import Final

from jobs.requests import JobRequestBody
from worker.api import (
    bodies,
    changing,
    health,
    looking,
    rollout_shapes,
    shapes,
    streaming,
    taking,
)
from worker.api.calls import STREAM, Answer, Body, KeyRule, Route
from worker.api.keys import REPLAYED
from worker.api.rollout_routes import PLANS, ROLLOUTS
from worker.api.terms import ANYBODY, OPERATE_OWN, SUBMIT, VIEW, VIEW_FLEET, VIEW_OWN

REQUEST_BYTES: Final = 256 * 1024
"""The largest job request, as in files."""

BATCH_BYTES: Final = 10 * 1024 * 1024


JOBS: Final = "/api/v1/jobs"
JOB: Final = f"{JOBS}/{{job}}"

INTAKE: Final[Sequence[Route]] = (
    Route(
        name="queueJob",
        method="POST",
        path=JOBS,
        needs=SUBMIT,
        handler=taking.queue_job,
        text="Queue one job. Answered once it is on the disk; repeatable by its key.",
        body=Body(model=JobRequestBody, limit_bytes=REQUEST_BYTES),
        key=KeyRule.OPTIONAL,
        answers=(
            Answer(
                status=202,
                model=shapes.Accepted,
                text="It is queued, or was by the first call with this key.",
                headers=("Location", REPLAYED),
            ),
        ),
    ),
    Route(
        name="queueBatch",
        method="POST",
        path=f"{JOBS}:batch",
        needs=SUBMIT,
        handler=taking.queue_batch,
        text="Queue up to 1,000 jobs, each by itself. Items without a key join equal open jobs.",
        body=Body(model=bodies.BatchBody, limit_bytes=BATCH_BYTES, depth=None),
        key=KeyRule.NEEDED,
        answers=(
            Answer(
                status=200,
                model=shapes.Batch,
                text="What became of each, in order.",
                headers=(REPLAYED,),
            ),
        ),
    ),
)

LOOKING: Final[Sequence[Route]] = (
    Route(
        name="listJobs",
        method="GET",
        path=JOBS,
        needs=VIEW_OWN,
        handler=looking.list_jobs,
        text="List jobs, newest first.",
        query=bodies.JobsQuery,
        answers=(Answer(status=200, model=shapes.JobsPage, text="A page of jobs."),),
    ),
    Route(
        name="showJob",
        method="GET",
        path=JOB,
        needs=VIEW_OWN,
        handler=looking.show_job,
        text="Show every fact of one job.",
        answers=(Answer(status=200, model=shapes.JobFull, text="The job."),),
    ),
    Route(
        name="showTimeline",
        method="GET",
        path=f"{JOB}/timeline",
        needs=VIEW_OWN,
        handler=looking.show_timeline,
        text="Show what happened to one job, in order.",
        answers=(Answer(status=200, model=shapes.Timeline, text="Its history."),),
    ),
    Route(
        name="waitForJob",
        method="GET",
        path=f"{JOB}:wait",
        needs=VIEW_OWN,
        handler=looking.wait_for_job,
        text="Answer when the job has ended, or the time is over: look at `outcome`.",
        query=bodies.WaitQuery,
        answers=(Answer(status=200, model=shapes.JobFull, text="The job as it is then."),),
    ),
    Route(
        name="why",
        method="GET",
        path="/api/v1/why",
        needs=VIEW_FLEET,
        handler=looking.show_why,
        text="Say why a job, a pool or a rollout is where it is.",
        query=bodies.WhyQuery,
        refuses=(404,),
        answers=(Answer(status=200, model=rollout_shapes.Why, text="Reasons and next steps."),),
    ),
    Route(
        name="listFailures",
        method="GET",
        path="/api/v1/failures",
        needs=VIEW_FLEET,
        handler=looking.list_failures,
        text="Group what ended badly by cause.",
        query=bodies.FailuresQuery,
        answers=(Answer(status=200, model=shapes.Failures, text="The causes."),),
    ),
    Route(
        name="listEvents",
        method="GET",
        path="/api/v1/events",
        needs=VIEW_FLEET,
        handler=streaming.list_events,
        text="What happened to all jobs, in order: a page, or with Accept: text/event-stream all"
        " that comes.",
        query=bodies.EventsQuery,
        answers=(
            Answer(status=200, model=shapes.EventsPage, text="Events."),
            Answer(status=200, model=None, text="Events.", media=STREAM),
        ),
    ),
    Route(
        name="showQueue",
        method="GET",
        path="/api/v1/queue",
        needs=VIEW,
        handler=looking.show_queue,
        text="Show how much there is to do.",
        answers=(Answer(status=200, model=shapes.QueueShape, text="Counts."),),
    ),
    Route(
        name="listWorkers",
        method="GET",
        path="/api/v1/workers",
        needs=VIEW,
        handler=looking.list_workers,
        text="List the workers.",
        answers=(Answer(status=200, model=shapes.Workers, text="The workers."),),
    ),
)

CHANGING: Final[Sequence[Route]] = (
    Route(
        name="retryJob",
        method="POST",
        path=f"{JOB}:retry",
        needs=OPERATE_OWN,
        handler=changing.retry_job,
        text="Queue a new job for one that ended badly; asked again it names the same one.",
        refuses=(409,),
        answers=(Answer(status=202, model=shapes.Retried, text="The retry."),),
    ),
    Route(
        name="cancelJob",
        method="POST",
        path=f"{JOB}:cancel",
        needs=OPERATE_OWN,
        handler=changing.cancel_job,
        text="Cancel a job that was not sent yet; what happened is in `result`.",
        answers=(Answer(status=200, model=shapes.Cancelled, text="What happened."),),
    ),
)

ABOUT: Final[Sequence[Route]] = (
    Route(
        name="explainCode",
        method="GET",
        path="/api/v1/problems/{code}",
        needs=ANYBODY,
        handler=health.explain_code,
        text="Explain a code.",
        answers=(Answer(status=200, model=shapes.Explained, text="What it means."),),
    ),
    Route(
        name="showDocument",
        method="GET",
        path="/api/openapi.json",
        needs=ANYBODY,
        handler=health.show_document,
        text="This document.",
        answers=(Answer(status=200, model=shapes.Document, text="OpenAPI 3.1."),),
    ),
    Route(
        name="showAlive",
        method="GET",
        path="/healthz",
        needs=ANYBODY,
        handler=health.show_alive,
        text="Whether the process serves calls.",
        answers=(Answer(status=200, model=shapes.Status, text="It does."),),
    ),
    Route(
        name="showReady",
        method="GET",
        path="/readyz",
        needs=ANYBODY,
        handler=health.show_ready,
        text="Whether the store can be written and the server stays.",
        answers=(Answer(status=200, model=shapes.Status, text="Both."),),
    ),
    Route(
        name="showVersion",
        method="GET",
        path="/version",
        needs=ANYBODY,
        handler=health.show_version,
        text="Which program this is.",
        answers=(Answer(status=200, model=shapes.Version, text="Its version."),),
    ),
)

ROUTES: Final[Sequence[Route]] = (*INTAKE, *LOOKING, *CHANGING, *PLANS, *ROLLOUTS, *ABOUT)


def routes_of(*, read_only: bool) -> Sequence[Route]:
    """Return the routes that are served; those that change anything only if that is wanted."""
    return tuple(route for route in ROUTES if not (read_only and route.changes))
