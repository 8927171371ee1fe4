"""Which addresses a webhook may reach: none of this machine, its networks or its cloud.

A name is resolved once, every address of it is judged, and the connection is made to an
address that was judged: so a name that changes between the two gains nothing.
"""

import ipaddress
import socket
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

REFUSED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "::/8", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20",
        "5f00::/16", "fc00::/7", "fe80::/9", "ff00::/8",
    )
)  # fmt: skip
"""Addresses that are not of the public network; IANA's special-purpose registries."""

_MAPPED: Final = ipaddress.ip_network("::ffff:0:0/96")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ipaddress.ip_network("2002::/16")


class RefusedAddressError(OSError):
    """The receiver's name leads to an address that may not be reached."""


def is_public(text: str) -> bool:
    """Whether *text* is an address of the public network; what is no address is not."""
    try:
        address = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return False
    return all(not _refused(one) for one in (address, *_within(address)))


def _refused(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address in _MAPPED:
        return False  # judged by the address within
    return any(address in network for network in REFUSED if network.version == address.version)


def _within(address: Address) -> list[Address]:
    """Return the address of version 4 that an address of version 6 leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    number = int(address)
    if address in _MAPPED or address in _TRANSLATED:
        return [ipaddress.IPv4Address(number & 0xFFFFFFFF)]
    if address in _SIX_TO_FOUR:
        return [ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF)]
    return []


def literal(host: str) -> str | None:
    """Return the address that *host* spells, however oddly; None when it is a name.

    ``inet_aton`` reads what browsers and C libraries read: ``127.1``, ``0x7f000001``,
    ``2130706433``, ``017700000001``.
    """
    bare = host.strip("[]").rstrip(".")
    try:
        return str(ipaddress.ip_address(bare.split("%", 1)[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except (OSError, UnicodeError):
        return None


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one that leads anywhere private.

    One private address among several refuses the name: whoever owns it plays games.
    """

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*.

        Raises:
            RefusedAddressError: If one of them is not public.
        """
        found = await self._resolver.resolve(host, port, family)
        if not found or not all(is_public(one["host"]) for one in found):
            raise RefusedAddressError("the receiver's name leads to a private address")
        return found

    async def close(self) -> None:
        """Let go."""
        await self._resolver.close()


def refused_host(host: str | None) -> bool:
    """Whether the host of an address is refused before any name is asked for."""
    if not host:
        return True
    address = literal(host)
    if address is not None:
        return not is_public(address)
    return host.rstrip(".").lower().rpartition(".")[2] in _LOCAL_NAMES


_LOCAL_NAMES: Final[frozenset[Any]] = frozenset({"localhost", "local", "internal", "localdomain"})
