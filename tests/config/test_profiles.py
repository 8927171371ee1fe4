"""Profiles: accounts by name, written in files and variables, and never holding a secret."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.describing import describe
from config.keys import find_key, path_of_variable
from config.loading import Loaded, Places, load
from config.settings import Settings
from config.sources import Flag
from jobs.errors import ConfigError

TOML = """
[cloud]
profile = "prod"
[profiles.prod]
credentials = "file:~/.huaweicloud/credentials#basic"
region = "cn-north-4"
[profiles.cn]
credentials = "env"
project = "0a1b2c"
"""


def loaded(folder: Path, text: str = TOML, **environ: str) -> Loaded:
    """Return what is loaded from this file and these variables."""
    folder.joinpath("plugwave.toml").write_text(text)
    places = Places(
        cwd=folder, user_config=folder / "u", system_config=folder / "e", state=folder / "s"
    )
    return load(environ=environ, places=places)


def refusal(**profile: Any) -> str:
    """Return what is said about a profile that makes no sense."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"profiles": {"p": profile}})
    return str(caught.value)


def test_a_file_may_have_several_profiles(tmp_path: Path) -> None:
    """One worker works as several accounts."""
    told = loaded(tmp_path).settings

    assert told.cloud.profile == "prod"
    assert told.profiles["prod"].credentials == "file:~/.huaweicloud/credentials#basic"
    assert told.profiles["cn"].project == "0a1b2c"
    assert told.profiles["cn"].region is None


def test_a_variable_sets_one_key_of_one_profile(tmp_path: Path) -> None:
    """What a variable says wins over the file, key by key."""
    told = loaded(tmp_path, PLUGWAVE_PROFILES__PROD__REGION="la-south-2")

    assert told.settings.profiles["prod"].region == "la-south-2"
    assert told.settings.profiles["prod"].credentials.startswith("file:")
    assert told.origins["profiles.prod.region"] == "PLUGWAVE_PROFILES__PROD__REGION"


def test_profiles_are_shown_with_their_origins(tmp_path: Path) -> None:
    """`config show --origin` leaves none out."""
    rows = {row.key: (row.value_text, row.origin) for row in describe(loaded(tmp_path))}

    assert rows["profiles.cn.credentials"] == ("env", f"{tmp_path}/plugwave.toml:8")
    assert rows["profiles.cn.agency_name"] == ("none", "default")
    assert "profiles.prod.region" in rows


