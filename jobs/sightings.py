"""What one read shows of one plug-in, measured against what a job wants.

A read is reduced to one word here, once, and every rule speaks in these words.  A phase
alone is never a verdict: *target* needs Running, the wanted version and the wanted inputs.
"""

from enum import StrEnum
from typing import Final

from jobs.inputs import contains, equal, inputs_digest
from jobs.model import Inputs, PluginSeen, PluginWish


class Sighting(StrEnum):
    """How the plug-in looks."""

    TARGET = "target"  # Running at the wanted version with the wanted inputs
    TARGET_COMING = "target-coming"  # in progress, and already shows the wanted version and inputs
    COMING = "coming"  # in progress towards something else, or it does not say
    OTHER = "other"  # settled, and not as wanted
    ABNORMAL = "abnormal"
    DELETING = "deleting"
    ABSENT = "absent"
    STRANGE = "strange"  # a phase nobody documents: still in progress, never a success


IN_PROGRESS: Final = frozenset({"Pending", "Updating"})


def as_wanted(
    seen: PluginSeen, version: str | None, inputs: Inputs | None, *, exact: bool = False
) -> bool:
    """Whether version and inputs are the wanted ones; a version of None is any.

    The cloud may show more inputs than the wanted ones, unless they are wanted *exact*.
    """
    if version is not None and seen.version != version:
        return False
    if exact:
        return inputs is None or (seen.inputs is not None and equal(seen.inputs, inputs))
    return not inputs or (seen.inputs is not None and contains(seen.inputs, inputs))


def sighting(
    seen: PluginSeen | None, version: str | None, inputs: Inputs | None, *, exact: bool = False
) -> Sighting:
    """Reduce what was seen to one word; see `as_wanted`."""
    if seen is None:
        return Sighting.ABSENT
    match seen.phase:
        case "Running":
            wanted = as_wanted(seen, version, inputs, exact=exact)
            return Sighting.TARGET if wanted else Sighting.OTHER
        case "Pending" | "Updating":
            wanted = as_wanted(seen, version, inputs, exact=exact)
            return Sighting.TARGET_COMING if wanted else Sighting.COMING
        case "Abnormal":
            return Sighting.ABNORMAL
        case "Deleting":
            return Sighting.DELETING
        case _:
            return Sighting.STRANGE


def same_as_before(seen: PluginSeen | None, before: PluginSeen | None) -> bool:
    """Whether the plug-in is as it was before the send: same being, version and inputs.

    Turning Abnormal is a change too; it is what a failed upgrade looks like.
    """
    if seen is None or before is None:
        return seen is before
    return (
        seen.version == before.version
        and seen.created_at == before.created_at
        and seen.inputs == before.inputs
        and seen.phase not in IN_PROGRESS
        and (seen.phase != "Abnormal" or before.phase == "Abnormal")
    )


def is_left_so(seen: PluginSeen | None, wish: PluginWish) -> bool:
    """Whether the plug-in is as our change left it, or as it was before: nobody else changed it.

    A change that failed half-way may have left the version of one and the inputs of the other.
    What cannot be told, because inputs cannot be read, is not.
    """
    ours = wish.restore
    if ours is None or seen is None or seen.version not in {ours.version, wish.version}:
        return False
    if seen.inputs is None:
        return ours.inputs is None and wish.inputs is None
    if wish.inputs is not None and equal(seen.inputs, wish.inputs):
        return True
    if ours.shown is not None:
        return inputs_digest(seen.inputs) == ours.shown
    return ours.inputs is None or contains(seen.inputs, ours.inputs)


def others_words(seen: PluginSeen | None) -> str:
    """Say how a plug-in is that somebody else has changed since; no input is told."""
    if seen is None:
        return "the plug-in is gone; somebody removed it since"
    if seen.inputs is None:
        return f"the plug-in is at {seen.version}; its inputs cannot be read, so nobody can tell"
    return f"the plug-in is at {seen.version}, and somebody changed it since"
