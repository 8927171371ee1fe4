"""What a manifest may ask for and this version does not do: told before anything starts.

A plan may still be made of such a manifest; only applying it is refused, because a rule
that somebody relies on and nobody looks at is worse than none.
"""

from collections.abc import Iterator

from jobs.rollouts.manifest import Spec


def unserved(spec: Spec) -> list[str]:
    """Return the fields that ask for what is not done, each with what to do instead."""
    return [*_times(spec), *_notices(spec)]


def _times(spec: Spec) -> Iterator[str]:
    if spec.schedule is not None:
        yield "spec.schedule: a plan runs once; apply its manifest to have it run by the clock"


def _notices(spec: Spec) -> Iterator[str]:
    if spec.notify:
        yield "spec.notify: nobody is told; leave it out and use `plugwave watch`"
