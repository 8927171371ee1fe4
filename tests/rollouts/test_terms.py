"""What a manifest's words come to: moments, what nobody would do, what moved since a plan."""

from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.model import Terms
from jobs.retries import Backoff
from jobs.rollouts.course import course_of, planned_jobs
from jobs.rollouts.gates import start_us
from jobs.rollouts.moved import moved
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan, kept_plan, plan_body
from jobs.rollouts.planning import make_plan
from jobs.rollouts.strategy import StartAt
from jobs.rollouts.unserved import unserved
from tests.builders import NOON_US
from tests.rollouts.building import REST, TERMS, a_manifest, a_pool

HOUR_US = 3600 * MICROSECONDS


def planned(pools: list[Observed], **spec: Any) -> Plan:
    """Return the plan of a manifest for *pools*."""
    return make_plan(a_manifest(**spec), pools, TERMS)


@pytest.mark.parametrize(
    ("gate", "hours"),
    [
        ({"time": "12:00", "timeZone": "UTC"}, 0),
        ({"time": "11:59", "timeZone": "UTC"}, 24 - 1 / 60),
        ({"time": "21:00", "timeZone": "Asia/Shanghai"}, 1),
        ({"time": "19:00", "timeZone": "Asia/Shanghai"}, 23),
        ({"weekday": "wed", "time": "12:00", "timeZone": "UTC"}, 24),
        ({"at": "2026-11-24T15:00", "timeZone": "UTC"}, 3),
        ({"at": "2026-11-20T15:00", "timeZone": "UTC"}, -93),
    ],
    ids=["now", "just missed", "east", "east tomorrow", "weekday", "date", "past date"],
)
def test_a_moment_is_the_first_one_from_when_it_is_asked_for(
    gate: dict[str, str], hours: float
) -> None:
    """At noon UTC of Tuesday 2026-11-24; a date that is over holds nothing."""
    asked = StartAt.model_validate(gate)
    assert start_us(asked, NOON_US) - NOON_US == round(hours * HOUR_US)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"notify": [{"events": ["paused"], "webhook": "env:HOOK"}]}, "spec.notify"),
        ({"schedule": {"cron": "0 1 * * *", "timeZone": "UTC"}}, "spec.schedule"),
    ],
    ids=[
        *("notify", "schedule"),
    ],
)
def test_what_nobody_would_do_is_named_by_its_field(spec: dict[str, Any], field: str) -> None:
    """Nobody relies on a rule at which this version does not look."""
    (told,) = unserved(a_manifest(**spec).spec)
    assert told.startswith(f"{field}: ")


def test_a_plain_manifest_asks_for_nothing_else() -> None:
    """Defaults are no demand, nor is a deadline: it reaches the jobs."""
    manifest = a_manifest(job={"deadline": "20m"})
    assert unserved(manifest.spec) == []
    plan = make_plan(manifest, [a_pool(1)], TERMS)
    (job,) = planned_jobs(plan)
    assert job.request.deadline_s == 1200
    assert (job.request.plugin.version, job.request.idempotency_key) == ("1.6.63", None)


def test_each_job_has_the_terms_of_its_manifest() -> None:
    """Attempts, waits, looks and proofs are frozen by the plan and travel with the job."""
    job = {
        "apply": {"attempts": 4, "backoff": {"first": "9s", "factor": 3, "max": "1m"}},
        "verify": {
            "require": ["version", "phase"],
            "poll": {"first": "2s", "factor": 1, "max": "2s"},
            "settle": "3m",
            "abnormalGrace": "4m",
        },
    }
    plan = planned([a_pool(1)], job=job)
    (one,) = planned_jobs(plan)
    assert one.request.terms == Terms(
        attempts=4,
        backoff=Backoff(first_s=9.0, factor=3.0, max_s=60.0, jitter=True),
        require=("version", "phase"),
        poll_first_s=2.0,
        poll_factor=1.0,
        poll_max_s=2.0,
        steady_s=180.0,
        abnormal_grace_s=240.0,
        skip_gone=True,
    )
    assert "a success is proven without inputs and fresh (verify.require)" in plan.warnings
    (other,) = planned_jobs(planned([a_pool(1)]))
    assert other.request.fingerprint != one.request.fingerprint


def test_a_bake_needs_no_more_jobs_than_there_can_be() -> None:
    """A wave whose bake needs ten ended jobs, when there are two so far, waits for two."""
    wave = {"name": "one", "pick": {"count": 2}, "bakeNeeds": {"finished": 10}}
    plan = planned([a_pool(number) for number in range(5)], waves=[wave, REST])
    assert [one.needs for one in course_of(plan).waves] == [2, 0]


def test_what_moved_is_named_pool_by_pool() -> None:
    """Another version, other inputs, new and gone pools, and a pool that may not be changed."""
    pools = [a_pool(number) for number in range(5)]
    now = [
        a_pool(0, installed="1.6.63", inputs={"custom": {"ndots": "8"}}),
        a_pool(1, inputs={"custom": {"ndots": "9"}}),
        a_pool(2, blocked="the pool is frozen"),
        a_pool(3),
        a_pool(9),
    ]
    assert moved(planned(pools), planned(now)) == [
        "pool-0000 is now 1.6.63",
        "pool-0001 has other inputs now",
        "pool-0002 is blocked now (the pool is frozen); it was upgrade",
        "pool-0009 is new",
        "pool-0004 is gone",
    ]


def test_a_plan_comes_back_from_the_store_as_it_was() -> None:
    """The body is what the digest was made of, so a changed one is refused."""
    plan = planned([a_pool(1)])
    assert kept_plan(plan_body(plan), plan.digest, plan.made_at) == plan
