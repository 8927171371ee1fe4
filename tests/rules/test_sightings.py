"""What one read shows, in one word: a phase alone is never a verdict."""

import pytest

from jobs.model import PluginSeen
from jobs.sightings import Sighting, as_wanted, same_as_before, sighting
from tests.rules.builders import CUSTOM, OLD, WANTED, seen


@pytest.mark.parametrize(
    ("plugin", "word"),
    [
        (None, Sighting.ABSENT),
        (seen(version=WANTED, inputs=CUSTOM), Sighting.TARGET),
        (seen(version=WANTED), Sighting.OTHER),
        (seen(version=WANTED, inputs=None), Sighting.OTHER),
        (seen(version=OLD, inputs=CUSTOM), Sighting.OTHER),
        (seen(version=None, inputs=CUSTOM), Sighting.OTHER),
        (seen("Updating", WANTED, inputs=CUSTOM), Sighting.TARGET_COMING),
        (seen("Pending", WANTED, inputs=CUSTOM), Sighting.TARGET_COMING),
        (seen("Updating", WANTED), Sighting.COMING),
        (seen("Pending", None), Sighting.COMING),
        (seen("Abnormal", WANTED, inputs=CUSTOM), Sighting.ABNORMAL),
        (seen("Deleting", WANTED, inputs=CUSTOM), Sighting.DELETING),
        (seen("running", WANTED, inputs=CUSTOM), Sighting.STRANGE),
        (seen("Succeeded", WANTED, inputs=CUSTOM), Sighting.STRANGE),
        (seen(None, WANTED, inputs=CUSTOM), Sighting.STRANGE),
    ],
)
def test_a_read_is_reduced_to_one_word(plugin: PluginSeen | None, word: Sighting) -> None:
    """Only Running at the wanted version with the wanted inputs is the target."""
    assert sighting(plugin, WANTED, CUSTOM) is word


def test_what_nobody_asked_for_is_not_compared() -> None:
    """Without a wanted version any will do, and without wanted inputs any will do."""
    assert as_wanted(seen(version="9"), None, None)
    assert as_wanted(seen(version=WANTED, inputs=None), WANTED, {})


@pytest.mark.parametrize(
    ("now", "before", "same"),
    [
        (None, None, True),
        (seen(), None, False),
        (None, seen(), False),
        (seen(), seen(), True),
        (seen(reason="new words"), seen(reason="old words"), True),
        (seen(version=WANTED), seen(), False),
        (seen(inputs=CUSTOM), seen(), False),
        (seen(created_at="2026-01-01T00:00:00Z"), seen(), False),
        (seen("Updating"), seen(), False),
        (seen("Pending"), seen(), False),
        (seen("Abnormal"), seen(), False),
        (seen("Abnormal"), seen("Abnormal"), True),
        (seen(), seen("Abnormal"), True),
    ],
)
def test_unchanged_means_the_same_being_version_and_inputs(
    now: PluginSeen | None,
    before: PluginSeen | None,
    same: bool,  # noqa: FBT001 - a case
) -> None:
    """In progress is a change, and so is turning Abnormal; other words of the cloud are not."""
    assert same_as_before(now, before) is same
