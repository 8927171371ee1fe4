"""The chaos cloud: each fault does what its name says, and the record tells it exactly.

A judge that is wrong about what happened proves nothing, so the cloud is tested with a
small client of its own before any worker is judged by its record.
"""

import json
import random
import select
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance import chaos_faults
from tests.acceptance.chaos_faults import (
    BY_NAME,
    READ_FAULTS,
    SEND_FAULTS,
    Effect,
    Fault,
    FaultPlan,
    Form,
    Pause,
)
from tests.acceptance.chaos_fleet import digest, over
from tests.acceptance.client import CUSTOM, DNS, PROJECT, Client
from tests.acceptance.harness import Cloud

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

DEFAULTS: Final = {"custom": {"ndots": "5", "search": ""}, "flavor": {"name": "HA"}}
LATE_S: Final = 0.12
PAUSE_S: Final = 0.12
SETTLE_S: Final = 0.1


def a_state(*pools: str, installed: bool = True) -> dict[str, Any]:
    """Return a fleet with these pools, the plug-in at version 1 in each."""
    plugins = {DNS: {"version": "1", "inputs": CUSTOM}} if installed else {}
    return {
        "templates": {DNS: {"versions": ["1", "2", "3"], "defaults": DEFAULTS}},
        "pools": [{"project": PROJECT, "name": name, "plugins": plugins} for name in pools],
    }


def a_cloud(folder: Path, state: Mapping[str, Any], *options: str) -> Cloud:
    """Return a cloud with short times, not yet started."""
    path = folder / "fleet.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    times = ("--late-max", str(LATE_S), "--pause", str(PAUSE_S), "--settle-range", str(SETTLE_S))
    return Cloud(folder, path, *times, *options)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One cloud without faults of its own; a pool for each fault that a test asks for."""
    names = [f"pool-{name}" for name in BY_NAME]
    extra = ["pool-a", "pool-b", "pool-c", "pool-d", "pool-e"]
    with a_cloud(tmp_path_factory.mktemp("cloud"), a_state(*names, *extra)) as running:
        yield running


@pytest.fixture
def client(cloud: Cloud) -> Iterator[Client]:
    """A client of the shared cloud."""
    made = Client(cloud)
    yield made
    made.close()


def about(cloud: Cloud, pool: str, kind: str) -> list[dict[str, Any]]:
    """Return the record's lines of a kind about a pool."""
    return [line for line in cloud.lines() if line["kind"] == kind and line.get("pool") == pool]


def wait_settled(cloud: Cloud, pool: str, times: int = 1) -> None:
    """Wait until that many operations of the pool have settled."""
    cloud.wait_for(
        lambda record: (
            sum(1 for line in record if line["kind"] == "settled" and line["pool"] == pool) >= times
        ),
        within_s=5,
    )


def answer_of(cloud: Cloud, pool: str) -> dict[str, Any]:
    """Return how the last request about the pool was answered, as recorded."""
    number = about(cloud, pool, "request")[-1]["request"]
    cloud.wait_for(
        lambda record: any(
            line["kind"] == "answer" and line["request"] == number for line in record
        ),
        within_s=5,
    )
    return next(
        line for line in cloud.lines() if line["kind"] == "answer" and line["request"] == number
    )


EXPECTED: Final[Mapping[Form, tuple[int | None, str]]] = {
    Form.PLAIN: (200, ""),
    Form.RESET: (None, "reset"),
    Form.TRUNCATED: (None, "cut"),
    Form.EMPTY: (200, ""),
    Form.HTML: (200, ""),
    Form.WRONG_TYPE: (200, ""),
    Form.ERROR_500: (500, ""),
    Form.ERROR_504: (504, ""),
    Form.HTML_502: (502, ""),
    Form.THROTTLED: (429, ""),
    Form.THROTTLED_HTML: (429, ""),
    Form.STALE: (200, ""),
}


