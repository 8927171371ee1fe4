"""What reaches the wire, counted there; and what never does."""

import gc
import logging
import ssl
from collections.abc import Callable, Iterator

import anyio
import anyio.lowlevel
import pytest
from yarl import URL

from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from tests.fakes import FakeClock
from tests.modelarts.scripted import (
    BODY,
    LONG_S,
    OPEN_ANSWER,
    TOKEN,
    Gates,
    Reply,
    Then,
    caller,
    cloud,
    http,
    known,
    open_gate,
)
from worker.modelarts.auth import NoAuth, TokenAuth
from worker.modelarts.transport import Transport, TransportSettings

LIST = http(200, {"kind": "PluginList", "apiVersion": "v2", "items": []})
_O = Outcome


async def test_a_dropped_connection_is_not_repeated_behind_our_back() -> None:
    """A read whose reused connection drops is one request on the wire, not two."""
    dropped = Reply(then=Then.CLOSE)
    async with cloud(LIST, dropped, LIST) as served, caller(served) as call:
        await call.list()
        lost = await call.list()

    assert (lost.outcome, lost.sent) == (_O.CONNECTION_LOST, True)
    assert (served.connections, len(served.requests)) == (1, 2)


async def test_a_dropped_send_is_not_repeated_behind_our_back() -> None:
    """A send whose reused connection drops is one request on the wire, and asked for once."""
    gate = Gates()
    dropped = Reply(then=Then.CLOSE)
    async with cloud(LIST, dropped, http(200, OPEN_ANSWER)) as served, caller(served) as call:
        await call.list()
        lost = await call.create(gate=gate)

    assert (lost.outcome, lost.sent) == (_O.CONNECTION_LOST, True)
    assert (served.connections, len(served.requests), gate.asked) == (1, 2, 1)


async def test_the_gate_is_asked_when_the_connection_stands() -> None:
    """What the gate decides is true at the moment of writing, not before a connection was found."""
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        bytes_then: list[int] = []

        def gate() -> None:
            bytes_then.append(len(call.transport.channels._connector._acquired))

        await call.create(gate=gate)

    assert bytes_then == [1]


async def test_a_gate_that_fails_otherwise_keeps_the_request_back_too() -> None:
    """What else a gate raises reaches the caller, and not a byte was written."""
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        with pytest.raises(LookupError):
            await call.create(gate=Gates(LookupError("lease")))

    assert served.bytes_seen == 0


async def test_a_connection_that_is_known_to_be_gone_is_not_written_to() -> None:
    """A server that closed an idle connection costs a new connection, not a lost request."""
    closing = http(200, OPEN_ANSWER, then=Then.CLOSE)
    async with cloud(closing) as served, caller(served) as call:
        first = await call.create()
        while idle_connections(call.transport):
            await anyio.lowlevel.checkpoint()
        second = await call.create()

    assert (first.outcome, second.outcome) == (_O.OK, _O.OK)
    assert (served.connections, len(served.requests)) == (2, 2)


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    """What a server says into an idle connection never becomes the answer to a later request."""
    unasked = Reply(data=LIST.data, late=http(200, OPEN_ANSWER).data)
    async with cloud(unasked, known(403, "APIG.0302")) as served, caller(served) as call:
        await call.list()
        served.taken.set()
        while idle_connections(call.transport, unspoilt=True):
            await anyio.lowlevel.checkpoint()
        answer = await call.create()

    assert answer.outcome is _O.FORBIDDEN
    assert (served.connections, len(served.requests)) == (2, 2)


def idle_connections(transport: Transport, *, unspoilt: bool = False) -> int:
    """Return how many pooled connections look alive, and unspoilt if that is asked for."""
    handlers = [channel._handler for channel in transport.channels.idle]
    return sum(one.is_connected() and not (unspoilt and one.should_close) for one in handlers)


async def test_connections_are_reused() -> None:
    """Ten calls in a row need one connection, whatever the answers were."""
    replies = [http(200, OPEN_ANSWER), known(400, "ModelArts.50004000"), known(429, "APIG.0308")]
    async with cloud(*replies) as served, caller(served) as call:
        for _ in range(10):
            await call.create()

    assert (served.connections, len(served.requests)) == (1, 10)


async def test_the_body_leaves_as_the_bytes_that_were_given() -> None:
    """What was serialised once is what arrives, with one head and no compression asked for."""
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        await call.create()
        head, _, body = served.requests[0].partition(b"\r\n\r\n")

    lines = [line.lower() for line in head.split(b"\r\n")]
    assert body == BODY
    assert lines[0].startswith(b"post /v2/")
    assert lines[0].endswith(b"/plugins http/1.1")
    assert b"content-type: application/json" in lines
    assert b"accept-encoding: identity" in lines
    assert b"x-auth-token: " + TOKEN.lower().encode() in lines


async def test_a_body_at_the_upper_end_arrives_whole() -> None:
    """A large body does not block, warn or break off."""
    body = BODY[:-1] + b" " * (1024 * 1024 - len(BODY)) + b"}"
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served) as call:
        answer = await call.create(body)

    assert (answer.outcome, served.requests[0][-len(body) :]) == (_O.OK, body)


