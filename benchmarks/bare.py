"""The measure: a bare tuned aiohttp loop that makes the same requests and nothing else.

    python -m benchmarks.bare URL JOBS LOOKS

Prints JSON: CPU seconds and wall seconds.
"""

import json
import sys
import time

import aiohttp
import anyio
import uvloop
from yarl import URL

BODY = (
    b'{"apiVersion":"v2","kind":"Plugin","spec":{"template":{"version":"1.6.36",'
    b'"name":"node-local-dns"}}}'
)
AT_ONCE = 64


async def main(base: str, jobs: int, looks: int) -> None:
    """For each job one read, one send and *looks* looks; without a read when *looks* is 0."""
    connector = aiohttp.TCPConnector(limit=0)
    numbers = iter(range(jobs))
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:

        async def worker() -> None:
            for number in numbers:
                path = f"{base}/v2/{'0' * 32}/pools/bare-{time.monotonic_ns()}-{number}/plugins"
                url = URL(path, encoded=True)
                for turn in range(looks + 2 if looks else 1):
                    if turn == 1 or not looks:
                        call = session.post(
                            url,
                            data=BODY,
                            headers={"Content-Type": "application/json"},
                            allow_redirects=False,
                        )
                    else:
                        call = session.get(url, allow_redirects=False)
                    async with call as answer:
                        json.loads(await answer.read())

        before, cpu = time.monotonic(), time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(worker)
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - before}))


if __name__ == "__main__":
    uvloop.install()
    anyio.run(
        main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), backend_options={"use_uvloop": True}
    )