@pytest.mark.parametrize("fault", SEND_FAULTS, ids=lambda fault: fault.name)
def test_a_send_fault_has_its_form_and_its_effect(
    cloud: Cloud, client: Client, fault: Fault
) -> None:
    """A faulty send is answered as named, and takes effect as named: never, at once or late."""
    pool = f"pool-{fault.name}"

    begun = time.monotonic()
    status, body, wrong = client.send(pool, fault=fault.name)
    answered = time.monotonic()

    assert (status, wrong) == EXPECTED[fault.form]
    assert fault.form is not Form.EMPTY or body == b""
    assert fault.form is not Form.HTML or body.startswith(b"<html>")
    assert answer_of(cloud, pool)["form"] == fault.form
    if fault.effect is Effect.NONE:
        # Longer than any late effect: the look that follows it would show one.
        select.select([], [], [], LATE_S + 0.05)
        assert about(cloud, pool, "effect") == []
        assert client.look(pool)["status"] == {
            "phase": "Running",
            "version": "1",
            "reason": "Install complete",
        }
        return
    wait_settled(cloud, pool)
    [effect] = about(cloud, pool, "effect")
    late = effect["at"] - answered
    assert (late > 0) == (fault.effect is Effect.LATE)
    assert late <= LATE_S + 0.1
    if fault.pause is not Pause.NOWHERE:
        assert answered - begun >= PAUSE_S
        assert (effect["at"] - begun >= PAUSE_S) == (fault.pause is Pause.BEFORE)
    assert client.look(pool)["status"]["version"] == "2"


@pytest.mark.parametrize("fault", READ_FAULTS, ids=lambda fault: fault.name)
def test_a_read_fault_has_its_form(cloud: Cloud, client: Client, fault: Fault) -> None:
    """A faulty read is answered as named, and what it answers never passes for a list."""
    pool = f"pool-{fault.name}"

    begun = time.monotonic()
    path = f"/v2/{PROJECT}/pools/{pool}/plugins"
    status, body, wrong = client.ask("GET", path, fault=fault.name)

    assert (status, wrong) == EXPECTED[fault.form]
    assert (time.monotonic() - begun >= PAUSE_S) == (fault.pause is not Pause.NOWHERE)
    if fault.form not in {Form.PLAIN, Form.STALE}:
        assert b'"items": [{' not in body
    assert client.look(pool)["status"]["version"] == "1"


def test_a_stale_read_shows_the_past(cloud: Cloud, client: Client) -> None:
    """A stale read shows how the pool looked a moment ago; the next plain one shows now."""
    client.send("pool-a")

    stale = client.look("pool-a", fault="read-stale")
    plain = client.look("pool-a")

    assert stale["status"]["phase"] == "Running"
    assert plain["status"]["phase"] == "Updating"


def test_inputs_that_are_not_sent_take_the_defaults(cloud: Cloud, client: Client) -> None:
    """Every leaf of the inputs that a send leaves out is reset to the template's default."""
    client.send("pool-b", inputs={"custom": {"search": "y"}})
    wait_settled(cloud, "pool-b")

    shown = client.look("pool-b")["spec"]["template"]["inputs"]

    assert shown == {"custom": {"ndots": "5", "search": "y"}, "flavor": {"name": "HA"}}
    assert about(cloud, "pool-b", "settled")[0]["inputs"] == digest(shown)


def test_a_second_send_into_a_running_change_is_recorded(cloud: Cloud, client: Client) -> None:
    """The cloud is strict: it applies both, and says that they overlapped."""
    client.send("pool-c", "2")
    client.send("pool-c", "3")
    wait_settled(cloud, "pool-c", 2)

    said = [line for line in cloud.lines() if line["kind"] == "violation"]
    assert [line["name"] for line in said if "pool-c" in line["detail"]] == ["overlap"]
    assert len(about(cloud, "pool-c", "effect")) == 2
    assert client.look("pool-c")["status"]["version"] == "3"


