"""Which credential is used: the first complete source, never two mixed, always told."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from jobs.errors import ConfigError
from tests.credentials.surroundings import (
    HW,
    HW_LOGIN,
    HW_TOKEN,
    SAMPLES,
    SDK,
    TOKEN,
    Machine,
    settings,
)
from worker.credentials.chain import choose
from worker.credentials.sources import (
    Agency,
    Found,
    IdToken,
    Kind,
    Login,
    Metadata,
    PodIdentity,
    Source,
    Surroundings,
    TokenFile,
)
from worker.modelarts.keys import AccessKey, Token


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


def source_of(machine: Machine, told: Settings | None = None, profile: str | None = None) -> Source:
    """Return the source that is used."""
    source = choose(told or settings(), machine.around, profile).source
    assert source is not None
    return source


def found_of(machine: Machine, told: Settings | None = None, profile: str | None = None) -> Found:
    """Return what is told about it."""
    return choose(told or settings(), machine.around, profile).found


def refusal(
    machine: Machine, told: Settings | None = None, profile: str | None = None
) -> ConfigError:
    """Return the error of a machine without a usable credential."""
    with pytest.raises(ConfigError) as caught:
        choose(told or settings(), machine.around, profile)
    return caught.value


def secret_of(source: Source) -> str:
    """Return the secret that would be used."""
    match source.proof:
        case AccessKey(secret=secret) | Token(secret=secret) | Login(password=secret):
            return secret.reveal()
        case other:
            return type(other).__name__


SOURCES: dict[str, tuple[Callable[[Machine], object], dict[str, Any], str, Kind]] = {
    "cloud.token": (lambda _: None, {"token": TOKEN}, TOKEN, Kind.TOKEN),
    "sdk": (lambda m: m.set(SDK), {}, "sdk-secret-0001Q7KPLANTED", Kind.AKSK),
    "hw token": (lambda m: m.set(HW_TOKEN), {}, "MIIhw-token-0002Q7KPLANTED", Kind.TOKEN),
    "hw key": (lambda m: m.set(HW), {}, "hw-secret-0003Q7KPLANTED", Kind.AKSK),
    "hw login": (lambda m: m.set(HW_LOGIN), {}, "hw password 0004Q7KPLANTED", Kind.TOKEN),
    "samples": (lambda m: m.set(SAMPLES), {}, "cloud-secret-0005Q7KPLANTED", Kind.AKSK),
    "sdk file": (lambda m: m.sdk_file(), {}, "file-secretQ7KPLANTED%0006", Kind.AKSK),
    "koocli": (lambda m: m.koocli(), {}, "koo-secret-0007Q7KPLANTED", Kind.AKSK),
    "pod": (lambda m: m.pod(), {}, "PodIdentity", Kind.AKSK),
    "metadata": (lambda _: None, {"metadata": True}, "Metadata", Kind.AKSK),
}
"""In their order: how it is set, which settings it needs, what it then is."""

NAMES = list(SOURCES)


def machine_with(machine: Machine, *names: str, **cloud: Any) -> Settings:
    """Set these sources; return the settings they need."""
    for name in names:
        setup, needed, _, _ = SOURCES[name]
        setup(machine)
        cloud |= needed
    return settings(**cloud)


@pytest.mark.parametrize("name", NAMES)
def test_each_source_alone_is_used(machine: Machine, name: str) -> None:
    """Whatever the one source on a machine is, it is found and nothing is ignored."""
    told = machine_with(machine, name)
    _, _, secret, kind = SOURCES[name]

    source, found = source_of(machine, told), found_of(machine, told)

    assert secret_of(source) == secret
    assert found.kind is kind
    assert found.ignored == ()


@pytest.mark.parametrize(("first", "second"), list(combinations(NAMES, 2)))
def test_of_two_sources_the_earlier_is_used_and_the_later_is_told(
    machine: Machine, first: str, second: str
) -> None:
    """The order is fixed, and nobody has to guess which credential a request carries."""
    told = machine_with(machine, second, first)

    found = found_of(machine, told)

    assert secret_of(source_of(machine, told)) == SOURCES[first][2]
    assert len(found.ignored) == 1
    assert found.ignored[0].source != found.source


def test_with_everything_set_all_but_the_first_are_ignored(machine: Machine) -> None:
    """The whole chain at once: one is used, nine are named."""
    told = machine_with(machine, *NAMES)

    found = found_of(machine, told)

    assert found.source == "cloud.token in the settings"
    assert [one.source.split(" ")[0] for one in found.ignored] == [
        "HUAWEICLOUD_SDK_AK",
        "HW_AUTH_TOKEN",
        "HW_ACCESS_KEY",
        "HW_USER_NAME",
        "CLOUD_SDK_AK",
        "section",
        "KooCLI",
        "pod",
        "agency",
    ]
    assert found.ignored[2].short == "AKHW…HW02"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_shows_no_secret_and_no_whole_key(machine: Machine, name: str) -> None:
    """An access key is seen by its first and last four characters alone."""
    told = machine_with(machine, name)
    _, _, secret, _ = SOURCES[name]

    shown = repr(found_of(machine, told)) + repr(source_of(machine, told))

    assert secret not in shown or secret in {"PodIdentity", "Metadata"}
    for access in (*SDK.values(), *HW.values(), "AKFILE000000000FILE6"):
        assert access not in shown


NAMES_OF = {
    "sdk": "ak-AKSDSDK1",
    "hw key": "ak-AKHWHW02",
    "pod": "pod-identity",
    "metadata": "ecs-metadata",
}


@pytest.mark.parametrize(("name", "known_as"), NAMES_OF.items())
def test_a_credential_has_a_name_for_limits(machine: Machine, name: str, known_as: str) -> None:
    """The name is the same on every machine, so that they share one limit; it is no secret."""
    told = machine_with(machine, name)

    assert found_of(machine, told).name == known_as


@pytest.mark.parametrize("name", ["cloud.token", "hw token", "hw login"])
def test_a_token_is_named_by_a_hash(machine: Machine, name: str) -> None:
    """A token has no public part, so 32 bits of a hash stand for it or for its user."""
    told = machine_with(machine, name)

    again = found_of(machine, told).name
    assert again == found_of(machine, told).name
    assert again.startswith("token-")
    assert len(again) == len("token-") + 8


MIXED = [
    ({"HUAWEICLOUD_SDK_AK": "AKSDK00000000000SDK1"}, HW, "HUAWEICLOUD_SDK_SK"),
    ({"HUAWEICLOUD_SDK_SK": "sdk-secret-0001Q7KPLANTED"}, HW, "HUAWEICLOUD_SDK_AK"),
    ({"HUAWEICLOUD_SDK_AK": "AKSDK00000000000SDK1", "HW_SECRET_KEY": "x"}, {}, "_SDK_SK"),
    ({"HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}, HW, "HUAWEICLOUD_SDK_AK"),
    ({"HW_ACCESS_KEY": "AKHW000000000000HW02"}, SAMPLES, "HW_SECRET_KEY"),
    ({"HW_USER_PASSWORD": "p"}, SAMPLES, "HW_USER_NAME"),
    ({"HW_USER_PASSWORD": "p", "HW_USER_NAME": "n"}, SAMPLES, "HW_DOMAIN_NAME"),
    ({"CLOUD_SDK_AK": "AKCLOUD0000000CLOUD5"}, {}, "CLOUD_SDK_SK"),
    ({"HC_CONTAINER_CREDENTIALS_FULL_URI": "https://x"}, {}, "AUTHORIZATION_TOKEN_FILE"),
    ({"HUAWEICLOUD_SDK_AK": "AKSDK00000000000SDK1", "HUAWEICLOUD_SDK_SK": " "}, HW, "_SK"),
    ({**SDK, "HUAWEICLOUD_SDK_SK": "sdk-secret-0001Q7KPLANTED\n"}, HW, "HUAWEICLOUD_SDK_SK"),
    ({**HW, "HW_ASSUME_ROLE_AGENCY_NAME": "a"}, SAMPLES, "HW_ASSUME_ROLE_DOMAIN_NAME"),
    (
        {**HW, "HW_ASSUME_ROLE_AGENCY_NAME": "a", "HW_ASSUME_ROLE_DOMAIN_ID": "d"}
        | {"HW_ASSUME_ROLE_DURATION": "10"},
        {},
        "HW_ASSUME_ROLE_DURATION",
    ),
]


@pytest.mark.parametrize(("broken", "complete", "named"), MIXED)
def test_an_incomplete_source_stops_the_search_and_names_what_is_missing(
    machine: Machine, broken: dict[str, str], complete: dict[str, str], named: str
) -> None:
    """Half a credential is never completed from elsewhere, nor quietly passed over."""
    machine.set(complete, broken)

    error = refusal(machine)

    assert named in str(error)
    assert error.do
    for value in broken.values():
        # Whole values; a single letter is in every sentence.
        assert len(value) < 3 or value.strip() not in str(error.as_dict())


def test_an_incomplete_source_behind_a_complete_one_is_only_told(machine: Machine) -> None:
    """What is not used need not be complete."""
    machine.set(SDK, {"HW_ACCESS_KEY": "AKHW000000000000HW02"})

    assert [one.source for one in found_of(machine).ignored] == [
        "HW_ACCESS_KEY / HW_SECRET_KEY from the environment"
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""},
        {"HUAWEICLOUD_SDK_PROJECT_ID": "p"},
        {"HW_REGION_NAME": "cn-north-4", "HW_DOMAIN_NAME": "acme"},
        {"HW_USER_NAME": "robot"},
    ],
)
def test_what_is_no_part_of_a_credential_stops_nothing(
    machine: Machine, harmless: dict[str, str]
) -> None:
    """Empty variables, regions and names may stand around."""
    machine.set(SAMPLES, harmless)

    assert secret_of(source_of(machine)) == "cloud-secret-0005Q7KPLANTED"


def test_what_belongs_to_another_source_is_not_taken_over(machine: Machine) -> None:
    """Region, project and IAM's address come from the source of the key, or from nowhere."""
    machine.set(SDK, HW, {"HW_REGION_NAME": "cn-east-3", "HW_PROJECT_ID": "p-hw"})
    machine.set({"HW_AUTH_URL": "https://iam.other.example/v3", "HW_CLOUD": "other.example"})

    source = source_of(machine)

    assert (source.region, source.project, source.iam, source.domain) == (None, None, None, None)


