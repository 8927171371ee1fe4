"""Judge a run by what the cloud saw and what the workers said; nobody else is asked.

Each check has the name of the invariant it asserts (reliability notes, 4.3) and returns
the violations it finds; a clean run returns none.  Nothing of the product is imported: the
checker is an independent reading of the contract, and is itself tested with planted faults.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from os.path import commonprefix
from typing import Final

from tests.acceptance.evidence import Evidence, Expected, Place, place

CLOCK_SLACK_S: Final = 0.25
"""Log times have milliseconds and are written a little after the fact."""

SETTLE_SLACK_S: Final = 0.05
"""Between the instant a worker notes as sent and the instant the bytes arrive."""

RESULT_KEYS: Final = frozenset(
    {
        *("ts", "level", "event", "job", "idempotency_key", "source", "region", "project_id"),
        *("pool_name", "plugin", "version_from", "version_to", "outcome", "cause", "cause_class"),
        *("error_code", "http_status", "cloud_request_id", "phase", "reason", "attempts", "calls"),
        *("throttled", "wait_s", "run_s", "inputs_changed", "rollout", "wave", "worker", "labels"),
    }
)
"""What the canonical line of a job must hold."""

OUTCOMES: Final = frozenset(
    {"succeeded", "unchanged", "failed", "skipped", "cancelled", "unresolved"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken promise."""

    check: str
    detail: str

    def __str__(self) -> str:
        return f"{self.check}: {self.detail}"


def _record_is_whole(run: Evidence) -> Iterable[str]:
    if not run.of("start"):
        yield "the record has no beginning"
    if not run.of("end"):
        yield "the record has no end"
    known = {line["request"] for line in run.requests}
    for kind in ("effect", "settled", "answer"):
        for line in run.of(kind):
            if line["request"] not in known:
                yield f"{kind} of request {line['request']}, which was never received"


def _no_overlap(run: Evidence) -> Iterable[str]:
    """No send arrives at a pool between the arrival and the settling of another one's change."""
    for where, sends in run.sends.items():
        until, holder = float("-inf"), 0
        for send in sends:
            if float(send["received"]) < until:
                yield f"{where[1]}: request {send['request']} came into that of {holder}"
            if send["request"] in run.effects:
                ended = run.settled.get(send["request"])
                end = float(ended["at"]) if ended else float("inf")
                if end > until:
                    until, holder = end, send["request"]
    yield from (line["detail"] for line in run.of("violation") if line["name"] == "overlap")


def _applied_once(run: Evidence) -> Iterable[str]:
    """Each job changes its plug-in at most once, and one that is as wanted never."""
    allowed = Counter({(*job.place, job.plugin): 0 for job in run.expected})
    allowed.update((*job.place, job.plugin) for job in run.expected if job.changes)
    done = Counter((*place(line), str(line["plugin"])) for line in run.of("effect"))
    for target, times in done.items():
        if target not in allowed:
            yield f"{target[1]} {target[2]} was changed and nobody asked for it"
        elif times > allowed[target]:
            yield f"{target[1]} {target[2]} was changed {times} times for {allowed[target]} jobs"
    yield from (line["detail"] for line in run.of("violation") if line["name"] == "applied_twice")


def _accepted_are_kept(run: Evidence) -> Iterable[str]:
    """Each job whose intake was answered is known at the end."""
    named = {line.get("idempotency_key") for line in run.results}
    yield from (f"{job} has no result" for job in run.expected if job.key not in named)


def _one_result_each(run: Evidence) -> Iterable[str]:
    """No job has two results, and none has a result that nobody queued."""
    wanted = {job.key for job in run.expected}
    for key, times in Counter(line.get("idempotency_key") for line in run.results).items():
        if key not in wanted:
            yield f"a result for {key}, which was never queued"
        if times > 1:
            yield f"{key} has {times} results"


