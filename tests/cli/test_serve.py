"""`plugwave serve` and `plugwave tokens`: who may call, and what a server's death leaves."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.store.access import Token
from jobs.store.protocol import Store
from tests.cli.running import Cli
from tests.planted import watch_for
from worker.api.tokens import digest_of

BODY = orjson.dumps(
    {"project_id": "0" * 32, "pool_name": "pool-a", "plugin": {"name": "node-local-dns"}}
)


async def kept(store: Store) -> Sequence[Token]:
    """Return the tokens of a store."""
    return await store.access.tokens()


def test_a_token_is_printed_once_and_kept_as_a_hash(cli: Cli) -> None:
    """`tokens create` prints the secret; neither the list nor the store has it."""
    made = cli("tokens", "create", "ticketing", "--scope", "submit", "--per-minute", "30")
    secret = watch_for(made.out.strip())
    listed = cli("tokens", "list")
    as_json = cli("tokens", "list", "-o", "json").document["tokens"]
    [token] = cli.with_store(kept)

    assert made.code == 0
    assert token.digest == digest_of(secret)
    assert "ticketing  live   submit  30 a minute" in listed.out
    assert (as_json[0]["name"], as_json[0]["per_minute"]) == ("ticketing", 30)
    assert secret not in listed.out + made.err


def test_a_name_is_given_out_once(cli: Cli) -> None:
    """A second token of the name is a conflict, also after the first was revoked."""
    first = cli("tokens", "create", "a", "--scope", "viewer", "-o", "name")
    revoked = cli("tokens", "revoke", "a")
    second = cli("tokens", "create", "a", "--scope", "viewer")
    nobody = cli("tokens", "revoke", "b")
    wrong = cli("tokens", "create", "A B", "--scope", "viewer")

    assert (first.code, first.out) == (0, "a\n")
    assert revoked.out.startswith("a is revoked since ")
    assert (second.code, nobody.code, wrong.code) == (7, 6, 2)


def test_other_machines_are_refused_without_a_token(cli: Cli) -> None:
    """Listening on all addresses without a login leaves with 2 and the ways to mend it."""
    refused = cli("serve", "--listen", "0.0.0.0:0")

    assert refused.code == 2
    assert "plugwave tokens create" in refused.err


class Server:
    """A real `plugwave serve` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline().strip().rpartition(":")[2])

    def call(self, key: str, body: bytes = BODY) -> tuple[int, bytes, str | None] | None:
        """Queue a job; None when the server dies meanwhile."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        head = {"Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            connection.request("POST", "/api/v1/jobs", body, head)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Idempotency-Replayed")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@contextmanager
def a_server(folder: Path) -> Iterator[Server]:
    """Start one on a free port."""
    environ = {**os.environ, "PLUGWAVE_STORE__URL": f"sqlite:///{folder / 'state.db'}"}
    environ["HOME"] = str(folder)
    command = [sys.executable, "-m", "worker", "serve", "--listen", "127.0.0.1:0", "-q"]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(process)
        finally:
            if process.poll() is None:
                process.kill()


def killed_in_between(folder: Path, callers: int, status: int) -> tuple[list[Any], list[Any]]:
    """Call with one key from many threads, kill the server at an answer; then ask a new one."""
    told: list[Any] = []
    with a_server(folder) as server:
        some = threading.Event()

        def call() -> None:
            answer = server.call("one-key")
            told.append(answer)
            if answer is not None and answer[0] == status:
                some.set()  # others are on their way

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        some.wait(timeout=20)
        server.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(timeout=30)
    with a_server(folder) as again:
        late: list[Any] = [
            again.call("one-key"),
            again.call("one-key", BODY.replace(b"pool-a", b"pool-b")),
        ]
        again.process.terminate()
        late.append(again.process.wait(timeout=20))
    return told, late


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("callers", "status"),
    [
        pytest.param(40, 202, id="some"),
        pytest.param(1000, 202, id="a-thousand", marks=pytest.mark.soak),
        pytest.param(1000, 409, id="before-the-commit", marks=pytest.mark.soak),
    ],
)
def test_calls_with_one_key_make_one_job_whoever_is_killed(
    cli: Cli, callers: int, status: int
) -> None:
    """Many calls with one key, kill -9 in between: one job, and its first answer after a restart.

    Other content is 422 then as before.
    """
    told, (late, other, code) = killed_in_between(cli.folder, callers, status)
    jobs = cli("jobs", "list", "-o", "json").document["items"]

    answers = [one for one in told if one is not None]
    assert {answer[0] for answer in answers} <= {202, 409}
    assert [job["job"] for job in jobs] == [orjson.loads(late[1])["job"]]
    first = {answer[1] for answer in answers if answer[0] == 202}
    assert first <= {late[1]}
    assert (late[0], other[0], code) == (202, 422, 143)
    assert late[2] == "true" or not first
