"""Endpoints that are set for the official SDK count here too, below our own settings."""

import importlib
from pathlib import Path

import pytest

from config.describing import describe
from config.loading import Loaded, Places, load
from config.regions import FILE_VARIABLE, PREFIX
from config.sources import FILE_LIMIT_BYTES
from jobs.errors import ConfigError
from worker.modelarts.urls import Urls

REGION = "cn-north-4"
VARIABLE = f"{PREFIX}CN_NORTH_4"
ONE = "https://one.example.com"
TWO = "https://two.example.com"

FILES = {
    "one": f"MODELARTS:\n  - id: cn-north-4\n    endpoint: {ONE}\n",
    "lower case": f"modelarts:\n- id: cn-north-4\n  endpoint: {ONE}\n",
    "flow": f"{{ModelArts: [{{id: cn-north-4, endpoint: '{ONE}'}}]}}",
    "several": f"MODELARTS:\n  - id: cn-north-4\n    endpoints: ['{ONE}', '{TWO}']\n",
    "both": f"MODELARTS:\n  - id: cn-north-4\n    endpoint: {TWO}\n    endpoints:\n    - {ONE}\n",
    "an empty list": f"MODELARTS:\n - id: cn-north-4\n   endpoint: {ONE}\n   endpoints: []\n",
    "null": f"MODELARTS:\n - id: cn-north-4\n   endpoint: {ONE}\n   endpoints: ~\n",
    "twice": f"MODELARTS:\n- id: cn-north-4\n  endpoint: {TWO}\n"
    f"- id: cn-north-4\n  endpoint: {ONE}\n",
    "no id": f"MODELARTS:\n- endpoint: {TWO}\n- id: cn-north-4\n  endpoint: {ONE}\n",
    "another region": f"MODELARTS:\n- id: cn-east-3\n  endpoint: {TWO}\n",
    "another service": f"ECS:\n- id: cn-north-4\n  endpoint: {TWO}\n",
    "no endpoint": "MODELARTS:\n- id: cn-north-4\n",
    "an anchor": f"ECS:\n- &here\n  id: cn-north-4\n  endpoint: {ONE}\nMODELARTS:\n- *here\n",
    "without scheme": "MODELARTS:\n- id: cn-north-4\n  endpoint: one.example.com\n",
}


class Machine:
    """A home folder, an environment and a settings file."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {"HOME": str(home)}

    def regions(self, text: str | bytes) -> Path:
        """Write the SDK's file where it usually is."""
        path = self.home / ".huaweicloud" / "regions.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def load(self) -> Loaded:
        """Return the settings."""
        nowhere = self.home / "nowhere"
        places = Places(cwd=self.home, user_config=nowhere, system_config=nowhere, state=self.home)
        return load(environ=self.environ, places=places)

    def problem(self) -> str:
        """Return what is wrong."""
        with pytest.raises(ConfigError) as caught:
            self.load()
        return str(caught.value)

    def endpoint(self) -> str:
        """Return where requests for the region go."""
        cloud = self.load().settings.cloud
        return str(Urls(cloud.endpoint, cloud.endpoints).endpoint(REGION))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


def of_the_sdk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Return the first address that the SDK itself would use for the region."""
    monkeypatch.setenv("HOME", str(machine.home))
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    provider = importlib.import_module("huaweicloudsdkcore.region.provider")
    cache = importlib.import_module("huaweicloudsdkcore.region.cache")
    region = provider.EnvRegionProvider("MODELARTS").get_region(REGION)
    region = region or cache.ProfileRegionCache._resolve_profile().get(f"MODELARTS{REGION}")
    if region is None:
        return None
    first = str(region.endpoints[0])
    return first if first.startswith("http") else f"https://{first}"  # as `ClientBuilder` does


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_read_as_the_sdk_reads_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever of the format is used, both send to the same place."""
    machine.regions(FILES[name])

    theirs = of_the_sdk(machine, monkeypatch)

    assert machine.load().settings.cloud.endpoints.get(REGION) == theirs
    assert theirs in {ONE, None}


@pytest.mark.parametrize("text", [ONE, f"{ONE},{TWO}", "one.example.com"])
def test_a_variable_is_read_as_the_sdk_reads_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It wins over the file, for one region; of several addresses the first counts."""
    machine.regions(f"MODELARTS:\n- id: cn-north-4\n  endpoint: {TWO}\n")
    machine.environ[VARIABLE] = text

    assert machine.load().settings.cloud.endpoints == {REGION: ONE}
    assert of_the_sdk(machine, monkeypatch) == ONE


def test_the_file_may_be_elsewhere(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the usual one is not read."""
    machine.regions(FILES["one"].replace(ONE, TWO))
    other = machine.home / "other.yaml"
    other.write_text(FILES["one"])
    machine.environ[FILE_VARIABLE] = str(other)

    assert machine.endpoint() == of_the_sdk(machine, monkeypatch) == ONE


