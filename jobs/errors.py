"""Every way this project says no, with what to do about it.

    PlugwaveError
    ├── UsageError            the caller can fix it (exit 2)
    │   ├── ConfigError
    │   ├── InputFileError
    │   ├── BadRequestError   one job request is not acceptable
    │   ├── ManifestError     a manifest or fleet file is not acceptable
    │   │   ├── ManifestSyntaxError
    │   │   ├── ManifestDuplicateError
    │   │   ├── ManifestTooLargeError
    │   │   ├── ManifestMissingError
    │   │   ├── ManifestValueError
    │   │   ├── ManifestFieldError
    │   │   ├── ManifestContradictionError
    │   │   ├── ManifestSetError
    │   │   ├── FleetFileError
    │   │   └── CalendarFileError
    │   └── WavesError        the waves do not take every pool
    ├── NothingMatchedError   the filter names nothing (exit 6)
    │   └── NoPoolMatchedError
    ├── ConflictError         same key, other content (exit 7)
    │   ├── StalePlanError    a plan is not what it was made as
    │   └── ScheduleBusyError a schedule runs already, and skips then
    ├── StateError            the job is not where the caller thinks
    │   ├── IllegalTransitionError
    │   ├── LeaseLostError    another worker may hold the job
    │   ├── WorkerFencedError this worker was declared dead
    │   ├── StaleRevisionError  somebody else moved the rollout on
    │   ├── ApprovalRefusedError  this person's approval would count for nothing (exit 5)
    │   ├── RolloutHeldError  its rollout lets nothing be sent now
    │   └── LineStoppedError  nothing at all may be sent now
    ├── StoreError            the store said no (exit 9)
    │   ├── StoreFullError
    │   ├── StoreReadOnlyError
    │   ├── StoreLockedError
    │   ├── StoreCorruptError
    │   └── StoreVersionError
    ├── CloudUnreachableError no answer from the cloud (exit 9)
    ├── CredentialsRefusedError  the cloud refused who we are (exit 4)
    ├── BrokerError           the message broker gives no answer (exit 9)
    │   └── BrokerRefusedError  it says no: a name, a right
    └── ClockError            the cloud would refuse the date of a signature (exit 4)

A code, once released, never changes its meaning.  Three things never appear in an
error: a token, a secret key, a whole request.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final


class PlugwaveError(Exception):
    """Root of every error this project raises on purpose.

    The message says what happened, ``why`` the likely reason, ``do`` the next step,
    ``proof`` what was seen.  ``facts`` are machine-readable details.
    """

    code: ClassVar[str] = "BUG-01"
    exit_code: ClassVar[int] = 1
    why: str | None = None
    do: str = "read the message; if it tells you nothing, report it"

    def __init__(
        self,
        message: str,
        *,
        why: str | None = None,
        do: str | None = None,
        proof: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.why = why or type(self).why
        self.do = do or type(self).do
        self.proof = proof
        self.facts = facts

    def as_dict(self) -> dict[str, object]:
        """Return the error as it appears in logs, JSON output and HTTP bodies."""
        named = {"why": self.why, "do": self.do, "proof": self.proof}
        told = {key: value for key, value in named.items() if value}
        return {"code": self.code, "message": str(self), **told, **self.facts}


class UsageError(PlugwaveError):
    """The command or its arguments make no sense."""

    code = "CONF-01"
    exit_code = 2
    do = "run the command with --help"


class ConfigError(UsageError):
    """A setting is unknown, has the wrong type, or contradicts another."""

    code = "CONF-02"
    do = "correct the setting; `plugwave config show --origin` tells where each value comes from"


class InputFileError(UsageError):
    """A file of job requests cannot be read at all."""

    code = "JOB-01"
    do = "check the path and the format of the file"


class BadRequestError(UsageError):
    """One job request is not acceptable; nothing of it was stored."""

    code = "JOB-02"
    do = "correct the request and send it again"


class ManifestError(UsageError):
    """A manifest cannot be read as a text; the classes below say what is wrong with one."""

    code = "MAN-01"
    do = "correct what is named; the form: plugwave schema rollout"


class ManifestSyntaxError(ManifestError):
    """The text is no YAML 1.2 as it is accepted."""

    code = "MAN-02"


class ManifestDuplicateError(ManifestError):
    """A key is there twice, and nobody can know which is meant."""

    code = "MAN-03"


class ManifestTooLargeError(ManifestError):
    """The file is larger, deeper or more interwoven than a person would write it."""

    code = "MAN-04"


class ManifestMissingError(ManifestError):
    """A field that must be there is missing."""

    code = "MAN-05"


class ManifestValueError(ManifestError):
    """A value is not what its field takes."""

    code = "MAN-06"


class ManifestFieldError(ManifestError):
    """A field is unknown."""

    code = "MAN-07"


class ManifestContradictionError(ManifestError):
    """Two values do not go together."""

    code = "MAN-08"


class ManifestSetError(ManifestError):
    """A value cannot be set from the command line."""

    code = "MAN-09"


class FleetFileError(ManifestError):
    """A line of a fleet file is not acceptable."""

    code = "MAN-10"
    do = "correct the line; each names project_id and pool_name, and a region if there are several"


class CalendarFileError(ManifestError):
    """A line of a calendar file is not understood, so nobody knows when it freezes."""

    code = "MAN-11"
    do = "write the line as it is understood: events with a beginning, an end and a zone"


_MANIFEST_KINDS: Final[tuple[type[ManifestError], ...]] = (
    ManifestError,
    *ManifestError.__subclasses__(),
)
MANIFEST_ERRORS: Final[Mapping[str, type[ManifestError]]] = MappingProxyType(
    {kind.code: kind for kind in _MANIFEST_KINDS}
)


def manifest_error(code: str, message: str, *, do: str | None = None) -> ManifestError:
    """Return the error of that code."""
    return MANIFEST_ERRORS[code](message, do=do)


class WavesError(UsageError):
    """The waves cannot be cut as the manifest says."""

    code = "PLAN-02"
    do = "add a last wave that takes the rest: {name: rest, pick: {rest: true}}"


class NothingMatchedError(PlugwaveError):
    """The filter or id names no job or pool."""

    code = "JOB-06"
    exit_code = 6
    do = "list what exists: plugwave jobs list"


class NoPoolMatchedError(NothingMatchedError):
    """The targets of a manifest name no pool."""

    code = "PLAN-01"
    do = "look at what there is: plugwave pools list"


class ConflictError(PlugwaveError):
    """The idempotency key was used before with other content; nothing was stored."""

    code = "JOB-07"
    exit_code = 7
    do = "use a new key for new content, or repeat the first content unchanged"


class StalePlanError(ConflictError):
    """A plan is not what it was made as: the file was changed, or the fleet was."""

    code = "PLAN-04"
    do = "make a new plan: plugwave plan FILE"


class ScheduleBusyError(ConflictError):
    """A schedule was asked to run while its run before is alive; nothing was written."""

    code = "SCHED-01"
    do = "wait for its end, or let it queue or replace with spec.overlap"


class StateError(PlugwaveError):
    """The job is not where the caller thinks it is."""

    code = "JOB-10"
    do = "look at the job again: plugwave jobs show JOB"


class IllegalTransitionError(StateError):
    """The state table has no such move."""

    code = "JOB-11"


class LeaseLostError(StateError):
    """The lease ran out and another worker may hold the job; nothing was written."""

    code = "JOB-12"
    do = "drop the result; raise `worker.lease` if this happens often"


class WorkerFencedError(StateError):
    """This worker was declared dead, so nothing it says about its jobs counts any more."""

    code = "JOB-13"
    do = "start the worker again; its jobs were handed to others"


class StaleRevisionError(StateError):
    """The rollout has changed since it was looked at; nothing was written."""

    code = "ROLL-01"
    exit_code = 7
    do = "look at the rollout again, and decide anew"


class ApprovalRefusedError(StateError):
    """An approval by this person would count for nothing; nothing was written."""

    code = "ROLL-04"
    exit_code = 5
    do = "let a person approve whom the manifest means: plugwave why ROLLOUT"


class RolloutHeldError(StateError):
    """The job's rollout is paused or has ended, so the job may not send; nothing was written."""

    code = "ROLL-02"
    do = "nothing to do: the job is let go, and starts again if its rollout goes on"

    @property
    def resumable(self) -> bool:
        """Whether a person may let the rollout go on."""
        return bool(self.facts.get("resumable"))


