"""The whole engine against a cloud with a limit: it learns it, keeps it, and shares it out.

What the rules promise in models (tests/rules) is seen here once with everything there is in a
worker: claims, the line before the limiter, stock, client, and the simulator's gateway.
"""

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import structlog

from jobs.changing import changed
from jobs.clock import MICROSECONDS
from jobs.decide import Rules
from jobs.model import JobRequest, Progress
from jobs.pacing import Bucket
from jobs.states import JobState
from jobs.store.protocol import Result
from jobs.store.sqlite import open_sqlite
from jobs.usual import UsualTimes
from tests.builders import a_job, a_request
from tests.engine.one_worker import USUAL, OneWorker, Stage
from tests.engine.simulated import SimulatedCloud
from tests.engine.virtual import EPOCH_US, OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from worker.executor import Executor
from worker.simulator import SimulatorOptions

PLUGIN, VERSION = "node-local-dns", "1.6.64"


@dataclass(slots=True)
class Seen:
    """What came of a run; times are virtual seconds since its begin."""

    ended: list[tuple[float, str, JobState]] = field(default_factory=list)
    asked: Sequence[Mapping[str, Any]] = ()
    rows: Mapping[str, Bucket] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many requests were answered 429."""
        return sum(entry["status"] == 429 for entry in self.asked)

    def done(self, project: str) -> float:
        """Return when the last job of a project had ended."""
        return max(at for at, whose, _ in self.ended if whose == project)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One worker on one simulated cloud."""

    options: SimulatorOptions
    jobs: Sequence[int]
    """How many of each project, in their order."""

    rate: int = 50
    auto: bool = False
    weights: Sequence[float] = ()
    usual: UsualTimes | None = None
    then: tuple[float, int] | None = None
    """After so many seconds another limit."""

    until: int | None = None
    """Ends with the last job of all projects from this one on; None is with the last of all."""

    def on(self, folder: Path) -> Seen:
        """Run it on virtual time."""
        return on_virtual_time(lambda loop, clock: self._main(folder, loop, clock))

    def _requests(self, cloud: SimulatedCloud) -> list[JobRequest]:
        pools: dict[str, list[str]] = {}
        for project, pool in cloud.fleet.targets:
            pools.setdefault(project, []).append(pool)
        return [
            a_request(pool, project, PLUGIN, VERSION, key=pool)
            for count, (project, own) in zip(self.jobs, pools.items(), strict=True)
            for pool in own[:count]
        ]

    async def _main(self, folder: Path, loop: VirtualLoop, clock: VirtualClock) -> Seen:
        cloud, seen = SimulatedCloud(self.options, clock), Seen()
        requests = self._requests(cloud)
        projects = list(dict.fromkeys(one.target.project_id for one in requests))
        with loop.real():
            await anyio.Path(folder).mkdir(exist_ok=True)
            store = await open_sqlite(folder / "store.db", clock)
        await OneProcess(store, loop).enqueue(requests)
        stage = Stage(
            loop=loop,
            clock=clock,
            store=store,
            folder=folder / "results",
            limit=self.rate,
            slots=256,
            auto=self.auto,
            weights=dict(zip(projects, self.weights, strict=False)),
        )
        left = sum(self.jobs[self.until or 0 :])

        def told(result: Result) -> None:
            nonlocal left
            project = result.job.request.target.project_id
            at = (result.job.finished_us or 0) - EPOCH_US
            seen.ended.append((at / MICROSECONDS, project, result.job.state))
            seen.calls.append(result.job.progress.calls)
            left -= projects.index(project) >= (self.until or 0)
            if left == 0:
                worker.runner.stop()

        rules = Rules(rng=random.Random(1), usual=self.usual)
        worker = OneWorker(stage, cloud.spoken_to, rules, times=USUAL, told=told)
        with anyio.fail_after(3600):
            async with anyio.create_task_group() as tasks:
                if self.then is not None:
                    tasks.start_soon(self._change, cloud, clock)
                await worker.run()
                tasks.cancel_scope.cancel()
        with loop.real():
            seen.rows = await store.buckets()
            await store.close()
        seen.asked = cloud.asked
        return seen

    async def _change(self, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        assert self.then is not None
        await clock.sleep(self.then[0])
        cloud.change(limit=self.then[1])


@pytest.fixture(autouse=True)
def only_errors_logged() -> Iterator[None]:
    """Lines of a normal day cost more than the work that they tell of."""
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


QUICK = {"install_s": (1.0, 4.0), "speed": 1.0, "seed": 11}


@pytest.mark.slow
def test_a_worker_with_auto_learns_the_limit_keeps_it_and_stores_it(tmp_path: Path) -> None:
    """It begins with five a second, is refused once or twice, and its row knows the limit."""
    options = SimulatorOptions(projects=2, pools=50, limit=20, **QUICK)  # type: ignore[arg-type]  # by name

    seen = Run(options=options, jobs=(50, 50), rate=5, auto=True).on(tmp_path)

    [lesson] = [row.lesson for row in seen.rows.values() if row.lesson is not None]
    assert {state for _, _, state in seen.ended} == {JobState.SUCCEEDED}
    assert lesson.named is not None
    assert lesson.named.count == 20
    assert seen.refused <= 0.03 * len(seen.asked)
    assert len(seen.asked) / max(at for at, _, _ in seen.ended) >= 0.5 * 20


@pytest.mark.slow
def test_a_limit_that_halves_in_mid_run_is_followed(tmp_path: Path) -> None:
    """Without a word about it in the text: the work goes on, and few requests are refused."""
    options = SimulatorOptions(
        projects=1,
        pools=90,
        limit=40,
        limit_kind="bucket",
        limit_unnamed=True,
        **QUICK,  # type: ignore[arg-type]  # by name
    )

    seen = Run(options=options, jobs=(90,), rate=40, then=(3.0, 20)).on(tmp_path)

    assert {state for _, _, state in seen.ended} == {JobState.SUCCEEDED}
    assert 0 < seen.refused <= 0.05 * len(seen.asked)


@pytest.mark.slow
def test_small_projects_finish_in_time_beside_a_large_one(tmp_path: Path) -> None:
    """A project with very many jobs costs five small ones at most a fifth of their ideal time."""
    options = SimulatorOptions(projects=6, pools=60, **QUICK)  # type: ignore[arg-type]  # by name
    ideal = Run(options=options, jobs=(6,) * 6, rate=10, until=1).on(tmp_path / "ideal")
    beside = Run(options=options, jobs=(60, *(6,) * 5), rate=10, until=1).on(tmp_path / "beside")

    def last(seen: Seen) -> float:
        return max(at for at, project, _ in seen.ended if project != big)

    big = SimulatedProjects.first(options)
    assert last(beside) <= 1.2 * last(ideal)


class SimulatedProjects:
    """Names of the projects that options stand for."""

    @staticmethod
    def first(options: SimulatorOptions) -> str:
        """Return the name of the first one."""

        async def main(_: VirtualLoop, clock: VirtualClock) -> str:
            return SimulatedCloud(options, clock).fleet.targets[0][0]

        return on_virtual_time(main)


@pytest.mark.parametrize(
    ("progress", "known"),
    [
        ({}, 40.0),
        ({"target_us": EPOCH_US + 30 * MICROSECONDS}, 30.0),
        ({"adopted": True}, None),
        ({"stale": 1}, None),
        ({"not_before_us": EPOCH_US}, None),
        ({"accepted_us": None}, None),
    ],
    ids=["ours", "seen-before", "adopted", "begun-anew", "found-late", "never-accepted"],
)
def test_only_changes_that_were_watched_from_their_begin_teach(
    progress: dict[str, Any], known: float | None
) -> None:
    """Of others nobody knows when they began, and they would make all looks come too early."""
    usual, job = UsualTimes(), a_job(JobState.WATCHING)
    facts = {"version": VERSION, "accepted_us": EPOCH_US, **progress}
    executor = Executor(cast("Any", None), cast("Any", None), Rules(usual=usual))

    executor._learn(changed(job, progress=Progress(**facts)), 0, EPOCH_US + 40 * MICROSECONDS)

    assert usual.seconds(job.request.plugin.name, VERSION) == known


@pytest.mark.slow
def test_calls_of_a_job_are_near_the_least(tmp_path: Path) -> None:
    """A read, a send, and one or two looks: once it is known how long the plug-in takes."""
    options = SimulatorOptions(projects=1, pools=20, install_s=(30.0, 40.0), seed=11)
    usual = UsualTimes()

    blind = Run(options=options, jobs=(20,), rate=10, usual=usual).on(tmp_path / "blind")
    known = Run(options=options, jobs=(20,), rate=10, usual=usual).on(tmp_path / "known")

    assert sum(blind.calls) / 20 >= 5.5  # nobody knew anything when they were sent
    assert sum(known.calls) / 20 <= 4.0
