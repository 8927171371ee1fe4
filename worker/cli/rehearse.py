"""`plugwave rehearse`: what a rollout would come to, found out by running it beforehand."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from config.choices import LogLevel
from config.masking import masked_inputs
from config.settings import Settings
from jobs.clock import SystemClock
from jobs.errors import UsageError
from jobs.rollouts.course import course_of
from jobs.rollouts.fleetfile import read_fleet
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import Terms, make_plan
from worker.app import rules_of
from worker.cli.arguments import DurationType
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import outlook
from worker.cli.lazy import PlugwaveCommand
from worker.cli.plan import changes_of
from worker.cli.planning import content, given_plan, manifest_in, plan_now
from worker.cli.printing import document, no_names
from worker.cli.rehearse_views import rehearsal_fields, rehearsal_lines
from worker.cli.session import configure_logs, loaded_settings, run_async
from worker.garbage import collected_rarely
from worker.rehearsal.forecast import RATES, Forecast, Wanted, forecast
from worker.rehearsal.invented import invented_pools, listed_pools
from worker.rehearsal.one_run import Circumstances
from worker.sighting import recent_successes
from worker.switchboard import pace_of

MOST_POOLS: Final = 100_000
MOST_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    file: str
    changes: dict[str, str]
    pools: int | None
    fleet: Path | None
    runs: int
    within: float
    seed: int
    rate: float
    slower: float
    approvals: float


def _rate_of(_ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    """Return a share of 1 from ``0.5%``."""
    if value is None:
        return RATES[0]
    try:
        found = float(value.removesuffix("%")) / 100
    except ValueError:
        found = -1.0
    if not (value.endswith("%") and 0 <= found <= 1):
        raise click.BadParameter("write a percentage from 0% to 100%, such as 2%", param=param)
    return found


@click.command(cls=PlugwaveCommand)
@click.argument("file")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="K=V",
    callback=changes_of,
    help="Another value for a field, such as spec.budgets.concurrency=5; repeatable.",
)
@click.option(
    "--pools",
    type=click.IntRange(1, MOST_POOLS),
    help="Invent so many pools instead of asking the cloud.",
)
@click.option(
    "--fleet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take the pools of a fleet file as they stand there instead of asking the cloud.",
)
@click.option("--runs", type=click.IntRange(1, MOST_RUNS), default=100, help="Seeds; 100.")
@click.option(
    "--within",
    type=DurationType(),
    default="30s",
    help="End after this long, with the seeds that were run; 30s.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="The first seed; 1.")
@click.option(
    "--failure-rate",
    "rate",
    callback=_rate_of,
    help="The true failure rate for which the finish is told; 0.5%.",
)
@click.option(
    "--failures-slower",
    "slower",
    type=click.FloatRange(min=0, max=1000, min_open=True),
    default=1.0,
    help="How many times longer a failure takes than a success; 1.",
)
@click.option(
    "--approvals-take",
    "approvals",
    type=DurationType(),
    default="0s",
    help="How long persons take to approve; 0s.",
)
@click.pass_obj
def rehearse(choices: Choices, /, **asked: Any) -> int:  # noqa: ANN401 - click's values
    """Rehearse a rollout on virtual time: its finish, and how much can break; changes nothing.

    FILE is a manifest, - for standard input, or a plan that `plugwave plan --out` wrote. A plan,
    --pools and --fleet need no cloud; otherwise the fleet is read as `plugwave plan` reads it.
    """
    return _rehearse(choices, Asked(**asked))


def _rehearse(choices: Choices, asked: Asked) -> int:
    console = Console(choices)
    no_names(console)
    if asked.pools is not None and asked.fleet is not None:
        raise UsageError("--pools and --fleet exclude each other", do="leave one of them out")
    plan, successes_s = _planned(console, asked)
    if not plan.acting:
        raise UsageError(
            f"nothing to rehearse: none of {plan.included} pools would be changed",
            do="plugwave plan --detail says why; --set spec.plugin.version=X names another version",
        )
    if console.live:
        console.say(f"Rehearsing, at most {asked.within:g} s")
    found = _forecast(console, plan, asked, successes_s)
    if console.structured:
        document(console, rehearsal_fields(plan, found))
    else:
        for line in rehearsal_lines(plan, found, console):
            console.out(line)
    return 0


def _planned(console: Console, asked: Asked) -> tuple[Plan, tuple[float, ...]]:
    """Return the plan, and how long successes of its plug-in took."""
    given = given_plan(asked.file)
    if given is not None:
        if asked.changes or asked.pools is not None or asked.fleet is not None:
            raise UsageError(
                "a plan is rehearsed as it is", do="leave out --set, --pools and --fleet"
            )
        return given, ()
    manifest = manifest_in(asked.file, asked.changes)
    if asked.pools is None and asked.fleet is None:
        return run_async(_observed, console, manifest, asked.file)
    settings = loaded_settings(console.choices).settings
    return _offline(manifest, settings, asked), ()


def _offline(manifest: Manifest, settings: Settings, asked: Asked) -> Plan:
    if asked.pools is not None:
        pools = invented_pools(manifest, asked.pools)
    else:
        name = str(asked.fleet)
        pools = listed_pools(manifest, read_fleet(content(Path(name), name), name))
    now_us = SystemClock().now_us()
    return make_plan(
        manifest, pools, Terms(now_us=now_us, mask=masked_inputs, rate=settings.cloud.rate_per_s)
    )


async def _observed(
    console: Console, manifest: Manifest, file: str
) -> tuple[Plan, tuple[float, ...]]:
    async with outlook(console.choices) as look:
        plan, _ = await plan_now(look, manifest, file, console)
        return plan, await recent_successes(look.store, plan.plugin)


def _forecast(
    console: Console, plan: Plan, asked: Asked, successes_s: tuple[float, ...]
) -> Forecast:
    loaded = loaded_settings(console.choices)
    settings = loaded.settings
    around = Circumstances(
        plan=plan,
        course=course_of(plan),
        rules=rules_of(settings, random.Random(asked.seed)),  # noqa: S311 - jitter, not a secret
        pace=pace_of(settings.cloud),
        start_us=SystemClock().now_us(),
        approval_s=asked.approvals,
    )
    wanted = Wanted(
        runs=asked.runs,
        seed=asked.seed,
        rate=asked.rate,
        slower=asked.slower,
        successes_s=successes_s,
    )
    # What steps log is about jobs that nobody has: not even -v may show it.
    quiet = settings.logs.model_copy(update={"level": LogLevel.ERROR})
    configure_logs(console.choices, loaded, logs=quiet)
    ends_at = time.monotonic() + asked.within
    with collected_rarely():
        return forecast(around, wanted, over=lambda: time.monotonic() >= ends_at)
