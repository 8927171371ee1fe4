"""Jobs through real brokers: consumers that are killed, a broker that crashes, poison messages."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import apsw
import orjson
import pytest

from tests.brokers.sides import SIDES, Body, Rabbit, Side

ROOT: Final = Path(__file__).resolve().parents[2]
WITHIN_S: Final = 90.0

POISON: Final = (
    (b"{", "missing"),
    (b"[1, 2]", "JSON object"),
    (b'{"project_id": "p", "pool_name": "..", "plugin": {"name": "volcano"}}', "pool_name"),
    (b'{"project_id": "p", "pool_name": "a", "plugin": {"name": "v"}, "verison": 1}', "verison"),
    (b'{"specversion": "1.0", "id": "7", "source": "x", "data": {}}', "type"),
)
"""Messages that are no acceptable request, and a word of the reason."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much goes through, and how much goes wrong."""

    messages: int
    poison: int
    kills: int
    crashes: int


@pytest.fixture(params=sorted(SIDES))
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each broker in turn, running."""
    broker = SIDES[request.param]()
    yield broker
    broker.remove()


def request_of(number: int) -> bytes:
    """Return the request of one message: every one is for a pool of its own."""
    plugin = {"name": "volcano", "version": "1.15.8"}
    body = {"project_id": "p" * 32, "pool_name": f"pool-{number:05d}", "plugin": plugin}
    return orjson.dumps(body)


def messages_of(size: Size) -> list[Body]:
    """Return all messages in the order they are sent in, the poison among them."""
    good = [(f"m{number}", request_of(number)) for number in range(size.messages)]
    bad = [
        (f"bad{number}", POISON[number % len(POISON)][0] + b" " * number)
        for number in range(size.poison)
    ]
    mixed = [*good, *bad]
    random.Random(7).shuffle(mixed)
    return mixed


class Consumers:
    """Real `plugwave intake` processes, one after the other, on one store."""

    def __init__(self, folder: Path, side: Side) -> None:
        self.folder = folder
        spec = {"from": side.from_(), "redeliverAfter": "2s", "prefetch": 100}
        profile = {
            "apiVersion": "plugwave/v1",
            "kind": "Intake",
            "metadata": {"name": "ticketing"},
            "spec": spec,
        }
        (folder / "intake.yaml").write_bytes(orjson.dumps(profile))  # JSON is YAML, too
        self._address = side.address if isinstance(side, Rabbit) else ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start one."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "PLUGWAVE_STORE__URL": f"sqlite:///{self.folder}/state.db",
            "PLUGIN_JOBS_URL": self._address,
        }
        with (self.folder / "intake.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker", "intake", "intake.yaml", *more],
                cwd=self.folder,
                env=environ,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def drain(self) -> int:
        """Ask it to leave, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        assert self._process is not None
        return self._process.wait(30)

    def wait_for(self, jobs: int) -> None:
        """Wait until the store has so many jobs."""
        deadline = time.monotonic() + WITHIN_S
        while (found := len(self.pools())) < jobs:
            assert time.monotonic() < deadline, f"{found} of {jobs}: {self.said()[-3000:]}"
            assert self._process is not None
            assert self._process.poll() is None, self.said()[-3000:]
            time.sleep(0.02)

    def pools(self) -> list[str]:
        """Return the pool of every job."""
        path = self.folder / "state.db"
        try:
            with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as store:
                asked = "SELECT p.name FROM jobs j JOIN pools p ON p.id = j.pool"
                return [str(pool) for (pool,) in store.execute(asked)]
        except (apsw.CantOpenError, apsw.BusyError):
            return []  # not there yet, or being made
        except apsw.SQLError as error:
            if "no such table" in str(error):
                return []
            raise

    def rejected(self) -> set[str]:
        """Return where the messages stood that were set aside, by the log."""
        lines = self.said().splitlines()
        told = [orjson.loads(line) for line in lines if '"intake.rejected"' in line]
        return {line["position"] for line in told}

    def said(self) -> str:
        """Return the log of all of them."""
        return (self.folder / "intake.log").read_text()


async def through(folder: Path, side: Side, size: Size) -> None:
    """Send everything, kill consumers and the broker on the way, and judge what came of it."""
    dice = random.Random(11)
    messages = messages_of(size)
    half = len(messages) // 2
    await side.prepare()
    await side.send(messages[:half])
    consumers = Consumers(folder, side)
    consumers.start()
    killed_at = sorted(dice.sample(range(1, half - size.poison), size.kills))
    for at in killed_at:
        consumers.wait_for(at)
        consumers.kill()
        consumers.start()
    for _ in range(size.crashes if side.restarts else 0):
        side.crash()
    await side.send(messages[half:])
    consumers.wait_for(size.messages)
    await all_dead(side, consumers, size.poison)

    assert consumers.drain() == 143
    pools = consumers.pools()
    assert len(pools) == len(set(pools)) == size.messages
    reasons = await side.dead()
    assert len(reasons) == size.poison
    for body, reason in reasons.items():
        word = next(word for poison, word in POISON if body.rstrip() == poison)
        assert word in reason
    assert "guest:guest" not in consumers.said()


async def all_dead(side: Side, consumers: Consumers, poison: int) -> None:
    """Wait until the consumer has set aside that many, by its own log."""
    deadline = time.monotonic() + WITHIN_S
    while len(consumers.rejected()) < poison:
        assert time.monotonic() < deadline, consumers.said()[-3000:]
        await anyio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_messages_become_jobs_once(tmp_path: Path, side: Side) -> None:
    """Consumers killed, the broker crashed: every message one job, the poison set aside."""
    await through(tmp_path, side, Size(messages=200, poison=5, kills=2, crashes=1))


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_thousand_messages(tmp_path: Path, side: Side) -> None:
    """The same with 10,000 messages, 50 of them more poison, and ten kills."""
    await through(tmp_path, side, Size(messages=10_000, poison=50, kills=10, crashes=2))


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_an_emptied_broker_ends_the_command_and_dead_messages_come_back(
    tmp_path: Path,
) -> None:
    """--until-empty leaves with 3 when something was set aside; --replay judges it anew."""
    side = SIDES["redis"]()
    try:
        await side.send([("m0", request_of(0)), ("bad", POISON[1][0])])
        consumers = Consumers(tmp_path, side)
        consumers.start("--until-empty")
        assert consumers.ended() == 3
        consumers.start("--until-empty", "--replay", "-o", "json")
        assert consumers.ended() == 3

        assert consumers.pools() == ["pool-00000"]
        assert list(await side.dead()) == [POISON[1][0]]
        assert '"invalid": 1' in consumers.said()
    finally:
        side.remove()
