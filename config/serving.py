"""How the interface over HTTP is served: where, to whom, and within which limits."""

import ipaddress
import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from config.fields import Count, Duration, PositiveDuration, Section, UserPath

_LISTEN: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?")


def _listen(text: str) -> str:
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > 65535:
        raise ValueError("write it as 127.0.0.1:8787 or [::1]:8787")
    return text


def _words(text: str) -> str:
    return ",".join(word.strip() for word in text.split(",") if word.strip())


def _hosts(text: str) -> str:
    text = _words(text).lower()
    wrong = [word for word in text.split(",") if word and _HOST.fullmatch(word) is None]
    if wrong:
        raise ValueError("write names such as plugwave.example:8787, separated by commas")
    return text


Listen = Annotated[str, AfterValidator(_listen)]
Hosts = Annotated[str, AfterValidator(_hosts)]


class ServerSettings(Section):
    """How the interface over HTTP is served."""

    listen: Listen = "127.0.0.1:8787"
    """Where it listens. On this machine alone (127.0.0.1, ::1) no login is asked for unless
    `server.login` says so; anywhere else it starts only when there is a live token."""

    login: bool = False
    """Ask for a token on this machine, too."""

    hosts: Hosts = ""
    """Names by which it is called besides the address it listens on, separated by commas: a call
    that names another host, or comes from a page of one, is refused."""

    read_only: bool = False
    """Show only: the routes that change anything do not exist."""

    require_key: bool = True
    """Refuse a job without an idempotency key. Off, it joins an equal open job, or is a new one."""

    max_queued: Annotated[int, Field(ge=0)] = 2_000_000
    """Open jobs from which on no more are taken in; 0 for no limit."""

    connections: Count = 1_000
    """Open connections at a time; further ones are closed at once."""

    connections_per_address: Count = 100
    """The same for one address; this machine's own is not limited."""

    idle: PositiveDuration = 30.0
    """How long a connection may stay open without a whole request head."""

    body_timeout: PositiveDuration = 10.0
    """How long the body of a call may take to come."""

    drain: Duration = 10.0
    """How long calls in hand may take to end when the server stops."""

    tls_cert: UserPath | None = None
    """PEM file with the certificate chain; with it, and `server.tls_key`, HTTPS is served."""

    tls_key: UserPath | None = None
    """PEM file with the key of the certificate; it must be readable for its owner alone."""

    client_ca: UserPath | None = None
    """PEM file with the authorities whose certificates clients must show (mutual TLS), besides
    their token."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("server.tls_cert and server.tls_key go together")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError("server.client_ca needs server.tls_cert and server.tls_key")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`, an IPv6 address without its brackets."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def on_this_machine(self) -> bool:
        """Whether only this machine can reach it."""
        host = self.address[0]
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False  # a name: whatever it means today, it may mean another machine tomorrow

    @property
    def called(self) -> frozenset[str]:
        """The hosts that a call may name, without ports."""
        named = {_without_port(word) for word in self.hosts.split(",") if word}
        own = {"localhost", "127.0.0.1", "::1"} if self.on_this_machine else set[str]()
        return frozenset(named | own | {self.address[0].lower()})


def _without_port(host: str) -> str:
    found = _HOST.fullmatch(host)
    assert found is not None
    return found[1].strip("[]")
