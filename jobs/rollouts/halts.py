"""What is kept and told of a rollout that stops by itself: by a rule, or because of drift."""

from typing import Any, Final

from jobs.rollouts.course import WaveCourse
from jobs.rollouts.stopping import RuleKind, Stop, failures_allowed, stop_words
from jobs.store.rollouts import WaveRow

DRIFT: Final = "drift"


def stop_facts(stop: Stop, wave: WaveCourse, now_us: int) -> dict[str, Any]:
    """Return the rule that tripped, with the numbers by which it did."""
    rule, tally = stop.rule, stop.tally
    failed = rule.failed(tally)
    allowed = failures_allowed(rule, tally.finished, tally.planned)
    scope = f"wave {wave.name}" if rule.per_wave else "the rollout"
    ended = tally.finished + failed - tally.failed
    text = (
        f"{rule.name}: {failed} of {ended} ended jobs of {scope} failed, "
        f"at most {allowed} may ({stop_words(rule)})"
    )
    if rule.kind is RuleKind.REJECTED:
        text = f"{rule.name}: {tally.rejected} jobs of {scope} were refused"
    return {
        "rule": rule.name,
        "kind": rule.kind.value,
        "scope": "wave" if rule.per_wave else "rollout",
        "wave": wave.n,
        "failed": failed,
        "finished": ended,
        "allowed": allowed,
        "in_flight": tally.in_flight,
        "at_us": now_us,
        "by": f"rule {rule.name}",
        "why": text,
    }


def drift_facts(wave: WaveCourse, row: WaveRow, now_us: int) -> dict[str, Any]:
    """Return that a finished wave is not any more as it was left."""
    text = (
        f"drift: {row.tally.late} pools of the finished wave {wave.name} are not any more "
        "as they were left; the record tells how"
    )
    return {"rule": DRIFT, "wave": wave.n, "at_us": now_us, "by": DRIFT, "why": text}
