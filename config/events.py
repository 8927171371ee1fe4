"""The registered log events: every name a log line may have, with what it means.

A name is ``noun.fact``, past tense, never a sentence with values in it.  Names are public:
dashboards and alerts are built on them.  A test walks the source and fails on a name that
is not here, and the page of log events is made from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jobs.report.results import RESULT_KEYS

JOB_RESULT_KEYS: Final = ("ts", "level", "event", *RESULT_KEYS)
"""The keys of a ``job.result`` line, all of them, in this order; other programs read them."""

CONTEXT_FIELDS: Final = (
    "worker",
    "job",
    "attempt",
    "region",
    "project_id",
    "pool",
    "plugin",
)
"""Fields that any line may carry, because they say where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One registered event.

    Attributes:
        name: What stands under ``event``.
        levels: The levels it is written at; *info* a normal day, *warning* handled here,
            *error* a person must act.
        meaning: One sentence for the page of log events.
        fields: What it may carry beside ``ts``, ``level``, ``event`` and CONTEXT_FIELDS.
    """

    name: str
    levels: tuple[str, ...]
    meaning: str
    fields: tuple[str, ...] = ()


def _event(name: str, levels: str, meaning: str, fields: str = "") -> LogEvent:
    return LogEvent(
        name=name, levels=tuple(levels.split()), meaning=meaning, fields=tuple(fields.split())
    )


_ALL: Final = (
    _event("worker.started", "info", "A worker begins to claim jobs.", "id slots lease_s"),
    _event(
        "worker.draining",
        "info warning",
        "A worker claims nothing more and finishes its requests in flight.",
        "in_flight held grace_s signal",
    ),
    _event("worker.drained", "info", "A worker left in order.", "handed_back ran_s"),
    _event(
        "worker.killed",
        "warning error",
        "A worker left at once, or was fenced; a late read settles what it had sent.",
        "in_flight reason",
    ),
    _event(
        "work.progress",
        "info",
        "Where the queue stands, at intervals.",
        "open ended in_hand waiting rate",
    ),
    _event(
        "work.left",
        "info",
        "A run until empty leaves jobs to workers that have their profiles.",
        "profiles",
    ),
    _event(
        "intake.finished",
        "info warning",
        "A file or batch was taken in.",
        "source created duplicate conflict invalid took_s",
    ),
    _event(
        "job.enqueued", "info debug", "A job was accepted and is on disk.", "source deduplicated"
    ),
    _event("job.waiting", "debug info", "A job may not go on yet.", "reason until cause detail"),
    _event("job.started", "info debug", "A worker took a job in hand.", "state fence waited_s"),
    _event("job.sending", "debug", "The intent to send is on disk; the request leaves next."),
    _event(
        "job.answer_lost",
        "warning",
        "A change may have been sent, and no answer tells; a late read will.",
        "cause status not_before",
    ),
    _event("job.sent", "info debug", "A change was sent and answered.", "outcome status"),
    _event(
        "job.result",
        "info error",
        "A job is final: the one line that explains it.",
        " ".join(JOB_RESULT_KEYS[3:]),
    ),
    _event(
        "job.retry_scheduled",
        "warning info",
        "A try failed and another follows.",
        "delay_s retry_after_s cause detail",
    ),
    _event(
        "job.lease_lost",
        "warning",
        "Another worker may hold the job; this one dropped what it knew.",
        "jobs previous_worker age_s",
    ),
    _event(
        "job.recovered",
        "info warning",
        "A job was taken over from a worker that died.",
        "state previous_worker age_s",
    ),
    _event(
        "job.crashed",
        "error",
        "A job met a bug of this program; the others go on.",
        "error",
    ),
    _event("rollout.opened", "info", "Jobs of a rollout may start.", "rollout"),
    _event(
        "rollout.held",
        "info",
        "No wave of a rollout may start jobs now; what holds it is told.",
        "rollout reasons",
    ),
    _event("rollout.admitted", "debug", "Jobs left the line of their wave.", "rollout jobs"),
    _event(
        "rollout.stopped",
        "error",
        "A rule, or its own time, stopped a rollout: paused for a person, or being wound up.",
        "rollout by why",
    ),
    _event(
        "rollout.joined",
        "info",
        "Pools that came to the fleet have joined a rollout, or are held.",
        "rollout pools number held",
    ),
    _event(
        "rollout.glass_broken",
        "error",
        "Persons have ordered that windows and freezes hold a rollout no longer.",
        "rollout what",
    ),
    _event("rollout.drained", "info", "A paused rollout has nothing in flight.", "rollout"),
    _event(
        "rollout.late_failure",
        "error",
        "A pool turned bad, or was changed by somebody else, after its job had succeeded.",
        "rollout job pool why",
    ),
    _event(
        "rollout.nothing_to_undo",
        "warning",
        "A rollout was to be undone, and no pool can get back what it had.",
        "rollout",
    ),
    _event("rollout.ended", "info", "A rollout is over.", "rollout state jobs failed"),
    _event(
        "rollout.troubled",
        "warning",
        "A rollout could not be looked at; it is tried again.",
        "rollout error",
    ),
    _event(
        "rollout.crashed",
        "error",
        "A rollout met a bug of this program; its jobs in flight go on.",
        "rollout",
    ),
    _event(
        "schedule.fired", "info", "A tick of a schedule is due, or queued.", "schedule tick state"
    ),
    _event(
        "schedule.skipped",
        "warning",
        "Ticks of a schedule do not run: missed, caught up, overlap, paused or superseded.",
        "schedule reason why ticks first last",
    ),
    _event("schedule.began", "info", "The rollout of a tick was begun.", "schedule tick rollout"),
    _event("schedule.idle", "info", "A tick found nothing to do.", "schedule tick why"),
    _event(
        "schedule.waits",
        "warning",
        "The plan of a tick is outside of autoApply and waits for a person.",
        "schedule tick plan why",
    ),
    _event(
        "schedule.delayed",
        "warning",
        "A tick could not be planned; it is tried again within its grace.",
        "schedule tick error retry_in_s",
    ),
    _event("schedule.failed", "error", "No rollout can be made of a tick.", "schedule tick error"),
    _event(
        "schedule.replaced",
        "info",
        "A rollout is wound up for a newer tick.",
        "schedule rollout",
    ),
    _event("schedule.ended", "info", "The rollout of a tick is over.", "schedule tick state"),
    _event("schedule.paused", "error", "A schedule paused itself.", "schedule why"),
    _event(
        "schedule.crashed",
        "error",
        "A schedule met a bug of this program; it is looked at again.",
        "schedule tick",
    ),
    _event("wave.reached", "debug", "It is a wave's turn; its gates are asked.", "rollout wave"),
    _event("wave.opened", "info", "A wave may start jobs.", "rollout wave"),
    _event("wave.ended", "info", "The last job of a wave has ended; it bakes.", "rollout wave"),
    _event("wave.passed", "info", "A wave is through.", "rollout wave"),
    _event(
        "wave.failed",
        "error",
        "A wave broke a rule, or its rollout ended inside of it.",
        "rollout wave",
    ),
    _event("wave.skipped", "info", "A wave has no pools, or is not reached.", "rollout wave"),
    _event(
        "cloud.request",
        "debug",
        "One request on the wire.",
        "method url_template status duration_ms request_id outcome",
    ),
    _event(
        "cloud.throttled",
        "warning",
        "The cloud answered 429; at most one line in ten seconds and region.",
        "credential endpoint count retry_after_s rate_now outcome status error_code message"
        " request_id",
    ),
    _event(
        "limit.changed",
        "info",
        "Another rate is allowed than before: a 429 taught it, or a time without one.",
        "credential endpoint rate rate_before source",
    ),
    _event(
        "cloud.unreachable",
        "warning error",
        "No request to an endpoint gets an answer.",
        "credential endpoint since_s outcome status error_code message request_id",
    ),
    _event("cloud.reachable", "info", "An endpoint answers again.", "endpoint down_s"),
    _event(
        "breaker.opened",
        "error warning",
        "A credential or endpoint is in trouble: its jobs rest.",
        "credential endpoint status error_code message request_id until",
    ),
    _event("breaker.closed", "info", "The trouble is over: its jobs go on.", "credential endpoint"),
    _event(
        "plugin.external_change",
        "warning",
        "Somebody else changed a plug-in that a job works on.",
        "version_seen phase",
    ),
    _event(
        "plugin.unknown_phase",
        "warning",
        "The cloud named a phase this program does not know; it is waited on.",
        "phase",
    ),
    _event(
        "store.migrated", "info", "The store's tables were brought up to date.", "engine schema"
    ),
    _event(
        "store.pruned",
        "info debug",
        "Ended jobs, keys and workers whose time had come were removed.",
        "jobs keys workers weeks contents kept took_s",
    ),
    _event(
        "store.commit_looked_up",
        "info warning",
        "The answer to a commit was lost; a new connection found out whether it happened.",
        "number committed",
    ),
    _event(
        "store.rollback_failed",
        "debug",
        "A transaction could not be undone by us; the database undoes it when it ends the session.",
        "error",
    ),
    _event(
        "store.trouble",
        "warning error",
        "The store said no; what was accepted is untouched.",
        "error doing code detail do",
    ),
    _event("config.loaded", "info debug", "The settings are read and valid.", "files changed"),
    _event(
        "auth.denied",
        "warning error",
        "Somebody was refused.",
        "credential endpoint outcome status error_code message request_id",
    ),
    _event(
        "profile.unusable",
        "warning",
        "A profile's credential cannot be used; its jobs are left to other workers.",
        "profile error do",
    ),
    _event("auth.renewed", "info", "A token or temporary key was fetched.", "what until"),
    _event(
        "auth.replaced",
        "warning",
        "Another access key is configured now; this process keeps its own until a restart.",
        "credential now",
    ),
    _event(
        "auth.renewal_failed",
        "warning",
        "A token or temporary key could not be fetched; the old one serves while it is valid.",
        "what message status error_code request_id still_valid retry_in_s",
    ),
    _event("intake.opened", "info", "The broker of an intake is connected.", "intake place"),
    _event(
        "intake.taken",
        "info",
        "Messages were stored as jobs or set aside, and acknowledged.",
        "intake messages jobs",
    ),
    _event(
        "intake.rejected",
        "warning",
        "A message went to the dead-letter place, with the reason.",
        "intake verdict position reason",
    ),
    _event(
        "intake.broker_away",
        "warning",
        "The broker is lost; the intake comes back to it by itself.",
        "intake error",
    ),
    _event(
        "intake.store_away",
        "warning",
        "The store does not answer; messages in hand are kept, nothing is acknowledged.",
        "intake error",
    ),
    _event(
        "sink.delivered",
        "info",
        "A receiver of events has them.",
        "sink id events attempt",
    ),
    _event(
        "sink.failed",
        "warning",
        "A receiver of events did not take them; they are tried again, unless it says stopped.",
        "sink id events attempt outcome stopped",
    ),
    _event("api.started", "info", "The interface over HTTP listens.", "url login read_only"),
    _event("api.draining", "info", "The server takes nothing new; calls in hand end.", "streams"),
    _event("api.stopped", "info", "The server has stopped.", "calls"),
    _event(
        "api.refused",
        "warning info",
        "A call was refused; at most one line in ten seconds for each code and address.",
        "caller where method path status code request_id",
    ),
    _event(
        "api.crashed",
        "error",
        "A call met a bug of this program; its caller got the request id.",
        "method path request_id",
    ),
    _event("api.changed", "info", "A call changed something.", "caller where action what why"),
    _event("simulator.started", "info", "The simulated cloud listens.", "url pools projects speed"),
    _event("simulator.stopped", "info", "The simulated cloud has stopped.", "requests"),
    _event(
        "library.warning",
        "warning error critical",
        "Another library logged something.",
        "logger message",
    ),
    _event(
        "log.lines_lost",
        "warning",
        "Lines could not be written, because the log's reader or disk was full.",
        "count",
    ),
)

EVENTS: Final[Mapping[str, LogEvent]] = MappingProxyType({event.name: event for event in _ALL})
"""Every registered event by its name."""
