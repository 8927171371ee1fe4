"""Whose trouble is it: the endpoint's, the credential's, or one job's.

A job never waits for the network by itself: it looks again after a backoff.  What a person
must know is kept here: since when an endpoint gives no answer at all, and which credentials
the cloud refused.  `work --until-empty` gives up on these, a standing worker goes on.
"""

from dataclasses import dataclass, field
from typing import Final

import structlog

from jobs.clock import Clock
from jobs.outcomes import BY_OUTCOME, Answer, Trouble

log = structlog.get_logger()

NEVER_REACHED_S: Final = 15.0
"""How long an endpoint that never answered is tried before a finite run gives up."""

SAY_AGAIN_S: Final = 10.0
"""The same trouble is logged at most this often."""


@dataclass(slots=True)
class Troubles:
    """What is wrong beyond single jobs."""

    clock: Clock
    unreachable_since: float | None = None
    ever_reached: bool = False
    last: Answer | None = None
    refused: dict[str, Answer] = field(default_factory=dict)
    """What the cloud said to each credential that it does not let in, by the credential's name."""

    _said: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def reached(self) -> None:
        """The cloud gave a complete answer."""
        if self.unreachable_since is not None:
            log.info("cloud.reachable")
        self.unreachable_since = None
        self.ever_reached = True

    def accepted(self, credential: str) -> None:
        """The cloud did what it was asked for with *credential*."""
        if self.refused:
            self.refused.pop(credential, None)
        self.reached()

    def met(self, answer: Answer, endpoint: str, credential: str) -> None:
        """Take note of an answer to *credential* that was not a success."""
        if answer.http_status is not None:
            self.reached()
        trouble = BY_OUTCOME[answer.outcome].trouble
        if trouble is Trouble.ENDPOINT:
            if self.unreachable_since is None:
                self.unreachable_since = self.clock.monotonic()
            self._say("cloud.unreachable", answer, endpoint, credential)
        elif trouble is Trouble.CREDENTIAL:
            self.refused[credential] = answer
            self._say("auth.denied", answer, endpoint, credential)
        elif trouble is Trouble.RATE:
            self._say("cloud.throttled", answer, endpoint, credential)
        self.last = answer

    def unreachable_for(self) -> float:
        """Return for how many seconds no endpoint has answered; 0 when all is well."""
        if self.unreachable_since is None:
            return 0.0
        return self.clock.monotonic() - self.unreachable_since

    def hopeless(self, unreachable_after_s: float) -> bool:
        """Whether a finite run should stop waiting for the endpoint."""
        patience = unreachable_after_s if self.ever_reached else NEVER_REACHED_S
        return self.unreachable_for() > min(patience, unreachable_after_s)

    def sentence(self) -> str | None:
        """Return one line for a person, or None."""
        if self.refused:
            name, answer = next(iter(self.refused.items()))
            more = f" and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
            why = answer.message or "no reason given"
            return f"the cloud refused the credential {name}{more}: {why}"
        if self.unreachable_since is not None and self.last is not None:
            what = BY_OUTCOME[self.last.outcome].what
            return f"no answer from the cloud for {self.unreachable_for():.0f}s: {what}"
        return None

    def _say(self, event: str, answer: Answer, endpoint: str, credential: str) -> None:
        now = self.clock.monotonic()
        said = (event, endpoint, credential)
        if now - self._said.get(said, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        self._said[said] = now
        log.warning(
            event,
            endpoint=endpoint,
            credential=credential,
            outcome=answer.outcome.value,
            status=answer.http_status,
            error_code=answer.error_code,
            message=answer.message,
            request_id=answer.request_id,
        )
