"""Which entry explains a failure, and the fingerprint that groups failures of one cause.

A code explains only the cause it led to: a job that ran into its deadline still remembers
the code of an earlier answer, and that code is not why it failed.  So a code counts when the
cause is an outcome of a request of the same class, a reason text when the plug-in is
Abnormal, and in every other case the cause itself is the explanation.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.catalogue.blanking import blanked
from jobs.catalogue.entries import Entry, Language, Retry, Text
from jobs.catalogue.lookup import cause_entry, family_of, find, reason_entry, unknown_entry
from jobs.causes import ABNORMAL
from jobs.outcomes import Outcome

HASH_DIGITS: Final = 12
"""Hex digits of a fingerprint: 48 bits, for a few hundred causes of one store."""

_ANSWERS: Final = frozenset(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseKey:
    """What groups failures: equal for equal causes, in every run and process.

    ``hash`` is the beginning of a SHA-256 in hex; ``title`` is in English.
    """

    hash: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the catalogue makes of a failure.

    Attributes:
        entry: The nearest entry.
        known: Whether the catalogue knows this very failure; else only what kind it is.
        said: The blanked message, where that tells failures apart; else empty.
        hash: Equal for equal causes: the beginning of a SHA-256 in hex.
    """

    entry: Entry
    known: bool
    said: str
    hash: str

    @property
    def retry(self) -> Retry:
        """Whether asking again can help."""
        return self.entry.retry

    def text(self, language: Language = Language.EN) -> Text:
        """Return what a person is told; an unknown failure says that it is unknown."""
        told = self.entry.texts[language]
        repeats = self.said in {"", told.title.lower()}
        title = told.title if repeats else f"{told.title}: {self.said}"
        likely = told.likely if self.known else unknown_entry().texts[language].likely
        return Text(title=title, likely=likely, do=told.do)


def diagnose(
    cause: str | None,
    error_code: str | None,
    http_status: int | None,
    message: str,
    *,
    names: Iterable[str] = (),
) -> Diagnosis:
    """Return what the catalogue makes of a failure.

    Args:
        cause: The word of the record; None when none was recorded.
        error_code: The cloud's code as it spells it.
        http_status: Of the last complete answer.
        message: What the cloud said: the reason text of an Abnormal plug-in, else its message.
        names: Particular names to blank out of the message, see `blanked`.
    """
    base = None if cause is None else cause_entry(cause, message)
    found = _beyond_the_word(base, cause, error_code, http_status, message)
    fits = found is not None and (base is None or found.cause_class == base.cause_class)
    entry = (found if fits else base) or unknown_entry()
    known = found is not None or (base is not None and not _says_more(cause, error_code))
    said = blanked(message, names) if entry.open or not known else ""
    facts: list[str | None] = [cause, entry.key, said]
    if not known:
        facts += [_spelled(error_code), None if http_status is None else str(http_status)]
    return Diagnosis(entry=entry, known=known, said=said, hash=_hash(facts))


def _beyond_the_word(
    base: Entry | None,
    cause: str | None,
    error_code: str | None,
    http_status: int | None,
    message: str,
) -> Entry | None:
    """Return the entry for what was said beside the cause word; None when there is none."""
    if cause == ABNORMAL:
        return reason_entry(message)
    if base is not None and cause not in _ANSWERS:
        return None
    return find(http_status, error_code, message)


def _says_more(cause: str | None, error_code: str | None) -> bool:
    """Whether something was said beside the cause word that the catalogue should know."""
    return cause == ABNORMAL or (cause in _ANSWERS and error_code is not None)


def fingerprint(
    cause: str | None,
    error_code: str | None,
    http_status: int | None,
    message: str,
    *,
    names: Iterable[str] = (),
) -> CauseKey:
    """Return what groups a failure with others of its cause; arguments as for `diagnose`."""
    found = diagnose(cause, error_code, http_status, message, names=names)
    return CauseKey(hash=found.hash, title=found.text().title)


def _spelled(error_code: str | None) -> str | None:
    """Return a code that has no entry in the one spelling that all gateways share."""
    if error_code is None:
        return None
    family = family_of(error_code)
    return error_code.lower() if family is None else ".".join(family)


def _hash(facts: Sequence[str | None]) -> str:
    canonical = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]
