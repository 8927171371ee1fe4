"""What is out there: projects, pools, their plug-ins and what may be installed on them.

Nothing here changes anything, and none of it belongs to a job; yet every request takes its
turn from the limiter rows that all workers share, and passes the guard of its credential
(`worker.inquiry`).  What goes wrong with one project does not hide the others: it stands in
the result.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeVar

from jobs.errors import ConfigError
from jobs.fitness import DEFAULT_WORKSPACE, blocked
from jobs.model import PluginSeen, PoolRead, PoolSeen, Target
from jobs.names import is_region
from jobs.outcomes import Answer, Outcome
from worker.cloud import Gate
from worker.inquiry import PAGES, Inquiry, Read, all_pages, in_order
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.faults import NotSendableError
from worker.modelarts.iam import PER_PAGE, IamClient, Project
from worker.modelarts.models import Plugin, Resource, to_seen
from worker.modelarts.outcomes_of_exceptions import answer_of_exception
from worker.modelarts.pools import NodePage, PoolPage
from worker.modelarts.sites import Has
from worker.modelarts.templates import PluginTemplate
from worker.modelarts.urls import Urls

T = TypeVar("T")

NO_PROJECT: Final = ""
"""Whose turn a request of IAM takes: nobody's among the projects."""

NOT_THERE: Final = frozenset({Outcome.DNS_FAILED, Outcome.NO_SUCH_API, Outcome.NOT_FOUND})
"""How a region answers that has no ModelArts, for a project that nobody named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One project in its region; *named* by a person, or found through IAM."""

    project_id: str
    region: str | None = None
    named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFound:
    """One pool of the fleet, with why it cannot take a plug-in now; None when it can."""

    target: Target
    pool: PoolSeen
    blocked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTrouble:
    """A project whose pools could not be read, and how the last request ended."""

    place: Place
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Every pool that could be read, and what could not.

    *absent* are projects that IAM knows and whose region has no ModelArts; *asked* is how many
    projects were asked for.
    """

    pools: tuple[PoolFound, ...]
    troubles: tuple[PlaceTrouble, ...] = ()
    absent: tuple[PlaceTrouble, ...] = ()
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The plug-ins of one pool and what may be installed on it; either may have failed."""

    target: Target
    plugins: PoolRead | Answer
    offers: tuple[PluginTemplate, ...] | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginShown:
    """One plug-in of a pool; *resources* is None where the site does not tell them."""

    seen: PluginSeen
    resources: tuple[Resource, ...] | None = None


class _Probe(Enum):
    NO_SUCH_CALL = "no-such-call"


