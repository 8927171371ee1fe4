"""Several accounts in one worker: what goes wrong with one of them is that one's alone."""

import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from config.settings import StoreSettings
from jobs.decide import Rules
from jobs.errors import CredentialsRefusedError
from jobs.model import Job, PoolRead, Target
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Limit, Pace
from jobs.states import JobState, WaitReason
from jobs.store.protocol import JobFilter, WorkerInfo
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.engine.model_cloud import Faults, ModelCloud
from tests.engine.virtual import OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from worker.calls import CallCounts, Calls
from worker.cloud import Gate
from worker.executor import Executor
from worker.guard import KeyGuard
from worker.lease import WorkerLease
from worker.limiter import Limiter
from worker.prospects import Prospects
from worker.reporting import Reporter
from worker.runner import Runner, RunnerLimits
from worker.simulator import Simulator, SimulatorOptions
from worker.stores import opened_store
from worker.troubles import Troubles

LIMIT = 10


class Refusing(ModelCloud):
    """Lets nobody in."""

    async def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> PoolRead | Answer:
        """Answer 401."""
        gate()
        self.requests.append(self.clock.monotonic())
        return Answer(
            outcome=Outcome.UNAUTHENTICATED,
            sent=True,
            http_status=401,
            error_code="APIG.0301",
            message="verify aksk signature fail",
        )


class TwoAccounts:
    """One worker whose profiles *right* and *wrong* have a cloud each; the second refuses."""

    def __init__(self, store: Any, loop: VirtualLoop, clock: VirtualClock, folder: Path) -> None:
        self.store = OneProcess(store, loop)
        rng = random.Random(1)
        self.clouds = {
            "right": ModelCloud(clock, rng, Faults(), limit=LIMIT),
            "wrong": Refusing(clock, rng, Faults(), limit=LIMIT),
        }
        troubles = Troubles(clock)
        counts = CallCounts(troubles)
        lease = WorkerLease(self.store, clock, lease_s=5.0, heartbeat_s=1.25, fence_after_s=3.0)
        pace = Pace(limit=Limit(count=LIMIT))
        self._calls = {
            name: Calls(
                cloud,
                Limiter(f"{name}|model", pace, store=self.store, clock=clock, max_in_flight=64),
                KeyGuard(name, f"mark-{name}", store=self.store, clock=clock),
                lease,
                counts,
                timeout_s=2.0,
            )
            for name, cloud in self.clouds.items()
        }
        self._runner = Runner(
            self.store,
            Executor(self.store, clock, Rules(settle_s=4.0, poll_first_s=1.0, rng=rng)),
            lease,
            Reporter(self.store, folder, lambda _: None),
            RunnerLimits(
                slots=32,
                lease_s=5.0,
                deadline_s=2700.0,
                drain_s=60.0,
                rescue_grace_s=2.0,
                until_empty=True,
            ),
            clock=clock,
            info=WorkerInfo(name="virtual", host="here", pid=1, profiles=("right", "wrong")),
            prospects=Prospects(
                self.store, troubles, {name: name for name in self._calls}, unreachable_after_s=60.0
            ),
            calls_for=lambda job: self._calls[job.request.profile or ""],
            close_turns=self._close,
            rate=lambda: 2.0 * LIMIT,
        )

    def _close(self) -> None:
        for calls in self._calls.values():
            calls.limiter.close()

    async def run(self) -> None:
        """Work until it gives up, or all is done."""
        refused: CredentialsRefusedError | None = None
        async with anyio.create_task_group() as tasks:
            for calls in self._calls.values():
                tasks.start_soon(calls.limiter.run)
            try:
                await self._runner.run()
            except CredentialsRefusedError as error:
                refused = error
            tasks.cancel_scope.cancel()
        if refused is not None:
            raise refused


