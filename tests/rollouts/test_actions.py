"""What is to be done on a pool, and whether it could be undone."""

from typing import Any

import pytest

from jobs.model import PoolSeen, Target
from jobs.rollouts.actions import Action, Decision, Undo, decide, needs_offers
from jobs.rollouts.observed import Observed
from jobs.rollouts.versions import (
    Order,
    compared,
    direction,
    installed_matches,
    newest_common,
    parse_range,
    resolved,
)
from tests.rollouts.building import OFFERS, a_manifest, a_pool


def decided(
    pool: Observed, version: str = "1.6.63", if_absent: str = "skip", **plugin: Any
) -> Decision:
    """Return what is to be done on *pool*; *plugin* are further fields of the manifest's."""
    wish = a_manifest(version, plugin=plugin).spec.plugin
    return decide(wish, pool, resolved(wish.version, pool.versions), if_absent)


NDOTS_5: dict[str, Any] = {"inputs": {"merge": {"custom": {"ndots": "5"}}}}


def test_an_older_version_is_upgraded_with_all_its_inputs() -> None:
    """What is installed is kept, what the manifest names is laid over it."""
    seen = decided(a_pool(inputs={"custom": {"ndots": "8", "keep": 1}, "flavor": {}}), **NDOTS_5)

    assert (seen.action, seen.version) == (Action.UPGRADE, "1.6.63")
    assert seen.after == {"custom": {"ndots": "5", "keep": 1}, "flavor": {}}
    assert seen.undo is Undo.READY


def test_the_same_version_with_other_inputs_is_reconfigured() -> None:
    """Only inputs change."""
    assert decided(a_pool(installed="1.6.63"), **NDOTS_5).action is Action.RECONFIGURE


def test_what_is_as_wanted_is_left_alone() -> None:
    """Running, the version, and each input of the manifest; what the cloud adds does not count."""
    pool = a_pool(installed="1.6.63", inputs={"custom": {"ndots": "5", "added": True}})

    assert decided(pool, **NDOTS_5).action is Action.NO_OP
    assert decided(pool).why == "already 1.6.63"


def test_what_is_as_wanted_needs_no_offers() -> None:
    """A request is spared for every such pool, but not where the newest is wanted."""
    pool = a_pool(installed="1.6.63", offers=None)

    assert not needs_offers(a_manifest().spec.plugin, pool, "skip")
    assert needs_offers(a_manifest("latest").spec.plugin, pool, "skip")
    assert needs_offers(a_manifest().spec.plugin, a_pool(offers=None), "skip")
    assert not needs_offers(a_manifest().spec.plugin, a_pool(blocked="frozen"), "skip")


def test_absent_plug_ins_are_installed_on_request_only() -> None:
    """The field ifAbsent says which; a new one cannot be taken back by itself."""
    absent = a_pool(installed=None)

    assert decided(absent).action is Action.NO_OP
    there = decided(absent, if_absent="install", **NDOTS_5)
    assert (there.action, there.after) == (Action.INSTALL, {"custom": {"ndots": "5"}})
    assert there.undo is Undo.IMPOSSIBLE


def test_a_newer_version_is_not_replaced_unless_told() -> None:
    """A downgrade is a word in the manifest, never an accident."""
    newer = a_pool(installed="1.6.64")

    refused = decided(newer)
    assert refused.action is Action.BLOCKED
    assert "allowDowngrade" in (refused.why or "")
    assert decided(newer, allowDowngrade=True).action is Action.DOWNGRADE


def test_volcano_never_goes_down() -> None:
    """Its maker forbids it, so no manifest allows it; and what went up cannot be taken back."""
    wish = a_manifest("1.6.63", plugin={"name": "volcano", "allowDowngrade": True}).spec.plugin

    assert decide(wish, a_pool(installed="1.6.64"), "1.6.63", "skip").action is Action.BLOCKED
    up = decide(wish, a_pool(installed="1.6.36"), "1.6.63", "skip")
    assert (up.action, up.undo) == (Action.UPGRADE, Undo.IMPOSSIBLE)


def test_versions_that_cannot_be_compared_are_not_guessed() -> None:
    """Not on offer any more and not of numbers: a person decides."""
    strange = a_pool(installed="beta-4", offers=("alpha-1",))

    assert decided(strange, "alpha-1").action is Action.UNKNOWN
    assert decided(strange, "alpha-1", allowDowngrade=True).action is Action.UPGRADE


