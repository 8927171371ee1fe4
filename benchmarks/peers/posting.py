"""What a job of every peer does: one POST with the session of the bare loop."""

import time

import aiohttp
from yarl import URL

from benchmarks.bare import ask, tuned_session
from benchmarks.works import POST, PROJECT

AT_ONCE = 64
"""Jobs at a time where a library lets its user say, as in the bare loop."""


class Poster:
    """Posts job after job, and knows when the last one was answered."""

    def __init__(self, base: str, jobs: int) -> None:
        self._base = f"{base}/v2/{PROJECT}/pools/{POST.pool}-{time.monotonic_ns()}"
        self._session: aiohttp.ClientSession | None = None
        self._left = jobs
        self.started = time.monotonic()
        self.wall = 0.0
        """Seconds from the start to the last answer."""

    @property
    def done(self) -> bool:
        """Whether every job was posted."""
        return self._left <= 0

    async def post(self, number: int) -> None:
        """Do one job."""
        if self._session is None:
            self._session = tuned_session()
        url = URL(f"{self._base}-{number}/plugins", encoded=True)
        await ask(self._session, url, "P")
        self._left -= 1
        self.wall = time.monotonic() - self.started

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