def test_terraforms_variables_bring_all_that_they_name(machine: Machine) -> None:
    """Who comes from terraform has region, project and IAM's address set already."""
    machine.set(HW, {"HW_SECURITY_TOKEN": "st", "HW_REGION_NAME": "cn-east-3"})
    machine.set({"HW_PROJECT_ID": "p-hw", "HW_AUTH_URL": "https://iam.example/v3"})
    machine.set({"HW_ASSUME_ROLE_AGENCY_NAME": "ops", "HW_ASSUME_ROLE_DOMAIN_NAME": "acme"})
    machine.set({"HW_ASSUME_ROLE_DURATION": "3600"})

    source, found = source_of(machine), found_of(machine)

    assert source.agency == Agency(name="ops", domain_name="acme", duration_s=3600)
    assert (found.region, found.project, source.iam) == (
        "cn-east-3",
        "p-hw",
        "https://iam.example/v3",
    )
    assert isinstance(source.proof, AccessKey)
    assert source.proof.security_token is not None
    assert found.source.startswith("agency ops by HW_ACCESS_KEY")
    assert found.name.startswith("agency-")


def test_a_user_may_be_given_by_id(machine: Machine) -> None:
    """An id says everything; then neither name nor account is needed."""
    machine.set({"HW_USER_ID": "u1", "HW_USER_PASSWORD": "p"})

    login = source_of(machine).proof

    assert isinstance(login, Login)
    assert (login.user_id, login.user_name) == ("u1", None)