def test_a_version_that_is_not_offered_blocks_the_pool() -> None:
    """The reason names what is offered."""
    assert decided(a_pool(), "1.7.0").why == (
        "1.7.0 is not offered for this pool (offered: 1.6.64, 1.6.63, 1.6.36)"
    )
    assert "no version" in (decided(a_pool(offers=())).why or "")


def test_unreadable_inputs_are_never_reset_by_accident() -> None:
    """Only another base than what is installed takes the risk, and the way back is lossy."""
    pool = a_pool(inputs=None)

    assert decided(pool).action is Action.BLOCKED
    told = decided(pool, inputs={"base": "template"})
    assert (told.action, told.undo) == (Action.UPGRADE, Undo.LOSSY)
    assert told.after == {"custom": {"ndots": "3"}}
    assert decided(pool, inputs={"base": "empty", "merge": {"a": 1}}).after == {"a": 1}


def test_what_was_installed_and_is_not_offered_any_more_cannot_come_back() -> None:
    """The plan says so before the start."""
    assert decided(a_pool(installed="1.5.0")).undo is Undo.IMPOSSIBLE


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({"trouble": "no answer"}, Action.UNKNOWN),
        ({"pool": None}, Action.UNKNOWN),
        ({"looked": False}, Action.UNKNOWN),
        ({"blocked": "the pool is frozen"}, Action.BLOCKED),
    ],
    ids=["trouble", "gone", "not-looked", "blocked"],
)
def test_what_is_not_known_or_not_allowed_is_told(more: dict[str, Any], action: Action) -> None:
    """Each pool that is left out has its reason."""
    seen = decided(a_pool(**more))

    assert seen.action is action
    assert seen.why


def test_offers_that_were_not_read_are_unknown_not_none() -> None:
    """A read error is not a state."""
    assert decided(a_pool(offers=None)).action is Action.UNKNOWN


def test_a_hidden_version_is_unknown() -> None:
    """Without the installed version nobody can tell up from down."""
    pool = a_pool()
    assert pool.plugin is not None
    hidden = Observed(
        target=Target(project_id="p", pool_name="q"), pool=PoolSeen(name="q"), looked=True,
        plugin=type(pool.plugin)(name="node-local-dns", phase="Running", inputs={}),
        offers=pool.offers,
    )  # fmt: skip
    assert decided(hidden).action is Action.UNKNOWN


@pytest.mark.parametrize("phase", ["Pending", "Updating", "Deleting", "Odd"])
def test_a_busy_pool_is_waited_for(phase: str) -> None:
    """Somebody else's change is no failure; the note says what the job waits for."""
    seen = decided(a_pool(phase=phase))

    assert seen.action is Action.UPGRADE
    assert phase in (seen.note or "")


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("1.10.0", "1.9.9", Order.NEWER),
        ("1.6", "1.6.0", Order.SAME),
        ("v1.2", "1.2", Order.SAME),
        ("1.2-rc1", "1.2", Order.UNKNOWN),
        ("2025-01-02", "2024-12-31", Order.NEWER),
        ("1.2.a", "1.2.b", Order.UNKNOWN),
        ("1.1", "1.2", Order.OLDER),
    ],
)
def test_versions_are_compared_by_their_numbers(one: str, other: str, order: Order) -> None:
    """Numbers as numbers; a word that only one has makes them incomparable."""
    assert compared(one, other) is order


def test_the_order_on_offer_wins_over_the_numbers() -> None:
    """The cloud knows what is newer; names are free text."""
    assert direction("2.0", "1.0", ["1.0", "2.0"]) is Order.NEWER
    assert direction("3.0", "1.0", ["1.0", "2.0"]) is Order.OLDER


def test_wishes_are_resolved_for_each_pool() -> None:
    """The newest is the first on offer, a range the first within, an exact one only if offered."""
    assert resolved("latest", OFFERS) == "1.6.64"
    assert resolved(">=1.6,<1.6.64", OFFERS) == "1.6.63"
    assert resolved("!=1.6.64", OFFERS) == "1.6.63"
    assert resolved(">2", OFFERS) is None
    assert resolved("1.6.36", OFFERS) == "1.6.36"
    assert resolved("latest", ()) is None
    assert newest_common([OFFERS, ("1.6.63", "1.6.36")]) == "1.6.63"
    assert newest_common([OFFERS, ("9",)]) is None
    assert newest_common([]) is None
    assert parse_range(">=1.3,<") is None


def test_a_selector_knows_what_is_installed() -> None:
    """A version, a range, any, or absent."""
    assert installed_matches("absent", None)
    assert not installed_matches("any", None)
    assert installed_matches("any", "1")
    assert installed_matches("<1.15", "1.14.5")
    assert not installed_matches("1.14.5", "1.14")
