"""The interface on a real socket: what a slow, huge, broken or greedy caller costs the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from config.serving import ServerSettings
from jobs.clock import SystemClock
from jobs.errors import ConfigError
from tests.api.calling import House, a_house, a_job
from worker.api.connections import Crowd
from worker.api.gate import insist_on_login
from worker.api.server import ApiServer
from worker.api.serving import serving
from worker.api.terms import Scope


@asynccontextmanager
async def listening(folder: Path, **server: object) -> AsyncIterator[tuple[House, ApiServer, int]]:
    """Serve on a free port."""
    told = {"listen": "127.0.0.1:0", "drain": 1, **server}
    open_house = a_house(folder, SystemClock(), **told)
    async with open_house as house, serving(house.rooms, lambda: "r-7") as api:
        yield house, api, int(api.url.rpartition(":")[2])


def head(port: int, *lines: str, start: str = "GET /healthz HTTP/1.1") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([start, f"Host: 127.0.0.1:{port}", *lines, "", ""]).encode()


def posting(port: int, body: bytes, key: str = "k", length: int | None = None) -> bytes:
    """Return a whole request that queues a job."""
    size = f"Content-Length: {len(body) if length is None else length}"
    kind = "Content-Type: application/json"
    start = "POST /api/v1/jobs HTTP/1.1"
    return head(port, kind, size, f"Idempotency-Key: {key}", start=start) + body


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    raw = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = raw.strip().split("\r\n")
    headers = {
        name.lower(): text.strip() for name, _, text in (one.partition(":") for one in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(status.split()[1]), headers, body


async def asked(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Make one call on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await answered(reader)
    finally:
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_job_comes_in_and_is_told_by_the_stream(tmp_path: Path) -> None:
    """What is queued by one caller reaches another's stream, with the id to go on from."""
    async with listening(tmp_path) as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stream = "GET /api/v1/events HTTP/1.1"
        writer.write(head(port, "Accept: text/event-stream", start=stream))
        await reader.readuntil(b"events follow\n\n")
        status, headers, body = await asked(port, posting(port, orjson.dumps(a_job())))
        frame = (await reader.readuntil(b"\n\n")).split(b"\r\n")[-1]
        writer.close()

        missed = await asked(port, head(port, "Last-Event-ID: 0-0", start=stream))
        waited = f"GET /api/v1/jobs/{orjson.loads(body)['job']}:wait?timeout=0 HTTP/1.1"
        job = await asked(port, head(port, start=waited))

    assert (status, headers["x-request-id"]) == (202, "r-7")
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    assert orjson.loads(lines["data"])["job"] == orjson.loads(body)["job"]
    assert lines["id"] == orjson.loads(missed[2])["cursor"]
    assert orjson.loads(job[2])["outcome"] is None


async def test_an_unchanged_answer_is_not_sent_again(tmp_path: Path) -> None:
    """If-None-Match with the ETag of an answer is 304 without a body; HEAD has the same head."""
    async with listening(tmp_path) as (_, _, port):
        start = "GET /api/v1/jobs HTTP/1.1"
        _, headers, _ = await asked(port, head(port, start=start))
        same = await asked(port, head(port, f"If-None-Match: {headers['etag']}", start=start))
        other = await asked(port, head(port, 'If-None-Match: "x"', start=start))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(port, "Connection: close", start=start.replace("GET", "HEAD")))
        only_head = await ended(reader)
        writer.close()

    assert (same[0], same[2], other[0]) == (304, b"", 200)
    assert headers["etag"].encode() in only_head
    assert only_head.endswith(b"\r\n\r\n")


async def test_every_answer_has_the_headers_that_protect(tmp_path: Path) -> None:
    """Nothing is sniffed, framed, cached for good or told about the server's version."""
    async with listening(tmp_path) as (_, _, port):
        answers = [
            await asked(port, head(port, start=f"GET {path} HTTP/1.1"))
            for path in ("/healthz", "/nowhere", "/api/v1/jobs")
        ]

    for _, headers, _ in answers:
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["server"] == "plugwave"


async def test_a_huge_body_is_refused_by_its_length(tmp_path: Path) -> None:
    """A body beyond the limit is 413 before it is read, and the connection ends."""
    async with listening(tmp_path) as (_, _, port):
        told = await asked(port, posting(port, b"{", length=10**9))
        chunked = head(
            port,
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            start="POST /api/v1/jobs HTTP/1.1",
        )
        chunks = b"40000\r\n" + b"x" * 0x40000 + b"\r\n5\r\nxxxxx\r\n0\r\n\r\n"
        counted = await asked(port, chunked + chunks)
        others = await asked(port, head(port))

    assert (told[0], told[1]["connection"]) == (413, "close")
    assert orjson.loads(told[2])["code"] == "HTTP-06"
    assert (counted[0], others[0]) == (413, 200)


