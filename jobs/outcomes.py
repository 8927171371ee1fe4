"""What each outcome of the call means: the decision table, as data.

The rule behind the table: a send may be repeated without reading only when its headers
were certainly never sent, or when a complete answer from a known error envelope refused
it.  Everything else is reconciled by a late-enough read.

Rows 1 to 27 are what a client can meet; 28 to 30 are about ourselves.  A client turns
every exception and answer into one `Outcome` (`worker.modelarts.client`), and nothing but
this table says what follows.

Source: reliability notes, section 3.1; each row has a test of the same number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from jobs.changing import swift
from jobs.model import PluginSeen
from jobs.pacing import Limit


class Outcome(StrEnum):
    """How one request to the cloud ended."""

    NOT_SENDABLE = "not-sendable"
    GATE_CLOSED = "gate-closed"
    DNS_FAILED = "dns-failed"
    CONNECT_REFUSED = "connect-refused"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS_WRONG = "tls-wrong"
    CONNECTION_LOST = "connection-lost"
    ANSWER_TIMEOUT = "answer-timeout"
    GARBAGE_ANSWER = "garbage-answer"
    BODY_CUT = "body-cut"
    UNREADABLE_SUCCESS = "unreadable-success"
    OK = "ok"
    REDIRECTED = "redirected"
    REFUSED_CONTENT = "refused-content"
    UNKNOWN_REFUSAL = "unknown-refusal"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    NO_SUCH_API = "no-such-api"
    REQUEST_TIMEOUT = "request-timeout"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    THROTTLED = "throttled"
    QUOTA_SPENT = "quota-spent"
    THROTTLED_BLINDLY = "throttled-blindly"
    SERVER_ERROR = "server-error"
    NOT_SUPPORTED = "not-supported"
    WORKER_DIED = "worker-died"
    INTENT_UNCERTAIN = "intent-uncertain"
    OUTCOME_UNSTORED = "outcome-unstored"
    POOL_NOT_READY = "pool-not-ready"
    CREDENTIAL_ENDED = "credential-ended"


class PostVerdict(StrEnum):
    """What follows after a send."""

    ACCEPTED = "accepted"  # watch it
    FAIL = "fail"  # it can never work as asked
    AGAIN = "again"  # nothing was sent; try at once, no attempt is counted
    RETRY = "retry"  # nothing was accepted; try again after a backoff
    WAIT = (
        "wait"  # refused for now (throttled, pool not ready); try again later, no attempt counted
    )
    READ_NOW = "read-now"  # refused because something is there: look at once
    RECONCILE = "reconcile"  # it may have had an effect: read late enough
    PARK = "park"  # nothing was accepted; the scope below is in trouble
    REFRESH = "refresh"  # refused whole; the credential is renewed, then AGAIN


class Trouble(StrEnum):
    """Whose trouble an outcome is, beyond the one job."""

    NONE = "none"
    ENDPOINT = "endpoint"
    CREDENTIAL = "credential"
    RATE = "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table."""

    number: int
    outcome: Outcome
    what: str
    verdict: PostVerdict
    cause_class: str
    trouble: Trouble = Trouble.NONE


_V = PostVerdict
_O = Outcome


def _row(
    number: int,
    outcome: Outcome,
    what: str,
    verdict: PostVerdict,
    cause_class: str,
    trouble: Trouble = Trouble.NONE,
) -> Row:
    return Row(
        number=number,
        outcome=outcome,
        what=what,
        verdict=verdict,
        cause_class=cause_class,
        trouble=trouble,
    )


