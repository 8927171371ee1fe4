"""The benchmark's cloud is one that plugwave takes for a cloud."""

from collections.abc import AsyncIterator

import anyio
import pytest
from yarl import URL

from benchmarks.bare import ask, tuned_session
from benchmarks.ours import enqueue, settings_for, work_off
from benchmarks.server import SETTLES_S, Cloud, settles_s
from benchmarks.works import ALL, POST, PROJECT, SETTLING, WALK, Work
from config.settings import Settings
from jobs.states import JobState
from jobs.store.protocol import JobFilter
from worker.stores import opened_store

JOBS = 3


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The cloud in this process."""
    import asyncio  # noqa: PLC0415 - its raw protocol is what is tested

    server = await asyncio.get_running_loop().create_server(Cloud, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def settings(store: str, work: Work, url: str) -> Settings:
    """The benchmark's settings, at a rate at which three jobs meet no late turn."""
    made = settings_for(store, work, url)
    return made.model_copy(update={"cloud": made.cloud.model_copy(update={"rate": 50.0})})


async def test_a_post_that_is_refused_ends_its_job_with_one_request(
    url: str, tmp_path: anyio.Path
) -> None:
    """POST-only work is one request a job, whatever else the job needs."""
    asked = settings(f"sqlite:///{tmp_path}/post.db", POST, url)
    await enqueue(asked, JOBS, POST)

    told = await work_off(asked, JOBS)

    assert told["calls"] == JOBS
    async with opened_store(asked.store) as store:
        ended = [job.state async for job in store.jobs(JobFilter())]
    assert ended == [JobState.FAILED] * JOBS


@pytest.mark.slow
async def test_the_walk_is_read_send_and_two_looks(url: str, tmp_path: anyio.Path) -> None:
    """The bare loop's pattern is what a job really asks, and the job ends well."""
    asked = settings(f"sqlite:///{tmp_path}/walk.db", WALK, url)
    await enqueue(asked, JOBS, WALK)

    told = await work_off(asked, JOBS)

    # A machine so busy that the first look comes late needs no second one.
    assert JOBS * (len(WALK.pattern) - 1) <= told["calls"] <= JOBS * len(WALK.pattern)
    async with opened_store(asked.store) as store:
        ended = [job.state async for job in store.jobs(JobFilter())]
    assert ended == [JobState.SUCCEEDED] * JOBS


async def test_the_cloud_counts_reads_sends_and_looks(url: str) -> None:
    """What a job asked is told by the one who was asked, and told once."""
    path = f"{url}/v2/{PROJECT}/pools/{SETTLING}-1/plugins"
    async with tuned_session() as session:

        async def told() -> dict[str, object]:
            async with session.get(f"{url}/book") as answer:
                book: dict[str, object] = await answer.json()
                return book

        await told()
        for method in "GPGG":
            await ask(session, URL(path, encoded=True), method)
        book, after = await told(), await told()

    assert book == {"reads": 1, "sends": 1, "looks": 2, "late_s": {}}
    assert after["sends"] == 0


def test_a_plugin_settles_late_where_that_is_measured() -> None:
    """Some seconds on the pools of that kind of work, none on all others."""
    late = [settles_s(b"/v2/p/pools/settle-%d/plugins" % number) for number in range(200)]

    assert settles_s(b"/v2/p/pools/walk-1/plugins") == 0.0
    assert min(late) >= SETTLES_S[0]
    assert max(late) <= SETTLES_S[1]
    assert max(late) - min(late) > 15


def test_every_work_sends_once() -> None:
    """Whatever is compared, it is one change of one pool."""
    assert [work.pattern.count("P") for work in ALL.values()] == [1] * len(ALL)