def test_an_id_token_goes_before_a_key_as_in_the_sdk(machine: Machine) -> None:
    """Whoever sets up federation means it."""
    machine.set(SDK, {"HUAWEICLOUD_SDK_IDP_ID": "idp"})
    machine.set({"HUAWEICLOUD_SDK_ID_TOKEN_FILE": "~/token"})

    assert source_of(machine).proof == IdToken(provider="idp", path=machine.home / "token")


def test_the_names_of_code_samples_are_taken_with_a_hint(machine: Machine) -> None:
    """They work, and the usual names are told."""
    machine.set(SAMPLES)

    assert "HUAWEICLOUD_SDK_AK" in (found_of(machine).hint or "")


# Files.


def test_the_sdk_file_may_lie_elsewhere(machine: Machine) -> None:
    """The SDK's own variable names the file."""
    path = machine.write("elsewhere", "[basic]\nak=AKFILE000000000FILE6\nsk=other-secret\n")
    machine.sdk_file().set({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(path)})

    assert secret_of(source_of(machine)) == "other-secret"


def test_the_sdk_file_may_tell_of_an_id_token_and_iam(machine: Machine) -> None:
    """All that the SDK reads from it is read."""
    machine.sdk_file("[basic]\nidp_id=i\nid_token_file=/t\niam_endpoint=https://iam.x.example\n")

    source = source_of(machine)

    assert source.proof == IdToken(provider="i", path=Path("/t"))
    assert source.iam == "https://iam.x.example"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[basic]\nak = AKFILE000000000FILE6\n", "no sk"),
        ("[basic]\nsk = file-secret-0006\n", "no ak"),
        ("ak = AKFILE000000000FILE6\nsk = file-secret-0006\n", "not an INI file"),
        ("[basic]\nak = AKFILE000000000FILE6\nsk file-secret-0006\n", "not an INI file"),
        ("[basic]\nak = AKFILE000000000FILE6\nsk = file secret-0006\n", "secret key"),
        (b"[basic]\nak = \xff\xfe\n", "not UTF-8"),
        (b"x" * 1_048_577, "over 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_without_its_content(
    machine: Machine, text: str | bytes, named: str
) -> None:
    """The message names the file and what is missing, never a line of it."""
    machine.write(".huaweicloud/credentials", text)

    error = refusal(machine)

    assert named in str(error)
    assert "secret-0006" not in str(error.as_dict())
    assert error.__cause__ is None