ROWS: Final = (
    _row(1, _O.NOT_SENDABLE, "the request may not be sent as it is", _V.FAIL, "request"),
    _row(2, _O.GATE_CLOSED, "the slot or the lease ran out first", _V.AGAIN, "worker"),
    _row(3, _O.DNS_FAILED, "the host name has no address", _V.RETRY, "network", Trouble.ENDPOINT),
    _row(4, _O.CONNECT_REFUSED, "no connection", _V.RETRY, "network", Trouble.ENDPOINT),
    _row(5, _O.CONNECT_TIMEOUT, "no connection in time", _V.RETRY, "network", Trouble.ENDPOINT),
    _row(6, _O.TLS_WRONG, "the certificate is wrong", _V.PARK, "network", Trouble.ENDPOINT),
    _row(7, _O.CONNECTION_LOST, "the connection broke before an answer", _V.RECONCILE, "network"),
    _row(8, _O.ANSWER_TIMEOUT, "no answer in time", _V.RECONCILE, "network"),
    _row(9, _O.GARBAGE_ANSWER, "the answer is not HTTP", _V.RECONCILE, "network"),
    _row(10, _O.BODY_CUT, "the answer broke off", _V.RECONCILE, "network"),
    _row(11, _O.UNREADABLE_SUCCESS, "a success that cannot be read", _V.RECONCILE, "cloud"),
    _row(12, _O.OK, "accepted", _V.ACCEPTED, "none"),
    _row(13, _O.REDIRECTED, "a redirect", _V.RECONCILE, "endpoint", Trouble.ENDPOINT),
    _row(14, _O.REFUSED_CONTENT, "the cloud refused the content", _V.FAIL, "request"),
    _row(15, _O.UNKNOWN_REFUSAL, "a refusal from nobody we know", _V.RECONCILE, "cloud"),
    _row(16, _O.UNAUTHENTICATED, "the credential was refused", _V.PARK, "auth", Trouble.CREDENTIAL),
    _row(17, _O.FORBIDDEN, "not allowed", _V.FAIL, "auth"),
    _row(18, _O.NOT_FOUND, "no such pool or template", _V.FAIL, "request"),
    _row(
        19, _O.NO_SUCH_API, "this endpoint has no such API", _V.PARK, "endpoint", Trouble.ENDPOINT
    ),
    _row(20, _O.REQUEST_TIMEOUT, "the cloud gave up waiting", _V.RECONCILE, "cloud"),
    _row(21, _O.CONFLICT, "something is there already", _V.READ_NOW, "conflict"),
    _row(22, _O.TOO_LARGE, "the cloud will not take the request", _V.FAIL, "request"),
    _row(23, _O.THROTTLED, "over the rate limit", _V.WAIT, "throttle", Trouble.RATE),
    _row(24, _O.QUOTA_SPENT, "the daily quota is spent", _V.PARK, "throttle", Trouble.CREDENTIAL),
    _row(
        25, _O.THROTTLED_BLINDLY, "429 from nobody we know", _V.RECONCILE, "throttle", Trouble.RATE
    ),
    _row(26, _O.SERVER_ERROR, "the cloud had a fault", _V.RECONCILE, "cloud"),
    _row(27, _O.NOT_SUPPORTED, "the cloud cannot do this", _V.FAIL, "request"),
    _row(28, _O.WORKER_DIED, "the worker died after the intent", _V.RECONCILE, "worker"),
    _row(29, _O.INTENT_UNCERTAIN, "the commit of the intent is unknown", _V.READ_NOW, "store"),
    _row(30, _O.OUTCOME_UNSTORED, "the outcome could not be stored", _V.RECONCILE, "store"),
    _row(31, _O.POOL_NOT_READY, "the pool is still being made", _V.WAIT, "pool"),
    _row(32, _O.CREDENTIAL_ENDED, "the token or temporary key had ended", _V.REFRESH, "auth"),
)
"""The table.  Rows 31 and 32 are ours: `cloud-api` 5.3 lists 400 ModelArts.6355 and .2887 as
*wait*, and 5.8 a 401 that says "token expires" as *one refresh, one retry*.  A credential that
is refused right after it was renewed is wrong: row 16."""

BY_OUTCOME: Final[Mapping[Outcome, Row]] = MappingProxyType({row.outcome: row for row in ROWS})


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Answer:
    """How one request ended, in full; clean text only, no headers, no secrets.

    Attributes:
        outcome: The row.
        sent: Whether the headers left, or may have left.
        http_status: Of a complete answer; None when there was none, never an invented one.
        error_code: The cloud's code as it spells it, such as ``ModelArts.50015001``.
        message: One clean line of at most 300 characters.
        request_id: From ``X-Request-Id``.
        retry_after_s: From ``Retry-After``.
        limit: From ``limit:N,time:W`` in a 429.
        plugin: The plug-in a 2xx answer to a send told of, as far as it told.
    """

    outcome: Outcome
    sent: bool
    http_status: int | None = None
    error_code: str | None = None
    message: str = ""
    request_id: str | None = None
    retry_after_s: float | None = None
    limit: Limit | None = None
    plugin: PluginSeen | None = None
