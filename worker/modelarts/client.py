"""The calls, one typed method each: no retries, no waiting, no decisions.

Every method returns what the cloud told, or an `Answer` that says how the request ended;
`jobs.outcomes` says what follows.  Nothing is raised but cancellation and what a gate raises
beside `GateClosed`.  A success that cannot be read is an outcome of its own: a read error is
not a state.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

from yarl import URL

from jobs.clock import Clock
from jobs.model import PoolRead, Target
from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from worker.modelarts.auth import Authorizer, NoCredentialError, hidden_in_errors, secrets_in
from worker.modelarts.errors import AuthFault, auth_fault, classify_status, request_id
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.models import read_plugin, read_plugin_list, template_in, to_seen
from worker.modelarts.outcomes_of_exceptions import answer_of_exception
from worker.modelarts.pools import PoolPage, PoolSeen, read_pool, read_pool_page
from worker.modelarts.reading import Document, document
from worker.modelarts.templates import PluginTemplate, read_templates
from worker.modelarts.transport import Gate, RawAnswer, Transport
from worker.modelarts.urls import Urls

T = TypeVar("T")

ACCEPTED: Final = frozenset({200, 201, 202})
"""Statuses of a create; the documentation has 200 alone, other clients accept all three."""

READ: Final = frozenset({200})
"""Status of a read."""

RENEWED: Final = "the credential had ended; it is renewed and the request made again"

JSON_BODY: Final = {"Content-Type": "application/json"}


class _Call(NamedTuple, Generic[T]):
    """One request and how its success is read; a tuple, because one is made for each call."""

    method: str
    url: URL
    read: Callable[[Document, RawAnswer], T]
    body: bytes | None = None
    success: frozenset[int] = READ


class ModelArtsClient:
    """The plug-in calls of every endpoint, sent as one credential.

    Common parameters of all methods: *gate* is asked right before anything is written and may
    raise `GateClosed`; *timeout_s* bounds the whole call, in seconds.
    """

    def __init__(
        self, transport: Transport, urls: Urls, authorizer: Authorizer, clock: Clock
    ) -> None:
        self._transport = transport
        self._urls = urls
        self._authorizer = authorizer
        self._clock = clock

    async def create(self, target: Target, body: bytes, *, gate: Gate, timeout_s: float) -> Answer:
        """Install or upgrade the plug-in that *body* names (see `models.plugin_body`).

        OK means: status 200, 201 or 202 with a plug-in that names our template; what else the
        answer told is in ``plugin``.  A success that tells less is UNREADABLE_SUCCESS.
        """
        try:
            name = template_in(body)
            url = self._urls.plugins(target)
        except NotSendableError as error:
            return _not_sendable(error)

        def accepted(answer: Document, raw: RawAnswer) -> Answer:
            plugin = read_plugin(answer)
            if plugin.template_name != name:
                raise UnreadableError("it names another plug-in")
            return Answer(
                outcome=Outcome.OK,
                sent=True,
                http_status=raw.status,
                request_id=request_id(raw.headers),
                plugin=to_seen(plugin),
            )

        call = _Call(method="POST", url=url, read=accepted, body=body, success=ACCEPTED)
        return await self._do(call, gate, timeout_s)

    async def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> PoolRead | Answer:
        """Return the plug-ins of a pool; ``asked_us`` is when the request was about to leave."""

        def listed(answer: Document, raw: RawAnswer) -> PoolRead:
            seen = map(to_seen, read_plugin_list(answer))
            return PoolRead(asked_us=raw.sent_us, plugins={one.name: one for one in seen})

        return await self._read(lambda: self._urls.plugins(target), listed, gate, timeout_s)

    async def templates(
        self, target: Target, name: str | None = None, *, gate: Gate, timeout_s: float
    ) -> tuple[PluginTemplate, ...] | Answer:
        """Return the templates that the pool may install, all of them or the one of that name."""
        return await self._read(
            lambda: self._urls.templates(target, name),
            lambda answer, _: read_templates(answer),
            gate,
            timeout_s,
        )

    async def pools(
        self,
        project_id: str,
        *,
        region: str | None = None,
        continue_from: str | None = None,
        gate: Gate,
        timeout_s: float,
    ) -> PoolPage | Answer:
        """Return the pools of a project, from the page on that *continue_from* names."""
        return await self._read(
            lambda: self._urls.pools(region, project_id, continue_from),
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

        return await self._read(lambda: self._urls.pool(target), named, gate, timeout_s)

    async def _read(
        self,
        url: Callable[[], URL],
        read: Callable[[Document, RawAnswer], T],
        gate: Gate,
        timeout_s: float,
    ) -> T | Answer:
        try:
            call = _Call(method="GET", url=url(), read=read)
        except NotSendableError as error:
            return _not_sendable(error)
        return await self._do(call, gate, timeout_s)

    async def _do(self, call: _Call[T], gate: Gate, timeout_s: float) -> T | Answer:
        """Send the request; return what its success tells, or what else became of it."""
        body = call.body or b""
        try:
            await self._authorizer.ready(call.url)
            proof = self._authorizer.headers(call.method, call.url, body, self._clock.now_us())
        except NoCredentialError as error:
            return error.answer
        headers = proof if call.body is None else {**JSON_BODY, **proof}
        raw = await self._transport.request(
            call.method, call.url, headers, call.body, timeout_s=timeout_s, gate=gate
        )
        if isinstance(raw, Answer):
            return raw
        if not 200 <= raw.status < 300:
            return self._refusal(call.url, proof, raw)
        secrets = secrets_in(proof)
        try:
            return call.read(_success(call, raw, secrets), raw)
        except UnreadableError as error:
            return _unreadable(raw, error, secrets)

    def _refusal(self, url: URL, proof: Mapping[str, str], raw: RawAnswer) -> Answer:
        """Return what the answer means; a credential that has ended is renewed by the next call."""
        answer = classify_status(
            raw.status,
            raw.headers,
            raw.body,
            now_us=self._clock.now_us(),
            secrets=hidden_in_errors(proof),
        )
        if answer.outcome is not Outcome.UNAUTHENTICATED:
            return answer
        if auth_fault(answer) is AuthFault.EXPIRED and self._authorizer.ended(url, proof):
            # Refused in full, so nothing was accepted: the call may be made again at once.
            return replace(answer, outcome=Outcome.GATE_CLOSED, message=RENEWED)
        return answer


def _success(call: _Call[T], raw: RawAnswer, secrets: tuple[str, ...]) -> Document:
    """Return the JSON of an answer whose status says that it worked.

    Raises:
        UnreadableError: If it is not the success that was asked for, or repeats the credential:
            then it is not the documented API that answers.
    """
    if raw.status not in call.success:
        raise UnreadableError(f"status {raw.status} is not documented")
    if raw.body is None:
        raise UnreadableError("the body is compressed or too large")
    answered = raw.headers.get("X-Request-Id", "")
    for secret in secrets:
        if secret.encode() in raw.body or secret in answered:
            raise UnreadableError("it repeats the credential")
    return document(raw.body)


def _unreadable(raw: RawAnswer, error: UnreadableError, secrets: tuple[str, ...]) -> Answer:
    return Answer(
        outcome=Outcome.UNREADABLE_SUCCESS,
        sent=True,
        http_status=raw.status,
        message=f"{BY_OUTCOME[Outcome.UNREADABLE_SUCCESS].what}: {error}",
        request_id=request_id(raw.headers, secrets),
    )


def _not_sendable(error: NotSendableError) -> Answer:
    return answer_of_exception(error, sent=False)
