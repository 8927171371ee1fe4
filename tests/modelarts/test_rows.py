"""The decision table, row by row, met on a real socket by a real create.

Rows 28 to 30 are about the worker itself and have no wire.
"""

import gzip
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from yarl import URL

from jobs.model import Target
from jobs.outcomes import BY_OUTCOME, ROWS, Answer, Outcome
from jobs.pacing import Limit
from tests.modelarts.scripted import (
    BODY,
    OPEN_ANSWER,
    TARGET,
    TOKEN,
    Gates,
    Reply,
    Then,
    caller,
    cloud,
    http,
    known,
)
from worker.modelarts.auth import TokenAuth
from worker.modelarts.faults import GateClosed
from worker.modelarts.models import plugin_body
from worker.modelarts.transport import ANSWER_LIMIT_BYTES, TransportSettings

_O = Outcome
HTML = b"<html><head><title>Sorry</title></head><body>proxy says no</body></html>"
CUT = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"kind":'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = http(200, OPEN_ANSWER).data.partition(b"\r\n\r\n")[2]
HUGE = ANSWER[:-1] + b',"pad":"' + b"x" * ANSWER_LIMIT_BYTES + b'"}'
LIMIT_TEXT = (
    "The throttling threshold has been reached: policy user over ratelimit,limit:7,time:2 minute"
)

