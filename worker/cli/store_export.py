"""`plugwave store export`: every job with its result and history, one JSON line for each."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import click

from jobs.errors import InputFileError, UsageError
from jobs.model import Job, JobId, job_name
from jobs.requests.writing import request_body
from jobs.states import FINAL_STATES, JobState
from jobs.store.protocol import JobFilter, Store
from worker.cli.arguments import JobType, StateType, merged_states
from worker.cli.choices import Choices
from worker.cli.console import Console, counted
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import SCHEMA, as_json
from worker.cli.session import reading, run_async
from worker.cli.terminal import is_terminal
from worker.telling.jobs import event_fields, full_fields

KIND: Final = "export"


@click.command(cls=PlugwaveCommand)
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append to this file, readable for its owner alone; else standard output.",
)
@click.option("--after", type=JobType(), help="Go on after this job, the last of an earlier run.")
@click.option(
    "--state", "states", type=StateType(), multiple=True, help="Only this state; repeatable."
)
@click.option("--ended", is_flag=True, help="Only jobs that have ended.")
@click.option(
    "--with-inputs",
    is_flag=True,
    help="With the inputs as they are, which may be secret, and the request to enqueue again.",
)
@click.pass_obj
def export(choices: Choices, /, **wanted: Any) -> None:  # noqa: ANN401 - click's values
    """Write every job with its result and history as JSON lines, oldest first.

    Secret-looking inputs are masked, and no line can be enqueued again by mistake; with
    --with-inputs nothing is masked, and `request` is what enqueue takes.
    """
    if choices.output not in {"table", "ndjson"}:
        raise UsageError("an export is JSON lines", do="leave out -o, or use -o ndjson")
    if wanted["with_inputs"] and wanted["file"] is None and is_terminal(sys.stdout):
        raise UsageError(
            "inputs may be secret and do not belong on a screen", do="name a file with --to"
        )
    states = merged_states(wanted["states"]) or frozenset()
    if wanted["ended"]:
        states = (states & FINAL_STATES) if states else FINAL_STATES
        if not states:
            raise UsageError("none of these states is one of an ended job")
    run_async(_export, choices, wanted["file"], wanted["after"], states, wanted["with_inputs"])


async def _export(
    choices: Choices,
    file: Path | None,
    after: JobId | None,
    states: frozenset[JobState],
    with_inputs: bool,  # noqa: FBT001 - handed on from the command
) -> None:
    console = Console(choices)
    number, last = 0, after
    async with reading(choices) as store:
        with _opened(file) as out:
            async for job, line in exported(store, after, states, with_inputs=with_inputs):
                out.write(line + "\n")
                number, last = number + 1, job.id
    told = f"; the last is {job_name(last)}" if last is not None else ""
    console.say(f"{counted(number, 'job')} exported{told}")


async def exported(
    store: Store, after: JobId | None, states: frozenset[JobState], *, with_inputs: bool
) -> AsyncIterator[tuple[Job, str]]:
    """Yield each job and its line, oldest first, in constant memory."""
    now_us = await store.now_us()
    async for job in store.jobs(JobFilter(states=states), newest_first=False, after=after):
        history = await store.history(job.id)
        body = {
            "schema": SCHEMA,
            "kind": KIND,
            **full_fields(job, None, now_us),
            "history": [event_fields(event, job.created_us) for event in history],
        }
        if with_inputs:
            wish, sent = job.request.plugin.inputs, job.progress.inputs
            body["inputs"] = None if wish is None else dict(wish)
            body["inputs_sent"] = None if sent is None else dict(sent)
            body["request"] = request_body(job.request)
        yield job, as_json(body)


@contextmanager
def _opened(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputFileError(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        yield out
