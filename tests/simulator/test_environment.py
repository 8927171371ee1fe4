"""What the simulator tells a person to export, and who the directory says there is."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import ConfigError
from tests.simulator.asking import QUICK, asking
from worker.simulator import Simulator, SimulatorOptions
from worker.simulator.options import Auth


@pytest.mark.parametrize(
    ("auth", "more", "names"),
    [
        ("none", {}, {"PLUGWAVE_CLOUD__ENDPOINT", "PLUGWAVE_CLOUD__AUTH"}),
        (
            "aksk",
            {},
            {
                "PLUGWAVE_CLOUD__ENDPOINT",
                "PLUGWAVE_CLOUD__AUTH",
                "HUAWEICLOUD_SDK_IAM_ENDPOINT",
                "HUAWEICLOUD_SDK_AK",
                "HUAWEICLOUD_SDK_SK",
            },
        ),
        (
            "token",
            {},
            {
                "PLUGWAVE_CLOUD__ENDPOINT",
                "PLUGWAVE_CLOUD__AUTH",
                "HUAWEICLOUD_SDK_IAM_ENDPOINT",
                "HW_AUTH_URL",
                "HW_USER_NAME",
                "HW_USER_PASSWORD",
                "HW_DOMAIN_NAME",
                "HW_PROJECT_NAME",
                "HW_REGION_NAME",
            },
        ),
        (
            "any",
            {"key_pairs": 0, "users": 0},
            {"PLUGWAVE_CLOUD__ENDPOINT", "PLUGWAVE_CLOUD__AUTH", "HUAWEICLOUD_SDK_IAM_ENDPOINT"},
        ),
    ],
)
def test_what_to_export_is_enough_to_be_let_in(
    auth: Auth, more: dict[str, Any], names: set[str]
) -> None:
    """The address, and a credential that the gate takes when it wants one."""
    cloud = Simulator(replace(QUICK, auth=auth, **more))

    assert set(cloud.environment) == names


def test_keys_follow_from_the_seed_as_documented() -> None:
    """Anybody can compute them, so a test needs no page to ask."""
    directory = Simulator(SimulatorOptions(seed=7, key_pairs=2)).identity.directory

    assert directory.keys[1].access == hashlib.sha256(b"7/access/1").hexdigest()[:20].upper()
    assert directory.keys[1].secret == hashlib.sha256(b"7/secret/1").hexdigest()[:40]
    assert directory.accounts[0].id == hashlib.sha256(b"7/account/0").hexdigest()[:32]


def test_users_and_keys_are_dealt_out() -> None:
    """Users over accounts, keys over users."""
    options = SimulatorOptions(accounts=2, users=3, key_pairs=4)
    directory = Simulator(options).identity.directory

    assert [user.account.name for user in directory.users] == [
        "sim-account-1",
        "sim-account-2",
        "sim-account-1",
    ]
    assert [key.user.name for key in directory.keys] == [
        "sim-user-1",
        "sim-user-2",
        "sim-user-3",
        "sim-user-1",
    ]


def test_no_secret_shows_when_somebody_is_printed() -> None:
    """A traceback or a debugger shows who it was and nothing else."""
    directory = Simulator(SimulatorOptions()).identity.directory
    user, key = directory.users[0], directory.keys[0]

    assert user.password not in repr(user)
    assert key.secret not in repr(key)


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": "maybe"},
        {"accounts": 0},
        {"users": -1},
        {"key_pairs": 1.5},
        {"token_life_s": 0},
        {"lock_s": -1},
        {"skew_s": "long"},
        {"metadata": "closed"},
        {"offer_gaps": 1.5},
        {"workspaces": 0},
        {"iam_faults": 2},
    ],
    ids=str,
)
def test_an_option_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the option."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SimulatorOptions(**wrong)


@pytest.mark.parametrize("name", ["accounts", "users", "key_pairs", "workspaces"])
async def test_who_there_is_cannot_change_on_the_way(name: str) -> None:
    """Keys that were told stay good."""
    async with asking(QUICK) as client:
        with pytest.raises(ConfigError, match="cannot change while"):
            client.cloud.change(**{name: 2})
