"""One call: prove who sends it, send it once, and read its success or say what else it was.

The tables of the calls are above (`client`, `iam`); here is what all of them share.  Nothing
is raised but cancellation and what a gate raises beside `GateClosed`.  A success that cannot
be read is an outcome of its own: a read error is not a state.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

from yarl import URL

from jobs.clock import Clock
from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from worker.modelarts.auth import Authorizer, NoCredentialError, hidden_in_errors, secrets_in
from worker.modelarts.errors import AuthFault, auth_fault, classify_status, request_id
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.outcomes_of_exceptions import answer_of_exception
from worker.modelarts.reading import EMPTY, Document, document
from worker.modelarts.transport import Gate, RawAnswer, Transport

T = TypeVar("T")

READ: Final = frozenset({200})
"""Status of a read."""

NO_CONTENT: Final = 204

JSON: Final = "application/json"

RENEWED: Final = "the credential had ended; it is renewed and the request made again"


class Call(NamedTuple, Generic[T]):
    """One request and how its success is read; a tuple, because one is made for each call.

    Where `success` holds 204, such an answer is read as an empty document.
    """

    method: str
    url: URL
    read: Callable[[Document, RawAnswer], T]
    body: bytes | None = None
    success: frozenset[int] = READ
    content_type: str = JSON


class Exchange:
    """Sends calls as one credential.

    Common parameters: *gate* is asked right before anything is written and may raise
    `GateClosed`; *timeout_s* bounds the whole call, in seconds.
    """

    def __init__(self, transport: Transport, authorizer: Authorizer, clock: Clock) -> None:
        self._transport = transport
        self._authorizer = authorizer
        self._clock = clock

    async def get(
        self,
        url: Callable[[], URL],
        read: Callable[[Document, RawAnswer], T],
        gate: Gate,
        timeout_s: float,
    ) -> T | Answer:
        """Read what *url* names; it may refuse to be built."""
        try:
            call = Call(method="GET", url=url(), read=read)
        except NotSendableError as error:
            return not_sendable(error)
        return await self.do(call, gate, timeout_s)

    async def do(self, call: Call[T], gate: Gate, timeout_s: float) -> T | Answer:
        """Send the request; return what its success tells, or what else became of it."""
        body = call.body or b""
        try:
            await self._authorizer.ready(call.url)
            proof = self._authorizer.headers(call.method, call.url, body, self._clock.wall_us())
        except NoCredentialError as error:
            return error.answer
        headers = proof if call.body is None else {"Content-Type": call.content_type, **proof}
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
            now_us=self._clock.wall_us(),
            secrets=hidden_in_errors(proof),
        )
        if answer.outcome is not Outcome.UNAUTHENTICATED:
            return answer
        if auth_fault(answer) is AuthFault.EXPIRED and self._authorizer.ended(url, proof):
            return replace(answer, outcome=Outcome.CREDENTIAL_ENDED, message=RENEWED)
        return answer


def _success(call: Call[T], raw: RawAnswer, secrets: tuple[str, ...]) -> Document:
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
    if raw.status == NO_CONTENT and not raw.body:
        return EMPTY
    return document(raw.body)


def _unreadable(raw: RawAnswer, error: UnreadableError, secrets: tuple[str, ...]) -> Answer:
    return Answer(
        outcome=Outcome.UNREADABLE_SUCCESS,
        sent=True,
        http_status=raw.status,
        message=f"{BY_OUTCOME[Outcome.UNREADABLE_SUCCESS].what}: {error}",
        request_id=request_id(raw.headers, secrets),
    )


def not_sendable(error: NotSendableError) -> Answer:
    """Return the answer that stands for a request that may not be sent as it is."""
    return answer_of_exception(error, sent=False)
