"""`plugwave pause`, `resume`, `abort` and `approve`: a person's word about a rollout.

Each is harmless when repeated: the second answer says who said it first, and when.
"""

from dataclasses import replace
from typing import Any

import click

from jobs.clock import SystemClock, iso
from jobs.errors import UsageError
from jobs.rollout_states import RolloutState
from jobs.rollouts.gates import SUBMITTER, insist_useful, pending
from jobs.store.rollouts import GLASS, Order, Ordered, OrderKind
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.following import line_fields
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.rollouts import my_word
from worker.cli.session import loaded_settings, run_async, writing
from worker.sighting import RolloutReader
from worker.telling.rollouts import existing_rollout, rollout_fields, waiting_wave, wave_number

_DONE = {
    OrderKind.PAUSE: "paused",
    OrderKind.RESUME: "resumed",
    OrderKind.ABORT: "aborted",
    OrderKind.APPROVE: "approved",
    OrderKind.BREAK_GLASS: "freed from windows and freezes",
}


def _reason(command: Any) -> Any:  # noqa: ANN401 - click's own decorator
    return click.option("--reason", help="Why; kept in the rollout's record.")(command)


def _everything(command: Any) -> Any:  # noqa: ANN401 - click's own decorator
    text = "The whole line: every rollout, and every job of none."
    command = click.option("--all", "everything", is_flag=True, help=text)(command)
    return click.argument("rollout", required=False)(command)


@click.command(cls=PlugwaveCommand)
@_everything
@_reason
@click.pass_obj
def pause(choices: Choices, rollout: str | None, everything: bool, reason: str | None) -> None:  # noqa: FBT001 - click hands over flags by name
    """Let a rollout, or everything, start nothing more; what is in flight ends."""
    _one_or_all(choices, rollout, OrderKind.PAUSE, reason, everything=everything)


@click.command(cls=PlugwaveCommand)
@_everything
@_reason
@click.option("--break-glass", is_flag=True, help="Windows and freezes hold it no longer.")
@click.pass_obj
def resume(
    choices: Choices,
    rollout: str | None,
    everything: bool,  # noqa: FBT001 - click hands over flags by name
    reason: str | None,
    break_glass: bool,  # noqa: FBT001 - likewise
) -> None:
    """Let a paused rollout go on; failures so far are accepted, its rules count anew.

    With --all the line goes on; rollouts that were paused by themselves stay so. --break-glass is
    for emergencies: with a --reason, on the record, and told as an error by the worker that acts
    on it. Approvals, moments, bakes and stop rules hold as before.
    """
    if break_glass:
        if rollout is None or everything or reason is None:
            raise UsageError(
                "--break-glass needs a rollout and a reason", do="give --reason 'INC-4711 ...'"
            )
        run_async(_break_glass, choices, rollout, reason)
        return
    _one_or_all(choices, rollout, OrderKind.RESUME, reason, everything=everything)


def _one_or_all(
    choices: Choices, rollout: str | None, kind: OrderKind, reason: str | None, *, everything: bool
) -> None:
    if (rollout is None) is not everything:
        raise UsageError("name a rollout or give --all, one of both")
    if rollout is None:
        run_async(_order_line, choices, kind is OrderKind.PAUSE, reason)
    else:
        run_async(_order, choices, rollout, kind, reason)