def test_an_unknown_key_is_told_with_its_line(tmp_path: Path) -> None:
    """A typo in a profile is an error like everywhere else."""
    with pytest.raises(ConfigError, match=r"plugwave.toml:3: unknown key 'profiles.p.regoin'"):
        loaded(tmp_path, '[profiles.p]\nregion = "a"\nregoin = "b"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profiles = 1\n", "'profiles' is a section"),
        ("[profiles]\np = 1\n", "unknown key 'profiles.p'"),
        ("[cloud]\nprofile = 'q'\n[profiles.p]\nregion = 'r'\n", "names no entry of profiles"),
        ("[profiles.'a/b']\nregion = 'r'\n", "name it with letters"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake has its own words."""
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    "source",
    [
        "auto", "env", "file:/a", "file:~/a#s", "token-file:/t", "hcloud", "hcloud:/c#p",
        "hcloud:#p", "pod", "metadata",
    ],
)  # fmt: skip
def test_the_ways_to_say_where_credentials_are(source: str) -> None:
    """Every one of them is taken as written."""
    told = Settings.model_validate({"profiles": {"p": {"credentials": source}}})

    assert told.profiles["p"].credentials == source


@pytest.mark.parametrize(
    "source",
    ["", "AKPLANTED", "file", "file:", "file:#s", "token-file", "env:X", "pod:x", "vault:x"],
)
def test_a_credential_itself_is_no_source(source: str) -> None:
    """Whoever writes a key here is told how it is done, without the key."""
    said = refusal(credentials=source)

    assert "write" in said
    assert "PLANTED" not in said


@pytest.mark.parametrize(
    "agency",
    [
        {"agency_name": "a"},
        {"agency_domain_name": "d"},
        {"agency_name": "a", "agency_domain_name": "d", "agency_domain_id": "i"},
    ],
)
def test_an_agency_is_whole(agency: dict[str, str]) -> None:
    """A name without an account, or two accounts, cannot be asked for."""
    assert "agency_domain_name or agency_domain_id" in refusal(**agency)


def test_keys_and_variables_of_a_profile_are_known() -> None:
    """Also to those who look for the nearest name."""
    key = find_key(("profiles", "prod", "region"))

    assert key is not None
    assert key.name == "profiles.prod.region"
    assert path_of_variable("PLUGWAVE_PROFILES__PROD__REGION") == ("profiles", "prod", "region")
    assert path_of_variable("PLUGWAVE_PROFILES__PROD__NOTHING") is None
    assert find_key(("profiles", "prod")) is None


SELECTED = "[profiles.prod]\nregion = 'cn-north-4'\n[profiles.cn]\ncredentials = 'env'\n"


def test_a_variable_selects_the_profile(tmp_path: Path) -> None:
    """PLUGWAVE_PROFILE is the short name of `cloud.profile`, and `config show` names it."""
    told = loaded(tmp_path, SELECTED, PLUGWAVE_PROFILE="prod")

    assert told.settings.cloud.profile == "prod"
    assert told.origins["cloud.profile"] == "PLUGWAVE_PROFILE"
    rows = {row.key: (row.value_text, row.origin) for row in describe(told)}
    assert rows["cloud.profile"] == ("prod", "PLUGWAVE_PROFILE")


def test_the_option_goes_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    """As for every other key."""
    tmp_path.joinpath("plugwave.toml").write_text(TOML)
    places = Places(
        cwd=tmp_path, user_config=tmp_path / "u", system_config=tmp_path / "e", state=tmp_path
    )
    flags = {"cloud.profile": Flag(option="--profile", value="cn")}
    environ = {"PLUGWAVE_PROFILE": "prod"}

    by_option = load(environ=environ, places=places, flags=flags)
    by_variable = load(environ={"PLUGWAVE_PROFILE": "cn"}, places=places)

    assert by_option.settings.cloud.profile == "cn"
    assert by_option.origins["cloud.profile"] == "--profile"
    assert by_variable.settings.cloud.profile == "cn"


def test_two_variables_may_not_select_two_profiles(tmp_path: Path) -> None:
    """Which of them was meant nobody can tell; the same twice is no contradiction."""
    with pytest.raises(ConfigError, match="name two profiles"):
        loaded(tmp_path, PLUGWAVE_PROFILE="prod", PLUGWAVE_CLOUD__PROFILE="cn")

    told = loaded(tmp_path, PLUGWAVE_PROFILE="cn", PLUGWAVE_CLOUD__PROFILE="cn")
    assert told.settings.cloud.profile == "cn"


def test_an_unknown_profile_is_told_with_a_suggestion(tmp_path: Path) -> None:
    """The ones there are, the nearest, and where the wrong one was named."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, PLUGWAVE_PROFILE="prd")

    said = str(caught.value)
    assert "(there are: cn, prod); did you mean 'prod'?" in said
    assert "cloud.profile is from PLUGWAVE_PROFILE" in said


def test_a_profile_sees_its_own_cloud(tmp_path: Path) -> None:
    """Its region and addresses go first; what it does not say is the cloud's."""
    text = """
[cloud]
region = "cn-north-4"
rate = 7
iam_endpoint = "https://iam.example.com"
endpoint = "https://modelarts.example.com"
endpoints.cn-east-3 = "https://modelarts.east.example.com"
[profiles.plain]
credentials = "auto"
[profiles.south]
region = "cn-south-1"
[profiles.abroad]
endpoint = "https://modelarts.eu-de.otc.t-systems.com"
region = "eu-de"
[profiles.named]
iam_endpoint = "https://iam.named.example.com"
"""
    settings = loaded(tmp_path, text).settings

    assert settings.cloud_of("plain") == settings.cloud_of() == settings.cloud
    assert settings.cloud_of("south").region == "cn-south-1"
    assert settings.cloud_of("south").endpoint == "https://modelarts.example.com"
    abroad = settings.cloud_of("abroad")
    assert (abroad.region, abroad.rate) == ("eu-de", 7)
    assert abroad.endpoint == "https://modelarts.eu-de.otc.t-systems.com"
    assert (dict(abroad.endpoints), abroad.iam_endpoint) == ({}, None)
    assert settings.cloud_of("named").iam_endpoint == "https://iam.named.example.com"


def test_without_authentication_every_profile_stays_on_this_machine() -> None:
    """A simulator's settings must not lead to another host by a profile."""
    cloud = {"auth": "none", "endpoint": "http://127.0.0.1:8788"}
    profiles = {"p": {"endpoint": "https://modelarts.example.com"}}

    with pytest.raises(ValidationError, match=r"profiles\.p\.endpoint is not on this machine"):
        Settings.model_validate({"cloud": cloud, "profiles": profiles})
