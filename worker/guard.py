"""One bad signature, not fifty: a breaker for each credential.

The cloud locks an access key for five minutes, for everybody who uses it, after more than
five bad signatures in a row.  So the first request of a credential goes alone, and everything
else waits until the cloud has accepted it.  The first refusal opens the breaker: no request
is sent with that credential any more, its jobs wait, other credentials go on.

The breaker is a row in the store, so that it holds for every worker and across restarts.  It
keeps a 32-bit mark of the secret that was refused: a changed secret is tried at once (alone),
the same one only after `plugwave doctor` has seen it accepted.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

import anyio
import structlog

from jobs.clock import Clock
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Bucket
from jobs.store.protocol import LimitStore

log = structlog.get_logger()

ASK_AGAIN_S: Final = 2.0
"""How often an open breaker asks the store whether it was closed."""

REFUSALS: Final = frozenset({Outcome.UNAUTHENTICATED})
"""Answers that say that the credential is wrong."""


class _State(Enum):
    UNPROVEN = "unproven"  # nobody knows whether the cloud accepts it
    PROVEN = "proven"
    OPEN = "open"  # the cloud refused it


class KeyGuard:
    """Lets requests of one credential pass, first one alone, none after a refusal."""

    def __init__(
        self, credential: str, mark: str | None, *, store: LimitStore, clock: Clock
    ) -> None:
        """Guard *credential*.

        Args:
            credential: Its name, no secret.
            mark: Changes when its secret does and tells nothing of it; None when there is no
                secret, so that there is nothing to find out.
            store: Where the breaker's row is.
            clock: For asking the store again.
        """
        self._key = f"breaker|{credential}"
        self._credential = credential
        self._mark = mark
        self._store = store
        self._clock = clock
        self._state = _State.PROVEN if mark is None else _State.UNPROVEN
        self._alone = anyio.Lock()
        self._ask_at = 0.0
        self.refusal: Answer | None = None

    @property
    def is_open(self) -> bool:
        """Whether the credential was refused."""
        return self._state is _State.OPEN

    @property
    def is_proven(self) -> bool:
        """Whether the cloud has accepted the credential: then nobody has to go alone."""
        return self._state is _State.PROVEN

    @property
    def alone(self) -> anyio.Lock:
        """Held by the one request that may go while nothing is proven."""
        return self._alone

    async def admits(self) -> bool:
        """Whether a request may be sent now; asks the store while nothing is proven."""
        if self._state is _State.PROVEN:
            return True
        now = self._clock.monotonic()
        if self._state is _State.OPEN and now < self._ask_at:
            return False
        self._ask_at = now + ASK_AGAIN_S
        row = await self._row()
        if row.refused is not None and row.refused == self._mark:
            self._open()
            return False
        if self._state is _State.OPEN:
            log.info("breaker.closed", credential=self._credential)
            self._state = _State.UNPROVEN
            self.refusal = None
        return True

    async def learn(self, answer: Answer | None) -> None:
        """Take note of how a request ended; None is a success."""
        if answer is not None and answer.outcome in REFUSALS:
            self.refusal = answer
            if self._state is not _State.OPEN:
                self._open()
                log.error(
                    "breaker.opened",
                    credential=self._credential,
                    status=answer.http_status,
                    error_code=answer.error_code,
                    message=answer.message,
                    request_id=answer.request_id,
                )
                await self._write(self._mark)
        elif self._state is _State.UNPROVEN and (answer is None or _is_complete(answer)):
            self._state = _State.PROVEN
            await self.close()

    async def close(self) -> None:
        """Forget the refusal, in the store too: the credential has been accepted."""
        if (await self._row()).refused is not None:
            await self._write(None)

    def _open(self) -> None:
        self._state = _State.OPEN
        self._ask_at = self._clock.monotonic() + ASK_AGAIN_S

    async def _row(self) -> Bucket:
        def look(rows: Mapping[str, Bucket], _now: int) -> tuple[Mapping[str, Bucket], Bucket]:
            return {}, rows.get(self._key, Bucket())

        return await self._store.update_buckets([self._key], look)

    async def _write(self, mark: str | None) -> None:
        def change(rows: Mapping[str, Bucket], _now: int) -> tuple[Mapping[str, Bucket], None]:
            return {self._key: replace(rows.get(self._key, Bucket()), refused=mark)}, None

        await self._store.update_buckets([self._key], change)


def _is_complete(answer: Answer) -> bool:
    """Whether the cloud itself has answered, whatever it said: then it knows who we are."""
    return answer.http_status is not None and answer.error_code is not None
