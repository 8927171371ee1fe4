"""A wrong secret costs one request; once it is mended the parked jobs go on by themselves.

Real processes against a cloud that checks signatures and locks a key after six bad ones.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import anyio
import pytest

from config.settings import StoreSettings
from tests.acceptance.harness import REPOSITORY
from tests.acceptance.reading import Talking, events
from worker.stores import opened_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

POOLS = 20
WRONG = "plantedWrongSecret4711"


class Place:
    """A home folder, a store and a simulated cloud."""

    def __init__(self, folder: Path, cloud: Talking) -> None:
        self.folder = folder
        cloud.wait_for(lambda lines: any("HUAWEICLOUD_SDK_SK" in line for line in lines))
        exported = [line.removeprefix("export ") for line in cloud.lines() if "export " in line]
        told = dict(line.split("=", 1) for line in exported)
        self.access, self.secret = told["HUAWEICLOUD_SDK_AK"], told["HUAWEICLOUD_SDK_SK"]
        self.url = told["PLUGWAVE_CLOUD__ENDPOINT"]
        self.said = ""
        self.environ = {
            "HOME": str(folder),
            "PLUGWAVE_CLOUD__ENDPOINT": self.url,
            "PLUGWAVE_CLOUD__REGION": "cn-north-4",
            "PLUGWAVE_CLOUD__RATE": "200",
            "PLUGWAVE_CLOUD__BREAKER": "0.5s",
            "PLUGWAVE_CLOUD__POLL_FIRST": "0.2s",
            "PLUGWAVE_STORE__URL": f"sqlite:///{folder / 'store.db'}",
            "PLUGWAVE_LOGS__FORMAT": "json",
            "PLUGWAVE_LOGS__LEVEL": "debug",
        }

    def key_in_file(self, secret: str) -> None:
        """Write the SDK's file."""
        path = self.folder / ".huaweicloud" / "credentials"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[basic]\nak = {self.access}\nsk = {secret}\n")

    def key_in_environment(self, secret: str) -> None:
        """Set the SDK's variables."""
        self.environ |= {"HUAWEICLOUD_SDK_AK": self.access, "HUAWEICLOUD_SDK_SK": secret}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            cwd=REPOSITORY,
            env={**self.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done

    def asked(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the simulator about itself."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_sim/{path}", data=data), timeout=10) as answer:
            return json.load(answer)

    @property
    def bad_signatures(self) -> int:
        """How many the cloud has seen."""
        return sum(int(key["wrong_signatures"]) for key in self.asked("credentials")["keys"])

    def enqueue(self, first: int = 0, last: int = POOLS) -> None:
        """Queue a job for each of these pools."""
        path = self.folder / "jobs.jsonl"
        [project] = self.asked("fleet")["projects"]
        wish = {"name": "volcano", "version": "1.15.8"}
        jobs = [
            {"project_id": project["project_id"], "pool_name": pool, "plugin": wish}
            for pool in project["pools"][first:last]
        ]
        path.write_text("".join(json.dumps(job) + "\n" for job in jobs))
        assert self.run("enqueue", str(path)).returncode == 0

    def states(self) -> dict[str, int]:
        """Return how many jobs are in each state."""

        async def counted() -> dict[str, int]:
            settings = StoreSettings.model_validate({"url": self.environ["PLUGWAVE_STORE__URL"]})
            async with opened_store(settings, read_only=True) as store:
                return {state.value: number for state, number in (await store.counts()).items()}

        return anyio.run(counted)

    def why(self) -> str:
        """Return what is said of the first job."""
        return self.run("why", "job-1").stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place with a cloud of POOLS pools."""
    options = ["--auth", "any", "--projects", "1", "--pools", str(POOLS), "--speed", "200"]
    quick = ["--listen", "127.0.0.1:0"]
    with Talking(["simulate", *quick, *options], {"HOME": str(tmp_path)}) as cloud:
        yield Place(tmp_path, cloud)


def parked(lines: Any) -> bool:
    """Whether every job rests behind the breaker."""
    waits = [line for line in events(lines, "job.waiting") if line["reason"] == "breaker"]
    return len({line["job"] for line in waits}) == POOLS


def ended(count: int) -> Any:
    """Return what says whether that many jobs have ended."""
    return lambda lines: len(events(lines, "job.result")) >= count


def test_a_running_worker_goes_on_when_the_secret_in_its_file_is_mended(place: Place) -> None:
    """256 slots, one bad signature; `why` says so; after a green doctor all end, none twice."""
    place.key_in_file(WRONG)
    place.enqueue()
    with Talking(["work", "--slots", "256"], place.environ, stream="stderr") as worker:
        worker.wait_for(parked)
        assert place.bad_signatures == 1
        why = place.why()
        assert "its endpoint or credential is in trouble" in why
        assert "plugwave doctor" in why

        place.key_in_file(place.secret)
        doctor = place.run("doctor", "-vv")
        worker.wait_for(ended(POOLS))
        logged = "\n".join(worker.lines())

    assert doctor.returncode == 0, doctor.stdout
    assert place.bad_signatures == 1
    assert place.states() == {"succeeded": POOLS}
    for secret in (WRONG, place.secret):
        assert secret not in place.said + logged


def test_a_restarted_worker_finishes_what_was_parked(place: Place) -> None:
    """Restarts with the wrong secret cost nothing more; with the mended one all jobs end."""
    place.key_in_environment(WRONG)
    place.enqueue()
    refused = [place.run("work", "--until-empty", "--slots", "256") for _ in range(2)]
    assert [done.returncode for done in refused] == [4, 4]
    assert place.bad_signatures == 1
    assert place.states().get("succeeded", 0) == 0

    place.key_in_environment(place.secret)
    doctor = place.run("doctor")
    worked = place.run("work", "--until-empty")

    assert (doctor.returncode, worked.returncode) == (0, 0), doctor.stdout
    assert place.bad_signatures == 1
    assert place.states() == {"succeeded": POOLS}
    assert WRONG not in place.said


def test_a_pods_identity_goes_on_after_a_green_doctor(place: Place) -> None:
    """It has no secret that could be told from another: the doctor's word closes the breaker."""
    token = place.folder / "token"
    token.write_text(place.asked("credentials")["pod"]["token"])
    place.environ |= {
        "HC_CONTAINER_CREDENTIALS_FULL_URI": f"{place.url}/v1/credentials",
        "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    with Talking(["work"], place.environ, stream="stderr") as worker:
        place.enqueue(0, 1)
        worker.wait_for(ended(1))
        place.asked("credentials", {"revoke": True})
        place.enqueue(1, POOLS)
        worker.wait_for(lambda lines: bool(events(lines, "breaker.opened")))

        doctor = place.run("doctor", "-o", "json")
        worker.wait_for(ended(POOLS))

    lines = {line["check"]: line for line in json.loads(doctor.stdout)["checks"]}
    assert doctor.returncode == 0
    assert lines["breaker"]["text"].startswith("was open, is closed now")
    assert place.states() == {"succeeded": POOLS}
