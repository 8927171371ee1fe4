"""`plugwave simulate` with a gate: what it prints is enough for a client to be let in."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.official import core, load
from worker.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.slow  # a process of its own, and the SDK's import

ROOT = Path(__file__).parents[2]


@contextmanager
def simulating(*flags: str) -> Iterator[dict[str, Any]]:
    """Run the command and yield its document; ``stderr`` is added when it has ended."""
    command = [sys.executable, "-m", "worker", "simulate", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "-o", "json", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        text=True,
    )
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        told = json.loads(text)
        yield told
        process.send_signal(signal.SIGTERM)
        told["stderr"] = process.communicate(timeout=10)[1]
    finally:
        process.kill()
        process.wait()


def test_the_official_sdk_needs_no_more_than_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Key pair and IAM from the environment, the project found, the call signed and answered."""
    sdk = load(monkeypatch, tmp_path)
    with simulating("--auth", "aksk", "--projects", "2", "--pools", "1") as told:
        for name, value in told["environment"].items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(core("auth.credentials").BasicCredentials, "_CACHE", {})
        region = core("region.region").Region("cn-north-4", told["url"])
        client = sdk.ModelArtsClient.new_builder().with_region(region).build()
        pools = client.list_pools(sdk.ListPoolsRequest())
        http = client.get_http_client()
        http.close()
        http.executor.shutdown()

    assert pools.status_code == 200
    assert len(pools.items) == 1
    assert told["environment"]["PLUGWAVE_CLOUD__AUTH"] == "aksk"


def test_every_key_is_printed_and_only_when_keys_are_needed() -> None:
    """They follow from the seed; a simulator without a gate says nothing about keys."""
    directory = Simulator(SimulatorOptions(seed=3)).identity.directory
    with simulating("--auth", "any", "--seed", "3") as gated:
        pass
    with simulating("--seed", "3") as open_to_all:
        pass

    for key in directory.keys:
        assert f"Key of {key.user.name}: {key.access} {key.secret}" in gated["stderr"]
    assert "Key of" not in open_to_all["stderr"]
