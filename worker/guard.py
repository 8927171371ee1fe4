"""One bad signature, not fifty: a breaker for each credential.

The cloud locks an access key for five minutes, for everybody who uses it, after more than
five bad signatures in a row.  So the first request of a credential goes alone, and everything
else waits until the cloud has accepted it.  The first refusal opens the breaker: no request
is sent with that credential any more, its jobs wait, other credentials go on.

The breaker is a row in the store, so that it holds for every worker and across restarts.  It
keeps a 32-bit mark of the secret that was refused: a changed secret is tried at once (alone),
the same one only after `plugwave doctor` has seen it accepted.  That another secret was
accepted says nothing for the one that was refused: its mark stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

import anyio
import structlog

from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Bucket
from jobs.store.protocol import LimitStore

log = structlog.get_logger()

ASK_AGAIN_S: Final = 2.0
"""How often an open breaker asks the store whether it was closed."""

SHOWN_IN_A_ROW: Final = 4
"""How often a secret that is refused each time may be shown again before it rests, …"""

REST_S: Final = 300.0
"""… for as long as the cloud locks a key after six bad signatures in a row."""

REFUSALS: Final = frozenset({Outcome.UNAUTHENTICATED})
"""Answers that say that the credential is wrong."""


class _State(Enum):
    UNPROVEN = "unproven"  # nobody knows whether the cloud accepts it
    PROVEN = "proven"
    OPEN = "open"  # the cloud refused it


class LastingSource(Protocol):
    """Where a credential is from, for reading it again after a refusal."""

    async def look_again(self) -> str:
        """Read it, take what has changed, and return the mark of what is used now."""
        ...

    async def renew(self) -> None:
        """Begin afresh: what is fetched with it is fetched anew."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the store knew when a probe began.

    Attributes:
        refused: Whether the cloud refused this very secret before.
        rest_s: How long it must not be shown again; 0 when it may be.
    """

    refused: bool
    rest_s: float


class KeyGuard:
    """Lets requests of one credential pass, first one alone, none after a refusal."""

    def __init__(
        self,
        credential: str,
        mark: str | None,
        *,
        store: LimitStore,
        clock: Clock,
        source: LastingSource | None = None,
    ) -> None:
        """Guard *credential*.

        Args:
            credential: Its name, no secret.
            mark: Changes when its secret does and tells nothing of it; None when there is no
                secret, so that there is nothing to find out.
            store: Where the breaker's row is.
            clock: For asking the store again.
            source: Is read again while the breaker is open.
        """
        self._key = f"breaker|{credential}"
        self._credential = credential
        self._mark = mark
        self._store = store
        self._clock = clock
        self._state = _State.PROVEN if mark is None else _State.UNPROVEN
        self._source = source
        self._probing = False
        self._alone = anyio.Lock()
        self._ask_at = 0.0
        self.refusal: Answer | None = None

    @property
    def credential(self) -> str:
        """The name of the credential it guards; no secret."""
        return self._credential

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

    async def probe(self) -> Before:
        """Let one request go although the secret was refused before; `close` alone closes then.

        For a person who asks.  A secret that was refused SHOWN_IN_A_ROW times rests, so that
        asking again and again does not lock the key for everybody.
        """

        def look(rows: Mapping[str, Bucket], now_us: int) -> tuple[Mapping[str, Bucket], Before]:
            row = rows.get(self._key, Bucket())
            refused = row.refused is not None and row.refused == self._mark
            left_us = row.blocked_us - now_us if row.strikes >= SHOWN_IN_A_ROW else 0
            rest_s = max(left_us, 0) / MICROSECONDS if refused else 0.0
            return {}, Before(refused=refused, rest_s=rest_s)

        before = await self._store.update_buckets([self._key], look)
        self._probing = True
        if before.rest_s:
            self._open()
        return before

    async def admits(self) -> bool:
        """Whether a request may be sent now; asks the store while nothing is proven."""
        if self._state is _State.PROVEN:
            return True
        if self._probing:
            return self._state is not _State.OPEN
        now = self._clock.monotonic()
        if self._state is _State.OPEN and now < self._ask_at:
            return False
        self._ask_at = now + ASK_AGAIN_S
        changed = self._state is _State.OPEN and await self._look_again()
        if await self._is_refused():
            self._open()
            return False
        if self._state is _State.OPEN:
            log.info("breaker.closed", credential=self._credential)
            if not changed and self._source is not None:
                await self._source.renew()
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
                await self._note_refusal()
        elif self._state is _State.UNPROVEN and (answer is None or _is_complete(answer)):
            self._state = _State.PROVEN
            if not self._probing:
                await self.close()

    async def close(self) -> bool:
        """Forget the refusal, in the store too: this very secret has been accepted.

        Returns:
            Whether the breaker was open for it.
        """
        if self._mark is None or not await self._is_refused():
            return False

        def change(rows: Mapping[str, Bucket], _now: int) -> tuple[Mapping[str, Bucket], bool]:
            row = rows.get(self._key, Bucket())
            if row.refused != self._mark:
                return {}, False
            return {self._key: replace(row, refused=None, strikes=0, blocked_us=0)}, True

        return await self._store.update_buckets([self._key], change)

    async def _look_again(self) -> bool:
        """Read the source; return whether there is another secret now."""
        if self._source is None:
            return False
        mark = await self._source.look_again()
        changed = mark != self._mark
        self._mark = mark
        return changed

    def _open(self) -> None:
        self._state = _State.OPEN
        self._ask_at = self._clock.monotonic() + ASK_AGAIN_S

    async def _is_refused(self) -> bool:
        def look(rows: Mapping[str, Bucket], _now: int) -> tuple[Mapping[str, Bucket], str | None]:
            return {}, rows.get(self._key, Bucket()).refused

        refused = await self._store.update_buckets([self._key], look)
        return refused is not None and refused == self._mark

    async def _note_refusal(self) -> None:
        def change(rows: Mapping[str, Bucket], now_us: int) -> tuple[Mapping[str, Bucket], None]:
            row = rows.get(self._key, Bucket())
            before = row.strikes if row.refused == self._mark else 0
            until_us = now_us + seconds_to_us(REST_S)
            new = replace(row, refused=self._mark, strikes=before + 1, blocked_us=until_us)
            return {self._key: new}, None

        await self._store.update_buckets([self._key], change)


def _is_complete(answer: Answer) -> bool:
    """Whether the cloud itself has answered, whatever it said: then it knows who we are."""
    return answer.http_status is not None and answer.error_code is not None
