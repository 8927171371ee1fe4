"""The last lines of a run: what ended how, how long it took, what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.durations import format_duration
from jobs.errors import PlugwaveError
from jobs.report.results import FINAL_ORDER, Recap, bad_causes
from jobs.states import BAD_STATES, JobState
from jobs.store.protocol import JobFilter, Store
from worker.cli.console import Console, counted
from worker.cli.printing import document
from worker.statistics import WorkerStatistics

LOOKED_AT = 10_000
"""Failed jobs, newest first, that are looked through for the causes of this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: its recap, the exit code, and what ended it early if something did."""

    recap: Recap
    exit_code: int
    error: PlugwaveError | None = None


def recap_of(figures: WorkerStatistics, causes: Mapping[str, int]) -> Recap:
    """Return the recap of a run that ended with these figures."""
    return Recap(
        ended=figures.ended,
        left=figures.open_jobs,
        run_s=figures.running_s,
        calls=figures.calls,
        throttled=figures.throttled,
        lost_answers=figures.lost_answers,
        causes=causes,
    )


async def causes_since(store: Store, start_us: int) -> dict[str, int]:
    """Count the causes of the jobs that ended badly since *start_us*."""
    recent = []
    looked_at = 0
    async for job in store.jobs(JobFilter(states=BAD_STATES)):
        looked_at += 1
        if job.finished_us is not None and job.finished_us >= start_us:
            recent.append(job.progress.cause)
        if looked_at == LOOKED_AT:
            break
    return bad_causes(recent)


def recap_lines(recap: Recap, exit_code: int, console: Console) -> list[str]:
    """Return the recap for a person."""
    told = ", ".join(
        console.paint(f"{recap.ended[state]} {state}", _COLOURS.get(state), stderr=True)
        for state in FINAL_ORDER
        if recap.ended.get(state)
    )
    lines = [f"Ended: {told or 'no job'}      exit {exit_code}"]
    if recap.causes:
        causes = ", ".join(f"{cause} {count}" for cause, count in recap.causes.items())
        lines.append(f"  Failed:  {causes}")
    if recap.left:
        lines.append(f"  Left:    {recap.left} not final yet; the next worker goes on")
    lines.append(f"  Time:    {format_duration(recap.run_s)}")
    lines.append(
        f"  Cloud:   {counted(recap.calls, 'call')}, "
        f"{counted(recap.throttled, 'slow-down')} (429), "
        f"{counted(recap.lost_answers, 'lost answer')}"
    )
    return lines


_COLOURS = {
    JobState.SUCCEEDED: "green",
    JobState.UNCHANGED: "green",
    JobState.FAILED: "red",
    JobState.UNRESOLVED: "red",
}


def next_lines(recap: Recap) -> list[str]:
    """Return the commands that lead on from here."""
    steps = []
    bad = [state for state in (JobState.FAILED, JobState.UNRESOLVED) if recap.ended.get(state)]
    if bad:
        states = " ".join(f"--state {state}" for state in bad)
        steps.append(f"plugwave jobs list {states}")
        steps.append(f"plugwave jobs retry {states}")
    if recap.left:
        steps.append("plugwave work --until-empty")
    return [
        f"  {'Next:' if not number else '     '}    {step}" for number, step in enumerate(steps)
    ]


def tell(ended: Ended, console: Console) -> None:
    """Print the recap: for a person on stderr, with a structured form also on stdout."""
    lines = recap_lines(ended.recap, ended.exit_code, console)
    for line in [*lines, *next_lines(ended.recap)]:
        console.say(line)
    if console.structured:
        body: dict[str, Any] = {"kind": "recap", **ended.recap.as_dict()}
        body["exit_code"] = ended.exit_code
        if ended.error is not None:
            body["error"] = ended.error.as_dict()
            console.choices.told = True
        document(console, body)
