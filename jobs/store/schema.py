"""How states, reasons and values are written down, the same way in every engine.

States and reasons are small integers, because partial indexes name them as literal
constants.  A code, once released, never changes its meaning: new members are appended.
Values that no query looks into are JSON texts that leave out what is at its default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import compress
from operator import is_not
from types import MappingProxyType
from typing import Any, Final

import orjson

from jobs.clock import MICROSECONDS
from jobs.errors import BadRequestError
from jobs.learning import Lesson, Limit, Source
from jobs.model import InputsBase, PluginSeen, PluginWish, Progress, Restore, Terms
from jobs.pacing import Bucket
from jobs.retries import Backoff
from jobs.states import FINAL_STATES, HELD_STATES, OPEN_STATES, JobState, WaitReason
from jobs.store.facts import Figure

_STATES: Final = (
    JobState.WAITING,
    JobState.READY,
    JobState.CHECKING,
    JobState.SENDING,
    JobState.UNKNOWN,
    JobState.WATCHING,
    JobState.SUCCEEDED,
    JobState.UNCHANGED,
    JobState.FAILED,
    JobState.SKIPPED,
    JobState.CANCELLED,
    JobState.UNRESOLVED,
)

REASONS: Final = (
    None,  # 0: does not wait
    WaitReason.WAVE,
    WaitReason.APPROVAL,
    WaitReason.BAKE,
    WaitReason.WINDOW,
    WaitReason.FREEZE,
    WaitReason.CONCURRENCY,
    WaitReason.RATE_LIMIT,
    WaitReason.BACKOFF,
    WaitReason.POOL_BUSY,
    WaitReason.PAUSED,
    WaitReason.BREAKER,
    WaitReason.NOT_BEFORE,
    WaitReason.NO_WORKER,
)
"""Every reason at its code."""

STATES: Final[Mapping[int, JobState]] = MappingProxyType(dict(enumerate(_STATES, start=1)))
"""Every state by its code; codes up to LAST_OPEN are open, those above are final."""

STATE_CODES: Final[Mapping[JobState, int]] = MappingProxyType(
    {state: code for code, state in STATES.items()}
)
REASON_CODES: Final[Mapping[WaitReason | None, int]] = MappingProxyType(
    {reason: code for code, reason in enumerate(REASONS)}
)

POOL_KEEPING: Final = frozenset({WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER})
"""A job that waits for one of these holds its pool: it is in the middle of its work."""

NOT_BY_ITSELF: Final = (WaitReason.NOT_BEFORE, WaitReason.WAVE, WaitReason.PAUSED)
"""A job that waits for one of these is not what a finite worker stays for."""

LAST_OPEN: Final = max(STATE_CODES[state] for state in OPEN_STATES)
FIRST_FINAL: Final = LAST_OPEN + 1
HELD_CODES: Final = frozenset(STATE_CODES[state] for state in HELD_STATES)

assert all(STATE_CODES[state] > LAST_OPEN for state in FINAL_STATES)

_BUCKET_NAMES: Final = frozenset(field.name for field in fields(Bucket))
NO_PROGRESS: Final = Progress()
_DEFAULT_OF: Final = vars(NO_PROGRESS).__getitem__

NO_PROFILE: Final = ""
"""How a job without a profile is written down."""

Lane = tuple[int, str]
"""A line of READY jobs that takes turns with the others: a project's number and a profile."""

WEIGHED_LANES: Final = 64
"""Lanes that a small claim looks at when projects have weights, to find those who are owed."""

FIRST_LANE: Final[Lane] = (0, NO_PROFILE)
"""Before every lane there is."""


