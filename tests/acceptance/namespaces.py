"""Hosts of their own inside this machine: network namespaces whose lines can be cut.

A host reaches this machine by one line (a veth pair).  Inside, ports of 127.0.0.1 are led to
this machine, so that the product sees the loopback address that it demands of a cloud
without TLS.  A cut drops every packet of one port in both directions and tells nobody: both
sides keep connections that lead nowhere, as on a real line.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

NETWORK: Final = "10.77.0.0/16"
"""Where the hosts live, one small network each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One namespace."""

    name: str
    number: int

    @property
    def address(self) -> str:
        """The host's own address."""
        return f"10.77.{self.number}.2"

    @property
    def upstream(self) -> str:
        """The address of this machine on the host's line."""
        return f"10.77.{self.number}.1"

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command is run with so that it runs there; it keeps its process id."""
        return ("ip", "netns", "exec", self.name)

    def lead(self, port: int) -> None:
        """Lead a port of the host's 127.0.0.1 to this machine."""
        self._filter("nat", "-A", "OUTPUT", *_to("127.0.0.1", port), *self._target(port))

    def cut(self, *ports: int) -> None:
        """Drop everything from and to these ports of this machine, without a word."""
        self._rules("-A", ports)

    def heal(self, *ports: int) -> None:
        """Let everything through again."""
        self._rules("-D", ports)

    def _rules(self, what: str, ports: tuple[int, ...]) -> None:
        for port in ports:
            self._filter("filter", what, "OUTPUT", *_to(self.upstream, port), "-j", "DROP")
            source = ("-s", self.upstream, "-p", "tcp", "--sport", str(port))
            self._filter("filter", what, "INPUT", *source, "-j", "DROP")

    def _target(self, port: int) -> tuple[str, ...]:
        return ("-j", "DNAT", "--to-destination", f"{self.upstream}:{port}")

    def _filter(self, table: str, *rule: str) -> None:
        _run(*self.inside, "iptables", "-w", "-t", table, *rule)

    def make(self) -> None:
        """Set the namespace up."""
        outer, inner = f"{self.name}o", f"{self.name}i"
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        _run("ip", "link", "set", inner, "netns", self.name)
        _run("ip", "address", "add", f"{self.upstream}/24", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        for command in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "address", "add", f"{self.address}/24", "dev", inner),
            ("ip", "link", "set", inner, "up"),
            ("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"),
            ("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-o", inner, "-j", "MASQUERADE"),
        ):
            _run(*self.inside, *command)

    def remove(self) -> None:
        """Take it down; its line goes with it."""
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


def _to(address: str, port: int) -> tuple[str, ...]:
    return ("-d", address, "-p", "tcp", "--dport", str(port))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def missing() -> str | None:
    """Return why there can be no such hosts on this machine; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables", "sysctl"):
        if shutil.which(program) is None:
            return f"network namespaces need the program {program}"
    try:
        with hosts(1):
            return None
    except RuntimeError as error:
        return f"network namespaces are not allowed here: {error}"


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Have that many hosts while the block lasts."""
    # Short, because the names of lines have no more than 15 characters.
    made = [Host(name=f"pw{os.getpid() % 100_000}x{n}", number=n) for n in range(1, count + 1)]
    try:
        for host in made:
            host.make()
        yield made
    finally:
        for host in made:
            host.remove()
