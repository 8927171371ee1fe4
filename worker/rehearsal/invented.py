"""Pools that nobody has seen: a fleet for rehearsing a manifest without a cloud.

Each of them can take what the manifest asks for, and has an older version of the plug-in.
They have the regions, projects and labels that the manifest speaks of, so that its selectors
and waves find them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.model import PluginSeen, PoolSeen, Target
from jobs.rollouts.fleetfile import FleetRow
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.versions import is_exact

OLD: Final = "0.0.1"
NEW: Final = "1.0.0"
"""What is installed, and what is on offer where the manifest names no exact version."""

REGION: Final = "cn-north-4"
PROJECTS: Final = 4


def invented_pools(manifest: Manifest, count: int) -> list[Observed]:
    """Return *count* pools that the manifest means."""
    regions = _named(manifest, "regions") or [REGION]
    projects = _named(manifest, "projects") or [f"{n:032x}" for n in range(1, PROJECTS + 1)]
    rings = _rings(manifest, len(regions))
    common = _common(manifest)
    return [
        _pool(
            manifest,
            Target(
                project_id=projects[number // len(regions) % len(projects)],
                pool_name=f"pool-{number + 1:05d}",
                region=regions[number % len(regions)],
            ),
            {**common, **(rings[number] if number < len(rings) else {})},
        )
        for number in range(count)
    ]


def listed_pools(manifest: Manifest, rows: Sequence[FleetRow]) -> list[Observed]:
    """Return the pools of a fleet file, as if they had been seen."""
    return [_pool(manifest, row.target, row.labels) for row in rows]


def _pool(manifest: Manifest, target: Target, labels: Mapping[str, str]) -> Observed:
    plugin = manifest.spec.plugin
    wanted = plugin.version if is_exact(plugin.version) else NEW
    return Observed(
        target=target,
        pool=PoolSeen(name=target.pool_name, phase="Running", labels=labels),
        plugin=PluginSeen(name=plugin.name, version=OLD, phase="Running", inputs={}),
        looked=True,
        offers=(Offer(version=wanted, defaults={}), Offer(version=OLD, defaults={})),
    )


def _named(manifest: Manifest, field: str) -> list[str]:
    """Return the regions or projects that targets and waves name, in their order."""
    spec = manifest.spec
    lists = [getattr(one, field) for one in (*spec.targets.include, *(w.pick for w in spec.waves))]
    return list(dict.fromkeys(name for names in lists for name in names or ()))


def _common(manifest: Manifest) -> dict[str, str]:
    """Return the labels that the first selector asks for."""
    include = manifest.spec.targets.include
    return _first_of(include[0].labels) if include else {}


def _rings(manifest: Manifest, regions: int) -> list[dict[str, str]]:
    """Return the labels of the first pools: those that waves pick by."""
    found = []
    for wave in manifest.spec.waves:
        if wave.pick.labels:
            pools = wave.pick.count or (wave.pick.per_region or 1) * regions
            found += [_first_of(wave.pick.labels)] * pools
    return found


def _first_of(labels: Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    return {name: values[0] for name, values in (labels or {}).items()}
