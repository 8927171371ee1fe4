"""Frozen values that every room of the house speaks of.

Instants are microseconds since 1970 (UTC) and end in ``_us``.  `inputs` are treated as
secret-bearing: they are stored and sent, never logged whole and never part of a repr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NewType

from jobs.changing import swift
from jobs.retries import Backoff
from jobs.states import JobState, WaitReason

JobId = NewType("JobId", int)
WorkerId = NewType("WorkerId", int)
RolloutId = NewType("RolloutId", int)

Inputs = Mapping[str, Any]
"""A plug-in's install parameters: a JSON object."""


def job_name(job: JobId) -> str:
    """Return the id as people write it: ``job-42``."""
    return f"job-{job}"


def rollout_name(rollout: RolloutId) -> str:
    """Return the id as people write it: ``ro-12``."""
    return f"ro-{rollout}"


class InputsBase(StrEnum):
    """What the full input tree starts from, before the job's own inputs are merged over it."""

    CURRENT = "current"  # what is installed; the default, so that nothing is reset
    TEMPLATE = "template"  # the template's defaults
    EMPTY = "empty"  # nothing: exactly the job's inputs are sent


AGING_S: Final = 600.0
"""What a point of priority is worth.  It stands in the indexes of the stores, so that a job has
its place from the start; hence no setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One pool, as the cloud addresses it."""

    project_id: str
    pool_name: str
    region: str | None = None

    @property
    def pool(self) -> tuple[str, str, str]:
        """The key of the one-writer rule: (region or empty, project, pool)."""
        return (self.region or "", self.project_id, self.pool_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """That a change is undone: inputs become exactly the wanted ones, and only ours is replaced.

    ``version`` and ``inputs`` are what had been sent; ``shown`` is the digest of the inputs as
    they were shown when that had settled, None when it never did.  A plug-in that is neither so
    nor as it was before was changed by somebody else since; it is left alone, unless *anyhow*.
    """

    version: str | None = None
    inputs: Inputs | None = field(default=None, repr=False)
    shown: str | None = None
    anyhow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginWish:
    """What the plug-in should be; *version* is None until the newest offered one is resolved.

    With ``restore`` the wish undoes a change; inputs of None are then not looked at.
    """

    name: str
    version: str | None = None
    inputs: Inputs | None = field(default=None, repr=False)
    base: InputsBase = InputsBase.CURRENT
    restore: Restore | None = None


PROOFS: Final = ("phase", "version", "inputs", "fresh")
"""What proves a success: Running, the version, the inputs, evidence newer than our write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How patient one job is, in place of its worker's settings; all in seconds.

    Attributes:
        attempts: Sends that may have had an effect before the job is given up.
        backoff: Waits between sends.
        require: Those of PROOFS that a success needs.
        poll_first_s: First look after acceptance.
        poll_factor: Growth of the interval between looks.
        poll_max_s: Longest interval between looks.
        steady_s: How long it must be seen at its target.
        abnormal_grace_s: How long it may be Abnormal before that is a failure.
        skip_gone: A pool that is gone is skipped, and no failure.
    """

    attempts: int
    backoff: Backoff
    require: Sequence[str]
    poll_first_s: float
    poll_factor: float
    poll_max_s: float
    steady_s: float
    abnormal_grace_s: float
    skip_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One accepted request: one pool and one plug-in change.

    ``deadline_s`` counts from the first claim.  ``fingerprint`` is the SHA-256 (hex) over
    the canonical JSON of everything that makes two requests the same.  ``profile`` names the
    account to send as; None is the worker's own.  ``terms`` count in place of the settings of
    whoever runs the job.
    """

    target: Target
    plugin: PluginWish
    fingerprint: str
    natural_key: str
    source: str = "cli"
    idempotency_key: str | None = None
    profile: str | None = None
    priority: int = 0
    """A point is worth AGING_S of waiting: so the urgent goes first, and nothing waits for ever."""

    not_before_us: int | None = None
    deadline_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    terms: Terms | None = None


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class PluginSeen:
    """One plug-in of a pool as a read showed it.

    ``inputs`` is None when the answer carried none that can be read, which is not the
    same as an empty object.
    """

    name: str
    version: str | None = None
    phase: str | None = None
    reason: str | None = None
    inputs: Inputs | None = field(default=None, repr=False)
    created_at: str | None = None


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class PoolRead:
    """The plug-ins of one pool by template name; ``asked_us`` is when the read was sent."""

    asked_us: int
    plugins: Mapping[str, PluginSeen]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSeen:
    """One pool; *name* goes into a path, *display_name* is what people see.

    ``nodes`` and ``ready_nodes`` are None when the answer does not tell.  ``control_mode`` is a
    bit set: 1 billing-cycle change limited, 2 flavor change limited, 4 service limited,
    8 frozen, 16 frozen by authorities.
    """

    name: str
    display_name: str | None = None
    workspace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str | None = None
    message: str | None = None
    nodes: int | None = None
    ready_nodes: int | None = None
    control_mode: int | None = None
    kind: str | None = None


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Progress:
    """Where a job stands inside its state; persisted with each change, so that any worker goes on.

    Attributes:
        version: The wanted version, once resolved; frozen from then on.
        inputs: The full inputs of the last intended send; None when the body carries none.
        checked: Whether ``before`` tells what was seen before the last intended send.
        before: The plug-in then; None when it was absent.
        sends: Intents to send so far; the number of the last attempt, counting from 1.
        spared: How many of them certainly had no effect because they were not sent, throttled
            or refused for now; they do not use up the attempts.
        stale: How often the cloud accepted and nothing followed.
        patch: The last intended send updates the installed plug-in (PATCH) instead of creating it.
        no_patch: The site has answered that it has no such call.
        sent_us: Latest instant at which the last send can have left.
        not_before_us: Earliest start of a read that proves something about the last send.
        accepted_us: When the cloud accepted, or the change was adopted or found.
        adopted: The change in progress was not started by this job.
        no_effect_us: Start of the first of the present row of reads that showed no effect.
        target_us: Start of the first read that showed the target reached.
        busy_seen: A read after the send showed the plug-in being changed or deleted, or there
            where it was missing before.
        abnormal_us: Start of the first of the present row of Abnormal reads.
        abnormal_reads: How many there were in that row.
        polls: Looks since acceptance; drives the poll interval.
        misses: Failed tries in a row; drives the backoff.
        conflicts: Refusals because something is there, since a read last showed work in progress.
        calls: Requests on the wire for this job, reads included.
        throttled: How many of them were answered 429.
        version_from: Installed version before the first send; None when absent or unknown.
        phase: The last phase seen.
        reason: The cloud's last reason text.
        shown: Digest of the inputs that the cloud showed when the change had settled; kept for
            jobs of rollouts, so that it can be told whether somebody changed them since.
        inputs_changed: Dotted paths at which the sent inputs differ from the installed ones.
        cause: Stable word for the last trouble, see `jobs.causes`.
        error_code: The cloud's code for it.
        http_status: Status of the last complete answer that mattered.
        cloud_request_id: The request id of that answer.
        detail: One clean line for a person.
    """

    version: str | None = None
    inputs: Inputs | None = field(default=None, repr=False)
    checked: bool = False
    before: PluginSeen | None = None
    sends: int = 0
    spared: int = 0
    stale: int = 0
    patch: bool = False
    no_patch: bool = False
    sent_us: int | None = None
    not_before_us: int | None = None
    accepted_us: int | None = None
    adopted: bool = False
    no_effect_us: int | None = None
    target_us: int | None = None
    busy_seen: bool = False
    abnormal_us: int | None = None
    abnormal_reads: int = 0
    polls: int = 0
    misses: int = 0
    conflicts: int = 0
    calls: int = 0
    throttled: int = 0
    version_from: str | None = None
    phase: str | None = None
    reason: str | None = None
    shown: str | None = None
    inputs_changed: Sequence[str] = ()
    cause: str | None = None
    error_code: str | None = None
    http_status: int | None = None
    cloud_request_id: str | None = None
    detail: str | None = None


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Job:
    """One job as the store has it.

    ``run_at_us`` is when a waiting job may move on; ``started_us`` the first claim;
    ``deadline_us`` is set with it.  ``fence`` grows with each claim of its pool.  ``rollout``
    and ``wave``, counting from 0, name whose it is; None when it belongs to no rollout.
    """

    id: JobId
    request: JobRequest
    state: JobState
    created_us: int
    reason: WaitReason | None = None
    run_at_us: int | None = None
    started_us: int | None = None
    deadline_us: int | None = None
    finished_us: int | None = None
    fence: int = 0
    worker: WorkerId | None = None
    cancel_asked: bool = False
    progress: Progress = Progress()
    rollout: RolloutId | None = None
    wave: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one job: worth nothing once the fence or the worker moved on."""

    job: JobId
    worker: WorkerId
    fence: int