@pytest.mark.parametrize("text", ["", "[global]\nak=a\nsk=b\n", "[basic]\nproject_id=p\n"])
def test_a_file_without_a_credential_is_passed_over(machine: Machine, text: str) -> None:
    """A file that is there for other things is no source."""
    machine.sdk_file(text).koocli()

    assert secret_of(source_of(machine)) == "koo-secret-0007Q7KPLANTED"


def test_a_file_that_was_named_must_be_there(machine: Machine) -> None:
    """Who names a file does not want another credential."""
    machine.set({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "/nowhere/at/all"}).koocli()

    assert "/nowhere/at/all does not exist" in str(refusal(machine))


def test_koocli_brings_region_and_project(machine: Machine) -> None:
    """Its profile says where it works."""
    found = found_of(machine.koocli())

    assert (found.region, found.project, found.short) == ("ap-southeast-3", "pkoo", "AKKO…OO07")


def test_koocli_profiles_are_told_apart(machine: Machine) -> None:
    """The current one is used unless a variable names another."""
    other = {"name": "b", "mode": "AKSK", "accessKeyId": "AKB0000000000000000B"}
    main = {**other, "name": "main", "secretAccessKey": "a"}
    told = {
        "current": "main",
        "authEncrypt": "false",
        "profiles": [main, {**other, "secretAccessKey": "b"}],
    }
    machine.koocli(told)

    assert secret_of(source_of(machine)) == "a"
    assert secret_of(source_of(machine.set({"HW_PROFILE": "b"}))) == "b"
    assert "no profile c" in str(refusal(machine.set({"HW_PROFILE": "c"})))


@pytest.mark.parametrize("encrypted", ["true", None])
def test_an_encrypted_koocli_profile_is_told_with_the_command_that_helps(
    machine: Machine, encrypted: str | None
) -> None:
    """Only KooCLI can read what it encrypted; the way out is one command."""
    machine.koocli(accessKeyId="Ab3+/encrypted+text==", secretAccessKey="zzz==")
    content = (machine.home / ".hcloud/config.json").read_text()
    told = f'"authEncrypt":"{encrypted}"' if encrypted else '"other":"x"'
    machine.write(".hcloud/config.json", content.replace('"authEncrypt":"false"', told))

    error = refusal(machine)

    assert "encrypted" in str(error)
    assert "hcloud configure set --cli-auth-encrypt=false" in error.do
    assert "zzz==" not in str(error.as_dict())


