"""A plan as it is run: its waves with every rule, gate, budget and window in resolved numbers.

What a rollout does depends on this, on its row and on the time, and on nothing else; so it
is made once for each plan and kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS
from jobs.model import InputsBase, JobRequest, PluginWish, Target, Terms
from jobs.requests import fingerprint, natural_key
from jobs.retries import Backoff
from jobs.rollouts.days import parse_days
from jobs.rollouts.icsevents import Event, looked_ahead, spans
from jobs.rollouts.manifest import Manifest, Spec
from jobs.rollouts.pace import most_down
from jobs.rollouts.plan import Plan
from jobs.rollouts.stopping import Rule, rules_of
from jobs.rollouts.strategy import Budgets, Gate, OnStop
from jobs.rollouts.timing import Freeze as WrittenFreeze
from jobs.rollouts.timing import JobTerms
from jobs.rollouts.timing import Window as WrittenWindow
from jobs.rollouts.windows import Calendar, Freeze, Window, instant_us
from jobs.store.rollouts import PlannedJob

SOURCE: Final = "rollout"
"""Where the jobs of rollouts come from; the scope of their keys."""


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
    expires_s: float
    undoes: bool
    undo_s: float


def manifest_of(plan: Plan) -> Manifest:
    """Return the expanded manifest that a plan holds."""
    return Manifest.model_validate(plan.manifest)


def course_of(plan: Plan, since_us: int | None = None) -> Course:
    """Return how *plan* is run by a rollout that began at *since_us*; when it was made, if None.

    An equal plan may have been made long before, and its freezes are looked for from then on.
    """
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
        calendar=calendar_of(spec, _filed_freezes(plan, spec.expires, since_us)),
        fits=spec.window_fit == "p95",
        suspect_after=spec.job.suspect_after,
        deadline_s=spec.job.deadline,
        expires_s=spec.expires,
        undoes=spec.on_stop.do == "rollback" or spec.rollback.trigger == "on-stop",
        undo_s=spec.rollback.expires,
    )


def calendar_of(spec: Spec, filed: Iterable[Freeze] = ()) -> Calendar:
    """Return the windows and freezes of a manifest; *filed* are those of its calendar files."""
    return Calendar(
        windows=tuple(_window(one) for one in spec.windows),
        freezes=(*(_freeze(one) for one in spec.freezes if one.ics is None), *filed),
    )


def _window(written: WrittenWindow) -> Window:
    return Window(
        name=written.name,
        days=parse_days(written.allow),
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


def _filed_freezes(plan: Plan, expires_s: float, since_us: int | None) -> Iterator[Freeze]:
    """Yield every time at which an event of a calendar file takes place."""
    if since_us is None:
        since_us = round(datetime.fromisoformat(plan.made_at).timestamp() * MICROSECONDS)
    for calendar in plan.calendars:
        yield from freezes_of(calendar.freeze, calendar.events, expires_s, since_us)


def freezes_of(
    name: str, events: Iterable[Event], expires_s: float, since_us: int
) -> Iterator[Freeze]:
    """Yield each time at which one of *events* takes place, as far as a rollout looks ahead."""
    ahead = looked_ahead(since_us, expires_s)
    for event in events:
        for begin, end in spans(event, *ahead):
            yield Freeze(name=name, from_us=begin, until_us=end, reason=event.summary)


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
            request=request_for(row.target, row.version_to, manifest, profile),
        )


def terms_of(written: JobTerms) -> Terms:
    """Return the patience that the manifest asks of every job."""
    apply, verify = written.apply, written.verify
    return Terms(
        attempts=apply.attempts,
        backoff=Backoff(
            first_s=apply.backoff.first,
            factor=apply.backoff.factor,
            max_s=apply.backoff.max,
            jitter=apply.backoff.jitter == "full",
        ),
        require=tuple(verify.require),
        poll_first_s=verify.poll.first,
        poll_factor=verify.poll.factor,
        poll_max_s=verify.poll.max,
        steady_s=verify.settle,
        abnormal_grace_s=verify.abnormal_grace,
        skip_gone=True,
    )


def request_for(
    target: Target, version: str | None, manifest: Manifest, profile: str | None
) -> JobRequest:
    """Return the request of one pool's job."""
    terms = terms_of(manifest.spec.job)
    spec = manifest.spec
    written = spec.plugin.inputs
    plugin = PluginWish(
        name=spec.plugin.name,
        version=version,
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
        "terms": asdict(terms),
    }
    return JobRequest(
        target=target,
        plugin=plugin,
        fingerprint=fingerprint(target, plugin, told),
        natural_key=natural_key(target, plugin, profile=profile),
        source=SOURCE,
        profile=profile,
        deadline_s=deadline_s,
        labels=labels,
        terms=terms,
    )
