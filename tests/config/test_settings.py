"""Settings: every default is the documented one, and what cannot work is refused with advice."""

import ast
import inspect
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from config import settings as settings_module
from config.addresses import StoreEngine
from config.choices import Auth
from config.keys import Key, all_keys
from config.settings import (
    CloudSettings,
    LogSettings,
    Settings,
    StoreSettings,
    WorkerSettings,
)

DEFAULTS: dict[str, object] = {
    # The table of product.md 5.3, durations in seconds.
    "approvals.groups": {},
    "approvals.break_glass_persons": 1,
    "cloud.endpoint": None,
    "cloud.endpoints": {},
    "cloud.auth": "auto",
    "cloud.rate": 5.0,
    "cloud.rate_per_project": 0.0,
    "cloud.burst": 1,
    "cloud.max_in_flight": 64,
    "cloud.settle": 90.0,
    "cloud.request_timeout": 30.0,
    "cloud.poll_first": 5.0,
    "cloud.poll_learned": 60.0,
    "cloud.poll_factor": 1.5,
    "cloud.poll_max": 30.0,
    "cloud.upgrade": "auto",
    "cloud.read_first": "always",
    "worker.slots": 256,
    "worker.lease": 20.0,
    "worker.heartbeat": 5.0,
    "worker.drain": 600.0,
    "jobs.deadline": 2700.0,
    "fairness.weights": {},
    "logs.format": "auto",
    "logs.file": None,
    "logs.level": "info",
    # Keys beside the table.
    "cloud.region": None,
    "cloud.jitter": 0.028,
    "cloud.token": None,
    "cloud.token_file": None,
    "cloud.profile": None,
    "cloud.metadata": False,
    "cloud.iam_endpoint": None,
    "cloud.trust_env": False,
    "cloud.ca_file": None,
    "cloud.stale_after": 300.0,
    "cloud.missing_after": 60.0,
    "cloud.abnormal_grace": 30.0,
    "cloud.breaker": 15.0,
    "cloud.unreachable_after": 60.0,
    "jobs.attempts": 10,
    "worker.name": None,
    "store.url_file": None,
    "store.keep_finished": 30 * 86_400.0,
    "store.keep_keys": 30 * 86_400.0,
    "store.prune_every": 600.0,
    "server.listen": "127.0.0.1:8787",
    "server.login": False,
    "server.hosts": "",
    "server.read_only": False,
    "server.require_key": True,
    "server.max_queued": 2_000_000,
    "server.connections": 1_000,
    "server.connections_per_address": 100,
    "server.idle": 30.0,
    "server.body_timeout": 10.0,
    "server.drain": 10.0,
    "server.tls_cert": None,
    "server.tls_key": None,
    "server.client_ca": None,
}


def cloud(**given: object) -> CloudSettings:
    """Return the section as a file would give it."""
    return CloudSettings.model_validate(given)


def refusal(**given: object) -> str:
    """Return what is said about a section that cannot work."""
    with pytest.raises(ValidationError) as caught:
        cloud(**given)
    return str(caught.value)


@pytest.mark.parametrize(("key", "default"), DEFAULTS.items())
def test_every_default_is_the_documented_one(key: str, default: object) -> None:
    """A value that nobody gave is the one the documentation names."""
    section, name = key.split(".")

    assert getattr(getattr(Settings(), section), name) == default


def test_no_key_is_without_a_documented_default() -> None:
    """There is no setting that the table of defaults does not know."""
    assert {key.name for key in all_keys().values()} == {*DEFAULTS, "store.url"}


def test_the_store_lies_in_the_users_state_folder_by_default() -> None:
    """Without any setting the queue is a SQLite file of this user."""
    store = StoreSettings()

    assert store.engine is StoreEngine.SQLITE
    assert store.sqlite_path is not None
    assert store.sqlite_path.is_absolute()
    assert store.sqlite_path.parts[-2:] == ("plugwave", "state.db")


@pytest.mark.parametrize("key", all_keys().values(), ids=lambda key: key.name)
def test_every_key_says_what_it_is_for(key: Key) -> None:
    """The docstring under each setting is its manual, so none is missing."""
    assert len(key.field.description or "") > 20


def test_every_secret_can_come_from_a_file() -> None:
    """No secret has to be written into a variable or a settings file."""
    names = {key.name for key in all_keys().values()}
    secrets = {key.name for key in all_keys().values() if key.secret}

    assert secrets == {"cloud.token", "store.url"}
    assert {f"{name}_file" for name in secrets} <= names


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("28ms", 0.028), (2, 2), (0.5, 0.5), ("3", 3)]
)
def test_durations_are_written_with_a_unit_or_as_seconds(text: object, seconds: float) -> None:
    """``90s``, ``45m`` and plain numbers all mean what they say, and are seconds inside."""
    settle = cloud(settle=text).settle

    assert settle == pytest.approx(seconds)
    assert isinstance(settle, float)


