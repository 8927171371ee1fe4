"""Bytes that are late never arrive: not from the process, and not from its kernel.

A cut line is played by a server that accepts and does not read: its window closes, and the
rest of the request waits in the client's kernel, as it would on a line that is down.
"""

import socket

import anyio
import pytest

from jobs.outcomes import Outcome
from tests.fakes import FakeClock
from tests.modelarts.scripted import BODY, LONG_S, TARGET, Gates, caller, cloud
from worker.modelarts.auth import NoAuth
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.sockets import socket_factory
from worker.modelarts.transport import WRITE_WITHIN_S, Transport, TransportSettings
from worker.modelarts.urls import Urls

LARGE = BODY + b" " * 150_000
"""More than the window of the server that does not read, less than our send buffer."""


class DeafServer:
    """Accepts in the kernel alone; reads nothing before it is asked to."""

    def __init__(self) -> None:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.address: tuple[str, int] = self._listening.getsockname()
        self.endpoint = f"http://127.0.0.1:{self.address[1]}"

    def read_everything(self) -> tuple[int, bool]:
        """Read until nothing more can come; return how many bytes, and whether it was a reset."""
        heard = 0
        self._listening.settimeout(LONG_S)
        with self._listening, self._listening.accept()[0] as accepted:
            accepted.settimeout(LONG_S)
            try:
                while data := accepted.recv(65536):
                    heard += len(data)
            except ConnectionResetError:
                return heard, True
        return heard, False


async def test_a_request_that_was_given_up_never_arrives_in_full() -> None:
    """When the time is over, what the kernel has not delivered yet is thrown away."""
    server = DeafServer()
    async with caller(server.endpoint) as call:
        told = await call.create(LARGE, s=0.1)

    heard, was_reset = await anyio.to_thread.run_sync(server.read_everything)
    assert told.outcome is Outcome.ANSWER_TIMEOUT
    assert was_reset
    assert heard < len(LARGE)


@pytest.mark.slow
async def test_bytes_that_nobody_acknowledges_are_thrown_away_by_the_kernel() -> None:
    """Also without the process, which may be stopped or dead: the kernel has its own deadline."""
    server = DeafServer()
    async with caller(server.endpoint, settings=TransportSettings(unacked_s=0.3)) as call:
        told = await call.create(LARGE, s=20.0)

    heard, _ = await anyio.to_thread.run_sync(server.read_everything)
    assert (told.outcome, told.sent) == (Outcome.CONNECTION_LOST, True)
    assert heard < len(LARGE)


def test_a_whole_request_fits_into_the_kernel() -> None:
    """Nothing of a large request waits in the process, where a stop could hold it back."""
    server = DeafServer()
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", server.address)
    with socket_factory(30.0)(address) as made:
        made.connect(server.address)
        made.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        taken = made.send(LARGE)
    server.read_everything()

    assert taken == len(LARGE)


class Stopped(FakeClock):
    """The clock of a process that is stopped right after its gate was asked."""

    def __init__(self, gate: Gates) -> None:
        super().__init__()
        self._gate = gate

    def now_us(self) -> int:
        """Return the instant; the first one after the gate is the last before the stop."""
        now_us = super().now_us()
        if self._gate.asked:
            self.advance(WRITE_WITHIN_S + 0.1)
        return now_us


async def test_a_process_that_was_stopped_behind_its_gate_does_not_write() -> None:
    """Between the gate and the first byte is no room for a pause that makes the gate's word old."""
    gate = Gates()
    clock = Stopped(gate)
    async with cloud() as served, Transport(clock) as transport:
        client = ModelArtsClient(transport, Urls(served.endpoint), NoAuth(), clock)
        told = await client.create(TARGET, BODY, gate=gate, timeout_s=LONG_S)

    assert (told.outcome, told.sent) == (Outcome.CONNECTION_LOST, True)
    assert (gate.asked, served.requests) == (1, [])
