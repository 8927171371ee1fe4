"""A plan of a manifest for the fleet as it is now: observe it, then resolve.

Shared by what shows a plan and what applies one, so that both see the same.
"""

from collections.abc import Sequence

from config.masking import masked_inputs
from jobs.clock import SystemClock
from jobs.errors import StalePlanError
from jobs.rollouts.fleetfile import FleetRow
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.moved import moved
from jobs.rollouts.plan import SHORT_DIGEST, Plan
from jobs.rollouts.planning import Terms, make_plan
from worker.discovery import Place
from worker.observing import Sight, observe, places_of_rows
from worker.outlook import Outlook, insist, places_in, region_in


async def planned(
    look: Outlook, manifest: Manifest, listed: Sequence[FleetRow] | None
) -> tuple[Plan, Sight]:
    """Return the plan, and what was seen of the fleet.

    Args:
        look: The cloud to be asked.
        manifest: What is wanted.
        listed: The pools of its fleet file, None without one.

    Raises:
        PlugwaveError: If nothing of the fleet can be read, or nothing is meant.
    """
    places = await _places(look, manifest, listed)
    sight = await observe(look.cloud, manifest, places, listed)
    insist(sight.fleet)
    rate = look.settings.cloud.rate_per_s
    terms = Terms(now_us=SystemClock().now_us(), mask=masked_inputs, rate=rate)
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
    look: Outlook, manifest: Manifest, listed: Sequence[FleetRow] | None
) -> tuple[Place, ...]:
    """Return the projects that the targets can mean; all that IAM knows where nothing narrows."""
    if listed is not None:
        return places_of_rows(listed, region_in(look.settings, None))
    include = manifest.spec.targets.include
    regions = sorted({region for one in include for region in one.regions or ()})
    projects = sorted({project for one in include for project in one.projects or ()})
    if not include or any(one.regions is None for one in include):
        regions = []
    if not include or any(one.projects is None for one in include):
        projects = []
    if len(regions) <= 1:
        return await places_in(look, projects, regions[0] if regions else None)
    # Which of the projects is in which region only IAM can tell.
    found = [place for region in regions for place in await places_in(look, (), region)]
    return tuple(place for place in found if not projects or place.project_id in projects)
