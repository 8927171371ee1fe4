"""Observe the fleet for a plan: which pools there are, what is installed, what is on offer.

As few requests as tell what is needed: one for each project, then one for each pool that
the targets may mean, then one for each of these on which something may have to be done.
What cannot be read stands in the result beside what can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.model import PoolRead
from jobs.outcomes import Answer
from jobs.rollouts.actions import needs_offers
from jobs.rollouts.fleetfile import FleetRow
from jobs.rollouts.manifest import Manifest, Spec
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.targets import included, maybe_included, needs_look
from worker.discovery import Discovery, Fleet, Place
from worker.inquiry import in_order
from worker.modelarts.templates import PluginTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The pools that a manifest may mean, and the fleet they were read from."""

    pools: tuple[Observed, ...]
    fleet: Fleet

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for could be read."""
        return not self.fleet.troubles and all(pool.trouble is None for pool in self.pools)


async def observe(
    cloud: Discovery,
    manifest: Manifest,
    places: Sequence[Place],
    listed: Sequence[FleetRow] | None = None,
) -> Sight:
    """Read what a plan for *manifest* needs to know.

    Args:
        cloud: Who is asked.
        manifest: Whose targets and plug-in count.
        places: The projects to look into.
        listed: The pools of the fleet file, None without one.
    """
    spec = manifest.spec
    fleet = await cloud.pools(places, spec.targets.workspaces or ())
    found = [Observed(target=one.target, pool=one.pool, blocked=one.blocked) for one in fleet.pools]
    if listed is not None:
        found = _only_listed(found, listed, fleet)
    wanted = [pool for pool in found if maybe_included(spec.targets, pool)]
    looked = await in_order(wanted, lambda pool: _look(cloud, spec, pool))
    meant = {pool.key for pool in included(spec.targets, looked)}
    return Sight(
        pools=tuple(
            await in_order(
                looked,
                lambda pool: _offers(cloud, spec, pool, wanted=pool.key in meant),
            )
        ),
        fleet=fleet,
    )


def _only_listed(
    found: Sequence[Observed], listed: Sequence[FleetRow], fleet: Fleet
) -> list[Observed]:
    """Return the listed pools, with the file's labels; also those that were not found."""
    by_name: Mapping[tuple[str, str], Observed] = {
        (pool.target.project_id, pool.target.pool_name): pool for pool in found
    }
    unread = {one.place.project_id for one in fleet.troubles}
    pools = []
    for row in listed:
        pool = by_name.get((row.project_id, row.pool_name))
        elsewhere = pool is not None and row.region not in {None, pool.target.region}
        if pool is None or elsewhere:
            trouble = "its project could not be read" if row.project_id in unread else None
            pools.append(Observed(target=row.target, labels=row.labels, trouble=trouble))
        else:
            pools.append(replace(pool, labels=row.labels))
    return pools


async def _look(cloud: Discovery, spec: Spec, pool: Observed) -> Observed:
    """Read what is installed, where that can matter."""
    asked = needs_look(spec.targets, [wave.pick for wave in spec.waves])
    if pool.pool is None or (pool.blocked is not None and not asked):
        return pool
    read = await cloud.plugins(pool.target)
    if not isinstance(read, PoolRead):
        return pool.with_trouble(_why(read, "its plug-ins could not be read"))
    return replace(pool, looked=True, plugin=read.plugins.get(spec.plugin.name))


async def _offers(cloud: Discovery, spec: Spec, pool: Observed, *, wanted: bool) -> Observed:
    """Read what is on offer, where that can matter."""
    if not wanted or not needs_offers(spec.plugin, pool, spec.targets.if_absent):
        return pool
    found = await cloud.offers(pool.target, spec.plugin.name)
    if isinstance(found, Answer):
        return pool.with_trouble(_why(found, "the versions on offer could not be read"))
    return replace(pool, offers=_versions(found, spec.plugin.name))


def _versions(templates: Sequence[PluginTemplate], name: str) -> tuple[Offer, ...]:
    return tuple(
        Offer(version=one.version, defaults=one.default_inputs)
        for template in templates
        if template.name == name
        for one in template.versions
    )


def _why(answer: Answer, what: str) -> str:
    return f"{what}: {answer.message}" if answer.message else what


def places_of_rows(rows: Sequence[FleetRow], region: str | None) -> tuple[Place, ...]:
    """Return the projects of a fleet file; *region* where a line names none."""
    found = {(row.project_id, row.region or region): None for row in rows}
    return tuple(Place(project_id=project, region=where) for project, where in found)