async def test_cookies_of_one_answer_are_not_sent_with_the_next() -> None:
    """A gateway's cookie does not tie later requests to anything."""
    sets = http(200, OPEN_ANSWER, {"Set-Cookie": "session=1; Path=/"})
    async with cloud(sets) as served, caller(f"http://localhost:{served.port}") as call:
        await call.create()
        await call.create()

    assert b"cookie" not in served.requests[1].lower()


async def test_a_redirect_is_not_followed() -> None:
    """The credential and the body go nowhere else, also within the same host."""
    async with cloud() as served:
        served.replies = [http(307, headers={"Location": f"{served.endpoint}/elsewhere"})]
        async with caller(served) as call:
            answer = await call.create()

    assert (answer.outcome, len(served.requests)) == (_O.REDIRECTED, 1)


async def test_proxy_variables_count_only_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment cannot send our credential through somebody else's machine."""
    async with cloud(http(502)) as proxy, cloud(http(200, OPEN_ANSWER)) as served:
        monkeypatch.setenv("http_proxy", proxy.endpoint)
        monkeypatch.delenv("no_proxy", raising=False)
        async with caller(served) as call:
            direct = await call.create()
        async with caller(served, settings=TransportSettings(trust_env=True)) as call:
            asked_for = await call.create()

    assert (direct.outcome, len(served.requests)) == (_O.OK, 1)
    assert (asked_for.outcome, len(proxy.requests)) == (_O.SERVER_ERROR, 1)


def test_certificates_are_always_verified() -> None:
    """A TLS context that trusts everybody is refused as a setting."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE

    with pytest.raises(ConfigError):
        TransportSettings(tls=blind)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "töken", "a\x00"])
def test_a_token_that_no_header_can_carry_is_refused_unshown(token: str) -> None:
    """A credential that would break the request is a configuration error that does not show it."""
    with pytest.raises(ConfigError) as caught:
        TokenAuth(token)

    assert not token or token not in str(caught.value.as_dict())


async def test_without_credential_nothing_is_added() -> None:
    """A simulator on loopback is called without any credential header."""
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served, authorizer=NoAuth()) as call:
        answer = await call.create()

    assert answer.outcome is _O.OK
    assert b"token" not in served.requests[0].lower()


ECHOES = [
    known(400, "ModelArts.50004000", f"bad header x-auth-token: {TOKEN}"),
    known(401, TOKEN, TOKEN),
    http(401, {"error_code": f"APIG.0301{TOKEN}", "error_msg": "no"}, {"X-Request-Id": TOKEN}),
    http(502, f"<html><pre>X-Auth-Token: {TOKEN}</pre></html>".encode()),
    http(200, {**OPEN_ANSWER, "status": {"phase": TOKEN, "reason": TOKEN}}),
    http(200, {**OPEN_ANSWER}, {"X-Request-Id": TOKEN}),
    http(200, TOKEN.encode()),
    http(302, TOKEN.encode(), {"Location": f"http://x.invalid/{TOKEN}"}),
    Reply(data=b"HTTP/1.1 2x0 " + TOKEN.encode() + b"\r\n\r\n"),
    Reply(data=b"HTTP/1.1 200 OK\r\nX: " + TOKEN.encode() * 600 + b"\r\n\r\n"),
    Reply(then=Then.RESET),
    Reply(
        data=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + TOKEN[:5].encode(), then=Then.RESET
    ),
]


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Everything that any library logs meanwhile, down to debug."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]  # the whole of a handler
    root, level = logging.root, logging.root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.parametrize("reply", ECHOES)
@pytest.mark.parametrize("how", ["create", "list"])
async def test_the_credential_is_never_seen_again(
    reply: Reply, how: str, heard: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever an answer repeats and however it breaks, the token is in nothing we show."""
    async with cloud(reply) as served, caller(served) as call:
        answer = await (call.create() if how == "create" else call.list())
    gc.collect()

    printed = capfd.readouterr()
    assert TOKEN.encode() in served.requests[0]
    assert TOKEN not in repr(answer) + str(answer)
    assert TOKEN not in "".join(heard) + printed.out + printed.err


@pytest.mark.parametrize("status", [200, 400])
async def test_a_credential_that_looks_like_a_request_id_is_not_taken_for_one(status: int) -> None:
    """An answer that names our credential as its request id has none."""
    token = "c0ffee" * 5
    reply = http(status, OPEN_ANSWER, {"X-Request-Id": f"id-{token}"})
    async with cloud(reply) as served, caller(served, authorizer=TokenAuth(token)) as call:
        answer = await call.create()

    assert answer.outcome is not _O.OK
    assert token not in repr(answer)


