"""Which addresses a webhook may reach: 60 spellings of private ones are refused."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.planted import credential
from worker.sinks.guard import GuardedResolver, RefusedAddressError, is_public, refused_host

PRIVATE = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "0x7f000001", "0x7f.1",
    "0x7f.0x0.0x0.0x1", "2130706433", "017700000001", "0177.0.0.1", "0177.1", "127.0.0.1.",
    "0", "0.0.0.0", "0.0.0.1", "10.0.0.1", "10.1", "0xa000001", "167772161", "10.255.255.255",
    "100.64.0.1", "100.127.255.254", "169.254.169.254", "0xa9fea9fe", "2852039166", "169.254.0.1",
    "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.1", "3232235521", "192.0.0.1",
    "192.0.2.7", "198.18.0.1", "198.19.255.254", "198.51.100.9", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "[::]", "[::1]", "::1", "0:0:0:0:0:0:0:1",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]",
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[fc00::1]",
    "[fd00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]", "[febf::1]", "[ff02::1]",
    "[2001:db8::1]", "[2001::1]", "[100::1]", "localhost", "LOCALHOST", "localhost.",
    "db.internal", "printer.local", "x.localhost",
]  # fmt: skip

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_however_it_is_spelt(host: str) -> None:
    """Decimal, octal, hex, short, mapped, translated, scoped, or a name of this machine."""
    assert refused_host(host)


def test_there_are_more_than_60_spellings() -> None:
    """As many as promised."""
    assert len(set(PRIVATE)) >= 60


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    """The guard lets receivers on the internet through."""
    assert is_public(address)
    assert not refused_host(address)
    assert not refused_host("tickets.example.com")


@pytest.mark.parametrize("host", [None, "", "x", "999.1.1.1", credential("x")])
def test_what_is_no_address_is_not_public(host: str | None) -> None:
    """Nonsense is never let through as an address."""
    assert not is_public(host or "")


class Names(AbstractResolver):
    """Answers with fixed addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return them all."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing to let go."""


@pytest.mark.parametrize(
    "addresses", [("10.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::ffff:10.0.0.1",), ()]
)
async def test_a_name_that_leads_to_a_private_address_is_refused(
    addresses: tuple[str, ...],
) -> None:
    """One such address among public ones is enough."""
    with pytest.raises(RefusedAddressError):
        await GuardedResolver(Names(*addresses)).resolve("tickets.example.com", 443)


async def test_a_name_that_leads_to_the_internet_is_resolved() -> None:
    """And the connection is made to what was judged."""
    found = await GuardedResolver(Names("8.8.8.8")).resolve("tickets.example.com", 443)

    assert [one["host"] for one in found] == ["8.8.8.8"]
