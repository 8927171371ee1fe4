"""What a walk's cloud will do: drawn once, from one seed, before the first step."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from jobs.clock import seconds_to_us
from jobs.decide.checking import READS, ReadVerdict
from jobs.inputs import merged
from jobs.model import InputsBase, PluginSeen, PluginWish
from jobs.outcomes import ROWS, Outcome, PostVerdict
from tests.builders import NOON_US
from tests.rules.model_cloud import DEFAULTS, Course, ModelCloud

DEFAULTS_OFFERED: Final = dict.fromkeys(("1.0", "2.0", "3.0"), DEFAULTS)

CUSTOMERS: Final = {"keep": "customer", "custom": {"ndots": "9", "search": "corp"}}
"""What somebody set long ago, and nobody may reset."""

ASKED: Final = {"custom": {"ndots": "5"}}

LOST: Final = tuple(row.outcome for row in ROWS if row.verdict is PostVerdict.RECONCILE)
NOTHING_ACCEPTED: Final = tuple(
    row.outcome
    for row in ROWS
    if row.verdict
    in {
        PostVerdict.AGAIN,
        PostVerdict.RETRY,
        PostVerdict.WAIT,
        PostVerdict.PARK,
        PostVerdict.REFRESH,
        PostVerdict.READ_NOW,
    }
)
REFUSED: Final = tuple(row.outcome for row in ROWS if row.verdict is PostVerdict.FAIL)

NEVER_A_READ: Final = frozenset(
    {
        Outcome.OK,
        Outcome.CONFLICT,
        Outcome.WORKER_DIED,
        Outcome.INTENT_UNCERTAIN,
        Outcome.OUTCOME_UNSTORED,
    }
)
FATAL_READS: Final = tuple(one for one in Outcome if READS[one] is ReadVerdict.FAIL)
READABLE: Final = tuple(
    one for one in Outcome if one not in NEVER_A_READ and one not in FATAL_READS
)
VERDICTS: Final = {row.outcome: row.verdict for row in ROWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one send.

    Attributes:
        outcome: How it is answered; None when the worker dies instead.
        effect: ``now``, ``late``, ``edge`` (as late as is assumed), ``flash`` (as late, and
            Running is shown for a moment before it is in progress) or ``never``.
        breaks: The plug-in ends Abnormal.
    """

    outcome: Outcome | None
    effect: str = "now"
    breaks: bool = False

    @property
    def verdict(self) -> PostVerdict | None:
        """What the table says about the answer."""
        return None if self.outcome is None else VERDICTS[self.outcome]

    @property
    def is_lost(self) -> bool:
        """Whether nobody can tell from the answer."""
        return self.outcome is None or self.verdict is PostVerdict.RECONCILE


@dataclass(slots=True, kw_only=True)
class Script:
    """Everything that was drawn for one walk."""

    wish: PluginWish
    start: str
    fates: list[Fate]
    faults_s: float
    deadline_s: float
    lag_s: float
    poll_first_s: float
    read_first: bool
    read_fails: float
    read_outcomes: tuple[Outcome, ...] = field(repr=False)
    death: float
    impatient: bool
    """Reads come earlier than they were asked for."""

    meddles: bool
    cancel_us: int | None
    foreign_s: float
    newer_us: int
    """From when on a newer version is offered."""

    def next_fate(self) -> Fate:
        """Return what becomes of the next send; all is well when nothing more was drawn."""
        return self.fates.pop(0) if self.fates else Fate(outcome=Outcome.OK)

    @property
    def excused(self) -> bool:
        """Whether the job need not succeed from the outset."""
        blind = not self.read_first and self.wish.base is InputsBase.EMPTY
        refusable = any(outcome in FATAL_READS for outcome in self.read_outcomes)
        ignored = [fate for fate in self.fates if fate == IGNORED]
        return (
            self.deadline_s < LONG_S
            or self.faults_s > LATE_FAULTS_S
            or refusable
            or len(ignored) > 1
            or (blind and self.start not in {"absent", "old", "wanted"})
            or (blind and any(fate.outcome is not Outcome.OK for fate in self.fates))
            or self.start in {"unreadable", "coming-broken"}
        )

    def begin(self, cloud: ModelCloud, now_us: int) -> None:
        """Set the cloud up as the walk finds it."""
        old = PluginSeen(
            name=self.wish.name,
            version="1.0",
            phase="Running",
            inputs=CUSTOMERS,
            created_at="2025-03-17T12:29:18Z",
        )
        asked = merged(CUSTOMERS, self.wish.inputs)
        target = replace(old, version="2.0", inputs=asked)
        over_us = now_us + seconds_to_us(self.foreign_s)
        states: Mapping[str, tuple[PluginSeen | None, PluginSeen | None]] = {
            "absent": (None, None),
            "old": (old, old),
            "reconfigure": (replace(old, version="2.0"), replace(old, version="2.0")),
            "wanted": (target, target),
            "abnormal": (replace(old, phase="Abnormal"), replace(old, phase="Abnormal")),
            "abnormal-wanted": (
                replace(target, phase="Abnormal"),
                replace(target, phase="Abnormal"),
            ),
            "deleting": (replace(old, phase="Deleting"), None),
            "coming": (replace(target, phase="Updating"), target),
            "coming-undone": (replace(target, phase="Updating"), old),
            "coming-other-inputs": (
                replace(target, phase="Updating"),
                replace(target, inputs={**CUSTOMERS, "keep": "else"}),
            ),
            "coming-broken": (replace(target, phase="Updating"), replace(target, phase="Abnormal")),
            "foreign": (
                replace(old, phase="Updating"),
                replace(old, version="1.5", inputs={**CUSTOMERS, "keep": "else"}),
            ),
            "unreadable": (replace(old, inputs=None), replace(old, inputs=None)),
        }
        first, then = states[self.start]
        cloud.show(1, first)
        if then != first:
            cloud.show(over_us, then)


