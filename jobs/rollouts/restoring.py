"""The plan that undoes a rollout: each pool gets the version and the full inputs back that it had.

A pool that somebody has changed since is left alone, as a conflict; so is one that could get
back its version but not its inputs, unless a person takes that on purpose.  The plan names
digests of inputs and no input; the jobs get them from what the store has kept.

Waves, budgets, rules, windows and approvals are those of the rollout, its newest wave first;
bakes and moments are left out, because nothing is to be learned.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from jobs.clock import iso
from jobs.model import (
    Inputs,
    InputsBase,
    JobRequest,
    PluginSeen,
    PluginWish,
    Restore,
    rollout_name,
)
from jobs.requests import canonical, fingerprint, natural_key
from jobs.rollouts.actions import ACTING, NEVER_DOWN, Action
from jobs.rollouts.course import SOURCE, manifest_of
from jobs.rollouts.estimate import WaveTime, estimate
from jobs.rollouts.exposure import WaveExposure, most_broken
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, PlanEstimate, PlanRow, PlanWave, sealed
from jobs.rollouts.stopping import Rule, RuleKind, can_trip, rules_of, stop_words
from jobs.sightings import Sighting, is_left_so, others_words, sighting
from jobs.states import BAD_STATES
from jobs.store.rollouts import Deed, PlannedJob, RolloutRow

CONFLICT: Final = "conflict: "
LOSSY: Final = "lossy: "
IMPOSSIBLE: Final = "impossible: "
"""What the reason begins with why a pool is left alone."""

Key = tuple[str, str, str]


class Scope(StrEnum):
    """Which pools are undone."""

    FAILED = "failed"
    WAVE = "wave"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants undone.

    Attributes:
        scope: Which pools.
        wave: The wave that is meant, with `Scope.WAVE`.
        lossy: Also those whose inputs were not readable: they get the defaults of the version.
        conflicts: Also those that somebody has changed since.
        newest_first: Whether the last wave and its last pools come first.
    """

    scope: Scope = Scope.FAILED
    wave: int | None = None
    lossy: bool = False
    conflicts: bool = False
    newest_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is known of a pool now; ``versions`` on offer are None when they were not read."""

    plugin: PluginSeen | None = None
    versions: Collection[str] | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """A rollout that is to be undone: its row, its plan, what it has done, and how pools are.

    Without ``now`` nobody has looked: each job does, before it sends.
    """

    row: RolloutRow
    plan: Plan
    deeds: Sequence[Deed]
    now: Mapping[Key, Now] | None = None


def undo_name(row: RolloutRow) -> str:
    """Return what the undoing of a rollout is called."""
    return f"rollback-{rollout_name(row.id)}"


def in_scope(deed: Deed, wanted: Wanted) -> bool:
    """Whether a place is meant; one that was never sent to is not."""
    if not deed.sent:
        return False
    match wanted.scope:
        case Scope.ALL:
            return True
        case Scope.WAVE:
            return deed.wave == wanted.wave
        case Scope.FAILED:
            return deed.state in BAD_STATES or deed.late is not None


def wave_meant(row: RolloutRow) -> int:
    """Return the wave that *wave* means when none is named: the last one that was begun."""
    begun = [wave.n for wave in row.waves if wave.tally.admitted]
    return max(begun, default=0)


def undo_plan(undoing: Undoing, wanted: Wanted, now_us: int, rate: float) -> Plan:
    """Return the plan that undoes what *wanted* means.

    Args:
        undoing: The rollout and what is known of its pools.
        wanted: What is meant.
        now_us: When the plan is made.
        rate: Requests a second that are allowed.
    """
    plan = undoing.plan
    chosen = [deed for deed in undoing.deeds if in_scope(deed, wanted)]
    chosen.sort(key=lambda one: (one.wave, one.rank), reverse=wanted.newest_first)
    found = _Rows(undoing, wanted)
    rows: list[PlanRow] = []
    sizes: dict[str, int] = {}
    for deed in chosen:
        row = found.row(deed)
        if row.acts:
            wave = plan.waves[deed.wave].name
            sizes[wave] = sizes.get(wave, 0) + 1
            row = row.model_copy(update={"wave": wave, "place": sizes[wave]})
        rows.append(row)
    manifest = _manifest(undoing, sizes)
    numbers = _Numbers(Manifest.model_validate(manifest), sizes)
    return sealed(
        Plan(
            name=undo_name(undoing.row),
            made_at=iso(now_us) or "",
            manifest=manifest,
            plugin=plan.plugin,
            version=plan.version,
            included=plan.included,
            down=0,
            rows=tuple(rows),
            waves=numbers.waves(),
            stops=numbers.stops(),
            most_broken=numbers.most_broken(),
            estimate=numbers.estimate(rate),
            restores=undoing.row.id,
        )
    )


class _Rows:
    """Decides what is done on each pool."""

    def __init__(self, undoing: Undoing, wanted: Wanted) -> None:
        self._now = undoing.now
        self._wanted = wanted
        self._plugin = undoing.plan.plugin
        self._actions = {row.target.pool: row.action for row in undoing.plan.acting}

    def row(self, deed: Deed) -> PlanRow:
        """Return the pool's row, without its place."""
        before = deed.baseline
        found = self._decided(deed)
        action, why = found if isinstance(found, tuple) else (found, None)
        anyhow = action in ACTING and self._changed_since(deed)
        return PlanRow(
            region=deed.target.region,
            project_id=deed.target.project_id,
            pool_name=deed.target.pool_name,
            action=action,
            version_from=deed.version,
            version_to=None if before is None else before.version,
            why=why,
            note="changed by somebody else since" if anyhow else None,
            before_sha256=_sha256(deed.inputs),
            after_sha256=None if before is None else _sha256(before.inputs),
            anyhow=anyhow,
        )

    def _changed_since(self, deed: Deed) -> bool:
        if self._now is None:
            return False
        now = self._now.get(deed.target.pool, Now())
        return not is_left_so(now.plugin, restoring_wish(self._plugin, deed))

    def _decided(self, deed: Deed) -> Action | tuple[Action, str]:
        """Return what is done on a pool, or why nothing is."""
        impossible = self._impossible(deed)
        before = deed.baseline
        if impossible is not None or before is None:
            return Action.BLOCKED, f"{IMPOSSIBLE}{impossible}"
        if self._now is not None:
            held = self._held_by(deed, self._now.get(deed.target.pool, Now()))
            if held is not None:
                return held
        if before.inputs is None and not self._wanted.lossy:
            why = "its inputs were not readable; only the version comes back"
            return Action.BLOCKED, f"{LOSSY}{why}"
        if before.version == deed.version:
            return Action.RECONFIGURE
        went_down = self._actions.get(deed.target.pool) is Action.DOWNGRADE
        return Action.UPGRADE if went_down else Action.DOWNGRADE

    def _impossible(self, deed: Deed) -> str | None:
        """Return why a pool cannot get back what it had, whatever it is now."""
        before, was = deed.baseline, self._actions.get(deed.target.pool)
        if before is None and was is Action.INSTALL:
            return "nothing was installed before, and nothing is removed"
        if before is None or not deed.checked:
            return "what it had was not read before the first send"
        if before.version is None:
            return "the cloud did not tell which version it had"
        if before.inputs is None and before.version == deed.version:
            return "only inputs were changed, and those from before were not readable"
        goes_down = before.version != deed.version and was is not Action.DOWNGRADE
        if self._plugin in NEVER_DOWN and goes_down:
            return f"{self._plugin} must never get an older version"
        return None

    def _held_by(self, deed: Deed, now: Now) -> tuple[Action, str] | None:
        """Return what of the pool's present keeps it from being undone."""
        wish = restoring_wish(self._plugin, deed)
        if now.trouble is not None:
            return Action.UNKNOWN, now.trouble
        if sighting(now.plugin, wish.version, wish.inputs, exact=True) is Sighting.TARGET:
            return Action.NO_OP, f"already {wish.version}, as before"
        if not is_left_so(now.plugin, wish) and not self._wanted.conflicts:
            return Action.BLOCKED, f"{CONFLICT}{others_words(now.plugin)}"
        if now.versions is not None and wish.version not in now.versions:
            return Action.BLOCKED, f"{IMPOSSIBLE}{wish.version} is not on offer any more"
        return None


