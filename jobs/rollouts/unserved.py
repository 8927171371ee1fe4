"""What a manifest may ask for and this version does not do: told before anything starts.

A plan may still be made of such a manifest; only applying it is refused, because a rule
that somebody relies on and nobody looks at is worse than none.
"""

from collections.abc import Iterator
from typing import Any, Final

from jobs.rollouts.manifest import Spec
from jobs.rollouts.timing import Apply, Verify, Window

WORKER_SETS: Final = "that is the same for all jobs of a worker: set it in plugwave.toml"


def unserved(spec: Spec) -> list[str]:
    """Return the fields that ask for what is not done, each with what to do instead."""
    return [*_job(spec), *_gates(spec), *_times(spec), *_targets(spec)]


def _job(spec: Spec) -> Iterator[str]:
    """Compare with the defaults: what stands there is what a person asked for."""
    for name, written, usual in (
        ("apply", spec.job.apply, Apply()),
        ("verify", spec.job.verify, Verify()),
    ):
        for field in type(written).model_fields:
            if _value(written, field) != _value(usual, field):
                key = type(written).model_fields[field].alias or field
                yield f"spec.job.{name}.{key}: {WORKER_SETS}"


def _value(part: Apply | Verify, field: str) -> Any:  # noqa: ANN401 - compared only
    found = getattr(part, field)
    return sorted(found) if isinstance(found, list) else found


def _gates(spec: Spec) -> Iterator[str]:
    for place, wave in enumerate(spec.waves):
        asked = [gate.approval for gate in (*wave.before, *wave.after) if gate.approval]
        where = f"spec.waves[{place}]"
        if any(one.groups for one in asked):
            yield f"{where}: nobody here knows who is in approval.groups; leave them out"
        if len(asked) > 1 or any(one.count > 1 for one in asked):
            yield f"{where}: one approval by one person is kept for a wave; ask for one"


def _times(spec: Spec) -> Iterator[str]:
    for place, window in enumerate(spec.windows):
        if not _by_weekday(window):
            yield f'spec.windows[{place}].allow: write the days as "FREQ=WEEKLY;BYDAY=TU,WE"'
    for place, freeze in enumerate(spec.freezes):
        if freeze.ics is not None:
            yield f"spec.freezes[{place}].ics: write from, until and timeZone instead"
    if spec.schedule is not None:
        yield "spec.schedule: a plan runs once; apply its manifest to have it run by the clock"


def _by_weekday(window: Window) -> bool:
    return window.allow.startswith("FREQ=DAILY") or "BYDAY=" in window.allow


def _targets(spec: Spec) -> Iterator[str]:
    if spec.targets.membership == "continuous":
        yield "spec.targets.membership: pools that come later do not join; use snapshot"
    if spec.notify:
        yield "spec.notify: nobody is told; leave it out and use `plugwave watch`"
