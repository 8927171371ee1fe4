"""Arguments that several commands take: jobs, states, durations."""

from typing import Final

import click

from jobs.durations import parse_duration
from jobs.model import JobId
from jobs.states import HELD_STATES, JobState
from worker.telling.jobs import job_id

RUNNING: Final = "running"


class JobType(click.ParamType[JobId]):
    """A job, written ``job-42`` or ``42``."""

    name = "job"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> JobId:
        """Return the id."""
        found = job_id(str(value))
        if found is None:
            self.fail(f"'{value}' is not a job; write job-42 or 42", param, ctx)
        return found


class StateType(click.ParamType[frozenset[JobState]]):
    """A job state; ``running`` stands for everything a worker has in hand."""

    name = "state"

    def convert(
        self,
        value: str | frozenset[JobState],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> frozenset[JobState]:
        """Return the states that are meant."""
        if isinstance(value, frozenset):
            return value
        if value == RUNNING:
            return frozenset(HELD_STATES)
        if value not in set(JobState):
            known = ", ".join([RUNNING, *JobState])
            self.fail(f"there is no state '{value}'; there are {known}", param, ctx)
        return frozenset({JobState(value)})


class DurationType(click.ParamType[float]):
    """A duration in seconds, written ``90s``, ``45m``, ``1h``."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def merged_states(states: tuple[frozenset[JobState], ...]) -> frozenset[JobState]:
    """Return the union of what several ``--state`` options name."""
    return frozenset[JobState]().union(*states)