def _plain(value: object) -> object:
    """Turn a read-only mapping into what orjson writes; refuse everything else."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def json_text(value: object) -> str:
    """Return *value* as compact JSON with sorted keys.

    Raises:
        BadRequestError: If JSON cannot hold it; the value is not shown.
    """
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        raise BadRequestError(
            "a value cannot be stored as JSON",
            why="it holds a number beyond 64 bits, text that is not Unicode, or a foreign type",
        ) from None


def json_value(text: str | None) -> Any:  # noqa: ANN401 - JSON holds anything
    """Return what `json_text` wrote; None for None."""
    return None if text is None else orjson.loads(text)


def progress_text(progress: Progress) -> str | None:
    """Return the fields that are not at their default as JSON, None when all are."""
    if progress is NO_PROGRESS:
        return None
    # Nearly all of thirty fields are the default itself: those are passed over without a line
    # of Python, which takes 2 µs instead of 7; each move of a job writes its progress.
    fields = vars(progress)
    others = compress(fields, map(is_not, fields.values(), map(_DEFAULT_OF, fields)))
    told = {name: fields[name] for name in others if fields[name] != _DEFAULT_OF(name)}
    return json_text(told) if told else None


def progress_value(text: str | None) -> Progress:
    """Return what `progress_text` wrote."""
    if text is None:
        return NO_PROGRESS
    told = orjson.loads(text)
    if "before" in told:
        told["before"] = PluginSeen(**told["before"])
    if "inputs_changed" in told:
        told["inputs_changed"] = tuple(told["inputs_changed"])
    return Progress(**told)


def profiles_text(profiles: Sequence[str]) -> str | None:
    """Return a worker's profiles as JSON, None when it has none."""
    return json_text(sorted(set(profiles))) if profiles else None


def profiles_value(text: str | None) -> tuple[str, ...]:
    """Return what `profiles_text` wrote."""
    return () if text is None else tuple(orjson.loads(text))


def bucket_text(bucket: Bucket) -> str:
    """Return the bucket as JSON, whatever fields it has."""
    return json_text(bucket)


def bucket_value(text: str) -> Bucket:
    """Return what `bucket_text` wrote; fields of another edition are left out."""
    told = {name: value for name, value in orjson.loads(text).items() if name in _BUCKET_NAMES}
    lesson = told.get("lesson")
    if lesson is not None:
        named = lesson["named"]
        lesson["named"] = None if named is None else Limit(**named)
        lesson["source"] = Source(lesson["source"])
        told["lesson"] = Lesson(**lesson)
    return Bucket(**told)


def wish_text(wish: PluginWish, terms: Terms | None = None) -> str:
    """Return plug-in wish and terms as the JSON that their content address is computed from."""
    told: dict[str, object] = {
        "name": wish.name,
        "version": wish.version,
        "inputs": wish.inputs,
        "base": wish.base,
    }
    if wish.restore is not None:
        told["restore"] = wish.restore
    if terms is not None:
        told["terms"] = terms
    return json_text(told)


@lru_cache(maxsize=256)
def wish_value(text: str) -> tuple[PluginWish, Terms | None]:
    """Return what `wish_text` wrote; equal texts share their values, which nobody changes."""
    told = orjson.loads(text)
    wish = PluginWish(
        name=told["name"],
        version=told["version"],
        inputs=told["inputs"],
        base=InputsBase(told["base"]),
        restore=Restore(**told["restore"]) if "restore" in told else None,
    )
    return wish, _terms(told.get("terms"))


def _terms(told: dict[str, Any] | None) -> Terms | None:
    if told is None:
        return None
    backoff, require = Backoff(**told["backoff"]), tuple(told["require"])
    return Terms(**{**told, "backoff": backoff, "require": require})


def pack_digest(text: str) -> bytes | str:
    """Return a SHA-256 in lower-case hex as its 32 bytes, any other text as it stands."""
    if len(text) == 64:
        try:
            packed = bytes.fromhex(text)
        except ValueError:
            return text
        if packed.hex() == text:
            return packed
    return text


def unpack_digest(stored: bytes | str) -> str:
    """Return what `pack_digest` was given."""
    return stored if isinstance(stored, str) else stored.hex()


LATELY_S: Final = 300.0
LATELY_EVENTS: Final = 20_000
"""What a rate is taken from: the events of the last minutes, and not more than so many."""


def lately(
    created: int, ended: int, events: int, first_us: int | None, *, now_us: int
) -> list[Figure]:
    """Return the present rates from what was counted over the last LATELY_EVENTS events."""
    span_s = LATELY_S
    if events >= LATELY_EVENTS and first_us is not None:
        span_s = max((now_us - first_us) / MICROSECONDS, 0.001)
    return [
        Figure(name="created lately", value=round(created / span_s, 3), unit="/s"),
        Figure(name="ended lately", value=round(ended / span_s, 3), unit="/s"),
    ]
