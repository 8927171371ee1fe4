"""The facts of a report: read from the store once, cleaned once, the same for every form.

Every text that came from outside (names, reasons, words of persons, of the cloud) is one
masked and harmless line here; the forms escape it for where they put it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.masking import clean_text, mask_text
from jobs.clock import iso
from jobs.model import Job, Target, rollout_name
from jobs.report.failures import FailureGroups
from jobs.report.results import result_fields, seconds_between
from jobs.rollout_states import RolloutEvent, WaveEvent
from jobs.rollouts.advancing import RULE
from jobs.rollouts.course import SOURCE
from jobs.rollouts.plan import Plan, PlanRow, kept_plan
from jobs.rollouts.verdicts import done_of, stopped_by, verdict_of
from jobs.states import BAD_STATES, GOOD_STATES, JobState
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import RecordEntry, RolloutRow, WaveRow

TEXT: Final = 500
MOST_ROLLOUTS: Final = 1000
"""Rollouts that are looked through for one that restores this one."""

WORDS: Final[Mapping[str, str]] = {
    "planned": "submitted",
    "approved": "approved",
    "retried": "tried again",
    RolloutEvent.APPLIED: "started",
    RolloutEvent.OPENED: "jobs may start",
    RolloutEvent.HELD: "held",
    RolloutEvent.PAUSED: "paused",
    RolloutEvent.RESUMED: "resumed",
    RolloutEvent.ABORTED: "aborted",
    RolloutEvent.DRAINED: "nothing in flight any more",
    RolloutEvent.FINISHED: "every job ended well",
    RolloutEvent.FINISHED_DAMAGED: "every job ended, not all of them well",
    RolloutEvent.RESTORED: "every pool restored",
    RolloutEvent.RESTORED_PARTLY: "restored in part",
    RolloutEvent.LAPSED: "expired",
    RolloutEvent.REPLACED: "superseded",
}
"""What a line of the record says; a word of a newer program stands for itself."""

WAVE_WORDS: Final[Mapping[str, str]] = {
    **WORDS,
    WaveEvent.REACHED: "its turn",
    WaveEvent.OPENED: "opened: all gates before it passed",
    WaveEvent.ENDED: "its last job ended",
    WaveEvent.BAKED: "passed: bake and gates after it passed",
    WaveEvent.BROKEN: "failed",
    WaveEvent.REOPENED: "reopened",
    WaveEvent.EMPTIED: "skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the store has of a rollout; *jobs* has the last try for each pool."""

    row: RolloutRow
    plan: Plan
    record: Sequence[RecordEntry]
    jobs: Mapping[Target, Job]
    restoring: Sequence[RolloutRow]
    now_us: int


async def gathered(store: Store, row: RolloutRow) -> Read:
    """Read everything that a report tells about a rollout."""
    kept = await store.rollouts.plan(row.plan)
    assert kept is not None, "the store keeps the plan of every rollout"
    jobs: dict[Target, Job] = {}
    # From its creation on, oldest first, so that a job that was tried again replaces the first.
    matching = JobFilter(source=SOURCE, since_us=row.created_us)
    async for job in store.jobs(matching, newest_first=False):
        if job.rollout == row.id:
            jobs[job.request.target] = job
    others = await store.rollouts.rollouts(limit=MOST_ROLLOUTS)
    return Read(
        row=row,
        plan=kept_plan(kept.body, kept.digest, iso(kept.made_us) or ""),
        record=await store.rollouts.record_of(row.id),
        jobs=jobs,
        restoring=[one for one in others if one.of == row.id],
        now_us=await store.now_us(),
    )


def facts_of(read: Read) -> dict[str, Any]:
    """Return the report as JSON shows it."""
    row, plan = read.row, read.plan
    ended, size, failed = done_of(row)
    tallies = [wave.tally for wave in row.waves]
    started = next((one for one in read.record if one.event == "planned"), None)
    return {
        "kind": "report",
        "rollout": rollout_name(row.id),
        "name": _text(row.name),
        "rollout_kind": row.kind.value,
        "state": row.state.value,
        "verdict": verdict_of(row),
        "stopped_by": _text(stopped_by(row)),
        "plugin": _text(plan.plugin),
        "version": _text(plan.version),
        "labels": {_text(key): _text(value) for key, value in row.labels.items()},
        "started_by": _word(started.data if started is not None else {}),
        "plan": row.plan,
        "plan_made_at": plan.made_at,
        "most_broken_by_plan": plan.most_broken,
        "stops": [_text(one) for one in plan.stops],
        "created_at": iso(row.created_us),
        "started_at": iso(row.started_us),
        "finished_at": iso(row.finished_us),
        "generated_at": iso(read.now_us),
        "took_s": seconds_between(row.created_us, row.finished_us or read.now_us),
        "counts": {
            "included": plan.included,
            "jobs": size,
            "ended": ended,
            "open": size - ended,
            "succeeded": sum(one.succeeded for one in tallies),
            "unchanged": sum(one.unchanged for one in tallies),
            "failed": sum(one.failed for one in tallies),
            "unresolved": sum(one.unresolved for one in tallies),
            "skipped": sum(one.skipped for one in tallies),
            "cancelled": sum(one.cancelled for one in tallies),
            "failures": sum(one.failures for one in tallies),
            "broken": failed,
            "left_out": plan.included - size,
        },
        "waves": [_wave(read, wave) for wave in row.waves],
        "record": [_line(read, entry) for entry in read.record],
        "causes": _causes(read),
        "restoring": [_restoring(one) for one in read.restoring],
        "pools": [_pool(read, one) for one in plan.rows],
    }


