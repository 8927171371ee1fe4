"""Where the region of a job that names none comes from, the same for every door."""

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.credentials.surroundings import HW, HW_LOGIN, SDK, Machine
from worker.credentials.defaults import region_of, request_defaults

PROFILES = {
    "north": {"region": "cn-north-4", "credentials": "env"},
    "any": {"credentials": "env"},
    "broken": {"credentials": "file:/nowhere#x"},
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


def told(**cloud: Any) -> Settings:
    """Return settings with the profiles."""
    return Settings.model_validate({"cloud": cloud, "profiles": PROFILES})


def test_a_profiles_own_region_goes_first(machine: Machine) -> None:
    """Then the one of the settings, then the one beside the credential."""
    machine.set(HW, {"HW_REGION_NAME": "ap-southeast-3"})

    assert region_of(told(region="cn-east-3"), machine.around, "north") == "cn-north-4"
    assert region_of(told(region="cn-east-3"), machine.around, "any") == "cn-east-3"
    assert region_of(told(), machine.around, "any") == "ap-southeast-3"
    assert region_of(told(), machine.around) == "ap-southeast-3"


def test_the_selected_profile_says_it_for_requests_without_one(machine: Machine) -> None:
    """`--profile` decides the account, and with it the region."""
    defaults = request_defaults(told(profile="north", region="cn-east-3"), machine.around)

    assert (defaults.profile, defaults.region_of(None)) == ("north", "cn-north-4")
    assert defaults.region_of("any") == "cn-east-3"


@pytest.mark.parametrize("profile", [None, "any", "broken", "unheard-of"])
def test_who_only_takes_requests_in_needs_no_credential(
    machine: Machine, profile: str | None
) -> None:
    """Where nothing tells the region it stays open, and nothing fails."""
    assert region_of(told(), machine.around, profile) is None


def test_a_region_of_the_settings_is_none_of_a_profile_that_is_not_in_them(
    machine: Machine,
) -> None:
    """Its account may be anywhere; a guess would send its jobs to the wrong place."""
    assert region_of(told(region="cn-east-3"), machine.set(SDK).around, "unheard-of") is None


def test_a_login_brings_its_region(machine: Machine) -> None:
    """As for terraform, whose variables they are."""
    assert region_of(told(), machine.set(HW_LOGIN).around) == "cn-north-4"
