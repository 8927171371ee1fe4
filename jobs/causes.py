"""Why a job failed or waits: a closed list of words, each with its class and its remedy.

A cause is the first thing a person groups failures by, so a word, once released, never
changes meaning.  Every `Outcome` of the call is a cause; the others are about what reads
showed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jobs.outcomes import ROWS, Outcome

INPUTS_UNREADABLE: Final = "inputs-unreadable"
ABNORMAL: Final = "abnormal"
DEADLINE: Final = "deadline"
NO_EFFECT: Final = "no-effect"
INPUTS_NOT_KEPT: Final = "inputs-not-kept"
CHANGED_BY_OTHERS: Final = "changed-by-others"
EXTERNALLY_DELETED: Final = "externally-deleted"
ATTEMPTS_SPENT: Final = "attempts-spent"
NOT_OFFERED: Final = "not-offered"
NO_ENDPOINT: Final = "no-endpoint"
BUSY_ELSEWHERE: Final = "busy-elsewhere"
CANCELLED: Final = "cancelled"
LEFT_FLEET: Final = "left-fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One word with what it means for a person.

    ``retry`` says whether asking again can help: ``yes``, ``after-fix`` or ``no``.
    """

    word: str
    cause_class: str
    title: str
    likely: str
    do: str
    retry: str = "after-fix"


def _seen(word: str, cause_class: str, texts: tuple[str, str, str], retry: str) -> Cause:
    title, likely, do = texts
    return Cause(word=word, cause_class=cause_class, title=title, likely=likely, do=do, retry=retry)


_SEEN: Final = (
    _seen(
        INPUTS_UNREADABLE,
        "inputs",
        (
            "the installed inputs cannot be read",
            "the cloud lists this plug-in without its inputs, so an upgrade would reset them",
            'ask for it on purpose: set plugin.base to "template" or "empty" and give all inputs',
        ),
        "after-fix",
    ),
    _seen(
        ABNORMAL,
        "plugin",
        (
            "the plug-in is Abnormal",
            "its instances could not be started; the reason text says why",
            "mend what the reason names, then retry the job",
        ),
        "after-fix",
    ),
    _seen(
        DEADLINE,
        "time",
        (
            "the deadline passed",
            "the cloud needed longer than the job allows, or the job waited too long",
            "look at the plug-in, then retry with a longer deadline",
        ),
        "yes",
    ),
    _seen(
        NO_EFFECT,
        "cloud",
        (
            "the cloud accepted the request and nothing changed",
            "this site does not change an installed plug-in through this call",
            "upgrade it in the console, or set cloud.upgrade where the site has another call",
        ),
        "no",
    ),
    _seen(
        INPUTS_NOT_KEPT,
        "inputs",
        (
            "the plug-in runs with other inputs than were sent",
            "the cloud changed or dropped inputs, or somebody else changed them",
            "compare the inputs: plugwave jobs show JOB",
        ),
        "after-fix",
    ),
    _seen(
        CHANGED_BY_OTHERS,
        "conflict",
        (
            "somebody else changed the plug-in meanwhile",
            "another tool or person works on the same pool",
            "agree who owns the plug-in, then retry the job",
        ),
        "after-fix",
    ),
    _seen(
        EXTERNALLY_DELETED,
        "conflict",
        (
            "the plug-in was deleted while it was being changed",
            "another tool or person works on the same pool",
            "agree who owns the plug-in, then retry the job",
        ),
        "after-fix",
    ),
    _seen(
        ATTEMPTS_SPENT,
        "cloud",
        (
            "no attempt had an effect",
            "the cloud fails every time; reads prove that nothing was installed",
            "look at the cloud's last answer, then retry the job",
        ),
        "yes",
    ),
    _seen(
        NOT_OFFERED,
        "request",
        (
            "no version is offered for this pool",
            "the pool does not meet the plug-in's conditions, or the name is wrong",
            "check the plug-in's name and the pool's Kubernetes version",
        ),
        "no",
    ),
    _seen(
        NO_ENDPOINT,
        "config",
        (
            "no endpoint is known for this job",
            "the job names no region and no endpoint is configured",
            "set cloud.endpoint or cloud.region, or name the region in the job",
        ),
        "after-fix",
    ),
    _seen(
        BUSY_ELSEWHERE,
        "pool",
        (
            "somebody else is changing the plug-in",
            "another tool or person started a change that has not ended",
            "nothing: the job goes on when that change has ended",
        ),
        "yes",
    ),
    _seen(
        CANCELLED,
        "operator",
        ("cancelled before anything was sent", "somebody asked for it", "nothing"),
        "yes",
    ),
    _seen(
        LEFT_FLEET,
        "pool",
        (
            "the pool left the fleet",
            "it was there when the rollout was planned, and is gone: somebody deleted it",
            "nothing: nothing was sent to it, and it counts as skipped",
        ),
        "no",
    ),
)

_DO_BY_CLASS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "request": (
            "the request does not fit this cloud or pool",
            "correct the job, then enqueue it again",
            "after-fix",
        ),
        "network": (
            "the way to the cloud is broken or slow",
            "check cloud.endpoint and the network",
            "yes",
        ),
        "cloud": ("the cloud has a fault", "nothing: the job reads before it sends again", "yes"),
        "endpoint": (
            "cloud.endpoint is not the ModelArts API of this region",
            "check cloud.endpoint",
            "after-fix",
        ),
        "auth": (
            "the credential is wrong, expired or lacks the right",
            "check the credential and its rights",
            "after-fix",
        ),
        "conflict": (
            "something else is there or in progress",
            "look at the pool's plug-ins",
            "after-fix",
        ),
        "throttle": (
            "others use the same limit, or cloud.rate is too high",
            "nothing: the worker slows down by itself",
            "yes",
        ),
        "worker": ("a worker stopped in the middle", "nothing: the next one goes on", "yes"),
        "store": ("the store could not be written", "check the disk: plugwave store check", "yes"),
        "pool": ("the pool is not ready yet", "nothing: the job tries again later", "yes"),
        "none": ("", "", "no"),
    }
)


_DO_BY_OUTCOME: Final[Mapping[Outcome, tuple[str, str, str]]] = MappingProxyType(
    {
        Outcome.CREDENTIAL_ENDED: (
            "the cloud ended it sooner than it said",
            "nothing: it is renewed and the job goes on",
            "yes",
        ),
    }
)
"""Where what holds for the class does not fit."""


def _from_rows() -> dict[str, Cause]:
    causes = {}
    for row in ROWS:
        likely, do, retry = _DO_BY_OUTCOME.get(row.outcome, _DO_BY_CLASS[row.cause_class])
        causes[row.outcome.value] = Cause(
            word=row.outcome.value,
            cause_class=row.cause_class,
            title=row.what,
            likely=likely,
            do=do,
            retry=retry,
        )
    del causes[Outcome.OK.value]
    return causes


CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    _from_rows() | {cause.word: cause for cause in _SEEN}
)


def cause_class(word: str | None) -> str | None:
    """Return the class of a cause, or None when there is none."""
    return CAUSES[word].cause_class if word is not None else None
