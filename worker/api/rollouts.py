"""Look at rollouts, and order them: pause, resume, abort, approve, each harmless when repeated."""

from typing import Annotated, Any, Final

import anyio
from pydantic import Field

from jobs.clock import iso
from jobs.refusals import BodyValueError
from jobs.requests import Closed, Problem
from jobs.rollouts.gates import insist_useful
from jobs.rollouts.verdicts import verdict_of
from jobs.store.rollouts import Order, OrderKind, RolloutRow, Word
from worker.api.bodies import ListQuery, ReasonBody, WaitQuery, body_of, unacceptable
from worker.api.calls import Asked, Handler, Reply
from worker.api.changing import noted
from worker.api.rooms import Rooms
from worker.api.waiting import waiter
from worker.sighting import RolloutReader
from worker.telling.rollouts import (
    existing_rollout,
    hold_fields,
    holds_of,
    rollout_fields,
    waiting_wave,
    wave_number,
)

Wave = Annotated[str, Field(min_length=1, max_length=128)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{6,64}$")]


class ApproveBody(Closed):
    """What is approved."""

    wave: Wave | None = None
    """Name or number of the wave, counting from 1; the one that waits without it."""

    plan: Digest | None = None
    """Only if the rollout runs this plan; at least 6 characters of its digest."""

    reason: Annotated[str, Field(max_length=500)] | None = None
    """Kept in the record."""


async def list_rollouts(rooms: Rooms, asked: Asked) -> Reply:
    """List rollouts, newest first."""
    query: ListQuery = asked.query
    rows = await rooms.store.rollouts.rollouts(limit=query.limit)
    return Reply(body={"kind": "rollouts", "rollouts": [rollout_fields(row) for row in rows]})


async def _row(rooms: Rooms, asked: Asked) -> RolloutRow:
    return await existing_rollout(rooms.store.rollouts, asked.path["rollout"])


async def _held(rooms: Rooms, row: RolloutRow) -> Reply:
    holds = [hold_fields(hold) for hold in await holds_of(rooms.store, row)]
    return Reply(body={**rollout_fields(row), "holds": holds})


async def show_rollout(rooms: Rooms, asked: Asked) -> Reply:
    """Show a rollout, its waves, and what holds it."""
    return await _held(rooms, await _row(rooms, asked))


async def wait_for_rollout(rooms: Rooms, asked: Asked) -> Reply:
    """Answer when the rollout has a verdict, or when the time is over."""
    query: WaitQuery = asked.query
    with waiter(rooms):
        with anyio.move_on_after(query.timeout):
            while True:
                mark = rooms.tide.mark()
                row = await _row(rooms, asked)
                if verdict_of(row) is not None or rooms.standing.draining:
                    break
                await rooms.tide.after(mark)
        return await _held(rooms, await _row(rooms, asked))


def _word(asked: Asked, reason: str | None) -> Word:
    return Word(by=asked.caller.by, why=reason, where=asked.caller.where)


async def _order(rooms: Rooms, asked: Asked, order: Order) -> Reply:
    answer = await rooms.store.rollouts.order(order)
    noted(asked, order.kind.value, answer.row.name, order.word.why)
    already: dict[str, Any] | None = None
    if answer.already is not None:
        already = {"by": answer.already.by, "at": iso(answer.already_us)}
    body = {**rollout_fields(answer.row), "order": order.kind.value, "already": already}
    return Reply(body=body)


def _steering(kind: OrderKind) -> Handler:
    async def steer(rooms: Rooms, asked: Asked) -> Reply:
        body = body_of(ReasonBody, asked.body)
        row = await _row(rooms, asked)
        order = Order(rollout=row.id, kind=kind, word=_word(asked, body.reason))
        return await _order(rooms, asked, order)

    return steer


pause_rollout: Final = _steering(OrderKind.PAUSE)
resume_rollout: Final = _steering(OrderKind.RESUME)
abort_rollout: Final = _steering(OrderKind.ABORT)


async def approve_rollout(rooms: Rooms, asked: Asked) -> Reply:
    """Approve a wave, bound to the plan."""
    body = body_of(ApproveBody, asked.body)
    row = await _row(rooms, asked)
    course = await RolloutReader(rooms.store, rooms.clock).course(row)
    if body.wave is None:
        number = waiting_wave(course, row)
        if number is None:
            raise _no_wave(row)
    else:
        number = wave_number(course, body.wave)
    word = _word(asked, body.reason)
    groups = rooms.settings.approvals.of(word.by)
    insist_useful(row, course.waves[number], word.by, groups)
    order = Order(
        rollout=row.id,
        kind=OrderKind.APPROVE,
        word=word,
        wave=number,
        digest=body.plan or row.plan,
        groups=groups,
    )
    return await _order(rooms, asked, order)


def _no_wave(row: RolloutRow) -> BodyValueError:
    message = f"no wave of {row.name} waits for an approval"
    return unacceptable([Problem(path="wave", message=message, suggestion="name the wave")])