class Discovery:
    """Asks the cloud what there is, as one credential."""

    def __init__(
        self, modelarts: ModelArtsClient, iam: IamClient, urls: Urls, inquiry: Inquiry
    ) -> None:
        self._modelarts = modelarts
        self._iam = iam
        self._urls = urls
        self._inquiry = inquiry

    async def places(self, region: str | None) -> tuple[Place, ...] | Answer:
        """Return the projects that IAM knows, of *region* or of every region."""
        found = await self._own_projects(region)
        if isinstance(found, Answer) and found.outcome is not Outcome.UNAUTHENTICATED:
            found = await self._paged_projects(region)
        if isinstance(found, Answer):
            return found
        placed = ((project, region_of(project.name)) for project in found if project.enabled)
        return tuple(
            Place(project_id=project.id, region=there, named=False)
            for project, there in placed
            if there is not None and region in {None, there}
        )

    async def pools(self, places: Sequence[Place], workspaces: Collection[str] = ()) -> Fleet:
        """Return the pools of the projects, in their order.

        Without *workspaces* the cloud shows those of the default one.
        """
        wanted = [(place, one) for place in places for one in workspaces or (None,)]
        read = await in_order(wanted, lambda ask: self._pools_of(*ask))
        found: dict[Target, PoolFound] = {}
        troubles: dict[Place, PlaceTrouble] = {}
        for (place, _), seen in zip(wanted, read, strict=True):
            if isinstance(seen, Answer):
                troubles.setdefault(place, PlaceTrouble(place=place, answer=seen))
                continue
            for pool in seen:
                target = Target(
                    project_id=place.project_id, pool_name=pool.name, region=place.region
                )
                why = blocked(pool, workspaces or (DEFAULT_WORKSPACE,))
                found[target] = PoolFound(target=target, pool=pool, blocked=why)
        absent = {place for place, one in troubles.items() if _is_absent(one)}
        return Fleet(
            pools=tuple(found.values()),
            troubles=tuple(one for place, one in troubles.items() if place not in absent),
            absent=tuple(one for place, one in troubles.items() if place in absent),
            asked=len(set(places)),
        )

    async def pool(self, target: Target) -> PoolSeen | Answer:
        """Return one pool; its nodes are counted one by one where the cloud gives no sum."""
        seen = await self._ask(
            target,
            lambda gate, time_s: self._modelarts.pool(target, gate=gate, timeout_s=time_s),
        )
        if isinstance(seen, Answer) or seen.nodes is not None:
            return seen
        nodes = await self._count_nodes(target)
        return seen if isinstance(nodes, Answer) else replace(seen, nodes=nodes)

    async def plugins(self, target: Target) -> PoolRead | Answer:
        """Return the plug-ins of a pool."""
        return await self._ask(
            target,
            lambda gate, time_s: self._modelarts.list_plugins(target, gate=gate, timeout_s=time_s),
        )

    async def offers(
        self, target: Target, name: str | None = None
    ) -> tuple[PluginTemplate, ...] | Answer:
        """Return what may be installed on a pool; empty when there is nothing of that name."""
        found = await self._ask(
            target,
            lambda gate, time_s: self._modelarts.templates(
                target, name, gate=gate, timeout_s=time_s
            ),
        )
        if isinstance(found, Answer) and name is not None and found.outcome is Outcome.NOT_FOUND:
            return ()
        return found

    async def survey(self, target: Target) -> Survey:
        """Return the plug-ins of a pool and what may be installed on it."""
        plugins = await self.plugins(target)
        return Survey(target=target, plugins=plugins, offers=await self.offers(target))

    async def surveys(self, targets: Sequence[Target]) -> list[Survey]:
        """Return the same for many pools, in their order."""
        return await in_order(targets, self.survey)

    async def plugin(self, target: Target, name: str) -> PluginShown | Answer | None:
        """Return one plug-in of a pool, with what it runs as where the site tells; None if absent.

        Whether the site tells is tried once and remembered.
        """
        shown = await self._shown(target, name)
        if isinstance(shown, Plugin):
            return PluginShown(seen=to_seen(shown), resources=shown.resources)
        if isinstance(shown, Answer) and shown.outcome is not Outcome.NOT_FOUND:
            return shown
        # The call is not there, or it says 404: of the plug-in, or of the pool.  The list knows.
        listed = await self.plugins(target)
        if isinstance(listed, Answer):
            return listed
        seen = listed.plugins.get(name)
        return None if seen is None else PluginShown(seen=seen)

    async def _shown(self, target: Target, name: str) -> Plugin | _Probe | Answer:
        try:
            if self._modelarts.site(target.region).has_show is Has.NO:
                return _Probe.NO_SUCH_CALL
        except (NotSendableError, ConfigError) as error:
            return answer_of_exception(error, sent=False)

        async def probe(gate: Gate, time_s: float) -> Plugin | _Probe | Answer:
            seen = await self._modelarts.show_plugin(target, name, gate=gate, timeout_s=time_s)
            # For a probe this is an answer like another, and no trouble with the endpoint.
            absent = isinstance(seen, Answer) and seen.outcome is Outcome.NO_SUCH_API
            return _Probe.NO_SUCH_CALL if absent else seen

        return await self._ask(target, probe)

    async def _pools_of(self, place: Place, workspace: str | None) -> list[PoolSeen] | Answer:
        target = Target(project_id=place.project_id, pool_name="", region=place.region)

        async def page(token: str | None) -> PoolPage | Answer:
            return await self._ask(
                target,
                lambda gate, time_s: self._modelarts.pools(
                    place.project_id,
                    region=place.region,
                    workspace=workspace,
                    continue_from=token,
                    gate=gate,
                    timeout_s=time_s,
                ),
            )

        pages = await all_pages(page, lambda one: one.continue_from)
        if isinstance(pages, Answer):
            return pages
        return [pool for one in pages for pool in one.pools]

    async def _count_nodes(self, target: Target) -> int | Answer:
        async def page(token: str | None) -> NodePage | Answer:
            return await self._ask(
                target,
                lambda gate, time_s: self._modelarts.nodes(
                    target, continue_from=token, gate=gate, timeout_s=time_s
                ),
            )

        pages = await all_pages(page, lambda one: one.continue_from)
        return pages if isinstance(pages, Answer) else sum(len(one.nodes) for one in pages)

    async def _own_projects(self, region: str | None) -> Sequence[Project] | Answer:
        return await self._ask_iam(
            region,
            lambda gate, time_s: self._iam.own_projects(region, gate=gate, timeout_s=time_s),
        )

    async def _paged_projects(self, region: str | None) -> Sequence[Project] | Answer:
        found: list[Project] = []
        for number in range(1, PAGES + 1):
            page = await self._page_of_projects(region, number)
            if isinstance(page, Answer):
                return page
            found += page
            if len(page) < PER_PAGE:
                break
        return found

    async def _page_of_projects(
        self, region: str | None, number: int
    ) -> Sequence[Project] | Answer:
        return await self._ask_iam(
            region,
            lambda gate, time_s: self._iam.projects(
                region, page=number, gate=gate, timeout_s=time_s
            ),
        )

    async def _ask_iam(self, region: str | None, read: Read[T]) -> T | Answer:
        try:
            endpoint = self._urls.iam(region)
        except (NotSendableError, ConfigError) as error:
            return answer_of_exception(error, sent=False)
        return await self._inquiry.ask(endpoint, NO_PROJECT, read)

    async def _ask(self, target: Target, read: Read[T]) -> T | Answer:
        try:
            endpoint = self._urls.endpoint(target.region)
        except (NotSendableError, ConfigError) as error:
            return answer_of_exception(error, sent=False)
        return await self._inquiry.ask(endpoint, target.project_id, read)


def region_of(name: str) -> str | None:
    """Return the region that a project is in by its *name*; None for one of no region.

    A region's own project is named like it, others ``{region}_{suffix}``; ``MOS`` is for
    storage alone.

    Source: cloud API notes, section 7.
    """
    region = name.partition("_")[0]
    return region if is_region(region) and "-" in region and region[-1].isdigit() else None


def newer_offer(template: PluginTemplate | None, installed: str | None) -> str | None:
    """Return the newest version on offer if it is newer than the *installed* one, else None.

    Versions are free text, so only their place in the list tells: of a version that is not on
    offer any more nobody can say.
    """
    versions = [] if template is None else [one.version for one in template.versions]
    return versions[0] if installed in versions[1:] else None


def _is_absent(trouble: PlaceTrouble) -> bool:
    return not trouble.place.named and trouble.answer.outcome in NOT_THERE
