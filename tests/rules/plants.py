"""Faults to plant into the rules, so that the walks can prove that they would notice.

Each is one plausible mistake: a rule forgotten, a table row too bold, a wait left out.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from jobs import decide
from jobs.clock import seconds_to_us
from jobs.decide import Answered, Move, Rules, Seen, checking, rules, sending, unknown, watching
from jobs.model import Inputs, Job, PluginSeen, Progress
from jobs.outcomes import BY_OUTCOME, Outcome, PostVerdict, Row
from jobs.sightings import Sighting, sighting
from jobs.states import JobEvent


@dataclass(frozen=True, slots=True)
class Plant:
    """One fault: what is replaced where, and the promise that breaks."""

    name: str
    where: Any
    attribute: str
    instead: Any
    breaks: str

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """Let the fault be there inside the block."""
    sound = getattr(plant.where, plant.attribute)
    setattr(plant.where, plant.attribute, plant.instead)
    try:
        yield
    finally:
        setattr(plant.where, plant.attribute, sound)


def _bolder(outcome: Outcome, verdict: PostVerdict) -> Mapping[Outcome, Row]:
    """Return the decision table with one row that is too bold."""
    return MappingProxyType({**BY_OUTCOME, outcome: replace(BY_OUTCOME[outcome], verdict=verdict)})


def _lost_without_settling(job: Job, seen: Answered, now_us: int, patience: Rules) -> Move:
    move = _SOUND_LOST(job, seen, now_us, patience)
    return replace(move, at_us=now_us, progress=replace(move.progress, not_before_us=now_us))


def _any_read_proves(job: Job, seen: Seen, now_us: int, patience: Rules) -> Move:
    hasty = replace(job, progress=replace(job.progress, not_before_us=None))
    return _SOUND_LATE_READ(hasty, seen, now_us, patience)


def _one_read_is_enough(
    job: Job, progress: Progress, asked_us: int, now_us: int, patience: Rules
) -> Move:
    seen_before = replace(progress, no_effect_us=asked_us - seconds_to_us(60))
    return _SOUND_NO_EFFECT(job, seen_before, asked_us, now_us, patience)


def _stale_at_once(progress: Progress, asked_us: int, patience: Rules) -> Move:
    move = _SOUND_STALE(progress, asked_us, patience)
    return replace(move, at_us=asked_us, progress=replace(move.progress, not_before_us=asked_us))


def _absent_is_good(
    progress: Progress,
    what: Sighting,
    plugin: PluginSeen | None,
    asked_us: int,
    patience: Rules,
) -> Move | None:
    if what is Sighting.ABSENT:
        return Move(progress=progress, step=rules.Step.REST, event=JobEvent.SETTLED)
    return _SOUND_VERDICT(progress, what, plugin, asked_us, patience)


def _running_is_good(
    _: Job, seen: PluginSeen | None, version: str | None, inputs: Inputs | None
) -> Any:
    what = sighting(seen, version, inputs)
    return Sighting.TARGET if what is Sighting.OTHER else what


def _inputs_ignored(
    _: Job, seen: PluginSeen | None, version: str | None, inputs: Inputs | None
) -> Any:
    return sighting(seen, version, None)


def _busy_ignored(job: Job, progress: Progress, now_us: int, patience: Rules) -> Move:
    plugin = PluginSeen(name="", version=progress.version_from, inputs={})
    return checking._prepare(job, progress, plugin, now_us)


def _deaf_to_cancel(job: Job, seen: Seen, now_us: int, patience: Rules) -> Move:
    return _SOUND_CHECK(replace(job, cancel_asked=False), seen, now_us, patience)


def _other_is_found(plugin: PluginSeen, progress: Progress) -> bool:
    return True


def _only_the_version_tells(plugin: PluginSeen, progress: Progress) -> bool:
    return plugin.version == progress.version


def _never_over(job: Job, now_us: int) -> bool:
    return False


def _abnormal_at_once(
    progress: Progress,
    what: Sighting,
    plugin: PluginSeen | None,
    asked_us: int,
    patience: Rules,
) -> Move | None:
    progress = replace(progress, abnormal_reads=9)
    patience = replace(patience, abnormal_grace_s=0.0)
    return _SOUND_VERDICT(progress, what, plugin, asked_us, patience)


def _newest_each_time(job: Job, offered: Any, now_us: int) -> Move:
    forgetful = replace(job, progress=replace(job.progress, version=None))
    return _SOUND_OFFERS(forgetful, offered, now_us)


def _ours_only(under: Inputs, over: Inputs | None) -> dict[str, Any]:
    return dict(over or {})


def _theirs_only(under: Inputs, over: Inputs | None) -> dict[str, Any]:
    return dict(under)


def _always(*_: object) -> bool:
    return True


def _nothing_wanted(job: Job) -> None:
    return None


_SOUND_LOST: Final = sending._lost
_SOUND_LATE_READ: Final = unknown.after_late_read
_SOUND_NO_EFFECT: Final = unknown._no_effect
_SOUND_STALE: Final = watching._stale
_SOUND_VERDICT: Final = watching._verdict
_SOUND_CHECK: Final[Callable[[Job, Seen, int, Rules], Move]] = checking.after_check
_SOUND_OFFERS: Final = checking._after_offers

AGAIN: Final = "sent again"
EARLY: Final = "it was let go while its send could still take effect"
GREEN: Final = "succeeded"
STUCK: Final = "it had no reason not to succeed"

PLANTS: Final = (
    Plant("no settle time", sending, "_lost", _lost_without_settling, EARLY),
    Plant("not before ignored", decide, "after_late_read", _any_read_proves, EARLY),
    Plant("one read proves no effect", unknown, "_no_effect", _one_read_is_enough, AGAIN),
    Plant("no second look", Rules, "second_look_s", property(lambda _: 0.0), AGAIN),
    Plant("accepted means visible", watching, "_stale", _stale_at_once, EARLY),
    Plant("only the version tells", unknown, "_is_ours", _only_the_version_tells, AGAIN),
    Plant("other counts as found", unknown, "_is_ours", _other_is_found, STUCK),
    Plant("stale green", watching, "_is_fresh", _always, GREEN),
    Plant("no second look at an early success", watching, "EARLY_S", -1.0, GREEN),
    Plant("absent is success", watching, "_verdict", _absent_is_good, GREEN),
    Plant("running is success", watching, "sighted", _running_is_good, GREEN),
    Plant("inputs do not matter", watching, "sighted", _inputs_ignored, GREEN),
    Plant("inputs not merged", checking, "merged", _ours_only, "a customer's input"),
    Plant("own inputs forgotten", checking, "merged", _theirs_only, "our own inputs"),
    Plant("unchanged by version alone", checking, "_wanted_inputs", _nothing_wanted, "unchanged"),
    Plant("sent into a change", checking, "_busy", _busy_ignored, "sent into a change"),
    Plant("deaf to cancel", decide, "after_check", _deaf_to_cancel, "sent after a cancel"),
    Plant("version not frozen", checking, "_after_offers", _newest_each_time, "the frozen version"),
    Plant("no deadline for reads", watching, "past_deadline", _never_over, "it still runs"),
    Plant("abnormal at first sight", watching, "_verdict", _abnormal_at_once, "failed as Abnormal"),
    Plant("409 means accepted", sending, "_look_now", sending._accepted, STUCK),
    *(
        Plant(
            f"retry on {outcome}",
            sending,
            "BY_OUTCOME",
            _bolder(outcome, PostVerdict.RETRY),
            AGAIN,
        )
        for outcome, row in BY_OUTCOME.items()
        if row.verdict is PostVerdict.RECONCILE
    ),
    *(
        Plant(
            f"give up on {outcome}",
            sending,
            "BY_OUTCOME",
            _bolder(outcome, PostVerdict.FAIL),
            STUCK,
        )
        for outcome in (Outcome.CONNECTION_LOST, Outcome.THROTTLED, Outcome.DNS_FAILED)
    ),
)
