"""`plugwave apply`: start the rollout of a plan, and follow it to its verdict."""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import anyio
import click

from config.loading import Loaded
from config.settings import Settings
from jobs.clock import SystemClock, iso
from jobs.errors import ManifestError, PlugwaveError, UsageError
from jobs.rollout_states import LIVE_ROLLOUTS
from jobs.rollouts.course import manifest_of
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, kept_plan
from jobs.rollouts.recurring import ScheduleManifest, schedule_of
from jobs.store.protocol import Store
from jobs.store.rollouts import RolloutRow
from jobs.store.steering import SHORTEST_DIGEST
from worker.app import Work
from worker.applying import Begun, Submission, begin, insist_served
from worker.cli.aside import Aside
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import outlook
from worker.cli.following import Followed, Follower, tell_recap
from worker.cli.lazy import PlugwaveCommand
from worker.cli.live import Feed
from worker.cli.plan import changes_of
from worker.cli.plan_views import plan_lines
from worker.cli.planning import STDIN, document_in, given_plan, is_file, plan_now
from worker.cli.printing import document
from worker.cli.rollouts import my_word, someone_works
from worker.cli.schedule_orders import apply_schedule
from worker.cli.session import configure_logs, loaded_settings, quiet_logs, run_async
from worker.cli.terminal import is_terminal
from worker.cli.work import Shift
from worker.outlook import Outlook
from worker.planning import insist_unmoved
from worker.stores import opened_store
from worker.telling.rollouts import rollout_fields

HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    what: str
    changes: dict[str, str]
    yes: bool
    detach: bool
    key: str | None
    reason: str | None


@click.command(cls=PlugwaveCommand)
@click.argument("what", metavar="PLAN|FILE")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="K=V",
    callback=changes_of,
    help="Another value for a field of the manifest; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Start it and leave; workers run it.")
@click.option("--idempotency-key", "key", help="The same key gives the same rollout.")
@click.option("--reason", help="Why; kept in the rollout's record.")
@click.pass_obj
def apply(choices: Choices, /, **asked: Any) -> int:  # noqa: ANN401 - click's values
    """Start a rollout, and follow it to its verdict, which is the exit code.

    FILE is a manifest, which is planned now, or a plan that `plugwave plan --out` wrote; PLAN is
    the digest of one. A plan is refused when the fleet has moved since. When no worker is alive,
    this process is one. Ctrl-C ends the following; the rollout goes on when workers do. A
    manifest with a schedule is kept, and workers run it by the clock.
    """
    return run_async(_apply, choices, Asked(**asked), fast=True)


async def _apply(choices: Choices, asked: Asked) -> int:
    console = Console(choices)
    loaded = loaded_settings(choices)
    written = _written(asked)
    schedule = written if isinstance(written, ScheduleManifest) else None
    if isinstance(written, Manifest):
        schedule = schedule_of(written)
    if schedule is not None:
        if asked.key is not None:
            raise UsageError("a schedule is known by its name", do="leave --idempotency-key out")
        await apply_schedule(choices, schedule, asked.what, asked.reason)
        return 0
    async with outlook(choices) as look:
        plan, again = await _planned(console, look, asked, written)
        if again is None and not plan.acting:
            _tell_nothing(console, plan)
            return 0
        insist_served(plan)
        if again is None:
            _confirm(console, plan, asked)
        now_us = await look.store.now_us()
        submission = Submission(
            plan=plan,
            word=my_word(asked.reason),
            key=asked.key,
            profile=look.settings.cloud.profile,
        )
        begun = await begin(look.store.rollouts, submission, now_us)
        alive = await someone_works(look.store)
    if asked.detach:
        tell_begun(console, begun, alive=alive)
        return 0
    if begun.again:
        console.say(f"{begun.row.name} was started before, {iso(begun.row.created_us)}")
    return await followed(console, loaded, begun.row, alive=alive)


def _written(asked: Asked) -> Manifest | ScheduleManifest | None:
    """Return what the file holds that is named; None for a plan, or when there is no such file."""
    what = asked.what
    if what != STDIN and (not is_file(what) or given_plan(what) is not None):
        return None
    return document_in(what, asked.changes)


async def _planned(
    console: Console, look: Outlook, asked: Asked, written: Manifest | ScheduleManifest | None
) -> tuple[Plan, RolloutRow | None]:
    """Return the plan, made now or still true, and its rollout if that is under way.

    Raises:
        StalePlanError: If the fleet has moved since the plan was made.
    """
    if isinstance(written, Manifest):
        made, _ = await plan_now(look, written, asked.what, console)
        return made, None
    plan = await _given(look.store, asked)
    if asked.changes:
        raise UsageError("--set changes a manifest, not a plan", do="plan the manifest anew")
    live = await look.store.rollouts.rollout(plan.name)
    if live is not None and live.plan == plan.digest and live.state in LIVE_ROLLOUTS:
        return plan, live
    fleet = await _kept_fleet(look.store, plan) if set(asked.what) <= HEX else None
    made, _ = await plan_now(look, manifest_of(plan), asked.what, console, fleet)
    insist_unmoved(plan, made)
    return plan, None


