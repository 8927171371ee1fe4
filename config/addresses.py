"""Which addresses an operator may name: cloud endpoints and stores.

An endpoint is where signed requests and tokens go, so nothing about it is guessed: it is
compared with a closed pattern instead of being handed to a lenient URL parser, which would
drop tabs, fold dots and read ``http://127.0.0.1@elsewhere`` as *elsewhere*.

No message here repeats the address: it may hold a password.
"""

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

_ENDPOINT: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
_ENDPOINT_SHAPE: Final = "write it as https://HOST or https://HOST:PORT"

_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = ("postgresql://", "postgres://")
_STORE_SHAPE: Final = "write sqlite:///PATH (four slashes for an absolute path) or postgresql://…"


class StoreEngine(StrEnum):
    """Which database holds the queue."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def checked_endpoint(text: str) -> str:
    """Return the endpoint as ``scheme://host[:port]`` in lower case, without a slash at its end.

    Raises:
        ValueError: If it has a path, query or user, or is plain http to another machine.
    """
    if "@" in text:
        message = f"an endpoint holds no user or password; {_ENDPOINT_SHAPE}"
        raise ValueError(message)
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        message = f"not an endpoint (a path, a query, spaces?); {_ENDPOINT_SHAPE}"
        raise ValueError(message)
    host, port = match["host"].lower(), match["port"]
    plausible = _is_ipv6(host) if host.startswith("[") else ".." not in host
    if not plausible or not 0 < int(port or 443) < 65536:
        message = f"the address or port does not exist; {_ENDPOINT_SHAPE}"
        raise ValueError(message)
    scheme = match["scheme"].lower()
    if scheme == "http" and not _is_loopback_host(host):
        message = "plain http is for this machine only (127.0.0.1, ::1, localhost); write https://"
        raise ValueError(message)
    return f"{scheme}://{host}" + (f":{port}" if port else "")


def is_loopback(endpoint: str) -> bool:
    """Whether the checked *endpoint* is on this machine: 127/8, ``::1`` or ``localhost``."""
    match = _ENDPOINT.fullmatch(endpoint)
    return match is not None and _is_loopback_host(match["host"].lower())


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False  # a name; whatever it resolves to today, it may be elsewhere tomorrow
    return address == ipaddress.IPv6Address("::1") or (
        isinstance(address, ipaddress.IPv4Address) and address.is_loopback
    )


def checked_store_url(text: str) -> str:
    """Return *text* if it names a store this program knows.

    ``sqlite:///state.db`` is relative to the folder the command is started in,
    ``sqlite:////var/lib/plugwave/state.db`` is absolute; the path is taken as it stands.

    Raises:
        ValueError: If it does not.
    """
    if any(ord(character) < 32 for character in text):
        message = f"a store address has no control characters; {_STORE_SHAPE}"
        raise ValueError(message)
    if text.startswith(_SQLITE):
        _check_sqlite_path(text.removeprefix(_SQLITE))
        return text
    if text.startswith(_POSTGRESQL):
        _check_postgresql(text)
        return text
    raise ValueError(f"not a store address; {_STORE_SHAPE}")


def _check_sqlite_path(path: str) -> None:
    if path in {"", "/"} or path.endswith("/"):
        raise ValueError(f"the store address names no file; {_STORE_SHAPE}")
    if path == ":memory:":
        raise ValueError(f"a store in memory would lose what was accepted; {_STORE_SHAPE}")
    if path.startswith("~"):
        raise ValueError("the store address knows no ~; write the absolute path, sqlite:////PATH")
    if "?" in path:
        raise ValueError("a SQLite store takes no options; leave out the ? and what follows it")


def _check_postgresql(text: str) -> None:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(
            "the store address cannot be read; write postgresql://USER@HOST/DATABASE"
        ) from None
    # Without a host, libpq uses its socket.
    if not (parts.netloc.rpartition("@")[2] or parts.path.strip("/")):
        raise ValueError("the store address is not complete; write postgresql://USER@HOST/DATABASE")
    if parts.fragment or "@" in parts.path:
        # Else the rest of a password would pass for a database name, and be shown as one.
        raise ValueError("write special characters of the password as %40 (@), %2F (/), %23 (#)")


def store_engine(url: str) -> StoreEngine:
    """Return the engine of a checked store URL."""
    return StoreEngine.SQLITE if url.startswith(_SQLITE) else StoreEngine.POSTGRESQL


def sqlite_path(url: str) -> Path | None:
    """Return the file of a checked SQLite URL, None for another engine."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def store_passwords(url: str) -> tuple[str, ...]:
    """Return the password inside a checked store URL: as it stands there, and decoded."""
    if store_engine(url) is StoreEngine.SQLITE:
        return ()
    parts = urlsplit(url)
    asked = parse_qs(parts.query).get("password", [])
    stands = [parts.password, *asked]
    return tuple({form for text in stands if text for form in (text, unquote(text))})
