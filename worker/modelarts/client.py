"""The calls of ModelArts, one typed method each: no retries, no waiting, no decisions.

Every method returns what the cloud told, or an `Answer` that says how the request ended;
`jobs.outcomes` says what follows.  How one call is made is `worker.modelarts.exchange`.

Show, update and delete of a plug-in are not on every site: what their answers tell about
that is remembered (`ModelArtsClient.site`).
"""

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from yarl import URL

from jobs.clock import Clock
from jobs.model import PluginSeen, PoolRead, PoolSeen, Target
from jobs.outcomes import Answer, Outcome
from worker.modelarts.auth import Authorizer
from worker.modelarts.errors import request_id
from worker.modelarts.exchange import Call, Exchange, not_sendable
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.models import (
    Plugin,
    read_patched,
    read_plugin,
    read_plugin_list,
    template_in,
    to_seen,
)
from worker.modelarts.pools import NodePage, PoolPage, read_node_page, read_pool, read_pool_page
from worker.modelarts.reading import Document
from worker.modelarts.sites import Extra, Site, Sites
from worker.modelarts.templates import PluginTemplate, read_template, read_templates
from worker.modelarts.transport import Gate, RawAnswer, Transport
from worker.modelarts.urls import Urls

T = TypeVar("T")

ACCEPTED: Final = frozenset({200, 201, 202})
"""Statuses of a create or update; the documentation has 200 alone, other clients take all three.

A 204 would tell nothing, and a page that is no cloud may say it: a late read then decides.
"""

DELETED: Final = frozenset({200, 202, 204})
"""Statuses of a delete: 200 is documented, terraform's client takes all three."""

MERGE_PATCH: Final = "application/merge-patch+json"
"""What a PATCH must be called; with plain JSON ModelArts answers 50004100."""

EMPTY_BODY: Final = b"{}"
"""What the documented example of a delete carries."""