LONG_S: Final = 2700.0
LATE_FAULTS_S: Final = 900.0
"""Faults that end before this leave a job with a long deadline no excuse to run into it."""

STARTS: Final[Mapping[str, int]] = {
    "absent": 20,
    "old": 30,
    "reconfigure": 8,
    "wanted": 12,
    "abnormal": 5,
    "abnormal-wanted": 5,
    "deleting": 5,
    "coming": 4,
    "coming-undone": 4,
    "coming-other-inputs": 3,
    "coming-broken": 2,
    "foreign": 4,
    "unreadable": 4,
}

IGNORED: Final = Fate(outcome=Outcome.OK, effect="never")
EFFECTS: Final = ("now", "late", "edge", "edge", "flash", "never", "never")


KINDS: Final[Mapping[str, int]] = {
    "lost": 40,
    "dies": 10,
    "nothing accepted": 25,
    "conflict": 5,
    "slow": 12,
    "ignored": 6,
    "refused": 2,
}


def draw_fate(rng: random.Random) -> Fate:
    """Draw what becomes of one send."""
    match rng.choices(list(KINDS), weights=list(KINDS.values()))[0]:
        case "lost":
            effect, breaks = rng.choice(EFFECTS), rng.random() < 0.25
            fate = Fate(outcome=rng.choice(LOST), effect=effect, breaks=breaks)
        case "dies":
            fate = Fate(outcome=None, effect=rng.choice(EFFECTS))
        case "nothing accepted":
            fate = Fate(outcome=rng.choice(NOTHING_ACCEPTED), effect="never")
        case "conflict":
            fate = Fate(outcome=Outcome.CONFLICT, effect="never")
        case "slow":
            slow = rng.choice(("late", "edge", "flash"))
            fate = Fate(outcome=Outcome.OK, effect=slow, breaks=rng.random() < 0.2)
        case "ignored":
            fate = IGNORED
        case _:
            fate = Fate(outcome=rng.choice(REFUSED), effect="never")
    return fate


def draw_script(rng: random.Random, plugin: str) -> Script:
    """Draw a whole walk's circumstances."""
    base = rng.choices(list(InputsBase), weights=(5, 2, 3))[0]
    wish = PluginWish(
        name=plugin,
        version=rng.choice(("2.0", "2.0", "2.0", None)),
        inputs=rng.choice((None, ASKED, ASKED)),
        base=base,
    )
    start = rng.choices(list(STARTS), weights=list(STARTS.values()))[0]
    fates = [draw_fate(rng) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))]
    fatal = rng.random() < 0.05
    read_first = rng.random() < 0.5
    if rng.random() < 0.05:
        # Sent without a look to a plug-in that was as wanted all along: the stale green.
        wish = replace(wish, version="2.0", base=InputsBase.EMPTY)
        start, fates, read_first = "wanted", [Fate(outcome=Outcome.OK, effect="late")], False
    return Script(
        wish=wish,
        start=start,
        fates=fates,
        faults_s=rng.choice((60.0, 300.0, 850.0, 850.0, 3600.0)),
        deadline_s=rng.choice((LONG_S, LONG_S, LONG_S, 200.0, 60.0)),
        lag_s=rng.choice((0.0, 0.0, 0.5, 2.0, 4.9)),
        poll_first_s=rng.choice((1.0, 5.0)),
        read_first=read_first,
        impatient=rng.random() < 0.3,
        read_fails=rng.choice((0.0, 0.0, 0.1, 0.5)),
        read_outcomes=READABLE + FATAL_READS if fatal else READABLE,
        death=rng.choice((0.0, 0.0, 0.05, 0.2)),
        meddles=rng.random() < 0.3,
        cancel_us=seconds_to_us(rng.uniform(0, 300)) if rng.random() < 0.1 else None,
        foreign_s=rng.uniform(5, 120),
        newer_us=NOON_US + seconds_to_us(rng.uniform(-30, 120)),
    )


def draw_course(
    rng: random.Random, fate: Fate, *, before: PluginSeen | None, unseen: bool, lag_s: float
) -> Course:
    """Draw how a change goes; *unseen* when nobody read the plug-in before the send.

    Where nothing could help, nothing is drawn: a flash is over before the second look, which
    needs reads that do not lag, and from Abnormal to Abnormal nobody could tell a change.
    """
    early = fate.effect == "flash" and lag_s == 0
    broken = before is not None and before.phase == "Abnormal"
    return Course(
        run_us=seconds_to_us(rng.uniform(1.0, 120.0)),
        flash_us=seconds_to_us(1.4) if early else 0,
        shows_new=rng.random() < 0.5,
        flap_us=seconds_to_us(rng.uniform(1.0, 20.0)) if rng.random() < 0.15 else 0,
        breaks=fate.breaks and not broken,
        keeps_old=not unseen and rng.random() < 0.5,
    )