def _quiet_after_the_end(run: Evidence) -> Iterable[str]:
    """Nothing is asked or sent about a pool once its last job has ended."""
    ended: dict[Place, float] = {}
    for line in run.results:
        where = str(line.get("project_id")), str(line.get("pool_name"))
        ended[where] = max(ended.get(where, 0.0), run.at(line))
    for line in run.requests:
        end = ended.get(place(line), float("inf"))
        if float(line["received"]) > end + CLOCK_SLACK_S:
            late = float(line["received"]) - end
            yield f"{place(line)[1]}: request {line['request']} came {late:.2f} s after the result"


def _results_are_true(run: Evidence) -> Iterable[str]:
    """What a result says is what the cloud shows at that moment."""
    jobs = {job.key: job for job in run.expected}
    for line in run.results:
        job, outcome = jobs.get(str(line.get("idempotency_key"))), line.get("outcome")
        if job is None:
            continue
        if outcome not in OUTCOMES:
            yield f"{job}: {outcome!r} is no outcome"
        elif outcome == "succeeded":
            yield from _not_as_told(run, job, run.at(line))
        elif outcome == "unchanged" and job.changes:
            yield f"{job}: called unchanged, but it was not as wanted at the start"
        elif outcome in {"failed", "unresolved"} and not line.get("cause"):
            yield f"{job}: {outcome} without a cause"


def _not_as_told(run: Evidence, job: Expected, at: float) -> Iterable[str]:
    """Yield why *job*, called succeeded at *at*, had not succeeded."""
    about = [
        line
        for line in run.changes.get((*job.place, job.plugin), ())
        if float(line["at"]) <= at + CLOCK_SLACK_S
    ]
    if not about:
        yield f"{job}: called succeeded, but nothing was changed"
    elif about[-1]["kind"] != "settled":
        yield f"{job}: called succeeded while its change was still going on"
    elif (about[-1]["version"], about[-1]["inputs"]) != (job.version, job.inputs):
        yield f"{job}: called succeeded at {about[-1]['version']}, or with other inputs"