@pytest.mark.parametrize("what", [repr, str])
async def test_nothing_on_the_way_shows_the_credential_or_the_body(
    what: Callable[[object], str],
) -> None:
    """The parts that hold a request do not show it when somebody prints them."""
    async with cloud(http(200, OPEN_ANSWER)) as served, Transport(FakeClock()) as transport:
        raw = await transport.request(
            "POST",
            URL(f"{served.endpoint}/v2", encoded=True),
            {"X-Auth-Token": TOKEN},
            b'{"inputs":"hidden"}',
            timeout_s=LONG_S,
            gate=open_gate,
        )

    shown = what(raw) + what(transport) + what(TokenAuth(TOKEN))
    assert TOKEN not in shown
    assert "hidden" not in shown


async def test_a_deadline_ends_with_its_request() -> None:
    """Once an answer is complete its connection may serve another; the first deadline is void."""
    slow = Reply(data=http(200, OPEN_ANSWER).data[:-1], then=Then.HANG)
    async with cloud(http(200, OPEN_ANSWER), slow) as served, caller(served) as call:
        first = await call.create(s=0.05)
        with anyio.move_on_after(0.1):
            await call.create()
            pytest.fail("it was cut at the deadline of the request before it")

    assert first.outcome is _O.OK
    assert served.connections == 1


async def test_each_request_ends_at_its_own_deadline() -> None:
    """A patient request does not make the others wait, nor an impatient one cut the others."""
    served_slowly = Reply(data=b"HTTP/1.1 200 OK\r\n", then=Then.HANG)
    ended: list[float] = []
    async with cloud(served_slowly) as served, caller(served) as call:

        async def ask(s: float) -> None:
            answer = await call.create(s=s)
            assert answer.outcome is _O.ANSWER_TIMEOUT
            ended.append(s)

        async with anyio.create_task_group() as asking:
            for s in (0.15, 0.05, 0.1):
                asking.start_soon(ask, s)

    assert ended == [0.05, 0.1, 0.15]


@pytest.mark.parametrize("evil", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "t\u00f6ken"])
async def test_a_header_that_would_end_its_line_is_refused_before_anything_is_written(
    evil: str,
) -> None:
    """Whatever a header is made of, it cannot bring a second header or request onto the wire."""
    async with cloud(http(200, OPEN_ANSWER)) as served, Transport(FakeClock()) as transport:
        url = URL(f"{served.endpoint}/v2", encoded=True)
        answer = await transport.request(
            "GET", url, {"X-Auth-Token": evil}, timeout_s=LONG_S, gate=open_gate
        )

    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.sent) == (_O.NOT_SENDABLE, False)
    assert (served.connections, served.bytes_seen) == (0, 0)


async def test_interim_answers_are_passed_over() -> None:
    """What a gateway says on the way (103, 100) is not the answer."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    reply = Reply(data=early + http(200, OPEN_ANSWER).data)
    async with cloud(reply) as served, caller(served) as call:
        answers = [await call.create(), await call.create()]

    assert [one.outcome for one in answers] == [_O.OK, _O.OK]
    assert served.connections == 1


async def test_a_host_header_is_sent_once() -> None:
    """The signature covers Host; it stands in the head once, as it was signed."""
    async with cloud(http(200, OPEN_ANSWER)) as served, Transport(FakeClock()) as transport:
        url = URL(f"{served.endpoint}/v2", encoded=True)
        host = {"Host": url.host_port_subcomponent or ""}
        await transport.request("GET", url, host, timeout_s=LONG_S, gate=open_gate)

    assert served.requests[0].lower().count(b"host:") == 1


async def test_a_request_without_a_body_says_so_where_a_body_is_usual() -> None:
    """A POST that carries nothing names its length, so that no server waits for the rest."""
    async with cloud(http(200)) as served, Transport(FakeClock()) as transport:
        url = URL(f"{served.endpoint}/v2", encoded=True)
        for method in ("POST", "GET"):
            await transport.request(method, url, {}, timeout_s=LONG_S, gate=open_gate)

    assert b"content-length: 0\r\n" in served.requests[0].lower()
    assert b"content-length" not in served.requests[1].lower()


@pytest.mark.parametrize("size", [0, 200_000, 400_000])
async def test_an_answer_in_pieces_is_one_answer(size: int) -> None:
    """However many pieces it comes in, plain or left to aiohttp, the body is whole."""
    body = b"[" + b"1" * size + b"]"
    async with cloud(http(200, body)) as served, Transport(FakeClock()) as transport:
        url = URL(f"{served.endpoint}/v2", encoded=True)
        told = [
            await transport.request("GET", url, {}, timeout_s=LONG_S, gate=open_gate)
            for _ in range(2)
        ]

    assert [one.body for one in told if not isinstance(one, Answer)] == [body, body]
    assert served.connections == 1


async def test_an_idle_connection_is_not_kept_for_ever() -> None:
    """Sooner than a gateway would close it, it is closed here, whether requests come or not."""
    settings = TransportSettings(keepalive_s=0.02)
    async with cloud(http(200, OPEN_ANSWER)) as served, caller(served, settings=settings) as call:
        await call.create()
        handlers = [channel._handler for channel in call.transport.channels.idle]
        while call.transport.channels.idle:
            await anyio.lowlevel.checkpoint()
        await call.create()

    assert [one.is_connected() for one in handlers] == [False]
    assert served.connections == 2