COMPLETE: list[tuple[Outcome, str, Reply]] = [
    (_O.OK, "200", http(200, OPEN_ANSWER)),
    (_O.OK, "201", http(201, OPEN_ANSWER)),
    (_O.OK, "202", http(202, OPEN_ANSWER)),
    (_O.OK, "chunked", Reply(data=CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ANSWER), ANSWER))),
    (_O.OK, "until close", Reply(data=b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER, then=Then.CLOSE)),
    (_O.OK, "no kind", http(200, {"spec": OPEN_ANSWER["spec"]})),
    (_O.UNREADABLE_SUCCESS, "no body", http(200)),
    (_O.UNREADABLE_SUCCESS, "204", Reply(data=b"HTTP/1.1 204 None\r\n\r\n")),
    (_O.UNREADABLE_SUCCESS, "203", http(203, OPEN_ANSWER)),
    (_O.UNREADABLE_SUCCESS, "no JSON", http(200, HTML)),
    (_O.UNREADABLE_SUCCESS, "a list", http(200, [OPEN_ANSWER])),
    (_O.UNREADABLE_SUCCESS, "names nothing", http(200, {})),
    (_O.UNREADABLE_SUCCESS, "wrong kind", http(200, {**OPEN_ANSWER, "kind": "Pool"})),
    (_O.UNREADABLE_SUCCESS, "wrong type", http(200, {**OPEN_ANSWER, "status": "Running"})),
    (
        _O.UNREADABLE_SUCCESS,
        "other plug-in",
        http(200, {"kind": "Plugin", "spec": {"template": {"name": "volcano"}}}),
    ),
    (_O.UNREADABLE_SUCCESS, "too large", http(200, HUGE)),
    (
        _O.UNREADABLE_SUCCESS,
        "too large, chunked",
        Reply(data=CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HUGE), HUGE)),
    ),
    (
        _O.UNREADABLE_SUCCESS,
        "gzip unasked",
        http(200, gzip.compress(ANSWER), {"Content-Encoding": "gzip"}),
    ),
    (_O.UNREADABLE_SUCCESS, "cut", Reply(data=b"HTTP/1.1 200 OK\r\n\r\n{", then=Then.CLOSE)),
    (_O.UNREADABLE_SUCCESS, "coded", http(200, OPEN_ANSWER, {"Content-Encoding": "br"})),
    (_O.UNREADABLE_SUCCESS, "bad gzip", http(200, b"\x1f\x8bno", {"Content-Encoding": "gzip"})),
    (_O.UNREADABLE_SUCCESS, "echo", http(200, {**OPEN_ANSWER, "metadata": {"name": TOKEN}})),
    (_O.REDIRECTED, "301", http(301, headers={"Location": "http://127.0.0.1:1/"})),
    (_O.REDIRECTED, "307", http(307, headers={"Location": "http://127.0.0.1:1/"})),
    (_O.REDIRECTED, "308", http(308, headers={"Location": "//elsewhere.invalid/x"})),
    (_O.REFUSED_CONTENT, "400", known(400, "ModelArts.50004000", "Bad request.")),
    (_O.REFUSED_CONTENT, "422", known(422, "ModelArts.0101")),
    (_O.REFUSED_CONTENT, "not exist", known(400, "ModelArts.50004000", "it does not exist")),
    (_O.REFUSED_CONTENT, "not exists", known(400, "ModelArts.50004000", "pool not exists")),
    (_O.UNKNOWN_REFUSAL, "400 page", http(400, HTML)),
    (_O.UNKNOWN_REFUSAL, "400 other JSON", http(400, {"code": 400, "message": "Bad Request"})),
    (_O.UNKNOWN_REFUSAL, "401 page", http(401, HTML)),
    (_O.UNKNOWN_REFUSAL, "404 page", http(404, HTML)),
    (_O.UNKNOWN_REFUSAL, "418", known(418, "ModelArts.50004000")),
    (_O.UNKNOWN_REFUSAL, "999", http(999, HTML)),
    (_O.UNAUTHENTICATED, "gateway", known(401, "APIGW.0301", "verify aksk signature fail")),
    (_O.UNAUTHENTICATED, "token", known(401, "ModelArts.50001000", "token is invalid")),
    (
        _O.UNAUTHENTICATED,
        "IAM",
        http(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}}),
    ),
    (_O.FORBIDDEN, "403", known(403, "APIG.0302")),
    (_O.NOT_FOUND, "pool", known(404, "ModelArts.50015001", "Pool x not found.")),
    (_O.NOT_FOUND, "template", known(404, "ModelArts.50005101")),
    (_O.NO_SUCH_API, "404", known(404, "APIG.0101")),
    (_O.NO_SUCH_API, "405", known(405, "APIC.0101")),
    (_O.REQUEST_TIMEOUT, "408", http(408, HTML)),
    (_O.REQUEST_TIMEOUT, "425", http(425)),
    (_O.CONFLICT, "409", known(409, "ModelArts.5044")),
    (_O.CONFLICT, "400 exists", known(400, "ModelArts.50004000", "the plugin already exists")),
    (_O.CONFLICT, "400 busy", known(400, "ModelArts.50004000", "an upgrade is in progress")),
    (_O.TOO_LARGE, "413", known(413, "APIG.0201")),
    (_O.TOO_LARGE, "414", http(414)),
    (_O.TOO_LARGE, "415", known(415, "ModelArts.50004100")),
    (_O.TOO_LARGE, "431", http(431)),
    (_O.THROTTLED, "limit", known(429, "APIG.0308", LIMIT_TEXT)),
    (_O.THROTTLED, "no limit", known(429, "ModelArts.2799", "busy")),
    (_O.QUOTA_SPENT, "daily", known(429, "APIG.0308", "Daily quota exhausted")),
    (_O.THROTTLED_BLINDLY, "page", http(429, HTML)),
    (_O.THROTTLED_BLINDLY, "empty", http(429)),
    *((_O.SERVER_ERROR, str(n), http(n, HTML)) for n in (499, 500, 502, 503, 504, 520, 529)),
    (_O.NOT_SUPPORTED, "501", http(501)),
    (_O.NOT_SUPPORTED, "505", http(505)),
    (_O.POOL_NOT_READY, "initialising", known(400, "ModelArts.6355")),
    (_O.POOL_NOT_READY, "not running", known(400, "ModelArts.2887")),
]

