"""The words of a checkup: one line for each thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from jobs.catalogue.diagnosis import diagnose
from jobs.errors import (
    CloudUnreachableError,
    ConfigError,
    CredentialsRefusedError,
    PlugwaveError,
)
from jobs.outcomes import Answer, Outcome
from worker.wording import proof_of, words

REFUSED = frozenset({Outcome.UNAUTHENTICATED, Outcome.FORBIDDEN, Outcome.QUOTA_SPENT})
"""The cloud knows us and says no, or does not know us."""

MEANT_OTHERWISE = frozenset({Outcome.NOT_FOUND, Outcome.NO_SUCH_API, Outcome.NOT_SENDABLE})
"""There is nothing where the settings lead."""


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """One line of the doctor: what was looked at, what was seen, what to do.

    *error* is set on a line that failed: it says why, what to do, and with which code to leave.
    """

    verdict: Verdict
    topic: str
    text: str
    do: str | None = None
    error: PlugwaveError | None = None

    @classmethod
    def ok(cls, topic: str, text: str) -> Self:
        """Return a line about something that is as it should be."""
        return cls(verdict=Verdict.OK, topic=topic, text=text)

    @classmethod
    def warn(cls, topic: str, text: str, do: str | None = None) -> Self:
        """Return a line about something that works, and that somebody should know of."""
        return cls(verdict=Verdict.WARN, topic=topic, text=text, do=do)

    @classmethod
    def skip(cls, topic: str, text: str) -> Self:
        """Return a line about something that was not looked at."""
        return cls(verdict=Verdict.SKIP, topic=topic, text=text)

    @classmethod
    def fail(cls, topic: str, error: PlugwaveError) -> Self:
        """Return a line about something that must be mended."""
        return cls(verdict=Verdict.FAIL, topic=topic, text=str(error), do=error.do, error=error)

    def as_dict(self) -> dict[str, object]:
        """Return the line as JSON has it."""
        told: dict[str, object] = {
            "check": self.topic,
            "verdict": self.verdict.value,
            "text": self.text,
        }
        if self.error is not None:
            said = self.error.as_dict()
            told |= {name: said[name] for name in ("code", "why", "proof") if name in said}
        return told | ({} if self.do is None else {"do": self.do})


def error_of(answer: Answer, what: str) -> PlugwaveError:
    """Return the error that stands for an answer that was not the wanted one.

    Args:
        answer: What came.
        what: What was tried, for people: ``the pools of 0a1b… could not be read``.
    """
    kind: type[PlugwaveError] = CloudUnreachableError
    if answer.outcome in REFUSED:
        kind = CredentialsRefusedError
    elif answer.outcome in MEANT_OTHERWISE:
        kind = ConfigError
    told = diagnose(
        answer.outcome.value, answer.error_code, answer.http_status, answer.message
    ).text()
    return kind(
        f"{what}: {words(answer.message)}", why=told.likely, do=told.do, proof=proof_of(answer)
    )
