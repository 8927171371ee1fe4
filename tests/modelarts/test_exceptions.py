"""Every exception of the HTTP client has its row, and nothing of its text is taken over."""

import errno
import ssl

import pytest
from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidURL,
    RequestInfo,
    ServerDisconnectedError,
)
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from jobs.outcomes import Outcome
from tests.modelarts.scripted import TOKEN
from worker.modelarts.faults import GateClosed
from worker.modelarts.outcomes_of_exceptions import answer_of_exception, outcome_of_exception

_O = Outcome
KEY = ConnectionKey(
    host="host",
    port=443,
    is_ssl=True,
    ssl=True,
    proxy=None,
    proxy_auth=None,
    proxy_headers_hash=None,
)
INFO = RequestInfo(
    URL("https://host/"), "POST", CIMultiDictProxy(CIMultiDict({"X-Auth-Token": TOKEN})), URL("/")
)
REFUSED = OSError(errno.ECONNREFUSED, "refused")

BEFORE = [
    (GateClosed(), _O.GATE_CLOSED),
    (ClientConnectorDNSError(KEY, OSError(-2, "unknown")), _O.DNS_FAILED),
    (ClientConnectorError(KEY, REFUSED), _O.CONNECT_REFUSED),
    (ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError()), _O.TLS_WRONG),
    (ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version")), _O.TLS_WRONG),
    (ConnectionTimeoutError(), _O.CONNECT_TIMEOUT),
    (TimeoutError(), _O.CONNECT_TIMEOUT),
    (InvalidURL("http://["), _O.NOT_SENDABLE),
    (ClientHttpProxyError(INFO, (), status=407), _O.CONNECT_REFUSED),
]
AFTER = [
    (ServerDisconnectedError(), _O.CONNECTION_LOST),
    (ConnectionResetError(errno.ECONNRESET, "reset"), _O.CONNECTION_LOST),
    (ClientConnectorError(KEY, REFUSED), _O.CONNECTION_LOST),
    (ValueError("anything"), _O.CONNECTION_LOST),
    (TimeoutError(), _O.ANSWER_TIMEOUT),
    (ClientResponseError(INFO, (), status=400, message=TOKEN), _O.GARBAGE_ANSWER),
    (ClientPayloadError(TOKEN), _O.BODY_CUT),
]


@pytest.mark.parametrize(("error", "outcome"), BEFORE)
def test_before_anything_was_sent_the_class_tells_the_row(
    error: Exception, outcome: Outcome
) -> None:
    """A wrong certificate is not a refused connection, although its class derives from it."""
    assert outcome_of_exception(error, sent=False) is outcome


@pytest.mark.parametrize(("error", "outcome"), AFTER)
def test_after_sending_no_error_says_that_nothing_was_sent(
    error: Exception, outcome: Outcome
) -> None:
    """Even a refused connection counts as lost once the request may have left."""
    answer = answer_of_exception(error, sent=True)

    assert (answer.outcome, answer.sent, answer.http_status) == (outcome, True, None)
    assert TOKEN not in repr(answer)
