"""Plans over HTTP: made from a manifest, kept by their digest, and begun as rollouts.

Making one asks the cloud and changes nothing there.  A plan is begun only while the fleet is as
it was planned for, so beginning one looks again.
"""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from jobs.clock import MICROSECONDS, iso
from jobs.errors import NothingMatchedError
from jobs.refusals import BodyValueError
from jobs.requests import Closed, Problem
from jobs.rollout_states import LIVE_ROLLOUTS
from jobs.rollouts.course import manifest_of
from jobs.rollouts.plan import Plan, kept_plan, plan_body
from jobs.rollouts.reading import read_manifest
from jobs.store.rollouts import StoredPlan, Word
from jobs.store.steering import SHORTEST_DIGEST
from worker.api.bodies import body_of, unacceptable
from worker.api.calls import Asked, Reply
from worker.api.changing import noted
from worker.api.keys import REPLAYED
from worker.api.rooms import Rooms
from worker.applying import Begun, Submission, begin, insist_served
from worker.planning import insist_unmoved, plan_of
from worker.telling.plans import plan_fields
from worker.telling.rollouts import rollout_fields

HEX: Final = frozenset("0123456789abcdef")


class ManifestBody(BaseModel):
    """A rollout manifest, as `plugwave schema rollout` describes it; YAML or JSON."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(pattern="^Rollout$")]


class StartBody(Closed):
    """Which plan is begun."""

    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{6,64}$")]
    """The plan's digest, at least 6 characters of it."""

    reason: Annotated[str, Field(max_length=500)] | None = None
    """Kept in the record."""


async def make_plan(rooms: Rooms, asked: Asked) -> Reply:
    """Plan a manifest for the fleet as it is now, and keep the plan."""
    manifest, now_us = read_manifest(asked.body, "the body"), rooms.clock.wall_us()
    if manifest.spec.targets.file is not None:
        raise _refused("spec.targets.file", "a manifest that comes over HTTP has no fleet file")
    if any(freeze.ics is not None for freeze in manifest.spec.freezes):
        raise _refused("spec.freezes", "a manifest that comes over HTTP has no calendar file")
    if manifest.spec.schedule is not None:
        raise _refused("spec.schedule", "a plan runs once; a schedule is kept by plugwave apply")
    async with rooms.contact() as cloud:
        plan, sight = await plan_of(manifest, None, rooms.settings, cloud, now_us)
    made_us = round(datetime.fromisoformat(plan.made_at).timestamp() * MICROSECONDS)
    kept = StoredPlan(digest=plan.digest, name=plan.name, body=plan_body(plan), made_us=made_us)
    await rooms.store.rollouts.keep_plan(kept)
    noted(asked, "plan", plan.name)
    headers = {"Location": f"/api/v1/plans/{plan.digest}"}
    return Reply(status=201, body=_fields(plan, complete=sight.complete), headers=headers)


def _fields(plan: Plan, *, complete: bool | None = None) -> dict[str, Any]:
    return {**plan_fields(plan), "complete": complete}


async def show_plan(rooms: Rooms, asked: Asked) -> Reply:
    """Show a plan that was kept."""
    return Reply(body=_fields(await _kept(rooms, asked.path["plan"])))


async def _kept(rooms: Rooms, digest: str) -> Plan:
    kept = None
    if len(digest) >= SHORTEST_DIGEST and set(digest) <= HEX:
        kept = await rooms.store.rollouts.plan(digest)
    if kept is None:
        raise NothingMatchedError("there is no such plan", do="make one: POST /api/v1/plans")
    return kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")


async def start_rollout(rooms: Rooms, asked: Asked) -> Reply:
    """Begin a plan, unless the fleet has moved since; repeatable by its key."""
    body = body_of(StartBody, asked.body)
    source = asked.caller.source
    with rooms.flights.flight(source, "rollout", asked.key):
        plan = await _kept(rooms, body.plan)
        await _insist_true(rooms, plan)
        submission = Submission(
            plan=plan,
            word=Word(by=asked.caller.by, why=body.reason, where=asked.caller.where),
            key=None if asked.key is None else f"{source} {asked.key}",
            profile=rooms.settings.cloud.profile,
        )
        begun = await begin(rooms.store.rollouts, submission, await rooms.store.now_us())
    noted(asked, "start", begun.row.name, body.reason)
    return _begun(begun)


async def _insist_true(rooms: Rooms, plan: Plan) -> None:
    """Refuse a plan that would change nothing, or is not true any more."""
    live = await rooms.store.rollouts.rollout(plan.name)
    if live is not None and live.plan == plan.digest and live.state in LIVE_ROLLOUTS:
        return  # it is under way
    if not plan.acting:
        raise _refused("plan", f"none of {plan.included} pools would be changed")
    insist_served(plan)
    async with rooms.contact() as cloud:
        now_us = rooms.clock.wall_us()
        made, _ = await plan_of(manifest_of(plan), None, rooms.settings, cloud, now_us)
    insist_unmoved(plan, made)


def _begun(begun: Begun) -> Reply:
    name = begun.row.name
    headers = {"Location": f"/api/v1/rollouts/{name}"}
    if begun.again:
        headers[REPLAYED] = "true"
    body = {**rollout_fields(begun.row), "again": begun.again}
    return Reply(status=202, body=body, headers=headers)


def _refused(path: str, message: str) -> BodyValueError:
    return unacceptable([Problem(path=path, message=message)])