async def _order_line(choices: Choices, stopped: bool, reason: str | None) -> None:  # noqa: FBT001 - run_async hands over by place
    console = Console(choices)
    async with writing(choices) as store:
        answer = await store.rollouts.order_line(my_word(reason), stopped=stopped)
    if console.structured:
        document(console, {"line_stop": line_fields(answer.line), "already": answer.already})
        return
    if console.choices.output == "name":
        console.out("line")
        return
    line, done = answer.line, "stopped" if stopped else "going on"
    if not answer.already:
        text = "stopped; nothing starts any more, what is in flight ends" if stopped else done
        console.out(f"the line is {text}")
        return
    by = "" if line.word is None else f" since {console.moment(line.at_us)}, by {line.word.by}"
    console.out(f"the line is already {done}{by}")


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@_reason
@click.pass_obj
def abort(choices: Choices, rollout: str, reason: str | None) -> None:
    """End a rollout: what has not started never does, what is in flight ends."""
    run_async(_order, choices, rollout, OrderKind.ABORT, reason)


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@click.option("--wave", help="Name or number of the wave; the one that waits without it.")
@click.option("--plan", "digest", help="Only if the rollout runs this plan.")
@_reason
@click.pass_obj
def approve(
    choices: Choices, rollout: str, wave: str | None, digest: str | None, reason: str | None
) -> None:
    """Approve a wave of a rollout, bound to its plan.

    Each person counts once; where a gate asks for a group, the settings say who is in it
    ([approvals.groups]).
    """
    run_async(_approve, choices, rollout, wave, digest, reason)


async def _order(choices: Choices, name: str, kind: OrderKind, reason: str | None) -> None:
    async with writing(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        answer = await store.rollouts.order(Order(rollout=row.id, kind=kind, word=my_word(reason)))
    _tell(Console(choices), kind, "", answer)


async def _break_glass(choices: Choices, name: str, reason: str) -> None:
    persons = loaded_settings(choices).settings.approvals.break_glass_persons
    async with writing(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        order = Order(
            rollout=row.id, kind=OrderKind.BREAK_GLASS, word=my_word(reason), persons=persons
        )
        answer = await store.rollouts.order(order)
        broken = answer.row.facts[GLASS]
        missing = max(0, broken["needs"] - len(broken["words"]))
        if not missing and answer.row.state in {RolloutState.PAUSING, RolloutState.PAUSED}:
            again = Order(rollout=row.id, kind=OrderKind.RESUME, word=order.word)
            answer = replace(answer, row=(await store.rollouts.order(again)).row)
    _tell(Console(choices), order.kind, "", answer, missing)


async def _approve(
    choices: Choices, name: str, wanted: str | None, digest: str | None, reason: str | None
) -> None:
    """Approve a wave, with the groups that the settings know of whoever runs this.

    Raises:
        UsageError: If no wave is named and none waits for an approval.
        ApprovalRefusedError: If the approval would count for nothing.
    """
    word = my_word(reason)
    groups = loaded_settings(choices).settings.approvals.of(word.by)
    async with writing(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        course = await RolloutReader(store, SystemClock()).course(row)
        number = waiting_wave(course, row) if wanted is None else wave_number(course, wanted)
        if number is None:
            raise UsageError(
                f"no wave of {row.name} waits for an approval", do="name it with --wave"
            )
        wave = course.waves[number]
        insist_useful(row, wave, word.by, groups)
        order = Order(
            rollout=row.id,
            kind=OrderKind.APPROVE,
            word=word,
            wave=number,
            digest=digest or row.plan,
            groups=groups,
        )
        answer = await store.rollouts.order(order)
    missing = pending(wave, answer.row.waves[number], row.facts.get(SUBMITTER))
    more = sum(persons for _, persons in missing)
    _tell(Console(choices), OrderKind.APPROVE, f"wave {wave.name} of ", answer, more)


def _tell(console: Console, kind: OrderKind, place: str, answer: Ordered, missing: int = 0) -> None:
    row, done = answer.row, _DONE[kind]
    if console.structured:
        already = None
        if answer.already is not None:
            already = {"by": answer.already.by, "at": iso(answer.already_us)}
        document(console, {**rollout_fields(row), "order": kind.value, "already": already})
        return
    if console.choices.output == "name":
        console.out(row.name)
        return
    if answer.already is not None:
        when = console.moment(answer.already_us)
        console.out(f"{place}{row.name}: already {done} by {answer.already.by} at {when}")
        return
    more = f", {missing} more needed" if missing else ""
    console.out(f"{place}{row.name}: {done}{more}; it is {row.state} now")
