"""A plan: the same for the same fleet, in resolved numbers, without secrets."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import NoPoolMatchedError, StalePlanError
from jobs.rollouts.actions import Action
from jobs.rollouts.differences import input_changes
from jobs.rollouts.estimate import looks
from jobs.rollouts.icsfile import read_ics
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan, plan_bytes, read_plan
from jobs.rollouts.planning import make_plan
from jobs.rollouts.reading import read_manifest
from jobs.rollouts.timing import Poll
from tests.builders import NOON_US
from tests.rollouts.building import FULL, REST, TERMS, a_manifest, a_pool

CANARY = {"name": "canary", "pick": {"count": 3}, "tolerate": 0, "bake": "2h"}


def planned(pools: list[Observed], version: str = "1.6.63", **spec: Any) -> Plan:
    """Return the plan of a manifest for *pools*."""
    return make_plan(a_manifest(version, **spec), pools, TERMS)


def fleet(size: int = 40) -> list[Observed]:
    """Return pools of which every tenth is as wanted and every twentieth blocked."""
    found = []
    for number in range(size):
        more: dict[str, Any] = {"installed": "1.6.63"} if number % 10 == 3 else {}
        if number % 20 == 7:
            more["blocked"] = "the pool is frozen"
        found.append(a_pool(number, **more))
    return found


def test_every_pool_has_a_row_and_every_acting_one_a_wave() -> None:
    """Nothing is left out silently."""
    plan = planned(fleet(), waves=[CANARY, REST])

    assert plan.included == len(plan.rows) == 40
    assert {row.action for row in plan.rows} == {Action.UPGRADE, Action.NO_OP, Action.BLOCKED}
    assert all((row.wave is not None) is row.acts for row in plan.rows)
    assert [wave.pools for wave in plan.waves] == [3, 31]
    assert all(row.why for row in plan.rows if not row.acts)


def test_the_same_fleet_gives_the_same_digest_whatever_its_order() -> None:
    """Two people who plan the same see the same digest; the instant is not in it."""
    pools = fleet()
    one = planned(pools)
    random.Random(1).shuffle(pools)
    later = type(TERMS)(now_us=NOON_US + 10**9, mask=TERMS.mask)

    two = make_plan(a_manifest(), pools, later)
    assert two.made_at != one.made_at
    assert two.digest == one.digest


@pytest.mark.parametrize(
    "more",
    [{"installed": "1.6.35"}, {"inputs": {"custom": {"ndots": "7"}}}, {"blocked": "frozen"}],
    ids=["version", "inputs", "blocked"],
)
def test_another_fleet_gives_another_digest(more: dict[str, Any]) -> None:
    """Whatever the plan rests on is part of it, inputs by their digest."""
    assert planned([a_pool(1), a_pool(2)]).digest != planned([a_pool(1), a_pool(2, **more)]).digest


def test_a_secret_that_was_changed_gives_another_digest() -> None:
    """Its texts are masked in both plans; the digest of what is installed tells them apart."""
    one, two = (
        planned([a_pool(inputs={"dbPassword": word})], plugin={"inputs": {"base": "empty"}})
        for word in ("first-word", "second-word")
    )

    assert one.rows[0].inputs == two.rows[0].inputs
    assert one.rows[0].after_sha256 == two.rows[0].after_sha256
    assert one.digest != two.digest


def test_a_plan_file_is_read_back_and_a_changed_one_refused() -> None:
    """A plan is immutable: one letter makes it another."""
    plan = planned(fleet())
    data = plan_bytes(plan)

    assert read_plan(data, "p.json") == plan
    for spoilt in (data.replace(b"pool-0001", b"pool-9991"), b"{}", b"[", data[:-40]):
        with pytest.raises(StalePlanError):
            read_plan(spoilt, "p.json")


def test_numbers_are_resolved_and_told() -> None:
    """Limits as integers, what runs at once, and how many can break at most."""
    plan = planned(
        [a_pool(n) for n in range(200)],
        waves=[CANARY, {"name": "early", "pick": {"percent": 10}}, REST],
        stop=[{"name": "cap", "failures": 12}],
        budgets={"concurrency": 20, "maxUnavailable": "5%"},
    )

    assert [(wave.pools, wave.at_once) for wave in plan.waves] == [(3, 1), (20, 10), (177, 10)]
    assert plan.stops == ("the 13th failure",)
    assert plan.waves[0].stops == ("any failure",)
    assert plan.waves[0].then == ("bake 2h",)
    assert plan.waves[-1].then == ("end",)
    assert plan.most_broken == 13


def test_fast_overshoot_breaks_more_and_says_so() -> None:
    """12 allowed and 20 at once: 32 can break."""
    spec: dict[str, Any] = {
        "stop": [{"name": "cap", "failures": 12}], "budgets": {"concurrency": 20},
    }  # fmt: skip
    pools = [a_pool(n) for n in range(200)]

    assert planned(pools, **spec).most_broken == 13
    assert planned(pools, **spec, overshoot="fast").most_broken == 32


def test_input_changes_are_paths_with_masked_values() -> None:
    """The diff tells what changes; secrets are in no form of the plan."""
    secret = "s3cr3t-value"
    pool = a_pool(
        inputs={
            "custom": {"ndots": "8"},
            "dbPassword": secret,
            "env": [{"name": "A_TOKEN", "value": secret}],
        }
    )
    merge = {
        "custom": {"ndots": "5"},
        "dbPassword": "n3w",
        "env": [{"name": "A_TOKEN", "value": "n3w"}],
    }
    plan = planned([pool], plugin={"inputs": {"merge": merge}})
    (row,) = plan.rows

    assert [(one.path, one.before, one.after) for one in row.inputs][:2] == [
        ("custom.ndots", '"8"', '"5"'),
        ("dbPassword", "***", "***"),
    ]
    assert secret not in plan_bytes(plan).decode() + repr(plan) + repr(pool)
    assert "n3w" not in repr(plan)
    assert "n3w" not in json.dumps([one.model_dump() for one in row.inputs])


def test_a_key_that_the_mask_cannot_keep_apart_is_hidden() -> None:
    """Where two keys become one by cleaning, no value is shown under the wrong name."""
    before = {"a\u200b": "one", "a": "two"}

    assert all(old in {"***", "-"} for _, old, _ in input_changes(before, {}, TERMS.mask))


def test_latest_is_resolved_for_each_pool_and_consistent_for_all() -> None:
    """The newest may be different from pool to pool; consistent never is."""
    pools = [a_pool(1), a_pool(2, offers=("1.6.63", "1.6.36"))]

    assert [row.version_to for row in planned(pools, "latest").rows] == ["1.6.64", "1.6.63"]
    assert {row.version_to for row in planned(pools, "consistent").rows} == {"1.6.63"}
    assert {row.version_to for row in planned(pools, ">=1.6,<1.6.64").rows} == {"1.6.63"}


def test_a_fleet_without_a_common_version_is_blocked() -> None:
    """A common version is wanted, and nothing else is taken: no way back."""
    plan = planned([a_pool(1, offers=("2",)), a_pool(2, offers=("3",))], "consistent")

    assert {row.action for row in plan.rows} == {Action.BLOCKED}


def test_nothing_to_do_needs_no_waves() -> None:
    """A fleet that is as wanted has a plan, and it says so."""
    plan = planned([a_pool(n, installed="1.6.63") for n in range(3)])

    assert plan.acting == []
    assert plan.most_broken == 0
    assert plan.estimate.calls == 0


def test_targets_that_mean_no_pool_are_an_error() -> None:
    """Nothing matched is not success."""
    with pytest.raises(NoPoolMatchedError):
        planned(fleet(), targets={"include": [{"pools": "elsewhere-*"}]})


def test_what_a_person_should_know_is_a_warning() -> None:
    """Empty waves, fewer than asked, no rules, budgets that let nothing start."""
    waves: list[Any] = [
        {"name": "gold", "pick": {"labels": {"ring": "gold"}}},
        {"name": "two", "pick": {"count": 2}},
        REST,
    ]
    told = planned([a_pool(1)], waves=waves).warnings
    down = [a_pool(2), a_pool(1, blocked="Abnormal")]
    assert down[1].pool is not None
    phase = type(down[1].pool)(name="x", phase="Abnormal")
    down[1] = a_pool(1, blocked="Abnormal", pool=phase)

    assert [word for word in told if "gold takes no pool" in word]
    assert [word for word in told if "two takes 1 pools, not 2" in word]
    assert "no rule would stop this rollout" in told
    stuck = planned(down, budgets={"maxUnavailable": 1}).warnings
    assert [word for word in stuck if "could not start" in word]


def test_the_manifest_that_uses_everything_can_be_planned() -> None:
    """Gates, windows, ramps and rules come through with their words."""
    manifest = read_manifest(FULL.encode(), "r.yaml")
    labels = {"env": "prod", "ring": "canary"}
    empty = read_ics(b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "freeze.ics")
    terms = replace(TERMS, calendars={"company": empty})
    plan = make_plan(manifest, [a_pool(n, labels=labels) for n in range(100)], terms)

    assert [wave.pools for wave in plan.waves] == [2, 10, 40, 48]
    assert plan.waves[1].then == ("bake 1d and 10 jobs ended", "approval by sre")
    assert plan.estimate.bake_s == 2 * 3600 + 2 * 86_400
    assert plan.most_broken == 13


def test_looks_grow_apart() -> None:
    """First after 5 s, then each half as long again, up to a minute."""
    poll = Poll()

    assert looks(poll, 5) == 1
    assert looks(poll, 12.5) == 2
    assert looks(poll, 3600) == looks(poll, 3000) + 10
