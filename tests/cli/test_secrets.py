"""Every command a day needs, told as loudly as it can be, on a queue and a cloud full of secrets.

What is looked for and where is `tests.leaks`; it runs after each test of the suite.  This one
makes sure that there is a whole way to look at: file, store, log, results and every view.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests import planted
from tests.cli.running import Cli
from worker.simulator import Simulator, SimulatorOptions

VIEWS: tuple[tuple[str, ...], ...] = (
    ("jobs", "list"),
    ("jobs", "list", "-o", "json"),
    ("jobs", "list", "-o", "ndjson"),
    ("jobs", "show", "job-1"),
    ("jobs", "show", "job-1", "-o", "json"),
    ("jobs", "show", "job-2", "-o", "yaml"),
    ("jobs", "timeline", "job-1"),
    ("jobs", "timeline", "job-3", "-o", "json"),
    ("why", "job-4"),
    ("failures",),
    ("failures", "-o", "json"),
    ("store", "stats"),
    ("store", "check"),
    ("workers", "list"),
    ("config", "show", "--origin"),
    ("config", "show", "-o", "json"),
)
"""What is looked at afterwards; with an exit code that is no matter here."""


@contextmanager
def signed_cloud() -> Iterator[Simulator]:
    """Run a simulated cloud in a thread, which checks who asks, loses answers and fails reads."""
    options = SimulatorOptions(
        projects=1,
        pools=8,
        installed=0.5,
        bad_pools=0.2,
        speed=600,
        auth="any",
        answer_shape="full",
        values_shape="object",
        lost_after=0.1,
        error_before=0.2,
        read_faults=0.1,
        seed=7,
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Simulator(options)) as cloud,
    ):
        yield cloud


def by_key(cloud: Simulator) -> dict[str, str]:
    """Return the variables of a user with an access key."""
    key = cloud.identity.directory.keys[0]
    return {
        "HUAWEICLOUD_SDK_AK": planted.watch_for(key.access),
        "HUAWEICLOUD_SDK_SK": planted.watch_for(key.secret),
    }


def by_password(cloud: Simulator) -> dict[str, str]:
    """Return the variables of a user with a password, for which a token is fetched."""
    user = cloud.identity.directory.users[0]
    return {
        "HW_USER_NAME": user.name,
        "HW_USER_PASSWORD": planted.watch_for(user.password),
        "HW_DOMAIN_NAME": user.account.name,
        "HW_AUTH_URL": f"{cloud.url}/v3",
        "PLUGWAVE_CLOUD__REGION": cloud.options.region,
    }


def requests(cloud: Simulator) -> str:
    """Return one request for each pool, all with a secret, and lines that are no requests."""
    lines: list[Any] = []
    for project, pool in cloud.targets:
        plugin = {"name": "node-local-dns", "version": "1.6.64", "inputs": planted.INPUTS}
        lines.append(
            {"project_id": project, "pool_name": pool, "plugin": plugin, "idempotency_key": pool}
        )
    lines.append({**lines[0], "pool_name": cloud.targets[1][1]})  # the key of another one
    lines.append({**lines[0], "plugin": {"name": "x", "inputs": planted.INPUTS, "bsae": "empty"}})
    lines.append({**lines[0], "plugin": {"name": "x", "inputs": planted.ACCESS_CODE}})
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("credential", [by_key, by_password])
def test_a_whole_day_shows_no_secret(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    credential: Callable[[Simulator], dict[str, str]],
) -> None:
    """Access key, secret key, password, token and inputs are in nothing that anybody reads."""
    with signed_cloud() as cloud:
        patience = {
            "SETTLE": "1s",
            "POLL_FIRST": "0.2s",
            "STALE_AFTER": "3s",
            "RATE": "500",
            "ABNORMAL_GRACE": "0.3s",
        }
        for name, value in patience.items():
            monkeypatch.setenv(f"PLUGWAVE_CLOUD__{name}", value)
        monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", cloud.url)
        monkeypatch.setenv("PLUGWAVE_LOGS__LEVEL", "debug")
        for name, value in credential(cloud).items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "jobs.jsonl"
        file.write_text(requests(cloud))

        taken = cli("-vv", "enqueue", str(file), "--rejects", str(tmp_path / "rejects.jsonl"))
        worked = cli("-vv", "work", "--until-empty")
        shown = [cli("-vv", *view) for view in VIEWS]

    assert "accessCode" in (tmp_path / "rejects.jsonl").read_text()
    assert taken.code in {2, 3, 7}
    assert worked.code in {0, 3}
    assert "job.result" in worked.out + worked.err
    assert any("accessCode" in one.out for one in shown)