async def test_a_slow_body_costs_its_own_connection(tmp_path: Path) -> None:
    """A body that does not come is 408 after its time, and others are served meanwhile."""
    async with listening(tmp_path, body_timeout=0.1) as (house, _, port):
        slow = asyncio.ensure_future(asked(port, posting(port, b'{"a"', length=100)))  # noqa: TID251 - a caller, not the product
        others = await asked(port, posting(port, orjson.dumps(a_job())))
        told = await slow
        count = await house.store.open_jobs()

    assert (others[0], told[0], count) == (202, 408, 1)
    assert orjson.loads(told[2])["code"] == "HTTP-07"


async def test_a_slow_head_ends_with_its_connection(tmp_path: Path) -> None:
    """Whoever sends a head byte by byte is cut off when its time is over."""
    async with listening(tmp_path, idle=0.1) as (_, api, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0")
        rest = await ended(reader)
        writer.close()
        left = api.connections

    assert (rest, left) == (b"", 0)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
        pytest.param(b"NONSENSE\r\n\r\n", id="no-http"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two-hosts"),
        pytest.param(b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", id="long-line"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n", id="many-fields"),
        pytest.param(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="smuggling",
        ),
    ],
)
async def test_what_is_no_http_is_refused_and_not_repeated(tmp_path: Path, raw: bytes) -> None:
    """A head that cannot be read is 4xx, tells nothing back, and ends the connection."""
    async with listening(tmp_path) as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        told = await ended(reader)
        writer.close()
        alive = await asked(port, head(port))

    assert told.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"Traceback" not in told
    assert b"aaaa" not in told
    assert alive[0] == 200


def test_a_greedy_address_leaves_room_for_others() -> None:
    """Connections are counted for each address and altogether; what left makes room."""
    crowd = Crowd(5, 2)
    entered = [crowd.enter(peer) for peer in ("a", "a", "a", "b", "127.0.0.1", "127.0.0.1", "c")]
    crowd.leave("a")

    assert entered == [True, True, False, True, True, True, False]
    assert (crowd.enter("a"), crowd.size, crowd.refused) == (True, 5, 2)


async def test_one_connection_too_many_is_closed_at_once(tmp_path: Path) -> None:
    """Beyond its connections the server closes new ones and serves those it has."""
    async with listening(tmp_path, connections=1) as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(port))
        first = await answered(reader)
        more, other = await asyncio.open_connection("127.0.0.1", port)
        closed = await ended(more)
        other.close()
        writer.write(head(port))
        again = await answered(reader)
        writer.close()

    assert (first[0], closed, again[0]) == (200, b"", 200)


async def test_a_call_in_hand_is_answered_while_the_server_leaves(tmp_path: Path) -> None:
    """Who waits for a job is let go with an answer, and a stream ends in order."""
    async with a_house(tmp_path, SystemClock(), listen="127.0.0.1:0", drain=5) as house:
        async with serving(house.rooms, lambda: "r") as api:
            port = int(api.url.rpartition(":")[2])
            await asked(port, posting(port, orjson.dumps(a_job())))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head(port, start="GET /api/v1/jobs/job-1:wait?timeout=60 HTTP/1.1"))
            stream, other = await asyncio.open_connection("127.0.0.1", port)
            start = "GET /api/v1/events HTTP/1.1"
            other.write(head(port, "Accept: text/event-stream", start=start))
            await stream.readuntil(b"events follow\n\n")
            while house.rooms.standing.streams < 2:  # noqa: ASYNC110 - a count is no event
                await asyncio.sleep(0.001)  # noqa: TID251 - real sockets take real time
        told = await answered(reader)
        rest = await ended(stream)
        writer.close()
        other.close()

    assert told[0] == 200
    assert rest.endswith(b"0\r\n\r\n")


async def test_other_machines_are_not_served_without_a_login(tmp_path: Path) -> None:
    """Listening elsewhere than on this machine needs a live token, or the start is refused."""
    everywhere = ServerSettings(listen="0.0.0.0:0")
    async with a_house(tmp_path, listen="0.0.0.0:0") as house:
        with pytest.raises(ConfigError) as caught:
            async with serving(house.rooms, lambda: "r"):
                pass
        await house.token("over", Scope.VIEWER, expires_us=1)
        with pytest.raises(ConfigError):
            await insist_on_login(everywhere, house.store.access, house.clock.now_us())
        await house.token("live", Scope.VIEWER)
        await insist_on_login(everywhere, house.store.access, house.clock.now_us())

    for way in ("plugwave tokens create", "127.0.0.1", "server.login"):
        assert way in caught.value.do


async def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    """Two servers on one port: the second says so."""
    async with listening(tmp_path) as (house, _, port):
        taken = House(house.store, house.clock, {"listen": f"127.0.0.1:{port}"})
        with pytest.raises(BaseExceptionGroup) as caught:
            async with serving(taken.rooms, lambda: "r"):
                pass

    assert caught.group_contains(ConfigError, match="cannot listen")