async def _kept_fleet(store: Store, plan: Plan) -> bytes | None:
    """Return the fleet file of the schedule that made the plan; None when there is none."""
    row = await store.schedules.schedule(plan.name)
    return None if row is None or row.fleet is None else row.fleet.encode()


async def _given(store: Store, asked: Asked) -> Plan:
    """Return the plan that was named by its file or digest.

    Raises:
        ManifestError: If there is neither.
    """
    what = asked.what
    found = given_plan(what)
    if found is not None:
        return found
    if len(what) >= SHORTEST_DIGEST and set(what) <= HEX:
        kept = await store.rollouts.plan(what)
        if kept is not None:
            return kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")
    raise ManifestError(f"{what}: there is no such file, and no such plan", do="check the path")


def _tell_nothing(console: Console, plan: Plan) -> None:
    text = f"Nothing to do: none of {plan.included} pools would be changed."
    if console.structured:
        document(console, {"kind": "nothing", "plan": plan.digest, "text": text})
    else:
        console.out(text)


def _confirm(console: Console, plan: Plan, asked: Asked) -> None:
    """Show the plan and ask, unless that was answered on the command line.

    Raises:
        UsageError: If nobody can be asked.
    """
    if asked.yes:
        return
    if not is_terminal(sys.stdin) or console.structured:
        raise UsageError("nobody can be asked here", do="look at the plan, then give --yes")
    for line in plan_lines(plan, console.symbols):
        console.tell(line)
    click.confirm(f"Change {len(plan.acting)} pools?", abort=True, err=True)


def tell_begun(console: Console, begun: Begun, *, alive: bool) -> None:
    """Print what was started, for somebody who does not follow it."""
    row = begun.row
    if console.structured:
        document(console, {**rollout_fields(row), "again": begun.again})
    elif console.choices.output == "name":
        console.out(row.name)
    else:
        word = "was started before" if begun.again else "started"
        console.out(f"{row.name} {word}; follow it: plugwave watch {row.name}")
    if not alive:
        console.say("No worker is alive, so nothing happens yet: plugwave work")


async def followed(console: Console, loaded: Loaded, row: RolloutRow, *, alive: bool) -> int:
    """Follow the rollout, working on it where nobody else does."""
    aside = Aside(console.choices)
    feed = Feed(console.symbols, aside.say, local=True) if console.live else None
    configure_logs(console.choices, loaded, feed=feed, logs=quiet_logs(loaded))
    settings = loaded.settings
    if alive:
        end, now_us = await _follow(aside, settings, row, works=False)
    else:
        console.say("No worker is alive; this process works on it.")
        found = await _worked(aside, settings, row)
        if isinstance(found, int):
            return found
        end, now_us = found
    tell_recap(console, end, now_us)
    return end.code


async def _follow(
    aside: Aside, settings: Settings, row: RolloutRow, *, works: bool
) -> tuple[Followed, int]:
    """Follow it; what others have to say meanwhile stands among the lines about it."""
    async with opened_store(settings.store, read_only=_may_only_read(settings)) as store:
        follower = Follower(Console(aside.choices), store, SystemClock(), row, works=works)
        with aside.heard_by(follower.note):
            followed = await follower.follow()
        return followed, await store.now_us()


def _may_only_read(settings: Settings) -> bool:
    return settings.store.sqlite_path is not None


async def _worked(aside: Aside, settings: Settings, row: RolloutRow) -> tuple[Followed, int] | int:
    """Be the worker until there is a verdict; return the exit code when it was left before."""
    work = Work(settings, slots=None, until_empty=False)
    shift = Shift(aside, work, SystemClock())
    found: list[tuple[Followed, int]] = []

    async def follow() -> None:
        found.append(await _follow(aside, settings, row, works=True))
        work.stop()

    ended = await _beside(follow, shift, settings)
    if ended[1] is not None:
        raise ended[1]
    return found[0] if found else ended[0]


async def _beside(
    follow: Callable[[], Coroutine[Any, Any, None]], shift: Shift, settings: Settings
) -> tuple[int, PlugwaveError | None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, name="follow")
        ended = await shift.run(settings.store)
        tasks.cancel_scope.cancel()
    return ended.exit_code, ended.error