class LineStoppedError(StateError):
    """Somebody has stopped the whole line, so no job may send; nothing was written."""

    code = "ROLL-03"
    do = "nothing to do: the job goes on when the line does (plugwave resume --all)"


class StoreError(PlugwaveError):
    """The store said no; what was accepted before is untouched."""

    code = "STORE-01"
    exit_code = 9
    do = "check that the path in `store.url` exists and that this user may write there"


class StoreFullError(StoreError):
    """There is no space left for the store."""

    code = "STORE-02"
    do = "free disk space; the work goes on by itself from where it stopped"


class StoreReadOnlyError(StoreError):
    """The store's file or folder may not be written."""

    code = "STORE-03"
    do = "make the file and its folder writable for this user"


class StoreLockedError(StoreError):
    """Another program holds the store's write lock for too long."""

    code = "STORE-04"
    do = "find the other program that holds the file open, and stop it"


class StoreCorruptError(StoreError):
    """The file is not a plugwave store, or it is damaged."""

    code = "STORE-05"
    do = "restore a backup, or name another file in `store.url`"


class StoreVersionError(StoreError):
    """The store was written by a newer program."""

    code = "STORE-06"
    do = "upgrade plugwave on this machine; never downgrade below the store's version"


class CloudUnreachableError(PlugwaveError):
    """The cloud endpoint gives no answer."""

    code = "CLOUD-01"
    exit_code = 9
    do = "check `cloud.endpoint` and the network; unfinished jobs stay queued"


class CredentialsRefusedError(PlugwaveError):
    """The cloud refused the credential or its rights."""

    code = "AUTH-01"
    exit_code = 4
    do = "check the credential and its rights; unfinished jobs stay queued"


class ClockError(PlugwaveError):
    """This machine's clock is too far from the cloud's."""

    code = "AUTH-02"
    exit_code = 4
    why: str | None = "the cloud refuses signatures whose date is more than 15 minutes off"
    do = "set the clock of this machine (NTP); nothing is signed before"


class BrokerError(PlugwaveError):
    """The message broker gives no answer."""

    code = "BROKER-01"
    exit_code = 9
    do = "check the address and that the broker runs; what it holds stays there"


class BrokerRefusedError(BrokerError):
    """The broker answers and says no: a name, a right, a password."""

    code = "BROKER-02"
    exit_code = 2
    do = "check the names in the intake's file, and the rights of its user at the broker"
