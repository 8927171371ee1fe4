"""When a rollout stops by itself: by count, by ratio, by evidence; pure functions of tallies.

A limit is exceeded, not met: with ``failures: 12`` the 13th stops.  Rules are looked at
whenever a job ends, in their order, the tolerance of the wave first; the first that trips
wins.  Only jobs that ended failed or timed out after all attempts are failures; what was
refused before anything was sent is counted apart where a rule of refusals judges it, and is a
failure like any other where none does.  The tolerance of a wave counts both: a canary that was
refused has proven nothing.

Source: reliability of sequential testing, Wald 1945 and Ville 1939: the chance that the
evidence rule stops a rollout whose true failure rate is at most ``ok`` is at most
``alpha``, however often it is looked at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Final

from jobs.rollouts.rounding import share_of
from jobs.rollouts.strategy import Evidence, StopRule, Wave

DEFAULT_MIN_FINISHED: Final = 20


class RuleKind(StrEnum):
    """What a rule looks at."""

    FAILURES = "failures"
    RATIO = "ratio"
    EVIDENCE = "evidence"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The jobs of a wave or a rollout, counted.

    ``suspects`` are jobs in flight that take longer than successes do; they are part of
    ``in_flight``.  ``rejected`` jobs count as finished nowhere.
    """

    planned: int
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    suspects: int = 0
    rejected: int = 0

    @property
    def finished(self) -> int:
        """Jobs that ended."""
        return self.succeeded + self.failed

    def suspecting(self) -> "Tally":
        """Return the same with the suspects taken for failures."""
        return replace(self, failed=self.failed + self.suspects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule with its numbers resolved for the pools of its scope.

    ``limit`` is the most failures (or refusals) that do not trip it; with ``refusals`` those
    count as failures.
    """

    name: str
    kind: RuleKind
    per_wave: bool = False
    limit: int = 0
    ratio: Fraction = Fraction(1)
    of_planned: bool = False
    min_finished: int = DEFAULT_MIN_FINISHED
    evidence: Evidence | None = None
    refusals: bool = False

    def failed(self, tally: Tally) -> int:
        """Return the failures that it counts."""
        return tally.failed + (tally.rejected if self.refusals else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The verdict that a rule has tripped, with what it was judged by."""

    rule: Rule
    tally: Tally


def resolved(rule: StopRule, planned: int) -> Rule:
    """Return *rule* for a scope of *planned* jobs."""
    per_wave = rule.scope == "wave"
    for kind, amount in ((RuleKind.FAILURES, rule.failures), (RuleKind.REJECTED, rule.rejected)):
        if amount is not None:
            limit = amount if isinstance(amount, int) else share_of(planned, amount)
            return Rule(name=rule.name, kind=kind, per_wave=per_wave, limit=limit)
    if rule.ratio is not None:
        return Rule(
            name=rule.name,
            kind=RuleKind.RATIO,
            per_wave=per_wave,
            ratio=rule.ratio,
            of_planned=rule.of == "planned",
            min_finished=rule.min_finished or DEFAULT_MIN_FINISHED,
        )
    return Rule(name=rule.name, kind=RuleKind.EVIDENCE, per_wave=per_wave, evidence=rule.evidence)


def tolerance(wave: str, limit: int) -> Rule:
    """Return the rule that a wave's ``tolerate`` is; it stands above all others."""
    return Rule(
        name=f"{wave} tolerates {limit}",
        kind=RuleKind.FAILURES,
        per_wave=True,
        limit=limit,
        refusals=True,
    )


def rules_of(wave: Wave, stop: Sequence[StopRule], in_wave: int, in_all: int) -> list[Rule]:
    """Return every rule that is looked at while *wave* runs, in order, its tolerance first.

    Args:
        wave: The wave.
        stop: The manifest's rules.
        in_wave: Jobs of the wave.
        in_all: Jobs of the rollout.
    """
    own = [] if wave.tolerate is None else [tolerance(wave.name, wave.tolerate)]
    return own + [resolved(rule, in_wave if rule.scope == "wave" else in_all) for rule in stop]


def trips(rule: Rule, tally: Tally) -> bool:
    """Whether *rule* stops a scope with this tally."""
    if rule.kind is RuleKind.REJECTED:
        return tally.rejected > rule.limit
    return rule.failed(tally) > failures_allowed(rule, tally.finished, tally.planned)


def failures_allowed(rule: Rule, finished: int, planned: int) -> int:
    """Return the most failures among *finished* jobs with which *rule* does not trip.

    More than *finished* when nothing could trip it.  A rule of refusals never trips here.
    """
    match rule.kind:
        case RuleKind.FAILURES:
            return rule.limit
        case RuleKind.REJECTED:
            return finished + 1
        case RuleKind.RATIO:
            if finished < rule.min_finished:
                return finished + 1
            return share_of(planned if rule.of_planned else finished, rule.ratio)
        case RuleKind.EVIDENCE:
            assert rule.evidence is not None
            return _evidence_allows(rule.evidence, finished)


def can_trip(rule: Rule, planned: int) -> bool:
    """Whether *rule* could stop a scope of *planned* jobs at all, were they all to fail."""
    if rule.kind is RuleKind.REJECTED:
        return planned > rule.limit
    return any(failed > failures_allowed(rule, failed, planned) for failed in range(1, planned + 1))


def evidence_stops(evidence: Evidence, finished: int, failed: int) -> bool:
    """Whether *failed* of *finished* jobs prove, with error ``alpha``, a rate above ``ok``."""
    ok, bad = float(evidence.ok), float(evidence.bad)
    weight = failed * math.log(bad / ok) + (finished - failed) * math.log((1 - bad) / (1 - ok))
    return weight >= math.log(1 / evidence.alpha)


def _evidence_allows(evidence: Evidence, finished: int) -> int:
    ok, bad = float(evidence.ok), float(evidence.bad)
    each, clean = math.log(bad / ok), math.log((1 - ok) / (1 - bad))
    most = int((math.log(1 / evidence.alpha) + finished * clean) / (each + clean))
    while evidence_stops(evidence, finished, most):  # at most one step: the division rounds
        most -= 1
    while not evidence_stops(evidence, finished, most + 1):
        most += 1
    return most


def clean_jobs_missing(evidence: Evidence, succeeded: int) -> int:
    """Return how many more clean jobs it takes to be 1 - alpha sure that the rate is below ``ok``.

    Only for a rollout without failures; 59 in all for 5 % and 95 %.
    """
    needed = math.ceil(math.log(evidence.alpha) / math.log(1 - float(evidence.ok)))
    return max(0, needed - succeeded)


def verdict(rules: Sequence[Rule], wave: Tally, rollout: Tally) -> Stop | None:
    """Return the first rule that has tripped, None when all may go on."""
    for rule in rules:
        tally = wave if rule.per_wave else rollout
        if trips(rule, tally):
            return Stop(rule=rule, tally=tally)
    return None


def stop_words(rule: Rule) -> str:
    """Return when a rule stops, with its number: ``at the 13th failure``."""
    match rule.kind:
        case RuleKind.FAILURES:
            return "any failure" if rule.limit == 0 else f"the {ordinal(rule.limit + 1)} failure"
        case RuleKind.REJECTED:
            return f"the {ordinal(rule.limit + 1)} refused job"
        case RuleKind.RATIO:
            base = "all" if rule.of_planned else "those ended"
            return f"more than {percent(rule.ratio)} of {base}, after {rule.min_finished}"
        case RuleKind.EVIDENCE:
            assert rule.evidence is not None
            pair = f"{percent(rule.evidence.ok)}/{percent(rule.evidence.bad)}"
            return f"evidence {pair}, alpha {rule.evidence.alpha:g}"


def percent(share: Fraction) -> str:
    """Return a share of 1 as ``15%``."""
    return f"{float(share * 100):g}%"


def ordinal(number: int) -> str:
    """Return ``1st``, ``2nd``, ``13th``."""
    teens = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
