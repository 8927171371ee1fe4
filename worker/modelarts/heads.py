"""The bytes before a body, and where they go: one `Origin` for each scheme, host and port.

What all requests to an origin have in common is put together once.  A value that could end a
header line is refused before anything is connected.
"""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import BasicAuth, ClientRequest
from yarl import URL

_UNSAFE: Final = re.compile(r"[\x00\r\n]")

BODILESS: Final = frozenset({"GET", "HEAD"})
"""Methods without a body need not say that there is none."""


class Origin:
    """Where requests go, and what the head of each of them has in common.

    ``address`` is a request that is never sent: the connector takes from it the host, TLS and
    the proxy, and pools connections by it.
    """

    __slots__ = ("_before", "_fixed", "address")

    def __init__(
        self, address: ClientRequest, shared: Mapping[str, str], proxy_auth: BasicAuth | None
    ) -> None:
        """Put together what *address* and the *shared* headers have in every head."""
        url = address.url
        # Without TLS a proxy reads the head itself: it wants the whole URL, and its own proof.
        by_proxy = address.proxy is not None and not address.is_ssl()
        own = {"Host": url.host_port_subcomponent or "", **shared}
        if by_proxy and proxy_auth is not None:
            own["Proxy-Authorization"] = proxy_auth.encode()
        self.address = address
        self._before = str(url.origin()) if by_proxy else ""
        self._fixed = f" HTTP/1.1\r\n{_lines(own)}"

    def head(self, method: str, url: URL, headers: Mapping[str, str], length: int | None) -> bytes:
        """Return everything up to the body, which has *length* bytes; None for no body.

        Raises:
            ValueError: If a header holds what would end its line, or no plain text.
        """
        text = f"{method} {self._before}{url.raw_path_qs}{self._fixed}"
        if headers:
            text += _lines(headers, without="host")
        if length is not None:
            return f"{text}Content-Length: {length}\r\n\r\n".encode("ascii")
        if method not in BODILESS:
            return f"{text}Content-Length: 0\r\n\r\n".encode("ascii")
        return f"{text}\r\n".encode("ascii")


def _lines(headers: Mapping[str, str], without: str = "") -> str:
    """Return the header lines, *without* the one that stands in the head already."""
    lines = []
    for name, value in headers.items():
        if name.lower() == without:
            continue
        if _UNSAFE.search(value) is not None or _UNSAFE.search(name) is not None:
            raise ValueError("a header value would end its line")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