def test_our_own_settings_win(machine: Machine) -> None:
    """First the endpoint of the region, then the one for all, then the SDK's."""
    machine.environ[VARIABLE] = TWO
    assert machine.endpoint() == TWO

    machine.environ["PLUGWAVE_CLOUD__ENDPOINT"] = ONE
    assert machine.endpoint() == ONE

    machine.environ["PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4"] = "https://three.example.com"
    assert machine.endpoint() == "https://three.example.com"

    del machine.environ["PLUGWAVE_CLOUD__ENDPOINT"]
    assert machine.endpoint() == "https://three.example.com"


def test_each_region_has_its_own_source(machine: Machine) -> None:
    """A setting for one region leaves the SDK's for another in force, and each origin is told."""
    path = machine.regions(FILES["one"].replace(REGION, "cn-east-3"))
    machine.environ[f"{PREFIX}AP_SOUTHEAST_1"] = "https://asia.example.com"
    machine.environ["PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4"] = TWO

    rows = {row.key: row for row in describe(machine.load())}

    told = {key: row.origin for key, row in rows.items() if key.startswith("cloud.endpoints.")}
    assert told == {
        "cloud.endpoints.ap-southeast-1": f"{PREFIX}AP_SOUTHEAST_1",
        "cloud.endpoints.cn-east-3": f"{path}:3",
        "cloud.endpoints.cn-north-4": "PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4",
    }
    assert rows["cloud.endpoints.cn-east-3"].value_text == ONE


@pytest.mark.parametrize(
    "text",
    ["http://modelarts.example.com", "https://user:planted@x.example.com", "https://x/path", "a b"],
)
@pytest.mark.parametrize("where", ["variable", "file"])
def test_the_rule_for_addresses_is_the_same(machine: Machine, text: str, where: str) -> None:
    """No plain http to another machine, no user, no path; the place is told and not the value."""
    if where == "variable":
        machine.environ[VARIABLE] = text
    else:
        machine.regions(f"MODELARTS:\n- id: cn-north-4\n  endpoint: {text}\n")

    problem = machine.problem()

    assert "cloud.endpoints.cn-north-4" in problem
    assert (VARIABLE if where == "variable" else "regions.yaml:3") in problem
    assert "planted" not in problem


def test_plain_http_is_for_this_machine(machine: Machine) -> None:
    """A simulator may be named as the SDK names it."""
    machine.environ[VARIABLE] = "http://127.0.0.1:8080"

    assert machine.endpoint() == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("MODELARTS: [", "regions.yaml:1", "not YAML"),
        (b"\xff\xfe\x00", "regions.yaml", "not YAML"),
        ("- one\n", "regions.yaml:1", "names with values"),
        ("MODELARTS: planted\n", "regions.yaml:1", "a list of regions"),
        ("MODELARTS:\n- planted\n", "regions.yaml:2", "names with values"),
        ("[" * 600, "regions.yaml", "nested too deep"),
        (b"#" * (FILE_LIMIT_BYTES + 1), "regions.yaml", "1 MiB"),
        ("MODELARTS:\n- id: not a region\n  endpoint: https://a\n", "regions.yaml:3", "region"),
    ],
    ids=["cut", "binary", "list", "text", "entry", "deep", "large", "region"],
)
def test_a_file_that_cannot_be_read_is_told(
    machine: Machine, text: str | bytes, place: str, what: str
) -> None:
    """Going on without it could send requests elsewhere; nothing of its content is repeated."""
    machine.regions(text)

    problem = machine.problem()

    assert place in problem
    assert what in problem
    assert "planted" not in problem


def test_with_an_endpoint_for_all_it_is_not_even_read(machine: Machine) -> None:
    """A file for other programs then cannot stop this one."""
    machine.regions("MODELARTS: [")
    machine.environ["PLUGWAVE_CLOUD__ENDPOINT"] = ONE

    assert machine.endpoint() == ONE


@pytest.mark.parametrize("text", ["", "# nothing\n", "MODELARTS: []\n", "ECS: ~\n"])
def test_an_empty_file_says_nothing(machine: Machine, text: str) -> None:
    """Neither does an empty variable."""
    machine.regions(text)
    machine.environ[VARIABLE] = ""

    assert machine.load().settings.cloud.endpoints == {}
