"""Keep a credential that ends: renew it early, once for everybody who waits.

The old one is served while it is valid, also when its renewal fails; then the next try waits
for a backoff.  Nothing runs in the background: the first request that finds the credential
old renews it, the others go on with what there is, or wait for the one renewal when there is
nothing left.

A credential's end is an instant of the world's, so it is compared with the wall clock; how long
a failed renewal rests is measured.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

import anyio
import structlog

from jobs.clock import Clock, iso, seconds_to_us
from jobs.outcomes import Answer, Outcome
from worker.modelarts.auth import NoCredentialError

log = structlog.get_logger()

EARLY_S: Final = 2400.0
"""Renewed when less than 40 minutes are left, as the official SDK does, …"""

EARLY_SHARE: Final = 0.25
"""… or less than a quarter of its life, whichever is later."""

YOUNG_S: Final = 60.0
"""A credential that was fetched because the one before had ended, and is refused as ended sooner
than this, is not old: it is wrong (of another region), and the next would be refused as well."""

FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
"""Between failed renewals: doubled from the first to the longest, which follows a refusal at
once: six in a row lock a key or a user for everybody."""

NEVER_US: Final = 2**62


class Ending(Protocol):
    """Something that may end."""

    @property
    def expires_us(self) -> int | None:
        """When, in microseconds since 1970; None when that is not known."""
        ...


T = TypeVar("T", bound=Ending)


class Renewing(Generic[T]):
    """Holds the credential that *fetch* brings, and has it brought anew."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock, what: str) -> None:
        """Begin without one.

        Args:
            fetch: Brings one; raises `NoCredentialError`.
            clock: What the end is measured with.
            what: What it is, for logs; no secret.
        """
        self._fetch = fetch
        self._clock = clock
        self._what = what
        self._lock = anyio.Lock()
        self._value: T | None = None
        self._ended = False
        self._replaced_an_ended_one = False
        self._fetched_at = 0.0
        self._renew_us = 0
        self._retry_at = 0.0
        self._failures = 0
        self._failure = _none_yet(what)

    def current(self) -> T:
        """Return the latest credential, whether or not it has ended meanwhile.

        Raises:
            NoCredentialError: If there has never been one.
        """
        if self._value is None:
            raise NoCredentialError(self._failure)
        return self._value

    async def ready(self) -> None:
        """Have one that lasts; renew it when that is due and nobody else is at it.

        Raises:
            NoCredentialError: If there is none, and none can be had now.
        """
        now_us = self._clock.wall_us()
        if now_us < self._renew_us:
            return
        if self._is_valid(now_us) and (self._rests() or self._lock.locked()):
            return
        async with self._lock:
            await self._renew()

    def invalidate(self, used: T) -> bool:
        """Have it renewed because the cloud says that *used* has ended.

        Returns:
            False if another one would be refused as well.
        """
        if used is not self._value or self._ended:
            return True
        age_s = self._clock.monotonic() - self._fetched_at
        if self._replaced_an_ended_one and age_s < YOUNG_S:
            return False
        self._ended = True
        self._renew_us = 0
        self._retry_at = 0.0
        return True

    async def _renew(self) -> None:
        """Fetch, unless somebody else has just done so or has just failed to."""
        now_us = self._clock.wall_us()
        if now_us < self._renew_us:
            return
        valid = self._is_valid(now_us)
        if not self._rests():
            try:
                self._accept(await self._fetch())
            except NoCredentialError as error:
                self._note(error.answer)
            else:
                return
        if not valid:
            # Without the cause: its frames have held the secret.
            raise NoCredentialError(self._failure) from None

    def _rests(self) -> bool:
        """Whether the last renewal failed so lately that none is tried now."""
        return self._clock.monotonic() < self._retry_at

    def _accept(self, value: T) -> None:
        now_us = self._clock.wall_us()
        end_us = value.expires_us
        if end_us is not None and end_us <= now_us:
            detail = f"the new {self._what} ended at {iso(end_us)}, and here it is {iso(now_us)}"
            message = f"{detail}; the clock of this machine is wrong"
            raise NoCredentialError(
                Answer(outcome=Outcome.CONNECT_TIMEOUT, sent=False, message=message)
            )
        self._replaced_an_ended_one = self._ended
        self._value, self._fetched_at = value, self._clock.monotonic()
        self._ended, self._failures, self._retry_at = False, 0, 0.0
        self._renew_us = NEVER_US if end_us is None else end_us - _early_us(end_us - now_us)
        log.info("auth.renewed", what=self._what, until=iso(end_us))

    def _note(self, failure: Answer) -> None:
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failures, 10), LONGEST_PAUSE_S)
        if failure.outcome is Outcome.UNAUTHENTICATED:
            pause_s = LONGEST_PAUSE_S
        self._failures += 1
        self._failure = failure
        now_us = self._clock.wall_us()
        self._retry_at = self._clock.monotonic() + pause_s
        log.warning(
            "auth.renewal_failed",
            what=self._what,
            message=failure.message,
            status=failure.http_status,
            error_code=failure.error_code,
            request_id=failure.request_id,
            still_valid=self._is_valid(now_us),
            retry_in_s=pause_s,
        )

    def _is_valid(self, now_us: int) -> bool:
        if self._value is None or self._ended:
            return False
        return self._value.expires_us is None or now_us < self._value.expires_us


def _early_us(life_us: int) -> int:
    return min(seconds_to_us(EARLY_S), int(life_us * EARLY_SHARE))


def _none_yet(what: str) -> Answer:
    return Answer(
        outcome=Outcome.CONNECT_TIMEOUT, sent=False, message=f"no {what} has been asked for yet"
    )