async def jobs_of(store: Any) -> list[Job]:
    """Return every job."""
    return [job async for job in store.jobs(JobFilter())]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_refused_credential_parks_its_own_jobs_alone(tmp_path: Path) -> None:
    """The other account's jobs all end well, the refused one is asked once, and then it is told."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> None:
        with loop.real():
            store = await open_sqlite(tmp_path / "jobs.db", clock)
        worker = TwoAccounts(store, loop, clock, tmp_path / "results")
        requests = [
            a_request(
                f"pool-{profile}-{n}", plugin="dns", version="2.0", profile=profile, priority=rank
            )
            for n in range(20)
            for profile, rank in (("right", 0), ("wrong", 9))
        ]
        await worker.store.enqueue(requests)

        with pytest.raises(CredentialsRefusedError):
            await worker.run()

        with loop.real():
            ended = await jobs_of(store)
            await store.close()
        states = Counter((job.request.profile, job.state) for job in ended)
        assert states["right", JobState.SUCCEEDED] == 20
        assert states["wrong", JobState.WAITING] + states["wrong", JobState.READY] == 20
        assert {job.reason for job in ended} <= {None, WaitReason.BREAKER}
        assert len(worker.clouds["wrong"].requests) == 1
        assert worker.clouds["right"].windows_over() == []

    on_virtual_time(main)


def test_a_finite_run_leaves_what_others_must_send(tmp_path: Path) -> None:
    """It ends when its own jobs have, and jobs of profiles it lacks stay as they were."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> None:
        with loop.real():
            store = await open_sqlite(tmp_path / "jobs.db", clock)
        worker = TwoAccounts(store, loop, clock, tmp_path / "results")
        mine = a_request("pool-a", plugin="dns", version="2.0", profile="right")
        theirs = a_request("pool-b", plugin="dns", version="2.0", profile="elsewhere")
        behind = a_request("pool-b", plugin="dns", version="3.0", profile="right")
        await worker.store.enqueue([mine, theirs, behind])

        await worker.run()

        with loop.real():
            ended = await jobs_of(store)
            await store.close()
        assert [(job.state, job.reason) for job in sorted(ended, key=lambda one: one.id)] == [
            (JobState.SUCCEEDED, None),
            (JobState.READY, None),
            (JobState.WAITING, WaitReason.POOL_BUSY),
        ]

    on_virtual_time(main)


def key_file(folder: Path, cloud: Simulator, secret: str | None = None) -> None:
    """Write the two keys as the SDK's file has them; *secret* stands for that of the second."""
    one, two = cloud.identity.directory.keys
    folder.joinpath("keys").write_text(
        f"[one]\nak = {one.access}\nsk = {one.secret}\n"
        f"[two]\nak = {two.access}\nsk = {secret or two.secret}\n"
    )


def write_settings(folder: Path, url: str) -> None:
    """Write settings with a profile for each key."""
    folder.joinpath("plugwave.toml").write_text(
        f'[store]\nurl = "sqlite:///{folder / "jobs.db"}"\n'
        f'[cloud]\nendpoint = "{url}"\nrate = 500\npoll_first = "0.1s"\nsettle = "1s"\n'
        'breaker = "0.5s"\nprofile = "one"\n'
        f'[profiles.one]\ncredentials = "file:{folder / "keys"}#one"\n'
        f'[profiles.two]\ncredentials = "file:{folder / "keys"}#two"\n'
    )


async def plugwave(folder: Path, *arguments: str, stdin: bytes | None = None) -> tuple[int, bytes]:
    """Run the command as a process of its own; return its exit code and what it said."""
    ran = await anyio.run_process(
        [sys.executable, "-m", "worker", *arguments],
        input=stdin,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_worker_process_goes_on_with_one_key_while_the_other_is_wrong(
    tmp_path: Path,
) -> None:
    """Two access keys, one wrong: one bad signature, exit 4 at the end, and mended it all ends."""
    options = SimulatorOptions(
        projects=2, pools=5, speed=1000, auth="aksk", accounts=2, users=2, key_pairs=2
    )
    async with Simulator(options) as cloud:
        key_file(tmp_path, cloud, "wrong-secret")
        write_settings(tmp_path, cloud.url)
        owner = {cloud.identity.directory.keys[n].user.account: n for n in range(2)}
        lines = []
        for project, pool in cloud.targets:
            account = cloud.identity.directory.owner(project)
            assert account is not None
            wish = {"name": "node-local-dns", "version": "1.6.36"}
            named = {"profile": ("one", "two")[owner[account]]}
            lines.append(
                orjson.dumps({"project_id": project, "pool_name": pool, "plugin": wish, **named})
            )
        code, said = await plugwave(tmp_path, "enqueue", "-", stdin=b"\n".join(lines))
        assert code == 0, said

        code, said = await plugwave(tmp_path, "work", "--until-empty")
        ended = await stored(tmp_path)

        assert code == CredentialsRefusedError.exit_code, said
        assert ended["one"] == {JobState.SUCCEEDED}
        assert ended["two"] <= {JobState.WAITING, JobState.READY}
        assert cloud.identity.bad_signatures == 1

        key_file(tmp_path, cloud)
        code, said = await plugwave(tmp_path, "work", "--until-empty")

        assert code == 0, said
        assert (await stored(tmp_path))["two"] == {JobState.SUCCEEDED}


async def stored(folder: Path) -> dict[str | None, set[JobState]]:
    """Return the states of the jobs by profile."""
    store_settings = StoreSettings.model_validate({"url": f"sqlite:///{folder / 'jobs.db'}"})
    async with opened_store(store_settings) as store:
        jobs = await jobs_of(store)
    found: dict[str | None, set[JobState]] = {}
    for job in jobs:
        found.setdefault(job.request.profile, set()).add(job.state)
    return found
