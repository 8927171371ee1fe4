"""`plugwave rollback`: undo a rollout, by a plan of its own that is shown and asked about."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from config.masking import clean_text
from jobs.clock import SystemClock, iso
from jobs.errors import StalePlanError, StateError, UsageError
from jobs.model import PluginSeen, PoolRead
from jobs.outcomes import Answer
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState
from jobs.rollouts.actions import Action
from jobs.rollouts.course import course_of, manifest_of
from jobs.rollouts.plan import SHORT_DIGEST, Plan, PlanRow
from jobs.rollouts.plan import document as plan_document
from jobs.rollouts.restoring import (
    CONFLICT,
    IMPOSSIBLE,
    LOSSY,
    Key,
    Now,
    Scope,
    Undoing,
    Wanted,
    in_scope,
    undo_plan,
    wave_meant,
)
from jobs.store.rollouts import Deed, RolloutKind, RolloutRow
from worker.applying import Begun
from worker.cli.apply import followed, tell_begun
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import outlook
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.rollouts import my_word, someone_works
from worker.cli.session import loaded_settings, run_async
from worker.cli.terminal import is_terminal
from worker.inquiry import in_order
from worker.outlook import Outlook
from worker.sighting import all_deeds
from worker.telling.rollouts import existing_rollout, wave_number
from worker.undoing import begin_undoing, live_undoing, plan_of

POOLS_SHOWN: Final = 20
"""Pools of one kind that are named; further ones are counted."""

STILL: Final = frozenset({RolloutState.PAUSED, *(set(RolloutState) - LIVE_ROLLOUTS)})
"""States in which nothing of a rollout is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    rollout: str
    scope: str | None
    wave: str | None
    lossy: bool
    conflicts: bool
    digest: str | None
    yes: bool
    detach: bool
    dry_run: bool
    reason: str | None


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    help="Which pools; what the manifest says without it, failed if that says nothing.",
)
@click.option("--wave", help="With --scope wave: its name or number; the last one without it.")
@click.option("--lossy", is_flag=True, help="Also pools whose inputs were not readable.")
@click.option(
    "--include-conflicts",
    "conflicts",
    is_flag=True,
    help="Also pools that somebody has changed since; their changes are lost.",
)
@click.option("--plan", "digest", help="Only if the plan is this one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the plan and leave.")
@click.option("--detach", is_flag=True, help="Start it and leave; workers run it.")
@click.option("--reason", help="Why; kept in the record.")
@click.pass_obj
def rollback(choices: Choices, /, **asked: Any) -> int:  # noqa: ANN401 - click's values
    """Undo a rollout: give its pools back the version and inputs that they had.

    Without --scope only pools on which it failed; healthy ones stay as they are. A rollout that
    is paused is aborted by it. Pools that somebody has changed since are left alone.
    """
    return run_async(_rollback, choices, Asked(**asked), fast=True)


async def _rollback(choices: Choices, asked: Asked) -> int:
    console = Console(choices)
    loaded = loaded_settings(choices)
    async with outlook(choices) as look:
        store = look.store.rollouts
        row = await existing_rollout(store, asked.rollout)
        live = await live_undoing(store, row)
        if live is None:
            _insist_still(row)
            made = await _planned(look, row, asked)
            if asked.dry_run or not made.acting:
                _show(console, row, made)
                return 0
            _confirm(console, row, made, asked)
            now_us = await look.store.now_us()
            begun = await begin_undoing(store, row, made, my_word(asked.reason), now_us)
        else:
            begun = Begun(row=live, again=True)
        alive = await someone_works(look.store)
    if asked.detach:
        tell_begun(console, begun, alive=alive)
        return 0
    if begun.again:
        console.say(f"{begun.row.name} was started before, {iso(begun.row.created_us)}")
    return await followed(console, loaded, begun.row, alive=alive)


def _insist_still(row: RolloutRow) -> None:
    """Refuse to undo what is under way: nobody could say what there is to be undone.

    Raises:
        StateError: If jobs of it may be in flight.
        UsageError: If it is an undoing itself.
    """
    if row.kind is RolloutKind.ROLLBACK:
        raise UsageError(f"{row.name} undoes a rollout itself", do="apply the plan of that anew")
    if row.state not in STILL:
        raise StateError(
            f"{row.name} is {row.state}: its jobs are under way",
            do=f"hold it first: plugwave pause {row.name}",
        )


async def _planned(look: Outlook, row: RolloutRow, asked: Asked) -> Plan:
    """Return the plan of the undoing, for the pools as they are now.

    Raises:
        StalePlanError: If another one was asked for.
    """
    store = look.store.rollouts
    plan = await plan_of(store, row)
    wanted = _wanted(plan, row, asked)
    deeds = [deed async for deed in all_deeds(store, row.id)]
    meant = [deed for deed in deeds if in_scope(deed, wanted)]
    now = await _look(look, plan.plugin, meant)
    undoing = Undoing(row=row, plan=plan, deeds=deeds, now=now)
    made = undo_plan(undoing, wanted, SystemClock().now_us(), look.settings.cloud.rate_per_s)
    if asked.digest is not None and not made.digest.startswith(asked.digest):
        raise StalePlanError(
            f"the plan is {made.digest[:SHORT_DIGEST]} now, not {asked.digest}",
            do=f"look at it: plugwave rollback {row.name} --dry-run",
        )
    return made


