"""Machines with credentials lying around, and somebody who fetches without a network."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import orjson
from yarl import URL

from config.settings import Settings
from jobs.clock import Clock
from jobs.outcomes import Answer
from tests.fakes import FakeClock
from worker.credentials.fetching import Passage, Request, WireFetcher
from worker.credentials.sources import Surroundings
from worker.modelarts.transport import RawAnswer, Transport, TransportSettings

SDK = {
    "HUAWEICLOUD_SDK_AK": "AKSDK00000000000SDK1",
    "HUAWEICLOUD_SDK_SK": "sdk-secret-0001Q7KPLANTED",
}
HW_TOKEN = {"HW_AUTH_TOKEN": "MIIhw-token-0002Q7KPLANTED"}
HW = {"HW_ACCESS_KEY": "AKHW000000000000HW02", "HW_SECRET_KEY": "hw-secret-0003Q7KPLANTED"}
HW_LOGIN = {
    "HW_USER_NAME": "robot",
    "HW_USER_PASSWORD": "hw password 0004Q7KPLANTED",
    "HW_DOMAIN_NAME": "acme",
    "HW_REGION_NAME": "cn-north-4",
}
SAMPLES = {"CLOUD_SDK_AK": "AKCLOUD0000000CLOUD5", "CLOUD_SDK_SK": "cloud-secret-0005Q7KPLANTED"}
SDK_FILE = (
    "[basic]\nak = AKFILE000000000FILE6\nsk = file-secretQ7KPLANTED%0006\nproject_id = pfile\n"
)
KOOCLI: dict[str, Any] = {
    "current": "main",
    "authEncrypt": "false",
    "profiles": [
        {
            "name": "main",
            "mode": "AKSK",
            "accessKeyId": "AKKOO0000000000KOO07",
            "secretAccessKey": "koo-secret-0007Q7KPLANTED",
            "region": "ap-southeast-3",
            "projectId": "pkoo",
        }
    ],
}
TOKEN = "MIIconfigured-token-0008Q7KPLANTED"
POD_TOKEN = "pod-token-0009Q7KPLANTED"


class Machine:
    """A home folder and an environment, filled step by step."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ: dict[str, str] = {"HOME": str(home)}

    def set(self, *families: Mapping[str, str]) -> "Machine":
        """Set variables."""
        for family in families:
            self.environ.update(family)
        return self

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below the home folder."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def sdk_file(self, text: str = SDK_FILE) -> "Machine":
        """Write the SDK's file where it usually is."""
        self.write(".huaweicloud/credentials", text)
        return self

    def koocli(self, told: object = None, **profile: object) -> "Machine":
        """Write KooCLI's file where it usually is; *profile* changes its one profile."""
        content = orjson.loads(orjson.dumps(KOOCLI if told is None else told))
        if profile:
            content["profiles"][0].update(profile)
        self.write(".hcloud/config.json", orjson.dumps(content))
        return self

    def pod(self, url: str = "http://127.0.0.1:1/v1/credentials") -> "Machine":
        """Be in a pod that has an identity."""
        path = self.write("pod/token", POD_TOKEN + "\n")
        return self.set(
            {
                "HC_CONTAINER_CREDENTIALS_FULL_URI": url,
                "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path),
            }
        )

    @property
    def around(self) -> Surroundings:
        """What is found here."""
        return Surroundings.of(self.environ)


def settings(profiles: Mapping[str, Any] | None = None, **cloud: Any) -> Settings:
    """Return settings as a file would give them."""
    return Settings.model_validate({"cloud": cloud, "profiles": profiles or {}})


class FakeFetcher:
    """Answers from a function and keeps what was asked."""

    def __init__(self, answer: Callable[[Request], RawAnswer], clock: Clock | None = None) -> None:
        self.clock: Clock = clock or FakeClock()
        self.asked: list[Request] = []
        self._answer = answer

    async def fetch(self, request: Request) -> RawAnswer:
        """Answer at once."""
        self.asked.append(request)
        await anyio.lowlevel.checkpoint()
        return self._answer(request)


def raw(
    status: int = 200, body: object = None, headers: Mapping[str, str] | None = None
) -> RawAnswer:
    """Return a complete answer."""
    return RawAnswer(status=status, headers=headers or {}, body=orjson.dumps(body or {}), sent_us=0)


class Doorman:
    """Gives turns at once and keeps for whom and where."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, str]] = []
        self.sent = 0
        self.late: list[Exception] = []
        """What the next gates raise."""

        self.taught: list[Answer] = []

    def __call__(self) -> None:
        """Let pass, or keep back."""
        if self.late:
            raise self.late.pop()
        self.sent += 1

    async def throttle(self, answer: Answer) -> None:
        """Keep what a 429 taught."""
        self.taught.append(answer)

    @asynccontextmanager
    async def turn(self, who: str, origin: URL) -> AsyncIterator[Passage]:
        """Give a turn."""
        self.turns.append((who, str(origin)))
        yield self


@asynccontextmanager
async def wired(
    clock: FakeClock | None = None, wire: TransportSettings | None = None
) -> AsyncIterator[tuple[WireFetcher, Doorman]]:
    """Fetch over real sockets while the block lasts."""
    clock, doorman = clock or FakeClock(), Doorman()
    async with Transport(clock, wire) as outward, Transport(clock) as local:
        yield WireFetcher(outward, local, doorman.turn, clock), doorman