def test_the_same_change_twice_is_recorded(cloud: Cloud, client: Client) -> None:
    """A send of what is already there is applied and called applied_twice."""
    client.send("pool-d")
    wait_settled(cloud, "pool-d")
    client.send("pool-d")
    wait_settled(cloud, "pool-d", 2)

    said = [line for line in cloud.lines() if line["kind"] == "violation"]
    assert [line["name"] for line in said if "pool-d" in line["detail"]] == ["applied_twice"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/p1/pools/nowhere/plugins", 404, "ModelArts.50015001"),
        ("GET", "/v2/p1/plugintemplates?templateName=other", 404, "ModelArts.50005101"),
        ("GET", "/v2/p1/elsewhere", 404, "APIG.0101"),
        ("PATCH", f"/v2/p1/pools/pool-e/plugins/{DNS}", 404, "APIG.0101"),
        ("POST", "/v2/p1/pools/pool-e/plugins", 400, "ModelArts.50004000"),
    ],
)
def test_refusals_are_the_documented_ones(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    """What a healthy cloud refuses, it refuses with the documented status and code."""
    got, body, _ = client.ask(method, path, None if method == "GET" else {"kind": "Nothing"})

    assert (got, json.loads(body)["error_code"]) == (status, code)


def test_pools_and_templates_are_listed(client: Client) -> None:
    """The fleet and what is on offer can be read."""
    _, pools, _ = client.ask("GET", "/v2/p1/pools")
    _, templates, _ = client.ask("GET", f"/v2/p1/plugintemplates?templateName={DNS}&poolName=x")

    assert "pool-a" in {item["metadata"]["name"] for item in json.loads(pools)["items"]}
    [template] = json.loads(templates)["items"]
    assert [told["version"] for told in template["spec"]["versions"]] == ["1", "2", "3"]


def test_an_install_is_pending_then_running(tmp_path: Path) -> None:
    """A new plug-in shows Pending until its operation settles; the end of the record tells all."""
    with a_cloud(tmp_path, a_state("pool-n", installed=False)) as cloud:
        client = Client(cloud)
        client.send("pool-n", None, None)
        pending = client.look("pool-n")["status"]["phase"]
        wait_settled(cloud, "pool-n")
        client.close()
        record = cloud.stop()

    assert pending == "Pending"
    [final] = [line for line in record if line["kind"] == "final"]
    assert (final["phase"], final["version"], final["inputs"]) == ("Running", "3", digest(DEFAULTS))
    written = (tmp_path / "cloud.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(text) for text in written] == record


def test_inputs_can_be_kept_by_the_cloud(tmp_path: Path) -> None:
    """With --no-reset-inputs, what is not sent stays as it was."""
    with a_cloud(tmp_path, a_state("pool-k"), "--no-reset-inputs") as cloud:
        client = Client(cloud)
        client.send("pool-k", inputs=None)
        wait_settled(cloud, "pool-k")
        shown = client.look("pool-k")["spec"]["template"]["inputs"]
        client.close()

    assert shown == CUSTOM


def test_a_site_where_post_only_installs(tmp_path: Path) -> None:
    """With --post-mode 409 an installed plug-in is refused by POST and changed by PATCH."""
    path = f"/v2/{PROJECT}/pools/pool-p/plugins/{DNS}"
    patch = {"spec": {"template": {"version": "2", "inputs": CUSTOM}}}
    with a_cloud(tmp_path, a_state("pool-p"), "--post-mode", "409") as cloud:
        client = Client(cloud)
        refused = client.send("pool-p")[0]
        plain = client.ask("PATCH", path, patch)[0]
        merged = client.ask("PATCH", path, patch, content="application/merge-patch+json")[0]
        wait_settled(cloud, "pool-p")
        client.close()

    assert (refused, plain, merged) == (409, 400, 200)


def test_the_limit_is_enforced_and_recorded(tmp_path: Path) -> None:
    """The request beyond the limit gets the documented 429, no effect, and a violation line."""
    with a_cloud(tmp_path, a_state("pool-l"), "--limit", "5") as cloud:
        client = Client(cloud)
        statuses = [client.ask("GET", f"/v2/{PROJECT}/pools")[0] for _ in range(5)]
        status, body, _ = client.send("pool-l")
        client.close()
        record = cloud.stop()

    assert statuses == [200] * 5
    assert status == 429
    assert "limit:5,time:1 second" in json.loads(body)["error_msg"]
    assert [line["name"] for line in record if line["kind"] == "violation"] == ["over_limit"]
    assert not [line for line in record if line["kind"] == "effect"]


def test_a_request_is_stamped_when_its_head_is_whole(cloud: Cloud) -> None:
    """Half a head is no request: the stamp is of the piece that completed it."""
    with socket.create_connection(("127.0.0.1", cloud.port)) as sock:
        sock.sendall(b"GET /v2/p1/pools/stamped/plugins HTTP/1.1\r\nHost: x\r\n")
        before = time.monotonic()
        sock.sendall(b"\r\n")
        after = time.monotonic()
        sock.recv(100)

    [request] = about(cloud, "stamped", "request")
    assert before - 0.001 <= request["received"] <= after + 0.01


def test_a_server_that_is_held_up_still_stamps_exactly(tmp_path: Path) -> None:
    """The stamp is the kernel's: requests that arrive while the cloud sleeps keep their times."""
    with a_cloud(tmp_path, a_state("pool-s")) as cloud:
        with socket.create_connection(("127.0.0.1", cloud.port)) as sock:
            cloud.signal(signal.SIGSTOP)
            sock.sendall(b"GET /v2/p1/pools/pool-s/plugins HTTP/1.1\r\nHost: x\r\n\r\n")
            sent = time.monotonic()
            select.select([], [], [], 0.3)  # the cloud is stopped: only time can pass here
            cloud.signal(signal.SIGCONT)
            sock.recv(100)
        [request] = about(cloud, "pool-s", "request")

    assert abs(request["received"] - sent) < 0.05


def test_the_same_seed_hits_the_same_requests() -> None:
    """Faults hang on seed, method, path and count, not on the order between pools."""

    def names(seed: int, order: list[int]) -> dict[int, list[str]]:
        plan = FaultPlan(seed=seed, rate=0.5, throttles=1000)
        found: dict[int, list[str]] = {pool: [] for pool in range(20)}
        for pool in order:
            found[pool].append(plan.choose("GET", f"/{pool}", None)[0].name)
        return found

    forwards, backwards = list(range(20)) * 3, list(reversed(range(20))) * 3
    assert names(7, forwards) == names(7, backwards)
    assert names(7, forwards) != names(8, forwards)


def test_the_share_of_faults_is_the_rate_and_every_fault_occurs() -> None:
    """A fifth of the requests are hit, and no row of the tables is left out."""
    plan = FaultPlan(seed=1, rate=0.2, throttles=10_000)
    got = Counter(plan.choose("POST", f"/{n}", f"{n}")[0].name for n in range(5000))
    got += Counter(plan.choose("GET", f"/{n}", None)[0].name for n in range(5000))

    assert 0.18 < 1 - got["none"] / 10_000 < 0.22
    assert got.keys() == BY_NAME.keys()


def test_a_plugin_loses_only_so_many_sends() -> None:
    """Two sends of a plug-in at most are lost without effect, so that three rounds suffice."""
    plan = FaultPlan(seed=1, rate=1.0, throttles=0, only=frozenset({"reset-undone", "429"}))
    got = [plan.choose("POST", "/pool", "plug-in")[0].name for _ in range(50)]

    assert got.count("reset-undone") == chaos_faults.UNDONE_PER_PLUGIN
    assert got.count("none") == 48


def test_late_effects_come_up_to_the_edge_and_never_after() -> None:
    """Half of the late effects come in the last fifth of the time; none comes later."""
    dice = random.Random(1)
    drawn = [chaos_faults.lateness(dice, 2.5) for _ in range(10_000)]

    assert max(drawn) <= chaos_faults.LATE_MAX_S == 2.5
    assert 0.45 < sum(1 for late in drawn if late > 2.0) / len(drawn) < 0.55


def test_inputs_are_merged_leaf_by_leaf() -> None:
    """A given leaf replaces its default, a list is one leaf, and nothing else changes."""
    merged = over({"a": {"b": 1, "c": [1, 2]}, "d": 4}, {"a": {"c": [3]}, "e": None})

    assert merged == {"a": {"b": 1, "c": [3]}, "d": 4, "e": None}
