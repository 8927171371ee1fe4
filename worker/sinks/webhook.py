"""A webhook: one signed POST per message, as Standard Webhooks say.

Only 2xx is success, no redirect is followed, little is read of the answer, and every call
has a time limit.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from standardwebhooks.webhooks import Webhook

from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.outbox.profile import WebhookPlace
from jobs.outbox.turns import Tried
from worker.brokers.choosing import address_at
from worker.sinks.guard import GuardedResolver, RefusedAddressError, refused_host

TIMEOUT_S: Final = 15.0
READ_BYTES: Final = 64 * 1024
GONE: Final = 410
LEAST_SECRET: Final = 32
"""Characters: the base64 of 24 bytes, the least that the standard wants."""

ONE: Final = "application/cloudevents+json"
MANY: Final = "application/cloudevents-batch+json"


class WebhookReceiver:
    """One receiver by HTTP."""

    def __init__(
        self,
        place: WebhookPlace,
        clock: Clock,
        *,
        batched: bool,
        environ: Mapping[str, str] | None = None,
        resolver: GuardedResolver | None = None,
    ) -> None:
        """Read the address and the secrets from where they stand.

        Raises:
            ConfigError: If one is not there, or the address may not be called.
        """
        around = os.environ if environ is None else environ
        self._clock = clock
        self._batched = batched
        self._private = place.private
        self._resolver = resolver
        self._url = _checked(address_at(place.url, around), place)
        self._keys = [_key(address_at(where, around), where) for where in place.secrets]
        self._session: aiohttp.ClientSession | None = None

    place = "webhook"

    async def open(self) -> None:
        """See `Receiver`."""
        resolver = None if self._private else self._resolver or GuardedResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=2),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def send(self, message: str, events: Sequence[Mapping[str, Any]]) -> Tried:
        """See `Receiver`."""
        assert self._session is not None
        body = orjson.dumps(list(events) if self._batched else events[0])
        try:
            async with self._session.post(
                self._url, data=body, headers=self._heads(message, body), allow_redirects=False
            ) as answer:
                await answer.content.read(READ_BYTES)
                return self._outcome(answer)
        except RefusedAddressError:
            return Tried(ok=False, outcome="refused: the name leads to a private address")
        except (aiohttp.ClientConnectorDNSError, aiohttp.ClientConnectorError) as error:
            if isinstance(error.__cause__ or error.os_error, RefusedAddressError):
                return Tried(ok=False, outcome="refused: the name leads to a private address")
            return Tried(ok=False, outcome="no connection")
        except TimeoutError:
            return Tried(ok=False, outcome=f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Tried(ok=False, outcome=type(error).__name__)

    def _heads(self, message: str, body: bytes) -> dict[str, str]:
        """Return the signed headers; every secret signs, so that one can be changed."""
        now_us = self._clock.wall_us()
        at = datetime.fromtimestamp(now_us / 1_000_000, UTC)
        text = body.decode()
        signed = [key.sign(message, at, text) for key in self._keys]
        return {
            "webhook-id": message,
            "webhook-timestamp": str(now_us // 1_000_000),
            "webhook-signature": " ".join(signed),
            "content-type": MANY if self._batched else ONE,
            "user-agent": "plugwave",
        }

    def _outcome(self, answer: aiohttp.ClientResponse) -> Tried:
        if 200 <= answer.status < 300:
            return Tried(ok=True, outcome="delivered")
        wait_s = self._retry_after_s(answer.headers.get("Retry-After"))
        gone = answer.status == GONE
        told = f"answered {answer.status}"
        return Tried(ok=False, outcome=told, retry_after_s=wait_s, gone=gone)

    def _retry_after_s(self, text: str | None) -> float | None:
        """Return the seconds of a Retry-After, in either of its forms."""
        if text is None:
            return None
        if text.strip().isdecimal():
            return float(text)
        now = datetime.fromtimestamp(self._clock.wall_us() / 1_000_000, UTC)
        try:
            return (parsedate_to_datetime(text) - now) / timedelta(seconds=1)
        except (TypeError, ValueError):
            return None

    async def close(self) -> None:
        """See `Receiver`."""
        if self._session is not None:
            await self._session.close()


def _checked(url: str, place: WebhookPlace) -> str:
    """Return the address, which no error shows.

    Raises:
        ConfigError: If it may not be called.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ConfigError("the webhook's address cannot be read", do="write it anew") from None
    if place.private:
        return url
    if parts.scheme != "https":
        what = "the webhook's address is not https"
        raise ConfigError(what, do="use https, or private: true inside your own network")
    if parts.username or parts.password:
        what = "the webhook's address holds a user or password"
        raise ConfigError(what, do="use a path with a token; receivers verify the signature")
    if port not in place.ports:
        raise ConfigError(f"port {port} may not be called", do="name it in spec.to.webhook.ports")
    if refused_host(parts.hostname):
        what = "the webhook's address is one of a private network"
        raise ConfigError(what, do="set private: true if it is yours and meant to be called")
    return url


def _key(secret: str, where: str) -> Webhook:
    """Return what signs with a secret.

    Raises:
        ConfigError: If it is none, or too short to keep a secret.
    """
    bare = secret.removeprefix("whsec_")
    if len(bare) >= LEAST_SECRET:
        with suppress(RuntimeError, ValueError):
            return Webhook(secret)
    raise ConfigError(
        f"what stands at {where} is no webhook secret",
        do="make one: whsec_ and the base64 of 24 to 64 random bytes",
    )