BROKEN: list[tuple[Outcome, str, Reply]] = [
    (_O.CONNECTION_LOST, "reset", Reply(then=Then.RESET)),
    (_O.CONNECTION_LOST, "closed", Reply(then=Then.CLOSE)),
    (_O.CONNECTION_LOST, "reset in head", Reply(data=b"HTTP/1.1 200 OK\r\nX-A: ", then=Then.RESET)),
    (_O.CONNECTION_LOST, "closed in head", Reply(data=b"HTTP/1.1 200 OK\r\nX-", then=Then.CLOSE)),
    (_O.ANSWER_TIMEOUT, "nothing", Reply(then=Then.HANG)),
    (_O.ANSWER_TIMEOUT, "slow head", Reply(data=b"HTTP/1.1 200 OK\r\nX-A: b\r\n", then=Then.HANG)),
    (_O.ANSWER_TIMEOUT, "slow body", Reply(data=CUT, then=Then.HANG)),
    (_O.ANSWER_TIMEOUT, "no end", Reply(data=b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER, then=Then.HANG)),
    (_O.ANSWER_TIMEOUT, "endless 100", Reply(data=b"HTTP/1.1 100 Go\r\n\r\n" * 9, then=Then.HANG)),
    (_O.GARBAGE_ANSWER, "status line", Reply(data=b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    (_O.GARBAGE_ANSWER, "status", Reply(data=b"HTTP/1.1 2x0 OK\r\n\r\n")),
    (
        _O.GARBAGE_ANSWER,
        "long header",
        Reply(data=b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n"),
    ),
    (_O.BODY_CUT, "closed", Reply(data=CUT, then=Then.CLOSE)),
    (_O.BODY_CUT, "reset", Reply(data=CUT, then=Then.RESET)),
    (_O.BODY_CUT, "chunks cut", Reply(data=CHUNKED + b"5\r\n{", then=Then.CLOSE)),
]


def by_row(cases: list[tuple[Outcome, str, Reply]]) -> list[Any]:
    """Return the cases with the number of their row in the id."""
    return [
        pytest.param(outcome, reply, id=f"row{BY_OUTCOME[outcome].number:02d}-{name}")
        for outcome, name, reply in cases
    ]


@pytest.mark.parametrize(("outcome", "reply"), by_row(COMPLETE))
async def test_a_complete_answer_has_the_outcome_of_its_row(outcome: Outcome, reply: Reply) -> None:
    """What the cloud says is told as the table has it, with the status that it really sent."""
    async with cloud(reply) as served, caller(served) as call:
        answer = await call.create()

    assert (answer.outcome, answer.sent) == (outcome, True)
    assert answer.http_status == int(reply.data[9:12])
    assert len(served.requests) == 1
    assert TOKEN not in repr(answer)


@pytest.mark.parametrize(("outcome", "reply"), by_row(BROKEN))
async def test_a_broken_answer_has_no_status(outcome: Outcome, reply: Reply) -> None:
    """An answer that never became complete is told as lost; no status is invented for it."""
    short_s = 0.05 if reply.then is Then.HANG and outcome is _O.ANSWER_TIMEOUT else 5.0
    async with cloud(reply) as served, caller(served) as call:
        answer = await call.create(s=short_s)

    assert (answer.outcome, answer.sent, answer.http_status) == (outcome, True, None)
    assert len(served.requests) == 1
    assert answer.message.startswith(BY_OUTCOME[outcome].what)
    assert TOKEN not in repr(answer)


BAD_NAMES = [
    "..",
    ".",
    "a/b",
    "%2e%2e",
    "a%2fb",
    "a\x00",
    "a\nb",
    "a" * 300,
    "p\u043e\u043el",
    "pool?x",
    "",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("where", ["project", "pool", "plug-in"])
async def test_row01_a_bad_name_never_reaches_the_wire(name: str, where: str) -> None:
    """Nothing that could address something else is sent, not even a connection is made."""
    target = Target(
        project_id=name if where == "project" else TARGET.project_id,
        pool_name=name if where == "pool" else TARGET.pool_name,
    )
    body = plugin_body(name) if where == "plug-in" else BODY
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        answer = await call.create(body, target)

    assert (answer.outcome, answer.sent) == (_O.NOT_SENDABLE, False)
    assert served.connections == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"spec":' + b" " * 1024 * 1024 + b"{}}"])
async def test_row01_a_body_that_is_not_ours_is_not_sent(body: bytes) -> None:
    """A body that names no plug-in, or is too large, stays here."""
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        answer = await call.create(body)

    assert (answer.outcome, answer.sent, served.connections) == (_O.NOT_SENDABLE, False, 0)


@pytest.mark.parametrize("how", ["create", "list"])
async def test_row02_a_closed_gate_means_zero_bytes(how: str) -> None:
    """When the slot or the lease has run out, not one byte leaves; the connection stays usable."""
    gate = Gates(GateClosed())
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        kept = await (call.create(gate=gate) if how == "create" else call.list(gate=gate))
        await served.connected.wait()
        bytes_before = served.bytes_seen
        sent = await call.create()

    assert (kept.outcome, kept.sent, bytes_before, gate.asked) == (_O.GATE_CLOSED, False, 0, 1)
    assert (sent.outcome, served.connections) == (_O.OK, 1)


async def test_row03_a_name_without_address_is_not_sent() -> None:
    """A host that does not resolve is told as that."""
    async with caller("https://nowhere.invalid") as call:
        answer = await call.create()

    assert (answer.outcome, answer.sent) == (_O.DNS_FAILED, False)


async def test_row04_a_refused_connection_is_not_sent() -> None:
    """Nobody listens: nothing was sent."""
    async with cloud() as served:
        endpoint = served.endpoint
    async with caller(endpoint) as call:
        answer = await call.create()

    assert (answer.outcome, answer.sent) == (_O.CONNECT_REFUSED, False)
    assert "ECONNREFUSED" in answer.message


async def test_row05_no_connection_in_time_is_not_sent() -> None:
    """A TLS handshake that never answers ends at the timeout, and nothing was sent."""
    async with cloud() as served, caller(f"https://127.0.0.1:{served.port}") as call:
        answer = await call.create(s=0.05)

    assert (answer.outcome, answer.sent) == (_O.CONNECT_TIMEOUT, False)
    assert served.requests == []


async def test_row05_time_that_ran_out_before_writing_is_not_sent() -> None:
    """With a connection at hand and no time left, the request stays here and says so."""
    gate = Gates()
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        await call.create()
        answer = await call.create(gate=gate, s=1e-9)

    assert (answer.outcome, answer.sent) == (_O.CONNECT_TIMEOUT, False)
    assert (len(served.requests), gate.asked) == (1, 0)


async def test_row05_without_time_nothing_is_begun() -> None:
    """With no time left there is not even a connection."""
    async with cloud() as served, caller(served) as call:
        answer = await call.create(s=0.0)

    assert (answer.outcome, answer.sent, served.connections) == (_O.CONNECT_TIMEOUT, False, 0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that no authority signed, with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    return make_certificate(folder)


def make_certificate(folder: Path) -> Path:
    """Let openssl make it: a key in the repository would be one that somebody might trust."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    files = ["-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *files, *subject],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes(pem.read_bytes() + key.read_bytes())
    return both


def serving(certificate: Path) -> ssl.SSLContext:
    """Return the server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_row06_an_unknown_certificate_is_not_trusted(certificate: Path) -> None:
    """A certificate nobody vouches for stops us before the credential leaves, and says so."""
    tls = serving(certificate)
    async with cloud(http(200, OPEN_ANSWER), tls=tls) as served, caller(served) as call:
        answer = await call.create()

    assert (answer.outcome, answer.sent, served.requests) == (_O.TLS_WRONG, False, [])
    assert "self-signed certificate" in answer.message


async def test_row06_a_peer_without_tls_is_wrong_not_refused() -> None:
    """A server that speaks no TLS on the configured port is a wrong endpoint, not a dead one."""
    greeting = Reply(data=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    async with (
        cloud(greeting, greets=True) as served,
        caller(f"https://127.0.0.1:{served.port}") as call,
    ):
        answer = await call.create()

    assert (answer.outcome, answer.sent) == (_O.TLS_WRONG, False)


async def test_row12_a_private_authority_is_trusted_when_configured(certificate: Path) -> None:
    """With its authority configured the same certificate is accepted, and the call goes through."""
    settings = TransportSettings(tls=ssl.create_default_context(cafile=str(certificate)))
    async with (
        cloud(http(200, OPEN_ANSWER), tls=serving(certificate)) as served,
        caller(served, settings=settings) as call,
    ):
        answer = await call.create()

    assert answer.outcome is _O.OK


async def test_row07_a_reset_on_accept_is_reported_honestly() -> None:
    """A connection that is reset at once: not sent when nothing was written, lost otherwise."""
    async with cloud(reset_on_accept=True) as served, caller(served) as call:
        answer = await call.create()

    expected = _O.CONNECTION_LOST if answer.sent else _O.CONNECT_REFUSED
    assert answer.outcome is expected
    assert served.requests == []


def test_every_row_of_the_wire_has_a_case() -> None:
    """No row that a client can meet is left without a test of its number."""
    met = {BY_OUTCOME[outcome].number for outcome, _, _ in COMPLETE + BROKEN}

    assert met | {1, 2, 3, 4, 5, 6, 28, 29, 30, 32} == {row.number for row in ROWS}


class Ended(TokenAuth):
    """A token that can be had anew."""

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:
        """Say that the next one will be another."""
        return True


async def test_row32_a_token_that_ended_is_told_from_one_that_is_wrong() -> None:
    """Only what can be renewed has ended; the same words about a fixed token are a refusal."""
    said = known(401, "APIG.0301", "token expires, expires_at: 2026-11-24T01:00:00.000000Z")
    async with (
        cloud(said, said) as served,
        caller(served, authorizer=Ended(TOKEN)) as renewing,
        caller(served, authorizer=TokenAuth(TOKEN)) as fixed,
    ):
        answers = [await renewing.create(), await fixed.create()]

    assert [one.outcome for one in answers] == [_O.CREDENTIAL_ENDED, _O.UNAUTHENTICATED]
    assert [(one.sent, one.http_status) for one in answers] == [(True, 401)] * 2


async def test_a_named_limit_is_told() -> None:
    """A 429 teaches: the limit and the window from its text, and Retry-After."""
    reply = known(429, "APIG.0308", LIMIT_TEXT, Retry_After="17", X_Request_Id="a1b2")
    async with cloud(reply) as served, caller(served) as call:
        answer = await call.create()

    assert answer == Answer(
        outcome=_O.THROTTLED,
        sent=True,
        http_status=429,
        error_code="APIG.0308",
        message=LIMIT_TEXT,
        request_id="a1b2",
        retry_after_s=17.0,
        limit=Limit(count=7, window_s=120.0),
    )


async def test_cancellation_passes_through() -> None:
    """Who cancels a call from outside gets the cancellation, not an answer."""
    got: list[Any] = []
    async with (
        cloud(Reply(then=Then.HANG)) as served,
        caller(served) as call,
        anyio.create_task_group() as group,
    ):

        async def ask() -> None:
            got.append(await call.create())

        group.start_soon(ask)
        await served.answered.wait()
        group.cancel_scope.cancel()

    assert got == []


async def test_row10_a_bad_chunk_is_never_a_status() -> None:
    """Broken chunks are garbage together with the head, and a cut body after it."""
    reply = Reply(data=CHUNKED + b"zz\r\n{}\r\n", then=Then.HANG)
    async with cloud(reply) as served, caller(served) as call:
        answer = await call.create()

    assert answer.outcome in {_O.GARBAGE_ANSWER, _O.BODY_CUT}
    assert (answer.sent, answer.http_status) == (True, None)


async def test_row12_another_plugin_that_only_looks_like_ours_is_not_ours() -> None:
    """A name is compared as it stands: what is invisible in it still counts."""
    spec = {"template": {"name": "node-local-dns\x00"}}
    async with cloud(http(200, {"spec": spec})) as served, caller(served) as call:
        answer = await call.create()

    assert answer.outcome is _O.UNREADABLE_SUCCESS
