"""`plugwave status` and `watch`: where rollouts are, and the verdict of one."""

from collections.abc import Sequence
from typing import Final

import click

from config.masking import clean_text, mask_text
from jobs.clock import MICROSECONDS, SystemClock
from jobs.rollouts.course import Course
from jobs.rollouts.gates import Hold, glass_text, line_hold
from jobs.rollouts.joining import member_words
from jobs.rollouts.sight import turn
from jobs.rollouts.verdicts import done_of, stopped_by
from jobs.store.rollouts import RolloutRow
from worker.cli.arguments import DurationType
from worker.cli.choices import Choices
from worker.cli.console import Console, age
from worker.cli.following import Follower, line_fields, tell_recap
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, document, no_names
from worker.cli.schedules import schedule_document, schedule_lines, schedules_of
from worker.cli.session import reading, run_async
from worker.sighting import RolloutReader
from worker.telling.rollouts import existing_rollout, hold_fields, holds_of, rollout_fields
from worker.telling.workers import queue_fields

SHOWN: Final = 20
MOST: Final = 1000
TEXT: Final = 300


@click.command(cls=PlugwaveCommand)
@click.argument("rollout", required=False)
@click.option("--all", "everything", is_flag=True, help="Also those that ended long ago.")
@click.pass_obj
def status(choices: Choices, rollout: str | None, everything: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """Show rollouts, the queue and the workers; with ROLLOUT its waves."""
    if rollout is None:
        run_async(_all, choices, MOST if everything else SHOWN)
    else:
        run_async(_one, choices, rollout)


async def _all(choices: Choices, limit: int) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        rows = await store.rollouts.rollouts(limit=limit)
        queue = await queue_fields(store)
        schedules = await schedules_of(store)
        now_us = await store.now_us()
        line = await store.rollouts.line()
    if choices.output == "name":
        for row in rows:
            console.out(row.name)
    elif console.structured:
        told = {
            "rollouts": [rollout_fields(row) for row in rows],
            "queue": queue,
            "schedules": [schedule_document(*one) for one in schedules],
            "line_stop": line_fields(line),
        }
        document(console, told)
    else:
        if line.stopped:
            console.out(f"NOTHING STARTS: {line_hold(line).text}")
        _table(console, rows, now_us)
        console.out(
            f"Queue: {queue['queued']} queued, {queue['running']} running; "
            f"{queue['workers_alive']} workers alive"
        )
        for text in schedule_lines(schedules, now_us):
            console.out(text)


def _table(console: Console, rows: Sequence[RolloutRow], now_us: int) -> None:
    table = Table(
        console,
        [
            Column(title="ROLLOUT", width=40),
            Column(title="STATE"),
            Column(title="WAVE"),
            Column(title="DONE", right=True),
            Column(title="FAILED", right=True),
            Column(title="STARTED"),
        ],
    )
    for row in rows:
        ended, size, failed = done_of(row)
        first = turn(row)
        over = row.finished_us is not None or first is None
        wave = "-" if over or first is None else f"{first.n + 1}/{len(row.waves)}"
        stopped = " (by a rule)" if stopped_by(row) and row.finished_us is None else ""
        started = f"{age(row.created_us, now_us)} ago"
        table.row(
            [row.name, f"{row.state}{stopped}", wave, f"{ended}/{size}", str(failed), started]
        )
    table.close()


async def _one(choices: Choices, name: str) -> None:
    console = Console(choices)
    no_names(console)
    async with reading(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        holds = await holds_of(store, row)
        course = await RolloutReader(store, SystemClock()).course(row)
    if console.structured:
        told = {"holds": [hold_fields(hold) for hold in holds]}
        document(console, {**rollout_fields(row), **told})
        return
    ended, size, failed = done_of(row)
    console.out(f"{row.name}   {row.state}   {ended}/{size} ended, {failed} failed")
    table = Table(
        console,
        [
            Column(title="WAVE", width=40),
            Column(title="STATE"),
            Column(title="DONE", right=True),
            Column(title="OK", right=True),
            Column(title="FAILED", right=True),
            Column(title="IN FLIGHT", right=True),
        ],
    )
    for wave, known in zip(row.waves, course.waves, strict=True):
        tally = wave.tally
        good, bad = tally.succeeded + tally.unchanged, tally.failed + tally.unresolved
        texts = [known.name, wave.state.value, f"{tally.ended}/{tally.size}", str(good), str(bad)]
        table.row([*texts, str(tally.admitted - tally.ended)])
    table.close()
    came = [f"  {clean_text(words, TEXT)}" for words in member_words(row)]
    for line in (*why_lines(row, holds, console), *approval_lines(row, course, console), *came):
        console.out(line)


def approval_lines(row: RolloutRow, course: Course, console: Console) -> list[str]:
    """Return who has approved which wave, when, why, and what there was to see."""
    lines = []
    for wave, known in zip(row.waves, course.waves, strict=True):
        for one in wave.approvals:
            groups = f" ({', '.join(one.groups)})" if one.groups else ""
            seen = one.seen
            counts = f", seeing {seen['ended']}/{seen['jobs']} ended, {seen['failed']} failed"
            why = f": {one.word.why}" if one.word.why else ""
            text = f"wave {known.name} approved by {one.word.by}{groups} at "
            text += f"{console.moment(one.at_us)}{counts if seen else ''}{why}"
            lines.append(f"  {clean_text(mask_text(text), TEXT)}")
    return lines


def why_lines(row: RolloutRow, holds: Sequence[Hold], console: Console) -> list[str]:
    """Return why the rollout is where it is, everything that holds it, and the earliest time."""
    told = []
    stop = stopped_by(row)
    if stop is not None:
        told.append(stop)
    elif row.asked is not None and row.asked_kind is not None and row.finished_us is None:
        why = f": {row.asked.why}" if row.asked.why else ""
        when = console.moment(row.asked_us)
        told.append(f"the last order was {row.asked_kind}, by {row.asked.by} at {when}{why}")
    glass = glass_text(row.facts)
    if glass is not None and row.finished_us is None:
        told.append(glass)
    told += [hold.text for hold in holds]
    ends = [hold.until_us for hold in holds if hold.until_us is not None]
    lines = [f"  {n}. {clean_text(text, TEXT)}" for n, text in enumerate(told, start=1)]
    if holds and len(ends) == len(holds):
        lines.append(f"  Earliest: {console.moment(max(ends) // MICROSECONDS * MICROSECONDS)}")
    return lines


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@click.option("--timeout", type=DurationType(), help="Leave with 8 after this long.")
@click.pass_obj
def watch(choices: Choices, rollout: str, timeout: float | None) -> int:
    """Follow a rollout to its verdict, which is the exit code.

    0 succeeded, 3 partial, 5 stopped by a rule or aborted, 8 the time was over.
    """
    return run_async(_watch, choices, rollout, timeout)


async def _watch(choices: Choices, name: str, timeout_s: float | None) -> int:
    console = Console(choices)
    no_names(console)
    async with reading(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        followed = await Follower(console, store, SystemClock(), row).follow(timeout_s)
        now_us = await store.now_us()
    tell_recap(console, followed, now_us)
    return followed.code
