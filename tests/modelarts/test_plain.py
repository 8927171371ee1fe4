"""The usual answer, read by hand: exactly what aiohttp reads, and everything else is left to it."""

import asyncio
import random
from collections.abc import Iterable

import pytest
from aiohttp.client_proto import ResponseHandler

from worker.modelarts.plain import MOST_BYTES, Plain, Unread, plain_answer

USUAL = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 24 Nov 2026 01:00:00 GMT\r\n"
    b"X-Request-Id: 4b7a8c9d0e1f2a3b\r\nContent-Length: 11\r\n\r\n" + b'{"items":1}'
)


Reading = tuple[int, list[tuple[str, str]], bytes]


def reading(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Reading:
    """Return an answer for comparison; aiohttp spells well-known header names its own way."""
    return status, [(name.lower(), value) for name, value in headers], body


async def by_aiohttp(data: bytes) -> Reading:
    """Return what aiohttp reads of a whole answer; raise what it raises, also on what is left."""
    handler = ResponseHandler(asyncio.get_running_loop())
    handler.set_response_params(auto_decompress=False, read_until_eof=True)
    handler.data_received(data)
    message, content = await handler.read()
    body = await content.read()
    assert not handler.should_close
    return reading(message.code, message.headers.items(), body)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(USUAL, id="usual"),
        pytest.param(USUAL.replace(b"200 OK", b"429 Too Many"), id="refusal"),
        pytest.param(USUAL.replace(b" OK", b""), id="no-reason"),
        pytest.param(USUAL.replace(b"Date: ", b"connection: Keep-Alive\r\ndate:\t "), id="spaces"),
        pytest.param(USUAL.replace(b"Date: ", b"Via: a\r\nVia: b\r\nDate:"), id="header-twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", id="empty"),
    ],
)
async def test_a_plain_answer_reads_as_aiohttp_reads_it(data: bytes) -> None:
    """Status, headers and body are the same, and no byte less makes an answer."""
    plain = plain_answer(data)

    assert isinstance(plain, Plain)
    assert reading(plain.status, plain.headers.items(), plain.body) == await by_aiohttp(data)
    for end in range(len(data)):
        whole_head = b"\r\n\r\n" in data[:end]
        expected = Unread.INCOMPLETE if whole_head else Unread.UNUSUAL
        assert plain_answer(data[:end]) is expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(USUAL + b"H", id="more-after-the-end"),
        pytest.param(USUAL.replace(b"1.1", b"1.0"), id="old-protocol"),
        pytest.param(USUAL.replace(b"200", b"100"), id="interim"),
        pytest.param(USUAL.replace(b"200", b"204"), id="without-body"),
        pytest.param(USUAL.replace(b"Content-Length: 11\r\n", b""), id="no-length"),
        pytest.param(USUAL.replace(b"11\r", b"11\r\nContent-Length: 11\r"), id="two-lengths"),
        pytest.param(USUAL.replace(b": 11\r", b": +11\r"), id="signed-length"),
        pytest.param(USUAL.replace(b": 11\r", b": %d\r" % (MOST_BYTES + 1)), id="large"),
        pytest.param(USUAL.replace(b"Date: ", b"Transfer-Encoding: chunked\r\nDate:"), id="chunks"),
        pytest.param(USUAL.replace(b"Date: ", b"Content-Encoding: gzip\r\nDate:"), id="compressed"),
        pytest.param(USUAL.replace(b"Date: ", b"Connection: close\r\nDate:"), id="closing"),
        pytest.param(USUAL.replace(b"Date: ", b"Upgrade: h2c\r\nDate:"), id="upgrade"),
        pytest.param(USUAL.replace(b"Date: ", b" folded\r\nDate:"), id="folded"),
        pytest.param(USUAL.replace(b"OK", "ö".encode()), id="foreign-letters"),
        pytest.param(USUAL.replace(b"Date: ", b"X: a\x00b\r\nDate:"), id="control"),
        pytest.param(USUAL.replace(b"\r\n", b"\n"), id="bare-line-feeds"),
        pytest.param(b"<html>\r\n\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000, id="long-head"),
    ],
)
def test_what_is_not_plain_is_left_to_aiohttp(data: bytes) -> None:
    """Whatever ends otherwise, or means something else than its length says, is not read here."""
    assert plain_answer(data) is Unread.UNUSUAL


async def test_no_spoilt_answer_is_read_otherwise_than_by_aiohttp() -> None:
    """Of answers with bytes changed, lost or doubled, those read here read the same there."""
    chance = random.Random(7)
    signs = b"\r\n\t :;,-0159azAZ\x00\x7f\xe4"
    read = 0
    for _ in range(3000):
        spoilt = bytearray(USUAL)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(spoilt))
            spoilt[at : at + chance.randint(0, 2)] = bytes(
                chance.choices(signs, k=chance.randint(0, 2))
            )
        plain = plain_answer(bytes(spoilt))
        if isinstance(plain, Plain):
            read += 1
            mine = reading(plain.status, plain.headers.items(), plain.body)
            assert mine == await by_aiohttp(bytes(spoilt)), bytes(spoilt)

    assert read > 300