def test_koocli_modes_are_understood(machine: Machine) -> None:
    """Single sign-on has its keys elsewhere, an agency is assumed, a machine's has no keys."""
    sts = {"accessKeyId": "AKSSO00000000000SSO1", "secretAccessKey": "sso", "securityToken": "t"}
    single = source_of(machine.koocli(mode="SSO", ssoAuth={"stsToken": sts}))
    agency = source_of(machine.koocli(agencyName="ops", agencyDomainName="acme"))
    ecs = source_of(machine.koocli(mode="ecsAgency", agencyName="ops"))

    assert secret_of(single) == "sso"
    assert agency.agency == Agency(name="ops", domain_name="acme")
    assert (ecs.proof, ecs.agency) == (Metadata(), None)
    assert "agencyDomainName" in str(refusal(machine.koocli(agencyName="ops")))


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ([], "not a JSON object"),
        ({"profiles": [{"name": "default", "accessKeyId": "A" * 20}]}, "secretAccessKey"),
    ],
)
def test_a_broken_koocli_file_is_told(machine: Machine, told: object, named: str) -> None:
    """It is there and cannot be used: that is said, not passed over."""
    machine.write(".hcloud/config.json", b"")
    machine.koocli(told)

    assert named in str(refusal(machine))


@pytest.mark.parametrize("told", [{}, {"profiles": None}, {"profiles": [{"name": "default"}]}])
def test_an_empty_koocli_file_is_passed_over(machine: Machine, told: object) -> None:
    """KooCLI writes one before it is ever configured."""
    assert "no credential is configured" in str(refusal(machine.koocli(told)))


# Settings and profiles.


def test_without_any_source_the_message_says_where_it_looked(machine: Machine) -> None:
    """The first minute of a new user: what to set."""
    error = refusal(machine)

    assert str(error) == "no credential is configured"
    assert "HUAWEICLOUD_SDK_AK" in (error.why or "")
    assert "HUAWEICLOUD_SDK_SK" in error.do


def test_metadata_is_asked_only_when_enabled(machine: Machine) -> None:
    """On a laptop nobody waits for an address that does not answer."""
    assert "no credential" in str(refusal(machine))
    assert source_of(machine, settings(metadata=True)).proof == Metadata()


def test_auth_restricts_the_kind(machine: Machine) -> None:
    """`aksk` passes tokens over, `token` passes keys over, and both say so."""
    machine.set(HW_TOKEN, HW)

    keys = found_of(machine, settings(auth="aksk"))
    tokens = found_of(machine.set(SDK), settings(auth="token", token=TOKEN))

    assert keys.kind is Kind.AKSK
    assert [one.source for one in keys.ignored] == ["HW_AUTH_TOKEN from the environment"]
    assert tokens.kind is Kind.TOKEN


def test_auth_without_a_source_of_its_kind_says_so(machine: Machine) -> None:
    """There is a credential, and it is not of the kind that was asked for."""
    error = refusal(machine.set(HW_TOKEN), settings(auth="aksk"))

    assert "aksk" in (error.why or "")
    assert "HW_AUTH_TOKEN" in (error.why or "")


def test_without_auth_nothing_is_looked_at(machine: Machine) -> None:
    """A simulator on this machine is asked without any credential."""
    machine.set({"HUAWEICLOUD_SDK_AK": "alone"})
    told = settings(auth="none", endpoint="http://127.0.0.1:1")

    chosen = choose(told, machine.around)

    assert (chosen.source, chosen.found.kind, chosen.found.name) == (None, Kind.NONE, "none")


PROFILES: dict[str, Any] = {
    "env": {"credentials": "env", "project": "p-own", "region": "la-south-2"},
    "file": {"credentials": "file:~/mine#prod"},
    "basic": {"credentials": "file:~/mine"},
    "token": {"credentials": "token-file:~/token"},
    "koo": {"credentials": "hcloud:#b"},
    "pod": {"credentials": "pod"},
    "ecs": {"credentials": "metadata"},
    "ops": {"credentials": "env", "agency_name": "ops", "agency_domain_id": "d1"},
    "any": {"region": "cn-east-3"},
}


