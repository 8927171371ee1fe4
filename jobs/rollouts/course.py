"""A plan as it is run: its waves with every rule, gate, budget and window in resolved numbers.

What a rollout does depends on this, on its row and on the time, and on nothing else; so it
is made once for each plan and kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from jobs.model import InputsBase, JobRequest, PluginWish
from jobs.requests import fingerprint, natural_key
from jobs.rollouts.manifest import Manifest, Spec
from jobs.rollouts.pace import most_down
from jobs.rollouts.plan import Plan, PlanRow
from jobs.rollouts.stopping import Rule, rules_of
from jobs.rollouts.strategy import Budgets, Gate, OnStop
from jobs.rollouts.timing import Freeze as WrittenFreeze
from jobs.rollouts.timing import Window as WrittenWindow
from jobs.rollouts.windows import Calendar, Freeze, Window, instant_us
from jobs.store.rollouts import PlannedJob

SOURCE: Final = "rollout"
"""Where the jobs of rollouts come from; the scope of their keys."""

DAY_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveCourse:
    """One wave; ``rules`` are all that are looked at while it runs, in order."""

    n: int
    name: str
    size: int
    rules: tuple[Rule, ...]
    bake_s: float
    needs: int
    """Jobs of the rollout that must have ended before its bake is over."""

    before: tuple[Gate, ...]
    after: tuple[Gate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One rollout's plan.

    Attributes:
        may_be_down: Pools that may be not Running at a time; None for any number.
        down: How many were not Running when the plan was made.
        bounded: Whether failures in flight may not exceed a limit by more than one.
        fits: Whether a job starts only if it most likely ends inside its window.
        suspect_after: ``auto``, ``never``, or seconds.
        settle_s: How long a success is watched, as the manifest says.
        undoes: Whether the rollout is undone when a rule stops it, or its time is over.
        undo_s: How long undoing may take.
    """

    digest: str
    name: str
    plugin: str
    version: str
    waves: tuple[WaveCourse, ...]
    budgets: Budgets
    may_be_down: int | None
    down: int
    bounded: bool
    on_stop: OnStop
    calendar: Calendar
    fits: bool
    suspect_after: str | float
    deadline_s: float
    settle_s: float
    expires_s: float
    undoes: bool
    undo_s: float


def manifest_of(plan: Plan) -> Manifest:
    """Return the expanded manifest that a plan holds."""
    return Manifest.model_validate(plan.manifest)


def course_of(plan: Plan) -> Course:
    """Return how *plan* is run."""
    spec = manifest_of(plan).spec
    acting = sum(wave.pools for wave in plan.waves)
    waves = []
    ended = 0
    for n, (wave, cut) in enumerate(zip(spec.waves, plan.waves, strict=True)):
        ended += cut.pools
        # More than all jobs so far can never end while the later waves wait for this one.
        needs = 0 if wave.bake_needs is None else min(wave.bake_needs.finished, ended)
        waves.append(
            WaveCourse(
                n=n,
                name=wave.name,
                size=cut.pools,
                rules=tuple(rules_of(wave, spec.stop, cut.pools, acting)),
                bake_s=wave.bake,
                needs=needs,
                before=tuple(wave.before),
                after=tuple(wave.after),
            )
        )
    return Course(
        digest=plan.digest,
        name=plan.name,
        plugin=plan.plugin,
        version=plan.version,
        waves=tuple(waves),
        budgets=spec.budgets,
        may_be_down=most_down(spec.budgets.max_unavailable, plan.included),
        down=plan.down,
        bounded=spec.overshoot == "bounded",
        on_stop=spec.on_stop,
        calendar=calendar_of(spec),
        fits=spec.window_fit == "p95",
        suspect_after=spec.job.suspect_after,
        deadline_s=spec.job.deadline,
        settle_s=spec.job.verify.settle,
        expires_s=spec.expires,
        undoes=spec.on_stop.do == "rollback" or spec.rollback.trigger == "on-stop",
        undo_s=spec.rollback.expires,
    )


def calendar_of(spec: Spec) -> Calendar:
    """Return the windows and freezes of a manifest."""
    return Calendar(
        windows=tuple(_window(one) for one in spec.windows),
        freezes=tuple(_freeze(one) for one in spec.freezes if one.ics is None),
    )


def _window(written: WrittenWindow) -> Window:
    rule = dict(part.split("=", 1) for part in written.allow.split(";"))
    codes = rule["BYDAY"].split(",") if "BYDAY" in rule else DAY_CODES
    return Window(
        name=written.name,
        days=frozenset(DAY_CODES.index(code) for code in codes),
        start=time.fromisoformat(written.start),
        duration_s=written.duration,
        zone=ZoneInfo(written.time_zone),
        regions=frozenset(written.regions or ()),
    )


def _freeze(written: WrittenFreeze) -> Freeze:
    assert written.from_ is not None
    assert written.until is not None
    assert written.time_zone is not None
    zone = ZoneInfo(written.time_zone)
    return Freeze(
        name=written.name,
        from_us=instant_us(datetime.fromisoformat(written.from_), zone),
        until_us=instant_us(datetime.fromisoformat(written.until), zone),
        reason=written.reason or "",
    )


def planned_jobs(plan: Plan, *, profile: str | None = None) -> Iterator[PlannedJob]:
    """Yield the job of every acting row, by wave and place."""
    manifest = manifest_of(plan)
    numbers = {wave.name: n for n, wave in enumerate(plan.waves)}
    rows = sorted(plan.acting, key=lambda row: (numbers[row.wave or ""], row.place or 0))
    for row in rows:
        assert row.place is not None
        yield PlannedJob(
            wave=numbers[row.wave or ""],
            rank=row.place - 1,
            request=_request(row, manifest, profile),
        )


def _request(row: PlanRow, manifest: Manifest, profile: str | None) -> JobRequest:
    spec = manifest.spec
    written = spec.plugin.inputs
    plugin = PluginWish(
        name=spec.plugin.name,
        version=row.version_to,
        inputs=written.merge or None,
        base=InputsBase(written.base),
    )
    deadline_s = spec.job.deadline
    labels = dict(manifest.metadata.labels or {})
    told = {
        "profile": profile,
        "priority": 0,
        "not_before_us": None,
        "deadline_s": deadline_s,
        "labels": labels,
    }
    return JobRequest(
        target=row.target,
        plugin=plugin,
        fingerprint=fingerprint(row.target, plugin, told),
        natural_key=natural_key(row.target, plugin, profile=profile),
        source=SOURCE,
        profile=profile,
        deadline_s=deadline_s,
        labels=labels,
    )
