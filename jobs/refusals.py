"""Why a call over the network is refused, beside what the errors of the rest say.

Each has the HTTP status that `worker.api.problems` answers with in its code's entry there.
"""

from jobs.errors import BadRequestError, ConflictError, PlugwaveError, UsageError


class CallRefusedError(UsageError):
    """A call over the network cannot be served as it was made."""

    code = "HTTP-01"
    do = "look at the document of the interface: GET /api/openapi.json"


class NoSuchPathError(CallRefusedError):
    """There is nothing at this path."""

    code = "HTTP-02"


class MethodNotServedError(CallRefusedError):
    """The path exists, but not with this method."""

    code = "HTTP-03"


class QueryError(CallRefusedError):
    """A query parameter is unknown, or not what it takes."""

    code = "HTTP-04"
    do = "correct the parameter"


class BodyError(CallRefusedError):
    """The body is not JSON, or not complete."""

    code = "HTTP-05"
    do = "send one JSON document, as UTF-8"


class BodyTooLargeError(CallRefusedError):
    """The body is larger than is taken."""

    code = "HTTP-06"
    do = "send less at a time"


class BodyTooSlowError(CallRefusedError):
    """The body did not come in time."""

    code = "HTTP-07"
    do = "send the body at once"


class MediaTypeError(CallRefusedError):
    """The body is of a kind that is not taken, or compressed."""

    code = "HTTP-08"
    do = "send it as application/json, not compressed"


class KeyMissingError(CallRefusedError):
    """The call must be repeatable, and has no idempotency key."""

    code = "HTTP-09"
    do = "send a header such as Idempotency-Key: ticket-4711"


class KeyInFlightError(CallRefusedError):
    """The first call with this idempotency key is being served right now."""

    code = "HTTP-10"
    do = "repeat the call in a moment: it gets the first one's answer"


class KeyReusedError(ConflictError):
    """The idempotency key was used before with other content; nothing was stored."""

    code = "HTTP-11"


class NotLoggedInError(CallRefusedError):
    """The caller says not who it is, or what it says is not true."""

    code = "HTTP-12"
    do = "send a live one in the header Authorization; plugwave tokens create makes one"


class NotAllowedError(CallRefusedError):
    """The caller is known and may not do this."""

    code = "HTTP-13"
    do = "use a token with the scope that is named"


class TooManyCallsError(CallRefusedError):
    """The caller asks more often than it may."""

    code = "HTTP-14"
    do = "wait as long as Retry-After says"


class QueueFullError(CallRefusedError):
    """The queue is as long as it may become; nothing was stored."""

    code = "HTTP-15"
    do = "wait as long as Retry-After says; more workers or a higher rate empty it sooner"


class DrainingError(PlugwaveError):
    """The server is about to leave and takes nothing new."""

    code = "HTTP-16"
    do = "repeat the call: another server, or the next one here, serves it"


class ForeignHostError(CallRefusedError):
    """The call names a host or an origin that is not this server."""

    code = "HTTP-17"
    do = "call it by a name that it knows, or add the name to `server.hosts`"


class BodyValueError(BadRequestError):
    """The body of a call that is no job request is not acceptable; nothing was changed."""

    code = "HTTP-18"
    do = "correct what is named and send it again"
