"""Make a plan: observed pools and a manifest become rows, waves and resolved numbers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from jobs.clock import iso
from jobs.errors import CalendarFileError, NoPoolMatchedError
from jobs.model import PROOFS, Inputs
from jobs.requests import canonical
from jobs.rollouts.actions import ACTING, Decision, decide
from jobs.rollouts.differences import Mask, input_changes
from jobs.rollouts.estimate import WaveTime, estimate
from jobs.rollouts.exposure import WaveExposure, most_broken
from jobs.rollouts.fields import duration_text
from jobs.rollouts.icsevents import looked_ahead, spans
from jobs.rollouts.icsfile import IcsFile
from jobs.rollouts.manifest import Manifest, Spec, expanded
from jobs.rollouts.observed import Observed
from jobs.rollouts.pace import most_down
from jobs.rollouts.plan import (
    InputChange,
    Plan,
    PlanCalendar,
    PlanEstimate,
    PlanPlace,
    PlanRow,
    PlanWave,
    sealed,
)
from jobs.rollouts.stopping import Rule, can_trip, resolved, rules_of, stop_words
from jobs.rollouts.strategy import Gate, Wave
from jobs.rollouts.targets import included
from jobs.rollouts.versions import CONSISTENT, newest_common
from jobs.rollouts.versions import resolved as version_meant
from jobs.rollouts.waves import Cut, cut

DEFAULT_RATE: Final = 5.0

MOST_FROZEN: Final = 5_000
"""Times at which calendar files may freeze one rollout; each look goes through all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a plan needs beside the manifest and the fleet.

    Attributes:
        now_us: When it is made.
        mask: Masks inputs, see `jobs.rollouts.differences`.
        rate: Requests a second that are allowed.
        calendars: What the calendar files of the manifest's freezes say, by the freeze's name.
        places: The projects that were looked into, with their regions.
    """

    now_us: int
    mask: Mask
    rate: float = DEFAULT_RATE
    calendars: Mapping[str, IcsFile] = field(default_factory=dict)
    places: Sequence[tuple[str, str | None]] = ()


def make_plan(manifest: Manifest, pools: Sequence[Observed], terms: Terms) -> Plan:
    """Return the plan for the observed *pools*.

    Raises:
        NoPoolMatchedError: If the targets mean none of them.
        WavesError: If the waves do not take every pool on which something is to be done.
    """
    spec = manifest.spec
    chosen = included(spec.targets, pools)
    if not chosen:
        raise NoPoolMatchedError(
            f"the targets of {manifest.metadata.name} mean none of {len(pools)} pools"
        )
    decisions = _decisions(manifest, chosen)
    acting = [pool for pool in chosen if decisions[pool.key].action in ACTING]
    cuts = cut(spec.waves, acting, len(chosen), manifest.metadata.name)
    places = {
        pool.key: (one.wave.name, place)
        for one in cuts
        for place, pool in enumerate(one.pools, start=1)
    }
    numbers = _Numbers(manifest, chosen, cuts)
    rows = tuple(_row(pool, decisions[pool.key], places, terms.mask) for pool in chosen)
    timed = estimate(
        numbers.times(), spec.job.verify.poll, spec.job.verify.settle, terms.rate,
        spec.budgets.starts,
    )  # fmt: skip
    return sealed(
        Plan(
            name=manifest.metadata.name,
            made_at=iso(terms.now_us) or "",
            manifest=expanded(manifest),
            plugin=spec.plugin.name,
            version=spec.plugin.version,
            included=len(chosen),
            down=numbers.down,
            rows=rows,
            waves=numbers.waves(),
            stops=tuple(stop_words(rule) for rule in numbers.rollout_rules),
            most_broken=numbers.most_broken(),
            estimate=PlanEstimate(
                quick_s=timed.quick_s,
                slow_s=timed.slow_s,
                bake_s=timed.bake_s,
                calls=timed.calls,
            ),
            warnings=tuple(numbers.warnings()),
            calendars=tuple(_calendars(spec, terms)),
            places=tuple(
                PlanPlace(project_id=project, region=region)
                for project, region in (terms.places if spec.targets.takes_joiners else ())
            ),
        )
    )


def _calendars(spec: Spec, terms: Terms) -> Iterator[PlanCalendar]:
    """Yield what the calendar files say; one that freezes too often is refused."""
    for freeze in spec.freezes:
        if freeze.ics is None:
            continue
        file = terms.calendars[freeze.name]
        times = (
            span
            for event in file.events
            for span in spans(event, *looked_ahead(terms.now_us, spec.expires))
        )
        if sum(1 for _ in islice(times, MOST_FROZEN + 1)) > MOST_FROZEN:
            raise CalendarFileError(
                f"{freeze.ics}: its events take place more than {MOST_FROZEN:,} times",
                do="leave out what is no freeze",
            )
        yield PlanCalendar(
            freeze=freeze.name, file=freeze.ics, sha256=file.sha256, events=file.events
        )


def _decisions(
    manifest: Manifest, chosen: Sequence[Observed]
) -> dict[tuple[str, str, str], Decision]:
    common = None
    if manifest.spec.plugin.version == CONSISTENT:
        common = newest_common(pool.versions for pool in chosen if pool.offers is not None)
    return {pool.key: decision_on(manifest, pool, common) for pool in chosen}


def decision_on(manifest: Manifest, pool: Observed, common: str | None) -> Decision:
    """Say what is done on one pool; *common* is what a `consistent` version means."""
    plugin = manifest.spec.plugin
    meant = common
    if plugin.version != CONSISTENT:
        meant = version_meant(plugin.version, pool.versions)
    return decide(plugin, pool, meant, manifest.spec.targets.if_absent)


def _row(
    pool: Observed,
    decision: Decision,
    places: Mapping[tuple[str, str, str], tuple[str, int]],
    mask: Mask,
) -> PlanRow:
    wave, place = places.get(pool.key, (None, None))
    before = None if pool.plugin is None else pool.plugin.inputs
    acts = decision.action in ACTING
    changes = input_changes(before, decision.after, mask) if acts and before is not None else []
    return PlanRow(
        region=pool.target.region,
        project_id=pool.target.project_id,
        pool_name=pool.target.pool_name,
        display_name=None if pool.pool is None else pool.pool.display_name,
        action=decision.action,
        version_from=pool.installed,
        version_to=decision.version,
        why=decision.why,
        note=decision.note,
        wave=wave,
        place=place,
        inputs=tuple(InputChange(path=path, before=old, after=new) for path, old, new in changes),
        before_sha256=_sha256(before),
        after_sha256=_sha256(decision.after),
        rollback=decision.undo,
        rollback_why=decision.undo_why,
    )


def _sha256(inputs: Inputs | None) -> str | None:
    return None if inputs is None else hashlib.sha256(canonical(inputs)).hexdigest()


class _Numbers:
    """The integers that the manifest's rules and budgets mean for these waves."""

    def __init__(self, manifest: Manifest, chosen: Sequence[Observed], cuts: Sequence[Cut]) -> None:
        self._spec = manifest.spec
        self._cuts = cuts
        self._included = len(chosen)
        self.down = sum(_is_down(pool) for pool in chosen)
        self._acting = sum(len(one.pools) for one in cuts)
        self.rollout_rules = [
            resolved(rule, self._acting) for rule in self._spec.stop if rule.scope == "rollout"
        ]

    def wave_rules(self, one: Cut) -> list[Rule]:
        """Return the rules that count in this wave alone."""
        rules = rules_of(one.wave, self._spec.stop, len(one.pools), self._acting)
        return [rule for rule in rules if rule.per_wave]

    def waves(self) -> tuple[PlanWave, ...]:
        """Return the waves as the plan has them."""
        last = self._cuts[-1]
        return tuple(
            PlanWave(
                name=one.wave.name,
                pools=len(one.pools),
                at_once=self.at_once(one),
                stops=tuple(
                    stop_words(rule)
                    for rule in self.wave_rules(one)
                    if can_trip(rule, len(one.pools))
                ),
                then=_then(one.wave, is_last=one is last),
            )
            for one in self._cuts
        )

    def budget(self, one: Cut) -> int:
        """Return how many jobs of the wave the budgets let run at a time."""
        budgets = self._spec.budgets
        projects = {pool.target.project_id for pool in one.pools}
        regions = {pool.target.region for pool in one.pools}
        room = [budgets.concurrency, len(one.pools)]
        if budgets.per_project is not None:
            room.append(budgets.per_project * len(projects))
        if budgets.per_region is not None:
            room.append(budgets.per_region * len(regions))
        if self.may_be_down is not None:
            room.append(max(0, self.may_be_down - self.down))
        return min(room)

    def at_once(self, one: Cut) -> int:
        """Return how many run at a time in the beginning."""
        if self._spec.overshoot == "fast":
            return self.budget(one)
        rules = [*self.wave_rules(one), *self.rollout_rules]
        return min(
            [self.budget(one), *(rule.limit + 1 for rule in rules if rule.kind == "failures")]
        )

    @property
    def may_be_down(self) -> int | None:
        """How many pools may be not Running at a time; a share is at least 1."""
        return most_down(self._spec.budgets.max_unavailable, self._included)

    def most_broken(self) -> int:
        """Return how many pools can break at most."""
        waves = [
            WaveExposure(
                pools=len(one.pools),
                at_once=self.budget(one),
                rules=[*self.wave_rules(one), *self.rollout_rules],
            )
            for one in self._cuts
        ]
        return most_broken(waves, bounded=self._spec.overshoot == "bounded")

    def times(self) -> list[WaveTime]:
        """Return what an estimate needs to know of the waves."""
        last = self._cuts[-1]
        return [
            WaveTime(
                pools=len(one.pools),
                at_once=self.at_once(one),
                bake_s=0.0 if one is last else one.wave.bake,
            )
            for one in self._cuts
        ]

    def warnings(self) -> list[str]:
        """Return what a person should know before going on."""
        told = []
        for one in self._cuts:
            if not one.pools and self._acting:
                told.append(f"wave {one.wave.name} takes no pool; it and its gates are skipped")
            elif one.wave.pick.count is not None and len(one.pools) < one.wave.pick.count:
                asked = one.wave.pick.count
                told.append(f"wave {one.wave.name} takes {len(one.pools)} pools, not {asked}")
            if one.pools and self.budget(one) == 0:
                told.append(
                    f"wave {one.wave.name} could not start: {self.down} pools are not Running, "
                    f"and maxUnavailable is {self.may_be_down}"
                )
        unproven = [proof for proof in PROOFS if proof not in self._spec.job.verify.require]
        if unproven:
            told.append(f"a success is proven without {' and '.join(unproven)} (verify.require)")
        ruled = self.rollout_rules or any(self.wave_rules(one) for one in self._cuts)
        if self._acting and not ruled:
            told.append("no rule would stop this rollout")
        return told


def _is_down(pool: Observed) -> bool:
    return pool.pool is not None and pool.pool.phase != "Running"


def _then(wave: Wave, *, is_last: bool) -> tuple[str, ...]:
    told = []
    if wave.bake:
        needs = wave.bake_needs
        until = "" if needs is None else f" and {needs.finished} jobs ended"
        told.append(f"bake {duration_text(wave.bake)}{until}")
    told += [_gate_words(gate) for gate in wave.after]
    return tuple(told) or (("end",) if is_last else ("next wave",))


def _gate_words(gate: Gate) -> str:
    if gate.approval is not None:
        return gate.approval.words
    start = gate.start_at
    assert start is not None
    when = start.at or " ".join(part for part in (start.weekday, start.time) if part)
    return f"not before {when} {start.time_zone}"
