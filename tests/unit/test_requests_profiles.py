"""A request names an account, and what it leaves open is filled in when it is taken in."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import BadRequestError
from jobs.model import JobRequest
from jobs.requests import Defaults, parse_request, problems_of
from jobs.requests.again import retry_request
from jobs.states import JobState
from tests.builders import a_job

BODY: dict[str, Any] = {
    "project_id": "0a1b2c3d",
    "pool_name": "pool-1",
    "plugin": {"name": "volcano", "version": "1.15.8"},
}
REGIONS = {None: "cn-north-4", "sg": "ap-southeast-3"}
CONFIGURED = Defaults(region_of=REGIONS.get)


def parsed(defaults: Defaults = CONFIGURED, **more: Any) -> JobRequest:
    """Parse the body with some more fields."""
    return parse_request({**BODY, **more}, source="cli", defaults=defaults)


def test_a_request_names_a_profile_or_none() -> None:
    """Without the field the worker's own account is meant."""
    assert parsed(profile="sg").profile == "sg"
    assert parsed().profile is parsed(profile=None).profile is None


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "p" * 129, "prod\n", "\u0440rod", 7])
def test_a_profile_has_a_plain_name(name: object) -> None:
    """It becomes part of messages and rows like every other name."""
    with pytest.raises(BadRequestError) as caught:
        parsed(profile=name)

    assert [problem.path for problem in problems_of(caught.value)] == ["profile"]


def test_what_is_not_said_is_filled_in() -> None:
    """The selected profile, and the region of the request's own profile."""
    selected = replace(CONFIGURED, profile="sg")

    assert parsed().target.region == "cn-north-4"
    assert parsed(profile="sg").target.region == "ap-southeast-3"
    assert (parsed(selected).profile, parsed(selected).target.region) == ("sg", "ap-southeast-3")


def test_what_is_said_is_never_replaced() -> None:
    """Defaults are only for what is left out."""
    selected = replace(CONFIGURED, profile="sg")
    told = parsed(selected, profile="other", region="cn-east-3")

    assert (told.profile, told.target.region) == ("other", "cn-east-3")


def test_a_region_that_nobody_knows_stays_open() -> None:
    """A profile that is not in these settings has the region that its worker says."""
    assert parsed(profile="unheard-of").target.region is None


def test_one_pool_has_one_writer_whether_its_region_was_named_or_not() -> None:
    """The key of the one-writer rule, the digests too, are of the request as it is stored."""
    named, filled = parsed(region="cn-north-4"), parsed()

    assert filled.target.pool == named.target.pool
    assert (filled.fingerprint, filled.natural_key) == (named.fingerprint, named.natural_key)


def test_the_same_line_under_another_region_is_other_content() -> None:
    """It would change another pool, so its old key must not stand for it."""
    elsewhere = Defaults(region_of=lambda _: "cn-east-3")

    assert parsed().fingerprint != parsed(elsewhere).fingerprint
    assert parsed().natural_key != parsed(elsewhere).natural_key


def test_another_account_is_other_content() -> None:
    """Neither the key of a request nor an equal open job stands for a different account."""
    one, other, none = (
        parsed(profile=name, region="cn-north-4") for name in ("one", "other", None)
    )

    assert len({one.fingerprint, other.fingerprint, none.fingerprint}) == 3
    assert len({one.natural_key, other.natural_key, none.natural_key}) == 3


def test_a_retry_is_sent_as_the_same_account() -> None:
    """Whatever profile is selected by then."""
    old = parsed(profile="sg")
    new = retry_request(a_job(JobState.FAILED, request=old))

    assert (new.profile, new.natural_key) == ("sg", old.natural_key)
    assert (
        new.fingerprint
        != retry_request(a_job(JobState.FAILED, request=replace(old, profile=None))).fingerprint
    )
