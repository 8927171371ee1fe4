"""`plugwave pause`, `resume`, `abort` and `approve`: a person's word about a rollout.

Each is harmless when repeated: the second answer says who said it first, and when.
"""

from typing import Any

import click

from jobs.clock import SystemClock, iso
from jobs.errors import UsageError
from jobs.store.protocol import Store
from jobs.store.rollouts import Order, Ordered, OrderKind, RolloutRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.following import line_fields
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.rollouts import my_word
from worker.cli.session import run_async, writing
from worker.sighting import RolloutReader
from worker.telling.rollouts import existing_rollout, rollout_fields, waiting_wave, wave_number

_DONE = {
    OrderKind.PAUSE: "paused",
    OrderKind.RESUME: "resumed",
    OrderKind.ABORT: "aborted",
    OrderKind.APPROVE: "approved",
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
@click.pass_obj
def resume(choices: Choices, rollout: str | None, everything: bool, reason: str | None) -> None:  # noqa: FBT001 - click hands over flags by name
    """Let a paused rollout go on; failures so far are accepted, its rules count anew.

    With --all the line goes on; rollouts that were paused by themselves stay so.
    """
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
    """Approve a wave of a rollout, bound to its plan."""
    run_async(_order, choices, rollout, OrderKind.APPROVE, reason, wave, digest)


async def _order(
    choices: Choices,
    name: str,
    kind: OrderKind,
    reason: str | None,
    wave: str | None = None,
    digest: str | None = None,
) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        row = await existing_rollout(store.rollouts, name)
        number, place = None, ""
        if kind is OrderKind.APPROVE:
            number, place = await _wave(store, row, wave)
            digest = digest or row.plan
        order = Order(rollout=row.id, kind=kind, word=my_word(reason), wave=number, digest=digest)
        answer = await store.rollouts.order(order)
    _tell(console, kind, place, answer)


async def _wave(store: Store, row: RolloutRow, wanted: str | None) -> tuple[int, str]:
    """Return number and name of the wave that is approved.

    Raises:
        UsageError: If none is named and none waits for an approval.
    """
    course = await RolloutReader(store, SystemClock()).course(row)
    number = waiting_wave(course, row) if wanted is None else wave_number(course, wanted)
    if number is None:
        raise UsageError(f"no wave of {row.name} waits for an approval", do="name it with --wave")
    return number, f"wave {course.waves[number].name} of "


def _tell(console: Console, kind: OrderKind, place: str, answer: Ordered) -> None:
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
    console.out(f"{place}{row.name}: {done}; it is {row.state} now")
