"""`plugwave enqueue`: take a file of job requests in, one result line for each record."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import click
import structlog

from config.masking import clean_text
from jobs.clock import SystemClock
from jobs.durations import format_duration
from jobs.errors import ConflictError, InputFileError, UsageError
from jobs.intake.records import STANDARD_INPUT, FileFormat, RecordFile, open_records
from jobs.intake.rejects import RejectWriter
from jobs.intake.taking import IntakeResult, IntakeVerdict, start_position, take_in
from jobs.model import job_name
from jobs.requests import Problem
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.intake_progress import IntakeProgress
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import streamed
from worker.cli.session import configure_logs, loaded_settings, quiet_logs, run_async
from worker.credentials.defaults import request_defaults
from worker.credentials.sources import Surroundings
from worker.stores import opened_store

log = structlog.get_logger()

LINE_LIMIT: Final = 1000
"""Characters of the problems of one record that are printed."""

COLOURS: Final = {
    IntakeVerdict.CONFLICT: "yellow",
    IntakeVerdict.INVALID: "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    file: str
    file_format: str | None
    source: str
    resume: bool
    rejects: Path | None


@click.command(cls=PlugwaveCommand)
@click.argument("file", metavar="FILE|-")
@click.option(
    "--format",
    "file_format",
    type=click.Choice([one.value for one in FileFormat]),
    help="How the file is written; by its name, else jsonl.",
)
@click.option(
    "--source", default="cli", show_default=True, help="Who asks; the scope of idempotency keys."
)
@click.option("--resume", is_flag=True, help="Go on where an earlier run of this file stopped.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was not taken in to this file, ready to be mended.",
)
@click.pass_obj
def enqueue(choices: Choices, /, **wanted: Any) -> int:  # noqa: ANN401 - click's values, named by Wanted
    """Queue the jobs of a file, each once.

    Prints one line for each record: created, duplicate, conflict or invalid.  Leaves with
    0 when every record has its job, with 2 when some are invalid, else with 7 when keys
    were used before with other content.
    """
    return run_async(_enqueue, choices, Wanted(**wanted), fast=True)


async def _enqueue(choices: Choices, wanted: Wanted) -> int:
    console = Console(choices)
    file_format = None if wanted.file_format is None else FileFormat(wanted.file_format)
    with ExitStack() as stack:
        records = stack.enter_context(open_records(wanted.file, file_format))
        if wanted.resume and records.digest is None:
            raise UsageError(
                "--resume needs a file that can be read twice",
                do="write the records to a file, then run: plugwave enqueue FILE --resume",
            )
        rejects = stack.enter_context(_reject_writer(wanted, records))
        progress = IntakeProgress(console, SystemClock(), _size(wanted.file))
        stack.callback(progress.finish)
        write = stack.enter_context(_results(console))
        desk = Desk(write, rejects, progress)
        await _take_in(choices, wanted, records, desk)
        progress.finish()
        return desk.close(console, records.name)


class Desk:
    """Hands each result on: to the printer, to the rejects, to the counts."""

    def __init__(
        self,
        write: Callable[[IntakeResult], None],
        rejects: RejectWriter | None,
        progress: IntakeProgress,
    ) -> None:
        self._write = write
        self._rejects = rejects
        self._progress = progress
        self.counts: Counter[IntakeVerdict] = Counter()
        self.skipped = 0
        self.last = 0

    def take(self, result: IntakeResult) -> None:
        """Tell one result; what it says is durable."""
        self.counts[result.verdict] += 1
        self.last = result.number
        if self._rejects is not None and not result.taken_in:
            self._rejects.write(result.record, result.problems)
        self._write(result)
        self._progress.advance(len(result.record.raw))

    def close(self, console: Console, name: str) -> int:
        """Tell the summary and return the exit code."""
        told = [f"{self.counts[verdict]} {verdict}" for verdict in IntakeVerdict]
        if self.skipped:
            told.append(f"{self.skipped} taken in before")
        took = format_duration(self._progress.elapsed_s)
        console.say(f"{clean_text(name)}: {', '.join(told)} in {took}")
        log.info(
            "intake.finished",
            took_s=round(self._progress.elapsed_s, 3),
            **{verdict.value: self.counts[verdict] for verdict in IntakeVerdict},
        )
        return exit_code(self.counts)


def exit_code(counts: Mapping[IntakeVerdict, int]) -> int:
    """Return 2 when a record is invalid, else 7 for a conflict, else 0."""
    if counts.get(IntakeVerdict.INVALID):
        return InputFileError.exit_code
    return ConflictError.exit_code if counts.get(IntakeVerdict.CONFLICT) else 0


async def _take_in(choices: Choices, wanted: Wanted, records: RecordFile, desk: Desk) -> None:
    console = Console(choices)
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded, logs=quiet_logs(loaded))
    defaults = request_defaults(loaded.settings, Surroundings.of(os.environ))
    async with opened_store(loaded.settings.store) as store:
        position = await start_position(
            store, source=wanted.source, digest=records.digest, resume=wanted.resume
        )
        try:
            summary = await take_in(
                store,
                records.records(),
                source=wanted.source,
                defaults=defaults,
                on_result=desk.take,
                position=position,
            )
        except anyio.get_cancelled_exc_class():
            console.tell(f"stopped after record {desk.last}; go on with --resume")
            raise
    desk.skipped = summary.skipped


@contextmanager
def _results(console: Console) -> Iterator[Callable[[IntakeResult], None]]:
    """Yield what prints one result in the form that was asked for."""
    if console.structured:
        with streamed(console, "intake", "results") as write:
            yield lambda result: write(result_fields(result))
    elif console.choices.output == "name":
        yield lambda result: _print_name(console, result)
    else:
        yield lambda result: console.out(
            console.paint(result_line(result), COLOURS.get(result.verdict))
        )


def _print_name(console: Console, result: IntakeResult) -> None:
    if result.taken_in and result.job is not None:
        console.out(job_name(result.job))


def result_line(result: IntakeResult) -> str:
    """Return ``4 invalid line 4:17: …``: number, verdict, job, problems."""
    words = [str(result.number), result.verdict.value]
    if result.job is not None:
        words.append(job_name(result.job))
    if result.problems:
        line = None if result.verdict is IntakeVerdict.CONFLICT else result.line
        words.append("; ".join(_problem(problem, line) for problem in result.problems))
    return clean_text(" ".join(words), LINE_LIMIT)


def _problem(problem: Problem, line: int | None) -> str:
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    if line is None:
        return f"{problem.message}{hint}"
    place = f"line {line}" if problem.column is None else f"line {line}:{problem.column}"
    return f"{place}: {problem.message}{hint}"


def result_fields(result: IntakeResult) -> dict[str, Any]:
    """Return the result as JSON; never the record itself."""
    return {
        "number": result.number,
        "line": result.line,
        "verdict": result.verdict.value,
        "job": None if result.job is None else job_name(result.job),
        "problems": [
            {
                "path": problem.path,
                "message": problem.message,
                "suggestion": problem.suggestion,
                "column": problem.column,
            }
            for problem in result.problems
        ],
    }


@contextmanager
def _reject_writer(wanted: Wanted, records: RecordFile) -> Iterator[RejectWriter | None]:
    """Open the file of rejects, for this user alone: a record may hold secrets."""
    path = wanted.rejects
    if path is None:
        yield None
        return
    if wanted.file != STANDARD_INPUT and path.exists() and path.samefile(wanted.file):
        raise UsageError("--rejects names the file that is read", do="name another file")
    mode = os.O_APPEND if wanted.resume else os.O_TRUNC
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | mode, 0o600)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise InputFileError(message, do="name a file in a folder that may be written") from error
    with os.fdopen(descriptor, "ab" if wanted.resume else "wb") as file:
        yield RejectWriter(file, records.format, records.header)


def _size(file: str) -> int | None:
    try:
        return None if file == STANDARD_INPUT else Path(file).stat().st_size
    except OSError:
        return None
