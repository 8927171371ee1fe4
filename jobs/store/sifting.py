"""Which of some old jobs go: the rule of `jobs.retention` over rows that an engine has read."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from jobs.model import JobId
from jobs.retention import Cutoffs, Facts, Kept, why_kept
from jobs.store.keeping import Pruned

Fact = Sequence[Any]
"""(job, created_us, finished_us, source, key or None, reported, last, counted), by job."""

Going = Sequence[tuple[Any, ...]]
"""(job, finished_us, source, key or None) of jobs that may go."""


def key_goes(finished_us: int, cutoff: Cutoffs) -> bool:
    """Whether the key of a job that ended then goes with it."""
    return cutoff.keys_us is not None and finished_us < cutoff.keys_us


def sift(
    facts: Sequence[Fact], cutoff: Cutoffs, *, looked_for: int, most: int, unreported: bool
) -> tuple[Going, Pruned]:
    """Return the jobs that may go, up to *most*, and what a dry run says of them.

    Args:
        facts: The next jobs by id.
        cutoff: The instants that decide.
        looked_for: How many facts were asked for; fewer mean that there are no more.
        most: How many jobs may go at once.
        unreported: Whether jobs go whose result line nobody has written.
    """
    going: list[tuple[Any, ...]] = []
    kept: Counter[Kept] = Counter()
    place = None
    if cutoff.jobs_us is None:
        return going, Pruned()
    for job, _, finished_us, source, key, *more in facts:
        place = JobId(job)
        reported, last, counted = map(bool, more)
        known = Facts(finished_us=finished_us, reported=reported, last=last, counted=counted)
        why = why_kept(known, cutoff.jobs_us, unreported=unreported)
        if why is not None:
            kept[why] += 1
            continue
        going.append((job, finished_us, source, key))
        if len(going) == most:
            break
    # Jobs are numbered as they come: behind some that are all too young there is none to go.
    old = [fact for fact in facts if fact[1] < cutoff.jobs_us]
    ended = len(going) < most and (len(facts) < looked_for or not old)
    keys = [row for row in going if row[3] is not None and key_goes(row[1], cutoff)]
    told = Pruned(jobs=len(going), keys=len(keys), kept=kept, next=None if ended else place)
    return going, told
