"""Whose trouble is it: the endpoint's, the credential's, or one job's.

A job never waits for the network by itself: it looks again after a backoff.  What a person
must know is kept here: since when an endpoint gives no answer at all, and whether the cloud
refused the credential.  `work --until-empty` gives up on these, a standing worker goes on.
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
    refused: Answer | None = None
    _said: dict[str, float] = field(default_factory=dict)

    def reached(self) -> None:
        """The cloud gave a complete answer."""
        if self.unreachable_since is not None:
            log.info("cloud.reachable")
        self.unreachable_since = None
        self.ever_reached = True

    def accepted(self) -> None:
        """The cloud did what was asked."""
        self.refused = None
        self.reached()

    def met(self, answer: Answer, endpoint: str) -> None:
        """Take note of an answer that was not a success."""
        if answer.http_status is not None:
            self.reached()
        trouble = BY_OUTCOME[answer.outcome].trouble
        if trouble is Trouble.ENDPOINT:
            if self.unreachable_since is None:
                self.unreachable_since = self.clock.monotonic()
            self._say("cloud.unreachable", answer, endpoint)
        elif trouble is Trouble.CREDENTIAL:
            self.refused = answer
            self._say("auth.denied", answer, endpoint)
        elif trouble is Trouble.RATE:
            self._say("cloud.throttled", answer, endpoint)
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
        if self.refused is not None:
            return f"the cloud refused the credential: {self.refused.message or 'no reason given'}"
        if self.unreachable_since is not None and self.last is not None:
            what = BY_OUTCOME[self.last.outcome].what
            return f"no answer from the cloud for {self.unreachable_for():.0f}s: {what}"
        return None

    def _say(self, event: str, answer: Answer, endpoint: str) -> None:
        now = self.clock.monotonic()
        if now - self._said.get(event, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        self._said[event] = now
        log.warning(
            event,
            endpoint=endpoint,
            outcome=answer.outcome.value,
            status=answer.http_status,
            error_code=answer.error_code,
            message=answer.message,
            request_id=answer.request_id,
        )