def _sha256(inputs: Inputs | None) -> str | None:
    return None if inputs is None else hashlib.sha256(canonical(inputs)).hexdigest()


def _manifest(undoing: Undoing, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the rollout's manifest as its undoing runs it."""
    old = undoing.plan.manifest
    spec = dict(old["spec"])
    waves = {wave["name"]: wave for wave in spec["waves"]}
    for left_out in ("schedule", "notify"):
        spec.pop(left_out, None)
    undo = {**spec.get("rollback", {}), "trigger": "manual"}
    spec |= {
        "plugin": {**spec["plugin"], "inputs": {"base": InputsBase.EMPTY.value}},
        "targets": {},
        # A manifest has a wave; of a plan that does nothing it is the first one.
        "waves": [_wave(waves[name]) for name in sizes] or [_wave(spec["waves"][0])],
        "onStop": {**spec.get("onStop", {}), "do": "pause"},
        "rollback": undo,
        "expires": undo.get("expires", spec.get("expires")),
    }
    metadata = {**old["metadata"], "name": undo_name(undoing.row)}
    return {**old, "metadata": metadata, "spec": spec}


def _wave(wave: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in wave.items() if key not in {"bake", "bakeNeeds"}}
    for side in ("before", "after"):
        kept[side] = [gate for gate in wave.get(side, ()) if "startAt" not in gate]
    return kept


class _Numbers:
    """The integers that rules and budgets mean for the pools that are undone."""

    def __init__(self, manifest: Manifest, sizes: Mapping[str, int]) -> None:
        self._spec = manifest.spec
        self._sizes = [sizes.get(wave.name, 0) for wave in manifest.spec.waves]
        self._rules = [
            rules_of(wave, self._spec.stop, size, sum(self._sizes))
            for wave, size in zip(self._spec.waves, self._sizes, strict=True)
        ]

    def _at_once(self, n: int) -> int:
        most = [self._spec.budgets.concurrency, self._sizes[n]]
        if self._spec.overshoot == "bounded":
            most += [rule.limit + 1 for rule in self._rules[n] if rule.kind is RuleKind.FAILURES]
        return min(most)

    def waves(self) -> tuple[PlanWave, ...]:
        """Return the waves as the plan has them."""
        return tuple(
            PlanWave(
                name=wave.name,
                pools=size,
                at_once=self._at_once(n),
                stops=_words([rule for rule in self._rules[n] if rule.per_wave], size),
                then=("approval",) if wave.after else ("next wave",),
            )
            for n, (wave, size) in enumerate(zip(self._spec.waves, self._sizes, strict=True))
        )

    def stops(self) -> tuple[str, ...]:
        """Return when the whole is stopped."""
        return _words([rule for rule in self._rules[0] if not rule.per_wave], sum(self._sizes))

    def most_broken(self) -> int:
        """Return how many pools can fail to come back before a rule acts."""
        waves = [
            WaveExposure(pools=size, at_once=self._at_once(n), rules=self._rules[n])
            for n, size in enumerate(self._sizes)
        ]
        return most_broken(waves, bounded=self._spec.overshoot == "bounded")

    def estimate(self, rate: float) -> PlanEstimate:
        """Return how long it takes, and its requests."""
        waves = [
            WaveTime(pools=size, at_once=self._at_once(n)) for n, size in enumerate(self._sizes)
        ]
        verify, starts = self._spec.job.verify, self._spec.budgets.starts
        timed = estimate(waves, verify.poll, verify.settle, rate, starts)
        return PlanEstimate(
            quick_s=timed.quick_s, slow_s=timed.slow_s, calls=timed.calls, bake_s=0.0
        )


def _words(rules: Sequence[Rule], planned: int) -> tuple[str, ...]:
    return tuple(stop_words(rule) for rule in rules if can_trip(rule, planned))


def restoring_wish(plugin: str, deed: Deed, *, anyhow: bool = False) -> PluginWish:
    """Return the wish that gives a pool back what it had."""
    assert deed.baseline is not None
    return PluginWish(
        name=plugin,
        version=deed.baseline.version,
        inputs=deed.baseline.inputs,
        base=InputsBase.EMPTY,
        restore=Restore(version=deed.version, inputs=deed.inputs, shown=deed.shown, anyhow=anyhow),
    )


def undo_jobs(plan: Plan, deeds: Sequence[Deed]) -> Iterator[PlannedJob]:
    """Yield the job of every acting row of an undo's plan, by wave and place.

    Raises:
        LookupError: If what one of the pools had is not kept any more.
    """
    by_pool = {deed.target.pool: deed for deed in deeds}
    spec = manifest_of(plan).spec
    labels = dict(manifest_of(plan).metadata.labels or {})
    numbers = {wave.name: n for n, wave in enumerate(plan.waves)}
    for row in plan.acting:
        deed = by_pool.get(row.target.pool)
        if deed is None or deed.baseline is None:
            raise LookupError(row.pool_name)
        assert row.place is not None
        wish = restoring_wish(plan.plugin, deed, anyhow=row.anyhow)
        told = {
            "profile": deed.profile,
            "priority": 0,
            "not_before_us": None,
            "deadline_s": spec.job.deadline,
            "labels": labels,
        }
        request = JobRequest(
            target=deed.target,
            plugin=wish,
            fingerprint=fingerprint(deed.target, wish, told),
            natural_key=natural_key(deed.target, wish, profile=deed.profile),
            source=SOURCE,
            profile=deed.profile,
            deadline_s=spec.job.deadline,
            labels=labels,
        )
        yield PlannedJob(wave=numbers[row.wave or ""], rank=row.place - 1, request=request)
