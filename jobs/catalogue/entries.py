"""What an entry of the catalogue is: frozen values and closed lists of words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

LOOKED_AT: Final = 2_000
"""Characters of a message that are read; the cloud's texts are shorter."""


class Language(StrEnum):
    """The languages every entry is written in."""

    EN = "en"
    ZH = "zh"


class Retry(StrEnum):
    """Whether asking again can help."""

    YES = "yes"
    AFTER_FIX = "after-fix"
    WAIT = "wait"  # yes, once a time is over
    NO = "no"


class Family(StrEnum):
    """Who speaks, or what the entry is about."""

    MODELARTS = "modelarts"  # codes ModelArts.…
    GATEWAY = "gateway"  # codes APIG.…, APIGW.… and APIC.…, by their digits
    CAUSE = "cause"  # words of `jobs.causes`
    REASON = "reason"  # why a plug-in is Abnormal, by its reason text
    OURS = "ours"  # codes of `jobs.errors`
    UNKNOWN = "unknown"  # the one entry for what is in no other


RETRY_WORDS: Final[Mapping[Language, Mapping[Retry, str]]] = MappingProxyType(
    {
        Language.EN: MappingProxyType(
            {
                Retry.YES: "worth a retry",
                Retry.AFTER_FIX: "worth a retry after a fix",
                Retry.WAIT: "worth a retry later",
                Retry.NO: "a retry cannot help",
            }
        ),
        Language.ZH: MappingProxyType(
            {
                Retry.YES: "可以重试",
                Retry.AFTER_FIX: "修复后可以重试",
                Retry.WAIT: "稍后可以重试",
                Retry.NO: "重试无效",
            }
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What a person is told: what it is, why it probably happened, what to do about it.

    ``do`` says what to mend and never to retry; ``Entry.retry`` says whether that helps.
    """

    title: str
    likely: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that can go wrong.

    Attributes:
        key: Unique and stable, because fingerprints are made from it.
        family: Who speaks.
        codes: Digits of a cloud code, a cause, a word of Kubernetes, or one of our codes.
        statuses: HTTP statuses it comes with; empty where none is stated.
        pattern: Which messages it is about, in lower case; None for all that no other takes.
        cause_class: The class of `jobs.outcomes` and `jobs.causes`.
        retry: Whether asking again can help.
        open: The message says more than the code, so it tells failures apart.
        texts: What a person is told, by language.
    """

    key: str
    family: Family
    codes: tuple[str, ...]
    statuses: tuple[int, ...]
    pattern: re.Pattern[str] | None
    cause_class: str
    retry: Retry
    open: bool
    texts: Mapping[Language, Text]

    def says(self, message: str) -> bool:
        """Whether *message* is one that this entry is about."""
        # Searching a lowered text is several times faster than ignoring case in the pattern.
        lowered = message[:LOOKED_AT].lower()
        return self.pattern is None or self.pattern.search(lowered) is not None

    def names(self) -> tuple[str, ...]:
        """Return how people write it: ``APIGW.0301``, ``ModelArts.50015001``, ``abnormal``."""
        prefix = _PREFIXES.get(self.family, "")
        return tuple(f"{prefix}{code}" for code in self.codes)


_PREFIXES: Final[Mapping[Family, str]] = MappingProxyType(
    {Family.MODELARTS: "ModelArts.", Family.GATEWAY: "APIGW."}
)
