"""The measure: a bare tuned aiohttp loop that makes the same requests and nothing else.

    python -m benchmarks.bare URL JOBS PATTERN POOL

PATTERN is what one job asks, such as GPGG; POOL is how the pools' names begin.  Prints JSON:
CPU seconds, wall seconds and memory.
"""

import json
import sys
import time

import aiohttp
import anyio
from yarl import URL

from benchmarks.processes import peak_mb
from benchmarks.works import BODY, PROJECT

AT_ONCE = 64


def tuned_session() -> aiohttp.ClientSession:
    """Return a session with the settings of the performance notes, section 1."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def ask(session: aiohttp.ClientSession, url: URL, method: str) -> None:
    """Make one request and parse its answer."""
    if method == "P":
        call = session.post(
            url, data=BODY, headers={"Content-Type": "application/json"}, allow_redirects=False
        )
    else:
        call = session.get(url, allow_redirects=False)
    async with call as answer:
        json.loads(await answer.read())


async def main(base: str, jobs: int, pattern: str, pool: str) -> None:
    """Do the jobs, AT_ONCE at a time."""
    numbers = iter(range(jobs))
    run = time.monotonic_ns()
    async with tuned_session() as session:

        async def worker() -> None:
            for number in numbers:
                path = f"{base}/v2/{PROJECT}/pools/{pool}-{run}-{number}/plugins"
                url = URL(path, encoded=True)
                for method in pattern:
                    await ask(session, url, method)

        before, cpu = time.monotonic(), time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(worker)
        told = {
            "cpu": time.process_time() - cpu,
            "wall": time.monotonic() - before,
            "rss_mb": peak_mb(),
        }
        print(json.dumps(told))


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        int(sys.argv[2]),
        sys.argv[3],
        sys.argv[4],
        backend_options={"use_uvloop": True},
    )