class ModelArtsClient:
    """The calls of every endpoint, sent as one credential.

    Common parameters of all methods: *gate* is asked right before anything is written and may
    raise `GateClosed`; *timeout_s* bounds the whole call, in seconds.
    """

    def __init__(
        self, transport: Transport, urls: Urls, authorizer: Authorizer, clock: Clock
    ) -> None:
        self._exchange = Exchange(transport, authorizer, clock)
        self._urls = urls
        self._sites = Sites()

    def site(self, region: str | None) -> Site:
        """Return what is known about the calls of the endpoint that serves *region*.

        Raises:
            NotSendableError: If no endpoint is known for it.
        """
        return self._sites.at(self._urls.endpoint(region))

    async def create(
        self, target: Target, body: bytes, *, name: str | None = None, gate: Gate, timeout_s: float
    ) -> Answer:
        """Install or upgrade the plug-in that *body* names (see `models.plugin_body`).

        Who has just made the body may tell its *name*; otherwise it is read from the body.
        OK means: status 200, 201 or 202 with a plug-in that names our template; what else the
        answer told is in ``plugin``.  A success that tells less is UNREADABLE_SUCCESS.
        """
        try:
            template = template_in(body, name)
            url = self._urls.plugins(target)
        except NotSendableError as error:
            return not_sendable(error)

        def accepted(answer: Document, raw: RawAnswer) -> Answer:
            return _accepted(raw, to_seen(_named(read_plugin(answer), template)))

        call = Call(method="POST", url=url, read=accepted, body=body, success=ACCEPTED)
        return await self._exchange.do(call, gate, timeout_s)

    async def update(
        self, target: Target, body: bytes, *, name: str | None = None, gate: Gate, timeout_s: float
    ) -> Answer:
        """Change the installed plug-in that *body* names (see `models.patch_body`), by PATCH.

        Ends as `create` does.  NO_SUCH_API means that the site has no such call, which `site`
        then says.  The inputs in *body* replace what is installed, as they do in a create.
        """
        try:
            template = template_in(body, name)
            url = self._urls.plugin(target, template)
        except NotSendableError as error:
            return not_sendable(error)

        def patched(answer: Document, raw: RawAnswer) -> Answer:
            return _accepted(raw, to_seen(read_patched(answer, template)))

        call = Call("PATCH", url, patched, body, ACCEPTED, MERGE_PATCH)
        return self._learn(url, Extra.PATCH, await self._exchange.do(call, gate, timeout_s))

    async def delete(self, target: Target, name: str, *, gate: Gate, timeout_s: float) -> Answer:
        """Uninstall a plug-in; OK tells of it as it was before, where the answer does."""
        try:
            url = self._urls.plugin(target, name)
        except NotSendableError as error:
            return not_sendable(error)

        def deleted(answer: Document, raw: RawAnswer) -> Answer:
            seen = to_seen(_named(read_plugin(answer), name)) if answer else None
            return _accepted(raw, seen)

        call = Call("DELETE", url, deleted, EMPTY_BODY, DELETED)
        return self._learn(url, Extra.DELETE, await self._exchange.do(call, gate, timeout_s))

    async def show_plugin(
        self, target: Target, name: str, *, detail: bool = True, gate: Gate, timeout_s: float
    ) -> Plugin | Answer:
        """Return one plug-in; with *detail* also what it runs as (``resources``)."""

        def shown(answer: Document, _: RawAnswer) -> Plugin:
            return _named(read_plugin(answer), name)

        try:
            url = self._urls.plugin(target, name, detail=detail)
        except NotSendableError as error:
            return not_sendable(error)
        call = Call(method="GET", url=url, read=shown)
        seen = await self._exchange.do(call, gate, timeout_s)
        return self._learn(url, Extra.SHOW, seen)

    def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> Coroutine[Any, Any, PoolRead | Answer]:
        """Return the plug-ins of a pool; ``asked_us`` is when the request was about to leave."""

        def listed(answer: Document, raw: RawAnswer) -> PoolRead:
            plugins = {one.template_name: to_seen(one) for one in read_plugin_list(answer)}
            return PoolRead(asked_us=raw.sent_us, plugins=plugins)

        return self._exchange.get(lambda: self._urls.plugins(target), listed, gate, timeout_s)

    async def templates(
        self, target: Target, name: str | None = None, *, gate: Gate, timeout_s: float
    ) -> tuple[PluginTemplate, ...] | Answer:
        """Return the templates that the pool may install, all of them or the one of that name."""
        return await self._exchange.get(
            lambda: self._urls.templates(target, name),
            lambda answer, _: read_templates(answer),
            gate,
            timeout_s,
        )

    async def driver_template(
        self,
        project_id: str,
        name: str,
        *,
        region: str | None = None,
        gate: Gate,
        timeout_s: float,
    ) -> PluginTemplate | Answer:
        """Return a driver's template (``gpu-driver``, ``npu-driver``), which v1 alone knows."""

        def shown(answer: Document, _: RawAnswer) -> PluginTemplate:
            template = read_template(answer)
            if template.name != name:
                raise UnreadableError("it names another template")
            return template

        return await self._exchange.get(
            lambda: self._urls.driver(region, project_id, name), shown, gate, timeout_s
        )

    async def pools(
        self,
        project_id: str,
        *,
        region: str | None = None,
        workspace: str | None = None,
        continue_from: str | None = None,
        gate: Gate,
        timeout_s: float,
    ) -> PoolPage | Answer:
        """Return the pools of a project, from the page on that *continue_from* names.

        Without *workspace* the cloud takes the default one, ``0``: pools of others are not seen.
        """
        return await self._exchange.get(
            lambda: self._urls.pools(region, project_id, continue_from, workspace=workspace),
            lambda answer, _: read_pool_page(answer),
            gate,
            timeout_s,
        )

    async def pool(self, target: Target, *, gate: Gate, timeout_s: float) -> PoolSeen | Answer:
        """Return one pool."""

        def named(answer: Document, _: RawAnswer) -> PoolSeen:
            seen = read_pool(answer)
            if seen.name != target.pool_name:
                raise UnreadableError("it names another pool")
            return seen

        return await self._exchange.get(lambda: self._urls.pool(target), named, gate, timeout_s)

    async def nodes(
        self,
        target: Target,
        *,
        limit: int | None = None,
        continue_from: str | None = None,
        gate: Gate,
        timeout_s: float,
    ) -> NodePage | Answer:
        """Return one page of a pool's nodes, of at most *limit* (500 without it)."""
        return await self._exchange.get(
            lambda: self._urls.nodes(target, continue_from, limit=limit),
            lambda answer, _: read_node_page(answer),
            gate,
            timeout_s,
        )

    def _learn(self, url: URL, extra: Extra, seen: T) -> T:
        self._sites.learn(url.origin(), extra, seen)
        return seen


def _named(plugin: Plugin, name: str) -> Plugin:
    if plugin.template_name != name:
        raise UnreadableError("it names another plug-in")
    return plugin


def _accepted(raw: RawAnswer, plugin: PluginSeen | None) -> Answer:
    return Answer(
        outcome=Outcome.OK,
        sent=True,
        http_status=raw.status,
        request_id=request_id(raw.headers),
        plugin=plugin,
    )