@pytest.fixture
def furnished(machine: Machine) -> Machine:
    """Return a machine with something for every profile."""
    machine.write(
        "mine", "[basic]\nak=AKMINE0000000000MINE\nsk=s-basic\n[prod]\nak=AK\nsk=s-prod\n"
    )
    machine.write("token", "  MIIfile-token\r\n")
    told = {"authEncrypt": False, "profiles": [{"name": "b", "accessKeyId": "A" * 20}]}
    told["profiles"] = [{"name": "b", "accessKeyId": "A" * 20, "secretAccessKey": "s-koo"}]
    return machine.koocli(told).pod().set(HW)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("env", "hw-secret-0003Q7KPLANTED"),
        ("file", "s-prod"),
        ("basic", "s-basic"),
        ("token", "TokenFile"),
        ("koo", "s-koo"),
        ("pod", "PodIdentity"),
        ("ecs", "Metadata"),
        ("ops", "hw-secret-0003Q7KPLANTED"),
        ("any", "hw-secret-0003Q7KPLANTED"),
    ],
)
def test_a_profile_names_its_source(furnished: Machine, name: str, secret: str) -> None:
    """Several accounts in one worker: each profile has exactly its own credential."""
    told = settings(PROFILES)

    assert secret_of(source_of(furnished, told, name)) == secret
    assert secret_of(source_of(furnished, settings(PROFILES, profile=name))) == secret
    assert found_of(furnished, told, name).source.count(f"profile {name}, ") == 1


def test_a_profile_has_its_own_region_project_and_agency(furnished: Machine) -> None:
    """What a profile says wins over what its source says."""
    told = settings(PROFILES)
    furnished.set({"HW_REGION_NAME": "cn-north-4", "HW_PROJECT_ID": "p-hw"})

    own, ops = found_of(furnished, told, "env"), source_of(furnished, told, "ops")

    assert (own.region, own.project) == ("la-south-2", "p-own")
    assert (ops.region, ops.project) == ("cn-north-4", "p-hw")
    assert ops.agency == Agency(name="ops", domain_id="d1")
    assert ops.kind is Kind.AKSK


def test_a_profile_says_what_it_leaves_aside(furnished: Machine) -> None:
    """Variables that are set too are told, the profile's own source is not."""
    ignored = found_of(furnished, settings(PROFILES), "file").ignored

    assert any("HW_ACCESS_KEY" in one.source for one in ignored)
    assert not any("mine" in one.source for one in ignored)


@pytest.mark.parametrize(
    ("name", "profile", "named"),
    [
        ("gone", {"credentials": "file:~/nothing"}, "does not exist"),
        ("part", {"credentials": "file:~/mine#other"}, "no section"),
        ("void", {"credentials": "token-file:~/empty"}, "the token in"),
        ("bare", {"credentials": "pod"}, "no credential is configured"),
    ],
)
def test_a_profile_never_falls_back_to_another_source(
    furnished: Machine, name: str, profile: dict[str, str], named: str
) -> None:
    """A profile whose source is not there is an error, even if others are."""
    furnished.write("empty", "\n")
    del furnished.environ["HC_CONTAINER_CREDENTIALS_FULL_URI"]

    assert named in str(refusal(furnished, settings({name: profile}), name))


def test_an_unknown_profile_is_told_with_the_known_ones(machine: Machine) -> None:
    """A job that names one which is not there is told which there are."""
    error = refusal(machine, settings(PROFILES), "prod")

    assert "no profile prod" in str(error)
    assert "basic" in error.do


def test_kinds_of_proof(furnished: Machine) -> None:
    """A pod and a token file are what they were said to be."""
    told = settings(PROFILES)

    pod, file = source_of(furnished, told, "pod").proof, source_of(furnished, told, "token").proof

    assert isinstance(pod, PodIdentity)
    assert file == TokenFile(path=furnished.home / "token")


def test_without_a_home_folder_files_are_passed_over() -> None:
    """A system service has none."""
    around = Surroundings.of(SDK)

    assert choose(settings(), around).found.short == "AKSD…SDK1"