def _text(text: str | None) -> str | None:
    return None if text is None else clean_text(mask_text(text), TEXT)


def _word(data: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        name: _text(str(data[name])) if data.get(name) is not None else None
        for name in ("by", "why", "where")
    }


def _wave(read: Read, wave: WaveRow) -> dict[str, Any]:
    planned = read.plan.waves[wave.n]
    tally = wave.tally
    rule = wave.facts.get(RULE)
    return {
        "wave": wave.n,
        "name": _text(planned.name),
        "state": wave.state.value,
        "size": tally.size,
        "ended": tally.ended,
        "succeeded": tally.succeeded,
        "unchanged": tally.unchanged,
        "failed": tally.failed,
        "unresolved": tally.unresolved,
        "cancelled": tally.cancelled,
        "failures": tally.failures,
        "stops": [_text(one) for one in planned.stops],
        "then": [_text(one) for one in planned.then],
        "opened_at": iso(wave.opened_us),
        "ended_at": iso(wave.ended_us),
        "approvals": [
            {
                "by": _text(one.word.by),
                "groups": [_text(group) for group in one.groups],
                "why": _text(one.word.why),
                "at": iso(one.at_us),
                "seen": dict(one.seen),
            }
            for one in wave.approvals
        ],
        "evidence": _text(str(rule["why"])) if isinstance(rule, Mapping) else None,
    }


def _line(read: Read, entry: RecordEntry) -> dict[str, Any]:
    """Return one line of the record: what, by whom, why, and the numbers it stands on."""
    data = entry.data
    words = WORDS if entry.wave is None else WAVE_WORDS
    rule = data.get(RULE)
    source = rule if isinstance(rule, Mapping) else data
    holds = [_text(str(one.get("text", ""))) for one in data.get("holds", ())]
    return {
        "at": iso(entry.at_us),
        "wave": None if entry.wave is None else _text(read.plan.waves[entry.wave].name),
        "event": entry.event,
        "what": words.get(entry.event, _text(entry.event)),
        **_word(source),
        "holds": holds,
        "evidence": _evidence(source),
    }


def _evidence(data: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts by which a rule tripped."""
    names = ("failed", "finished", "allowed", "in_flight")
    return {name: data[name] for name in names if isinstance(data.get(name), int)}


def _causes(read: Read) -> list[dict[str, Any]]:
    groups = FailureGroups()
    for job in read.jobs.values():
        if job.state in BAD_STATES:
            groups.add(job)
    found = []
    for number, group in enumerate(groups.groups(), start=1):
        fields = {"id": f"C{number}", **group.as_dict()}
        found.append(
            {key: _text(one) if isinstance(one, str) else one for key, one in fields.items()}
        )
    return found


def _restoring(row: RolloutRow) -> dict[str, Any]:
    ended, size, failed = done_of(row)
    return {
        "rollout": rollout_name(row.id),
        "name": _text(row.name),
        "state": row.state.value,
        "pools": size,
        "restored": ended - failed - sum(wave.tally.cancelled for wave in row.waves),
        "failed": failed,
        "finished_at": iso(row.finished_us),
    }


def _pool(read: Read, planned: PlanRow) -> dict[str, Any]:
    job = read.jobs.get(planned.target)
    told = {} if job is None else result_fields(job, None, read.now_us)
    outcome = told.get("outcome", planned.action.value)
    bad = job is not None and job.state in BAD_STATES
    return {
        "region": _text(planned.region),
        "project_id": _text(planned.project_id),
        "pool_name": _text(planned.pool_name),
        "display_name": _text(planned.display_name),
        "wave": _text(planned.wave),
        "action": planned.action.value,
        "version_from": _text(told.get("version_from") or planned.version_from),
        "version_to": _text(told.get("version_to") or planned.version_to),
        "outcome": outcome,
        "ok": job is not None and job.state in GOOD_STATES,
        "final": job is not None and job.finished_us is not None,
        "why": _why(job, bad=bad) if job is not None else _text(planned.why),
        "cause": _text(told.get("cause")),
        "error_code": _text(told.get("error_code")),
        "http_status": told.get("http_status") if bad else None,
        "cloud_request_id": _text(told.get("cloud_request_id")),
        "started_at": None if job is None else iso(job.started_us),
        "finished_at": None if job is None else iso(job.finished_us),
        "run_s": told.get("run_s"),
        "attempts": told.get("attempts"),
        "calls": told.get("calls"),
        "inputs_changed": [_text(one) for one in told.get("inputs_changed", ())],
        "job": told.get("job"),
    }


def _why(job: Job, *, bad: bool) -> str | None:
    if bad:
        return _text(job.progress.detail or job.progress.cause or "no reason is known")
    if job.state is JobState.WAITING and job.reason is not None:
        return f"waits: {job.reason.value}"
    return None
