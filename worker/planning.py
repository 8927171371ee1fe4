"""Make a plan: which projects to look into, what is there, what a manifest means for it.

For everybody who plans, a person's command or a schedule's tick, so that both see the same.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from config.masking import masked_inputs
from config.settings import Settings
from jobs.errors import StalePlanError
from jobs.rollouts.fleetfile import FleetRow
from jobs.rollouts.icsfile import IcsFile
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.moved import moved
from jobs.rollouts.plan import SHORT_DIGEST, Plan
from jobs.rollouts.planning import Terms, make_plan
from worker.discovery import Discovery, Place
from worker.observing import Sight, observe, places_of_rows
from worker.places import insist, places_in, region_in

NO_CALENDARS: Final[Mapping[str, IcsFile]] = MappingProxyType({})


async def plan_of(
    manifest: Manifest,
    listed: Sequence[FleetRow] | None,
    settings: Settings,
    cloud: Discovery,
    now_us: int,
    *,
    calendars: Mapping[str, IcsFile] = NO_CALENDARS,
) -> tuple[Plan, Sight]:
    """Return the plan of *manifest* for the fleet as it is now, and what was seen of that.

    Args:
        manifest: What is wanted.
        listed: The pools of its fleet file; None without one.
        settings: Say where to look when nothing else does, and how fast.
        cloud: Who is asked.
        now_us: When the plan is made.
        calendars: What its calendar files say, by the name of their freeze.

    Raises:
        PlugwaveError: If nothing of the fleet could be read, or no plan can be made of it.
    """
    places = await _places(manifest, listed, settings, cloud)
    sight = await observe(cloud, manifest, places, listed)
    insist(sight.fleet)
    terms = Terms(
        now_us=now_us,
        mask=masked_inputs,
        rate=settings.cloud.rate_per_s,
        calendars=calendars,
        places=[(place.project_id, place.region) for place in places],
    )
    return make_plan(manifest, sight.pools, terms), sight


def insist_unmoved(plan: Plan, made: Plan) -> None:
    """Refuse a plan when the fleet has moved since it was made; *made* is the plan of now.

    Raises:
        StalePlanError: If so.
    """
    if made.digest == plan.digest:
        return
    found = moved(plan, made)
    raise StalePlanError(
        f"the fleet changed since plan {plan.digest[:SHORT_DIGEST]} was made ({plan.made_at})",
        why="; ".join(found),
        moved=found,
    )


async def _places(
    manifest: Manifest, listed: Sequence[FleetRow] | None, settings: Settings, cloud: Discovery
) -> tuple[Place, ...]:
    """Return the projects that the targets can mean; all that IAM knows where nothing narrows."""
    if listed is not None:
        return places_of_rows(listed, region_in(settings, None))
    include = manifest.spec.targets.include
    regions = sorted({region for one in include for region in one.regions or ()})
    projects = sorted({project for one in include for project in one.projects or ()})
    if not include or any(one.regions is None for one in include):
        regions = []
    if not include or any(one.projects is None for one in include):
        projects = []
    if len(regions) <= 1:
        return await places_in(settings, cloud, projects, regions[0] if regions else None)
    # Which of the projects is in which region only IAM can tell.
    found = [place for region in regions for place in await places_in(settings, cloud, (), region)]
    return tuple(place for place in found if not projects or place.project_id in projects)