def _wanted(plan: Plan, row: RolloutRow, asked: Asked) -> Wanted:
    written = manifest_of(plan).spec.rollback
    scope = Scope(asked.scope or (Scope.WAVE if asked.wave is not None else written.scope))
    if asked.wave is not None and scope is not Scope.WAVE:
        raise UsageError("--wave goes with --scope wave")
    wave = wave_meant(row) if asked.wave is None else wave_number(course_of(plan), asked.wave)
    return Wanted(
        scope=scope,
        wave=wave,
        lossy=asked.lossy,
        conflicts=asked.conflicts,
        newest_first=written.order == "newest-first",
    )


async def _look(look: Outlook, plugin: str, deeds: Sequence[Deed]) -> Mapping[Key, Now]:
    async def one(deed: Deed) -> Now:
        read = await look.cloud.plugins(deed.target)
        if not isinstance(read, PoolRead):
            return Now(trouble=_why(read, "its plug-ins could not be read"))
        offers = await look.cloud.offers(deed.target, plugin)
        if isinstance(offers, Answer):
            return Now(trouble=_why(offers, "the versions on offer could not be read"))
        seen: PluginSeen | None = read.plugins.get(plugin)
        versions = {
            version.version
            for template in offers
            if template.name == plugin
            for version in template.versions
        }
        return Now(plugin=seen, versions=versions)

    found = await in_order(deeds, one)
    return {deed.target.pool: now for deed, now in zip(deeds, found, strict=True)}


def _why(answer: Answer, what: str) -> str:
    return f"{what}: {answer.message}" if answer.message else what


def _confirm(console: Console, row: RolloutRow, made: Plan, asked: Asked) -> None:
    """Show the plan and ask, unless that was answered on the command line.

    Raises:
        UsageError: If nobody can be asked.
    """
    if asked.yes:
        return
    if not is_terminal(sys.stdin) or console.structured:
        raise UsageError(
            "nobody can be asked here",
            do=f"look at it with plugwave rollback {row.name} --dry-run, then give --yes",
        )
    for line in undo_lines(row, made):
        console.tell(line)
    click.confirm(f"Change {len(made.acting)} pools back?", abort=True, err=True)


def _show(console: Console, row: RolloutRow, made: Plan) -> None:
    if console.structured:
        document(console, plan_document(made))
    elif console.choices.output == "name":
        console.out(made.digest)
    else:
        for line in undo_lines(row, made):
            console.out(line)


def undo_lines(row: RolloutRow, made: Plan) -> list[str]:
    """Return the plan of an undoing as a person reads it."""
    acting = made.acting
    plan, size = made.digest[:SHORT_DIGEST], len(made.rows)
    head = f"Plan {plan} undoes {row.name}: {len(acting)} of {size} pools get back what they had"
    lines = [head]
    for (before, after), rows in _changes(acting).items():
        lines.append(f"  {before or 'none'} -> {after}   {len(rows)} pools, with their inputs")
    anyhow = [one for one in acting if one.anyhow]
    lines += _named("changed by somebody else since, and taken all the same", anyhow)
    left = [one for one in made.rows if one.action is Action.BLOCKED]
    for kind in (CONFLICT, LOSSY, IMPOSSIBLE):
        some = [one for one in left if (one.why or "").startswith(kind)]
        lines += _named(f"{kind.removesuffix(': ')}, left alone", some)
    lines += _named("as before already", made.of(Action.NO_OP))
    lines += _named("unknown, left alone", made.of(Action.UNKNOWN))
    waves = " - ".join(f"{wave.name} {wave.pools}" for wave in made.waves if wave.pools)
    if acting:
        lines.append(f"  Waves: {waves}; at most {made.most_broken} can break before a rule acts")
        if row.finished_us is None:
            lines.append(f"  {row.name} is aborted by it: what has not started never does")
    else:
        lines.append("  Nothing to do.")
    return lines


def _changes(rows: Sequence[PlanRow]) -> dict[tuple[str | None, str | None], list[PlanRow]]:
    found: dict[tuple[str | None, str | None], list[PlanRow]] = {}
    for row in rows:
        found.setdefault((row.version_from, row.version_to), []).append(row)
    return found


def _named(what: str, rows: Sequence[PlanRow]) -> list[str]:
    if not rows:
        return []
    lines = [f"  {what}: {len(rows)}"]
    for row in rows[:POOLS_SHOWN]:
        why = "" if row.why is None else f"   {clean_text(row.why, 200)}"
        lines.append(f"    {row.pool_name}{why}")
    if len(rows) > POOLS_SHOWN:
        lines.append(f"    and {len(rows) - POOLS_SHOWN} more")
    return lines