def _limit_is_kept(run: Evidence) -> Iterable[str]:
    """No window, wherever it starts, holds more requests than the limit."""
    times = [float(line["received"]) for line in run.requests]
    for first, beyond in zip(times, times[run.limit :], strict=False):
        if beyond - first < run.window_s:
            yield f"{run.limit + 1} requests in {beyond - first:.4f} s from {first:.4f}"
    for second, count in Counter(int(at // run.window_s) for at in times).items():
        if count > run.limit:
            yield f"{count} requests in the aligned window {second}"


def _no_blind_repeat(run: Evidence) -> Iterable[str]:
    """After a send that may have had an effect, the pool is read late enough before the next."""
    for where, sends in run.sends.items():
        for earlier, later in pairwise(sends):
            if run.refused(earlier):
                continue
            proof_from = float(earlier["received"]) + run.settle_s - SETTLE_SLACK_S
            same = earlier.get("plugin") == later.get("plugin")
            if not same and earlier["request"] in run.effects:
                continue  # another plug-in's turn, after a change that was seen: see no_overlap
            proofs = [
                read
                for read in run.reads.get(where, ())
                if proof_from <= float(read["received"]) <= float(later["received"])
            ]
            if not proofs:
                waited = float(later["received"]) - float(earlier["received"])
                yield (
                    f"{where[1]}: request {later['request']} follows {earlier['request']}"
                    f" after {waited:.2f} s without a late read"
                )


def _results_explain(run: Evidence) -> Iterable[str]:
    """Each result line holds every key, and its attempts agree with what arrived."""
    arrived: Counter[tuple[str, ...]] = Counter()
    counted: Counter[tuple[str, ...]] = Counter()
    for sends in run.sends.values():
        for send in sends:
            target = (*place(send), str(send.get("plugin")))
            arrived[target] += 1
            answered = run.answers.get(send["request"])
            counted[target] += not (answered and answered["status"] == 429)
    for line in run.results:
        missing = RESULT_KEYS - line.keys()
        if missing:
            yield f"{line.get('idempotency_key')}: the result lacks {', '.join(sorted(missing))}"
            continue
        target = (str(line["project_id"]), str(line["pool_name"]), str(line["plugin"]))
        low, high = counted[target], arrived[target] + run.interruptions
        if not low <= int(line["attempts"]) <= high:
            yield (
                f"{line['idempotency_key']}: told {line['attempts']} attempts,"
                f" {low} to {high} arrived"
            )


def _nothing_broke(run: Evidence) -> Iterable[str]:
    """No log line tells of a crash, and only a killed worker leaves half a line.

    Text for people between the log lines is allowed; a traceback or a bug is not.
    """
    for line in run.log:
        event = str(line.get("event", ""))
        if "crash" in event or line.get("exception") or line.get("error_code") == "BUG-01":
            yield f"{event} {line.get('job', '')}".strip()
    halves = [text for text in run.other if text.startswith("{")]
    if len(halves) > run.kills:
        yield f"{len(halves)} log lines are not whole: {halves[0][:200]!r}"
    for text in run.other:
        if text.startswith(("Traceback ", "error[BUG-")):
            yield text[:200]


def _secrets_are_kept(run: Evidence) -> Iterable[str]:
    """No secret is in anything the product prints."""
    shared = commonprefix(list(run.secrets))  # noqa: RUF071 - of texts, not of paths
    if shared and shared not in run.said:
        return  # thousands of secrets in megabytes of text would take minutes
    yield from (f"{text[:6]}… was printed" for text in run.secrets if text in run.said)


def _all_as_wanted(run: Evidence) -> Iterable[str]:
    """At the end every plug-in is Running at the wanted version, its inputs kept."""
    final = {(*place(line), str(line["plugin"])): line for line in run.of("final")}
    for job in run.expected:
        line = final.get((*job.place, job.plugin))
        if line is None:
            yield f"{job}: not installed"
        elif line["phase"] != "Running":
            yield f"{job}: {line['phase']}"
        elif line["version"] != job.version:
            yield f"{job}: at {line['version']} instead of {job.version}"
        elif line["inputs"] != job.inputs:
            yield f"{job}: inputs were not kept"


def _all_good(run: Evidence) -> Iterable[str]:
    """With a cloud that recovers from every fault, every job ends well."""
    changes = {job.key: job.changes for job in run.expected}
    for line in run.results:
        key, outcome = str(line.get("idempotency_key")), line.get("outcome")
        wanted = "succeeded" if changes.get(key) else "unchanged"
        if key in changes and outcome != wanted:
            yield f"{key}: {outcome} instead of {wanted} ({line.get('cause')})"


CHECKS: Final[Mapping[str, Callable[[Evidence], Iterable[str]]]] = {
    "record-is-whole": _record_is_whole,
    "I1 no-overlap": _no_overlap,
    "I2 applied-once": _applied_once,
    "I3 accepted-are-kept": _accepted_are_kept,
    "I4 one-result-each": _one_result_each,
    "I4 quiet-after-the-end": _quiet_after_the_end,
    "I5 results-are-true": _results_are_true,
    "I6 limit-is-kept": _limit_is_kept,
    "I8 no-blind-repeat": _no_blind_repeat,
    "I12 results-explain": _results_explain,
    "I12 nothing-broke": _nothing_broke,
    "I12 secrets-are-kept": _secrets_are_kept,
    "all-as-wanted": _all_as_wanted,
    "all-good": _all_good,
}
"""Every check by the name of what it asserts."""


def violations(run: Evidence) -> list[Violation]:
    """Return everything that is wrong with the run, check by check."""
    return [
        Violation(check=name, detail=detail)
        for name, check in CHECKS.items()
        for detail in check(run)
    ]
