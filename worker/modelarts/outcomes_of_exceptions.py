"""Say what an exception of the HTTP client means: the one place that knows them.

Two things decide: whether the headers may have left, and the class.  Order matters within
a table: certificate errors are subclasses of connector errors, a timeout is an OSError.
A status inside an exception never counts: the library invents 400 for garbage.  Nothing of
an exception's own text is taken over, because it can hold the request's headers; only its
class, its errno and OpenSSL's verdict on a certificate are.

Source: rows 2 to 10 of `jobs.outcomes`; reliability notes, findings 6 and 7.
"""

import errno
import ssl
from typing import Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientError,
    ClientPayloadError,
    ClientResponseError,
    ClientSSLError,
    ServerFingerprintMismatch,
)
from aiohttp.http_exceptions import HttpProcessingError

from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from worker.modelarts.faults import GateClosed, NotSendableError
from worker.modelarts.text import clean_line

FOREIGN: Final = (ClientError, HttpProcessingError, OSError, ValueError)
"""Everything that one exchange may raise, beside `GateClosed` and cancellation."""

BEFORE_SENT: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (GateClosed, Outcome.GATE_CLOSED),
    (NotSendableError, Outcome.NOT_SENDABLE),
    (ClientConnectorCertificateError, Outcome.TLS_WRONG),
    (ClientSSLError, Outcome.TLS_WRONG),
    (ServerFingerprintMismatch, Outcome.TLS_WRONG),
    (ssl.SSLError, Outcome.TLS_WRONG),
    (ClientConnectorDNSError, Outcome.DNS_FAILED),
    (TimeoutError, Outcome.CONNECT_TIMEOUT),
    (OSError, Outcome.CONNECT_REFUSED),
    (ValueError, Outcome.NOT_SENDABLE),
    (Exception, Outcome.CONNECT_REFUSED),
)
"""Nothing was written.  Connector errors are OSErrors; a proxy's refusal is the last row."""

AFTER_SENT: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (TimeoutError, Outcome.ANSWER_TIMEOUT),
    (ClientResponseError, Outcome.GARBAGE_ANSWER),
    (ClientPayloadError, Outcome.BODY_CUT),
    (HttpProcessingError, Outcome.GARBAGE_ANSWER),
    (Exception, Outcome.CONNECTION_LOST),
)
"""Something was written, or may have been."""


def outcome_of_exception(error: Exception, *, sent: bool) -> Outcome:
    """Return the row for *error*.

    Args:
        error: What one exchange raised.
        sent: Whether the headers left, or may have left.
    """
    table = AFTER_SENT if sent else BEFORE_SENT
    return next(outcome for kind, outcome in table if isinstance(error, kind))


def answer_of_exception(error: Exception, *, sent: bool) -> Answer:
    """Return the answer that stands for *error*, with what is safe to tell about it."""
    outcome = outcome_of_exception(error, sent=sent)
    return without_answer(outcome, sent=sent, detail=_detail(error))


def without_answer(outcome: Outcome, *, sent: bool, detail: str = "") -> Answer:
    """Return an answer for a request that got none."""
    what = BY_OUTCOME[outcome].what
    return Answer(outcome=outcome, sent=sent, message=f"{what} ({detail})" if detail else what)


def _detail(error: Exception) -> str:
    """Return a certificate's fault, the errno's name, our own words, or the class."""
    if isinstance(error, NotSendableError):
        return clean_line(str(error))
    if isinstance(error, ClientConnectorCertificateError):
        verdict = getattr(error.certificate_error, "verify_message", None)
        if isinstance(verdict, str):
            return clean_line(verdict)
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return errno.errorcode[number]
    return type(error).__name__
