"""Which pools a manifest means, judged by what was observed."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from jobs.rollouts.observed import Observed
from jobs.rollouts.shape import Selector, Targets
from jobs.rollouts.strategy import Pick
from jobs.rollouts.versions import installed_matches


def included(targets: Targets, pools: Iterable[Observed]) -> list[Observed]:
    """Return the pools that *targets* mean, in the order of their names.

    A selector that asks for an installed version does not match a pool whose plug-ins were
    not read; `needs_look` says beforehand whether they have to be.
    """
    chosen = [
        pool
        for pool in pools
        if (not targets.include or any(selects(one, pool) for one in targets.include))
        and not any(selects(one, pool) for one in targets.exclude)
    ]
    return sorted(chosen, key=lambda pool: pool.key)


def maybe_included(targets: Targets, pool: Observed) -> bool:
    """Whether the pool may be meant, once it is known what is installed on it."""
    return (
        not targets.include or any(selects(one, pool, look=False) for one in targets.include)
    ) and not any(one.installed is None and selects(one, pool) for one in targets.exclude)


def needs_look(targets: Targets, waves: Sequence[Pick]) -> bool:
    """Whether an installed version is asked for anywhere."""
    selectors: list[Selector | Pick] = [*targets.include, *targets.exclude, *waves]
    return any(one.installed is not None for one in selectors)


def selects(one: Selector | Pick, pool: Observed, *, look: bool = True) -> bool:
    """Whether every line of a selector holds for the pool; *look* at what is installed, too."""
    target = pool.target
    return (
        _among(one.regions, target.region)
        and _among(one.projects, target.project_id)
        and (one.pools is None or any(_named(pool, glob) for glob in one.pools))
        and _labelled(one, pool)
        and _among(one.types, None if pool.pool is None else pool.pool.kind)
        and (not look or one.installed is None or _has(pool, one.installed))
    )


def _among(values: Sequence[str] | None, value: str | None) -> bool:
    return values is None or value in values


def _named(pool: Observed, glob: str) -> bool:
    names = [pool.target.pool_name]
    if pool.pool is not None and pool.pool.display_name:
        names.append(pool.pool.display_name)
    return any(fnmatchcase(name, glob) for name in names)


def _labelled(one: Selector | Pick, pool: Observed) -> bool:
    if one.labels is None:
        return True
    labels = pool.all_labels
    return all(labels.get(key) in values for key, values in one.labels.items())


def _has(pool: Observed, wishes: Sequence[str]) -> bool:
    return pool.looked and any(installed_matches(wish, pool.installed) for wish in wishes)
