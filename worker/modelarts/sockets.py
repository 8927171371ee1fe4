"""The sockets of outgoing requests: what has not reached the other side in time never will.

The kernel goes on sending what it was given, also while the process is stopped, after it has
closed the socket, and even after it was killed: on a line that is cut, for some two minutes.
A request that was long given up would then arrive when the line is mended, perhaps after
somebody else has proven that it had no effect.  Three options keep that from happening:

* what the other side's kernel has not acknowledged after ``unacked_s`` is thrown away with the
  connection, whether its process lives or not;
* closing a connection whose request was given up throws its bytes away at once (`discard`);
* the send buffer takes a whole request, so that nothing of it waits in the process, where a
  stop could hold it back for any time.

Source: tcp(7), TCP_USER_TIMEOUT (RFC 5482); socket(7), SO_LINGER and SO_SNDBUF.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from aiohttp import AddrInfoType

SEND_BUFFER_BYTES: Final = 256 * 1024
"""Room for the largest request we make; the kernel doubles it for its own book-keeping."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # linger on, zero seconds: close() throws away

_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux alone has it; elsewhere only `discard` protects, and not after a kill."""


def socket_factory(unacked_s: float) -> Callable[[AddrInfoType], socket.socket]:
    """Return what makes the sockets of outgoing connections.

    Args:
        unacked_s: How long sent bytes may stay without an acknowledgement, in seconds.
    """
    unacked_ms = max(1, round(unacked_s * 1000))

    def make(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if _USER_TIMEOUT is not None:
            made.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, unacked_ms)
        return made

    return make


def discard(transport: asyncio.Transport | Any) -> None:  # noqa: ANN401 - uvloop's has no type
    """Close a connection so that nothing of what is still unsent ever leaves."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError, ValueError):  # closed already; uvloop has -1 then
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
