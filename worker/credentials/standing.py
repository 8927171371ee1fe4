"""A credential that stands for its source: put together anew when the source has changed.

A worker runs for months, and a secret is mended in a file while it runs.  After a refusal the
source is read again, now and then; a changed secret takes the place of the refused one.  It
stays the same credential: limits and breakers have its name, so another access key takes a
new process.
"""

from collections.abc import Callable, Mapping

import anyio.to_thread
import structlog
from yarl import URL

from jobs.errors import ConfigError
from worker.credentials.sources import Source, mark_of, name_of
from worker.modelarts.auth import AkSkAuth, Authorizer, TokenAuth

log = structlog.get_logger()


class Standing:
    """Proves who we are as its source said when it was last read."""

    def __init__(
        self,
        source: Source,
        find: Callable[[], Source | None],
        build: Callable[[Source], Authorizer],
    ) -> None:
        """Begin with *source*.

        Args:
            source: As it was found.
            find: Reads it again; may raise `ConfigError`, and is called in a thread.
            build: Makes what proves it.
        """
        self._find = find
        self._build = build
        self._name = name_of(source)
        self._mark = mark_of(source)
        self._proves = build(source)
        self._told = False

    @property
    def expires_us(self) -> int | None:
        """When what is held now ends, in microseconds since 1970; None when nothing tells."""
        held = self._proves
        return held.expires_us if isinstance(held, AkSkAuth | TokenAuth) else None

    async def ready(self, url: URL) -> None:
        """Have what `headers` needs."""
        await self._proves.ready(url)

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:
        """Return the headers for this request."""
        return self._proves.headers(method, url, body, now_us)

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:
        """Take note that the cloud says the credential in *proof* has ended."""
        return self._proves.ended(url, proof)

    async def look_again(self) -> str:
        """Read the source, take what has changed, and return the mark of what is used now."""
        source = await self._source()
        if source is not None and mark_of(source) != self._mark:
            self._take(source)
        return self._mark

    async def renew(self) -> None:
        """Read the source and begin afresh: tokens and temporary keys are fetched anew."""
        source = await self._source()
        if source is not None:
            self._take(source)

    def _take(self, source: Source) -> None:
        self._proves = self._build(source)
        self._mark = mark_of(source)

    async def _source(self) -> Source | None:
        """Return the source as it is now; None while it cannot be used or is somebody else's."""
        try:
            source = await anyio.to_thread.run_sync(self._find)
        except ConfigError:
            return None  # somebody is writing it; what is held stays
        if source is None or name_of(source) == self._name:
            return source
        if not self._told:
            self._told = True
            log.warning("auth.replaced", credential=self._name, now=name_of(source))
        return None
