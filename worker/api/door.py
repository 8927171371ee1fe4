"""The way of a call: route, host, caller, rights, parameters, body, handler, answer.

Each step refuses for its own reason, in this order; so nobody learns anything from a step that
they may not reach, and no body is read of a call that is refused anyway.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import orjson
import structlog

from jobs.errors import PlugwaveError
from jobs.refusals import (
    DrainingError,
    KeyMissingError,
    MediaTypeError,
    MethodNotServedError,
    NoSuchPathError,
    NotAllowedError,
)
from worker.api.bodies import NO_QUERY, query_of
from worker.api.calls import JSON, Asked, Body, Call, KeyRule, Reply, Route
from worker.api.gate import Gate
from worker.api.keys import HEADER, key_of
from worker.api.problems import problem_reply
from worker.api.rates import Rates
from worker.api.rooms import Rooms
from worker.api.router import Match, Router
from worker.api.taking import json_of
from worker.api.terms import Caller, Reach, Terms, reach_of

log = structlog.get_logger()

REFUSAL_LINES: Final = 1
REFUSAL_LINES_IN_S: Final = 10.0

SAFE: Final[Mapping[str, str]] = {
    "Server": "plugwave",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer; a route's own go first."""


NOBODY: Final = Terms(scopes=frozenset())
"""What a caller may who was not asked for a token."""


class Door:
    """Answers calls; knows nothing of sockets."""

    def __init__(self, rooms: Rooms, router: Router, gate: Gate) -> None:
        self._rooms = rooms
        self._router = router
        self._gate = gate
        self._lines = Rates(rooms.clock)
        self.calls = 0
        """Calls answered so far."""

    async def answer(self, call: Call) -> Reply:
        """Return the answer to a call; never raises for what a call brings."""
        self.calls += 1
        caller: list[Caller] = []
        try:
            return await self._served(call, caller)
        except PlugwaveError as error:
            self._note(call, caller, error)
            return problem_reply(error, call.request_id)
        except Exception:  # one bad call must not stop the others
            log.exception(
                "api.crashed",
                method=call.method,
                path=self._template(call),
                request_id=call.request_id,
            )
            bug = PlugwaveError(
                f"the call met a bug of this program; its log knows more: {call.request_id}",
                do="report it with the request id",
            )
            return problem_reply(bug, call.request_id)

    async def _served(self, call: Call, callers: list[Caller]) -> Reply:
        match, route = self._route(call)
        caller = await self._caller(call, route)
        callers.append(caller)
        reach = reach_of(route.needs, caller.terms)
        if reach is Reach.NOTHING:
            raise _not_allowed(route, caller)
        query = query_of(route.query or NO_QUERY, call.query)
        if route.changes and self._rooms.standing.draining:
            raise DrainingError("the server is about to leave")
        key = _key(route, call.headers)
        asked = Asked(
            caller=caller,
            reach=reach,
            path=match.parts,
            query=query,
            body=await _body(route.body, call),
            key=key,
            headers=call.headers,
        )
        return await route.handler(self._rooms, asked)

    def _route(self, call: Call) -> tuple[Match, Route]:
        match = self._router.match(call.path)
        if match is None:
            raise NoSuchPathError("there is nothing at this path")
        route = match.route(call.method)
        if route is None:
            raise MethodNotServedError(
                "the path is not served with this method", allow=match.allowed
            )
        return match, route

    async def _caller(self, call: Call, route: Route) -> Caller:
        if route.needs.scope is None:
            # Probes call a pod by its address, and there is nothing to protect.
            return Caller(name=None, terms=NOBODY, where=call.peer)
        self._gate.check_host(call.headers)
        return await self._gate.caller(call)

    def _template(self, call: Call) -> str:
        """Return the path as the table has it: what a caller wrote may hold anything."""
        match = self._router.match(call.path)
        return "(no route)" if match is None else next(iter(match.routes.values())).path

    def _note(self, call: Call, caller: list[Caller], error: PlugwaveError) -> None:
        """Log a refusal that somebody should know of, and not each of a thousand."""
        status = problem_reply(error, "").status
        if status not in {401, 403, 429, 500, 503}:
            return
        name = f"{error.code} {call.peer}"
        if self._lines.spend(name, 1, limit=REFUSAL_LINES, in_s=REFUSAL_LINES_IN_S) > 0:
            return
        log.warning(
            "api.refused",
            caller=caller[0].by if caller else None,
            where=call.peer,
            method=call.method if len(call.method) < 20 else None,
            path=self._template(call),
            status=status,
            code=error.code,
            request_id=call.request_id,
        )


def _not_allowed(route: Route, caller: Caller) -> NotAllowedError:
    if route.needs.fleet and caller.terms.projects:
        return NotAllowedError(
            "this token is limited to some projects, and the route shows or changes all"
        )
    return NotAllowedError(f"this needs the scope {route.needs.scope}")


def _key(route: Route, headers: Mapping[str, str]) -> str | None:
    if route.key is KeyRule.NONE:
        return None
    key = key_of(headers.get(HEADER))
    if key is None and route.key is KeyRule.NEEDED:
        raise KeyMissingError("this call must be repeatable, and has no idempotency key")
    return key


async def _body(body: Body | None, call: Call) -> object:
    """Read the body as the route takes it: a JSON value, raw bytes, or nothing."""
    if body is None:
        return None
    _check_media(body, call.headers)
    raw = await call.read(body.limit_bytes)
    if not raw and body.optional:
        return None
    return raw if body.depth is None else json_of(raw, body.depth)


def _check_media(body: Body, headers: Mapping[str, str]) -> None:
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise MediaTypeError("the body is compressed, and that is not taken")
    media = headers.get("Content-Type")
    if media is None:
        if body.optional or JSON not in body.media:
            return
        raise MediaTypeError("the call does not say what its body is")
    if media.partition(";")[0].strip().lower() not in body.media:
        raise MediaTypeError("the body is of a kind that is not taken here")


def encoded(reply: Reply) -> bytes:
    """Return the document of a reply as bytes."""
    return b"" if reply.body is None else orjson.dumps(reply.body, default=str)


def etag_of(body: bytes) -> str:
    """Return the entity tag of an answer's bytes."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def is_known(etag: str, header: str | None) -> bool:
    """Whether If-None-Match names this tag, weakly compared."""
    if header is None:
        return False
    named = {one.strip().removeprefix("W/") for one in header.split(",")}
    return "*" in named or etag in named
