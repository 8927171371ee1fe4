"""Every command there is: its name, where its code lives, and one line of help.

The one line stands here and not beside the code, so that ``--help`` imports no command.
A test compares both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: *where* is ``module:attribute``, or None for a group with *commands*."""

    help: str
    where: str | None = None
    commands: Mapping[str, "Entry"] | None = None


COMMANDS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "demo": Entry(
            "Run a whole batch on a simulated cloud; no account, nothing leaves this machine.",
            "worker.cli.demo:demo",
        ),
        "simulate": Entry("Serve the cloud API as a simulator.", "worker.cli.simulate:simulate"),
        "init": Entry("Write a first manifest or job file, and settings.", "worker.cli.init:init"),
        "plan": Entry(
            "Show what a rollout manifest would do; changes nothing.", "worker.cli.plan:plan"
        ),
        "rehearse": Entry(
            "Rehearse a rollout on virtual time: its finish, and how much can break; "
            "changes nothing.",
            "worker.cli.rehearse:rehearse",
        ),
        "apply": Entry(
            "Start a rollout, and follow it to its verdict, which is the exit code.",
            "worker.cli.apply:apply",
        ),
        "status": Entry(
            "Show rollouts, the queue and the workers; with ROLLOUT its waves.",
            "worker.cli.status:status",
        ),
        "watch": Entry(
            "Follow a rollout to its verdict, which is the exit code.", "worker.cli.status:watch"
        ),
        "report": Entry(
            "Report what became of a rollout: who, what, why, when, and every pool.",
            "worker.cli.report:report",
        ),
        "pause": Entry(
            "Let a rollout, or everything, start nothing more; what is in flight ends.",
            "worker.cli.orders:pause",
        ),
        "resume": Entry(
            "Let a paused rollout go on; failures so far are accepted, its rules count anew.",
            "worker.cli.orders:resume",
        ),
        "abort": Entry(
            "End a rollout: what has not started never does, what is in flight ends.",
            "worker.cli.orders:abort",
        ),
        "approve": Entry(
            "Approve a wave of a rollout, bound to its plan.", "worker.cli.orders:approve"
        ),
        "retry": Entry(
            "Try jobs of a rollout again that ended badly; all of them without a filter.",
            "worker.cli.retry:retry",
        ),
        "rollback": Entry(
            "Undo a rollout: give its pools back the version and inputs that they had.",
            "worker.cli.rollback:rollback",
        ),
        "schedules": Entry(
            "Look at schedules, run, hold or remove them; `apply` makes one.",
            commands=MappingProxyType(
                {
                    "list": Entry(
                        "List schedules: what each does, when it ticks next, "
                        "and what waits for a person.",
                        "worker.cli.schedules:list_schedules",
                    ),
                    "show": Entry(
                        "Show a schedule and what became of its last ticks, each with the reason.",
                        "worker.cli.schedules:show",
                    ),
                    "next": Entry(
                        "Print when a schedule ticks next, local and UTC.",
                        "worker.cli.when:next_",
                    ),
                    "run": Entry(
                        "Let a schedule run now, once, also while it is paused; "
                        "a worker begins it.",
                        "worker.cli.schedule_orders:run",
                    ),
                    "pause": Entry(
                        "Let a schedule begin nothing more; its ticks are skipped, "
                        "what was begun goes on.",
                        "worker.cli.schedule_orders:pause",
                    ),
                    "resume": Entry(
                        "Let a paused schedule tick again; its failures are counted anew.",
                        "worker.cli.schedule_orders:resume",
                    ),
                    "delete": Entry(
                        "Remove a schedule and what is known of its ticks; its rollouts go on.",
                        "worker.cli.schedule_orders:delete",
                    ),
                }
            ),
        ),
        "when": Entry(
            "Print when a schedule ticks, or when the windows of a rollout or a manifest open.",
            "worker.cli.when:when",
        ),
        "enqueue": Entry("Queue the jobs of a file, each once.", "worker.cli.enqueue:enqueue"),
        "intake": Entry("Take jobs from a message broker, each once.", "worker.cli.intake:intake"),
        "deliver": Entry(
            "Tell another system what became of jobs: webhook, broker or file.",
            "worker.cli.deliver:deliver",
        ),
        "sinks": Entry(
            "Look at the receivers of events, and let one go on.",
            commands=MappingProxyType(
                {
                    "list": Entry(
                        "List the sinks that have ever delivered, and how they stand.",
                        "worker.cli.sinks:list_sinks",
                    ),
                    "show": Entry(
                        "Show one sink with its last deliveries.", "worker.cli.sinks:show"
                    ),
                    "resume": Entry(
                        "Let a stopped sink go on; what is pending is tried at once.",
                        "worker.cli.sinks:resume",
                    ),
                }
            ),
        ),
        "work": Entry("Consume the queue.", "worker.cli.work:work"),
        "serve": Entry("Serve the HTTP API until Ctrl-C.", "worker.cli.serve:serve"),
        "tokens": Entry(
            "Say who may call the HTTP API.",
            commands=MappingProxyType(
                {
                    "create": Entry("Make a token and print it, once.", "worker.cli.tokens:create"),
                    "list": Entry(
                        "List the tokens, never their secrets.", "worker.cli.tokens:list_tokens"
                    ),
                    "revoke": Entry("End a token now.", "worker.cli.tokens:revoke"),
                }
            ),
        ),
        "jobs": Entry(
            "Look at jobs, retry or cancel them.",
            commands=MappingProxyType(
                {
                    "list": Entry("List jobs, newest first.", "worker.cli.jobs_read:list_jobs"),
                    "show": Entry("Show everything about one job.", "worker.cli.jobs_read:show"),
                    "timeline": Entry(
                        "Show what happened to one job, in order.", "worker.cli.jobs_read:timeline"
                    ),
                    "retry": Entry(
                        "Queue new jobs for jobs that ended badly.", "worker.cli.jobs_change:retry"
                    ),
                    "cancel": Entry(
                        "Cancel jobs that were not sent yet.", "worker.cli.jobs_change:cancel"
                    ),
                }
            ),
        ),
        "workers": Entry(
            "List the workers of this queue; leaves with 6 when none is alive.",
            "worker.cli.workers:workers",
        ),
        "pools": Entry(
            "Look at the pools of the fleet.",
            commands=MappingProxyType(
                {
                    "list": Entry(
                        "List the pools of the fleet, and why some cannot take a plug-in now.",
                        "worker.cli.pools:list_pools",
                    ),
                    "show": Entry(
                        "Show a pool: its plug-ins, what may be installed, its open jobs.",
                        "worker.cli.pool_show:show",
                    ),
                }
            ),
        ),
        "plugins": Entry(
            "Look at the plug-ins of a pool.",
            commands=MappingProxyType(
                {
                    "list": Entry(
                        "List the plug-ins of a pool, and the newer versions on offer for it.",
                        "worker.cli.plugins:list_plugins",
                    ),
                    "show": Entry(
                        "Show a plug-in on a pool: version, inputs, what it runs as, "
                        "what is on offer.",
                        "worker.cli.plugins:show",
                    ),
                }
            ),
        ),
        "why": Entry("Say why a job, pool or rollout is where it is.", "worker.cli.why:why"),
        "failures": Entry(
            "Group failed and unresolved jobs by cause.", "worker.cli.failures:failures"
        ),
        "doctor": Entry(
            "Check credentials, clock, region, rights and store; changes nothing in the cloud.",
            "worker.cli.doctor:doctor",
        ),
        "events": Entry("Print what happened to all jobs, in order.", "worker.cli.events:events"),
        "store": Entry(
            "Look after the store.",
            commands=MappingProxyType(
                {
                    "check": Entry("Look for damage.", "worker.cli.store:check"),
                    "stats": Entry(
                        "Count what the store holds: jobs, sizes, rates, the oldest open job.",
                        "worker.cli.store:stats",
                    ),
                    "migrate": Entry(
                        "Create the store or bring it up to date.", "worker.cli.store:migrate"
                    ),
                    "prune": Entry(
                        "Remove ended jobs that are older than the settings say.",
                        "worker.cli.store_prune:prune",
                    ),
                    "export": Entry(
                        "Write every job with its result and history as JSON lines.",
                        "worker.cli.store_export:export",
                    ),
                }
            ),
        ),
        "config": Entry(
            "Look at the settings.",
            commands=MappingProxyType(
                {
                    "show": Entry(
                        "Print every setting, and where it comes from.", "worker.cli.config:show"
                    )
                }
            ),
        ),
        "explain": Entry("Explain an error code or a cause.", "worker.cli.explain:explain"),
        "schema": Entry("Print the JSON Schema of a file format.", "worker.cli.schema:schema"),
        "version": Entry("Print the version.", "worker.cli.version:version"),
    }
)

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done, or nothing to do",
        1: "unexpected error, a bug",
        2: "wrong usage, or an invalid file or setting",
        3: "some jobs failed or are unresolved, or a part could not be read",
        4: "the cloud refused the credential",
        5: "a rollout was stopped by a rule, or aborted",
        6: "nothing matched",
        7: "conflict: a key was used before with other content, or a plan is stale",
        8: "`watch --timeout` is over; the rollout goes on",
        9: "the store or the cloud cannot be reached",
        10: "`plan --detailed-exitcode` has changes",
        130: "left by Ctrl-C, after draining",
        143: "left by SIGTERM, after draining",
    }
)
"""The verdicts of the commands that exist; printed by ``--help``."""