@pytest.mark.parametrize("nonsense", [True, "soon", "", [], None, -1, "-5s", float("inf")])
def test_what_is_no_duration_is_refused(nonsense: object) -> None:
    """A duration nobody can read is refused, never taken for zero."""
    assert "settle" in refusal(settle=nonsense)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", 0),
        ("rate", -1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", True),
        ("rate_per_project", -0.1),
        ("burst", 0),
        ("burst", 1.5),
        ("burst", True),
        ("max_in_flight", 0),
        ("poll_factor", 0.9),
        ("poll_first", 0),
        ("request_timeout", 0),
        ("auth", "basic"),
        ("upgrade", "put"),
        ("read_first", "never"),
        ("region", "CN North"),
        ("token", "two words"),
        ("token", "line\nbreak"),
    ],
)
def test_numbers_and_words_outside_their_range_are_refused(key: str, value: object) -> None:
    """A setting that cannot work never starts a worker."""
    assert key in refusal(**{key: value})


def test_a_rate_may_be_a_fraction() -> None:
    """0.5 is one request every two seconds."""
    assert cloud(rate="0.5").rate == 0.5


def test_the_longest_wait_is_not_below_the_first() -> None:
    """A poll_max below poll_first is a contradiction, and the message names both."""
    message = refusal(poll_max="2s")

    assert "cloud.poll_max" in message
    assert "cloud.poll_first" in message


def test_unknown_keys_are_refused() -> None:
    """A limit with a typo in its name is no limit."""
    assert "max_inflight" in refusal(max_inflight=3)


def test_settings_cannot_be_changed() -> None:
    """What a part was given at start holds until it ends."""
    section = cloud()

    with pytest.raises(ValidationError):
        section.rate = 50.0  # type: ignore[misc]  # the assignment is what must fail


class TestNoLogin:
    """``auth = none`` is for the simulator on this machine, and for nothing else."""

    def test_it_works_with_an_endpoint_on_this_machine(self) -> None:
        """The simulator needs no credentials."""
        assert cloud(auth="none", endpoint="http://127.0.0.1:8788").auth is Auth.NONE

    def test_it_needs_an_endpoint(self) -> None:
        """Without an endpoint the region's real address would be used."""
        assert "which needs cloud.endpoint" in refusal(auth="none")

    def test_it_works_with_no_other_machine(self) -> None:
        """Nobody sends unsigned requests elsewhere by accident."""
        assert "on this machine" in refusal(auth="none", endpoint="https://example.com")

    def test_no_region_may_lead_to_another_machine(self) -> None:
        """Also an endpoint of one region must be on this machine."""
        message = refusal(
            auth="none",
            endpoint="http://127.0.0.1:8788",
            endpoints={"cn-north-4": "https://example.com"},
        )

        assert "on this machine" in message


def test_a_token_login_needs_a_token() -> None:
    """``auth = token`` without a token says how to give one."""
    assert "cloud.token_file" in refusal(auth="token")


def test_regions_and_their_endpoints_are_checked() -> None:
    """A region that is none, or an address that is none, is refused at start."""
    assert "not a region" in refusal(endpoints={"CN North": "https://example.com"})
    assert "https://" in refusal(endpoints={"cn-north-4": "http://example.com"})


@pytest.mark.parametrize(
    ("lease", "heartbeat", "effective"), [(20, 5, 5), (5, 5, 1.25), (2, 5, 0.5), (60, 1, 1)]
)
def test_a_lease_is_renewed_four_times_in_its_length(
    lease: float, heartbeat: float, effective: float
) -> None:
    """Who sets only a short lease still gets renewals that fit into it."""
    worker = WorkerSettings(lease=lease, heartbeat=heartbeat)

    assert worker.effective_heartbeat == effective
    assert worker.effective_heartbeat <= worker.lease / 4


def test_a_worker_stops_sending_well_before_its_lease_ends() -> None:
    """Between the last renewal and the fence lie 60 % of the lease."""
    assert WorkerSettings(lease=20.0).self_fence_after == pytest.approx(12.0)


@pytest.mark.parametrize(
    "given", [{"lease": "1.9s"}, {"slots": 0}, {"name": "a b"}, {"name": "../x"}, {"heartbeat": 0}]
)
def test_a_worker_that_cannot_work_is_refused(given: dict[str, object]) -> None:
    """A lease under two seconds, no slots or a name that cannot be shown are refused."""
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate(given)


@pytest.mark.parametrize("written", ["stderr", "-"])
def test_the_log_file_can_be_named_as_standard_error(written: str) -> None:
    """The documented default can also be written down."""
    assert LogSettings.model_validate({"file": written}).file is None


def test_a_log_file_in_the_home_folder_is_found() -> None:
    """``~`` means the home folder in paths."""
    file = LogSettings.model_validate({"file": "~/x.log"}).file

    assert file == Path.home() / "x.log"


def test_secrets_are_in_no_repr_and_no_error() -> None:
    """Neither a printed settings object nor a complaint about one shows a token or a password."""
    whole = Settings(
        store=StoreSettings(url=SecretStr("postgresql://u:hunter2@db/q")),
        cloud=CloudSettings(token=SecretStr("tok-4711-secret"), auth=Auth.TOKEN),
    )
    complaint = refusal(token="tok-4711 secret", endpoint="https://u:hunter2@example.com")

    for shown in (repr(whole), str(whole), whole.model_dump_json(), complaint):
        assert "4711" not in shown
        assert "hunter2" not in shown


def test_settings_do_not_read_the_environment() -> None:
    """Values come from the loader alone, so that each has an origin."""
    tree = ast.parse(inspect.getsource(settings_module))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not {"os", "environ", "getenv"} & (names | attributes)
