"""What may be installed on which pool: everything, or all but some gaps.

On a pool with gaps every third plug-in of the catalogue is not on offer at all, and every
third only without its newest version; which ones differs from pool to pool.
"""

from worker.simulator.catalogue import CATALOGUE
from worker.simulator.chance import chance
from worker.simulator.fleet import Pool
from worker.simulator.world import World

Versions = tuple[tuple[str, str], ...]


def offered(world: World, pool: Pool | None, name: str) -> Versions:
    """Return the versions (and their creation times) of *name* for *pool*, oldest first.

    Args:
        world: Whose options are in force.
        pool: None asks what there is at all.
        name: One of the catalogue.
    """
    versions = CATALOGUE[name].versions
    if not world.options.offer_gaps or pool is None or not _has_gaps(world, pool):
        return versions
    lot = int(3 * chance(world.options.seed, "offers", pool.project_id, pool.name))
    match (lot + list(CATALOGUE).index(name)) % 3:
        case 0:
            return ()
        case 1 if len(versions) > 1:
            return versions[:-1]
        case _:
            return versions


def _has_gaps(world: World, pool: Pool) -> bool:
    return world.fleet.luck("offer-gaps", pool) < world.options.offer_gaps
