"""`plugwave work`: signals, recap, exit codes; what the process as a whole promises."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from config.settings import StoreSettings
from jobs.clock import SystemClock
from jobs.errors import CloudUnreachableError, PlugwaveError
from jobs.states import JobState, WaitReason
from tests.cli.running import own_home
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.recap import tell
from worker.cli.work import Shift, progress_fields
from worker.simulator import Simulator, SimulatorOptions
from worker.statistics import InHand, WorkerStatistics

ROOT = Path(__file__).parents[2]
NOWHERE = StoreSettings.model_validate({"url": "sqlite:////nowhere/at/all.db"})


class FakeWork:
    """A worker that runs until it is stopped or killed, or until *error*."""

    def __init__(
        self, ended: dict[JobState, int] | None = None, error: PlugwaveError | None = None
    ) -> None:
        self.heard: list[str] = []
        self.over = anyio.Event()
        self._ended = ended
        self._error = error

    def statistics(self) -> WorkerStatistics:
        return WorkerStatistics(worker="w1", running_s=1.0, slots=4, ended=self._ended or {})

    def stop(self) -> None:
        self.heard.append("stop")

    def kill(self) -> None:
        self.heard.append("kill")
        self.over.set()

    async def run(self) -> None:
        if self._error is not None:
            raise self._error
        if self._ended is None:
            signal.raise_signal(signal.SIGTERM)
            await self._until_heard(1)
            signal.raise_signal(signal.SIGINT)
            await self.over.wait()

    async def _until_heard(self, count: int) -> None:
        while len(self.heard) < count:
            await anyio.lowlevel.checkpoint()


def a_shift(running: FakeWork, choices: Choices | None = None) -> Shift:
    """Return a shift of that worker with a quiet console."""
    return Shift(Console(choices or Choices(), {}), running, SystemClock())


async def test_the_first_signal_drains_and_the_second_leaves_now() -> None:
    """SIGTERM drains and names the exit code; whatever comes second does not wait."""
    running = FakeWork()

    ended = await a_shift(running).run(NOWHERE)

    assert running.heard == ["stop", "kill"]
    assert ended.exit_code == 143


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({}, 0),
        ({JobState.SUCCEEDED: 2, JobState.UNCHANGED: 1}, 0),
        ({JobState.CANCELLED: 1, JobState.SKIPPED: 1}, 0),
        ({JobState.SUCCEEDED: 2, JobState.FAILED: 1}, 3),
        ({JobState.UNRESOLVED: 1}, 3),
    ],
)
async def test_the_exit_code_is_the_verdict_of_this_run(
    ended: dict[JobState, int], code: int
) -> None:
    """0 all good, 3 some failed or unresolved."""
    assert (await a_shift(FakeWork(ended)).run(NOWHERE)).exit_code == code


async def test_what_ended_the_work_early_decides_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The recap is told all the same, and with json the error stands in the one document."""
    error = CloudUnreachableError("no answer")
    choices = Choices(output="json")
    shift = a_shift(FakeWork({JobState.FAILED: 1}, error), choices)

    ended = await shift.run(NOWHERE)
    tell(ended, Console(choices, {}))

    out, err = capsys.readouterr()
    assert (ended.exit_code, ended.error) == (9, error)
    assert json.loads(out)["error"]["code"] == "CLOUD-01"
    assert err.startswith("Ended: 1 failed      exit 9\n")
    assert choices.told


async def test_the_recap_ends_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, time, cloud, and the commands that lead on."""
    ended = await a_shift(FakeWork({JobState.SUCCEEDED: 3, JobState.FAILED: 2})).run(NOWHERE)

    tell(ended, Console(Choices(), {}))

    assert capsys.readouterr().err == (
        "Ended: 3 succeeded, 2 failed      exit 3\n"
        "  Time:    1s\n"
        "  Cloud:   no calls, no slow-downs (429), no lost answers\n"
        "  Next:    plugwave jobs list --state failed\n"
        "           plugwave jobs retry --state failed\n"
    )


def test_a_progress_line_names_the_job_that_takes_longest() -> None:
    """A silent hour in CI is explained by one line a minute."""
    hand = InHand(
        job=1,
        pool_name="pool-9",
        plugin="volcano",
        version_from=None,
        version_to="1",
        state=JobState.WATCHING,
        phase=None,
        since_s=167.0,
        attempt=1,
    )
    figures = WorkerStatistics(
        worker="w1",
        running_s=200.0,
        slots=4,
        in_hand=(hand,),
        ended={JobState.SUCCEEDED: 6},
        open_jobs=4,
        waiting={WaitReason.POOL_BUSY: 2},
        rate=3.8123,
    )

    assert progress_fields(figures) == {
        "open": 4,
        "ended": 6,
        "in_hand": 1,
        "waiting": {"pool-busy": 2},
        "rate": 3.81,
        "longest": "pool-9 2m 47s",
    }


class Process:
    """The real command line as a process against a simulated cloud."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "PLUGWAVE_STORE__URL": f"sqlite:///{folder / 'state.db'}",
            "PLUGWAVE_CLOUD__ENDPOINT": url,
            "PLUGWAVE_CLOUD__AUTH": "none",
            "PLUGWAVE_CLOUD__RATE": "200",
            "PLUGWAVE_CLOUD__POLL_FIRST": "200ms",
            "PLUGWAVE_CLOUD__POLL_MAX": "400ms",
            "PLUGWAVE_CLOUD__ABNORMAL_GRACE": "0s",
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "worker", *arguments]

    async def run(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run a command to its end."""
        done = await anyio.run_process(
            self.command(*arguments),
            input=stdin,
            check=False,
            env=self._environ,
            cwd=self._folder,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def enqueue(self, targets: Sequence[tuple[str, str]]) -> None:
        """Queue one job for each pool."""
        lines = [
            json.dumps({"project_id": project, "pool_name": pool, "plugin": {"name": "volcano"}})
            for project, pool in targets
        ]
        code, _, err = await self.run("enqueue", "-", stdin="\n".join(lines).encode())
        assert code == 0, err

    async def open(self, *arguments: str) -> anyio.abc.Process:
        """Start a command and leave it running."""
        return await anyio.open_process(
            self.command(*arguments), env=self._environ, cwd=self._folder
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home of its own, also for the process."""
    with own_home(tmp_path, monkeypatch):
        yield tmp_path


def insert_letter(store: Path, target: tuple[str, str]) -> None:
    """Ask for a job as any program may that can open the file."""
    project, pool = target
    wanted = {"project_id": project, "pool_name": pool, "plugin": {"name": "volcano"}}
    connection = apsw.Connection(str(store))
    connection.execute("INSERT INTO inbox(request) VALUES (?)", (json.dumps(wanted),))
    connection.close()


@pytest.mark.slow
async def test_a_run_until_empty_does_all_jobs_and_tells_each_once(folder: Path) -> None:
    """One result line for each job on stderr, one document on stdout, no control codes.

    One of the jobs comes from the inbox, where another program inserted it.
    """
    async with Simulator(SimulatorOptions(projects=1, pools=3, speed=100)) as cloud:
        process = Process(folder, cloud.url)
        first, *others = cloud.targets
        await process.enqueue(others)
        insert_letter(folder / "state.db", first)
        code, out, err = await process.run("work", "--until-empty", "-o", "json")

    assert code == 0, err
    assert json.loads(out)["ended"]["succeeded"] == 3
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    results = [line for line in lines if line["event"] == "job.result"]
    assert sorted(line["job"] for line in results) == ["job-1", "job-2", "job-3"]
    assert "\x1b" not in out + err


@pytest.mark.slow
async def test_a_run_with_failures_leaves_with_3_and_names_their_cause(folder: Path) -> None:
    """Partial is neither success nor a crash."""
    options = SimulatorOptions(projects=1, pools=2, speed=200, bad_pools=1.0, fail_s=20.0)
    async with Simulator(options) as cloud:
        process = Process(folder, cloud.url)
        await process.enqueue(cloud.targets)
        code, out, err = await process.run("work", "--until-empty")

    assert (code, out) == (3, "")
    assert "Ended: 2 failed      exit 3\n  Failed:  abnormal 2\n" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_drained_worker_leaves_with_the_signals_code(
    folder: Path, number: signal.Signals, code: int
) -> None:
    """What is being watched is handed back, and the next run goes on with it."""
    options = SimulatorOptions(projects=1, pools=1, install_s=(3600.0, 3600.0))
    async with Simulator(options) as cloud:
        process = Process(folder, cloud.url)
        await process.enqueue(cloud.targets)
        running = await process.open("work")
        with anyio.fail_after(20):
            while not cloud.installed(*cloud.targets[0]):
                assert running.returncode is None
                await anyio.sleep(0.05)
            running.send_signal(number)
            assert await running.wait() == code
        await running.aclose()
        state = await process.run("jobs", "list", "-o", "json")

    assert json.loads(state[1])["items"][0]["state"] == "watching"


@pytest.mark.slow
async def test_a_cloud_that_cannot_be_reached_leaves_with_9(folder: Path) -> None:
    """The jobs stay queued, and the error says so."""
    process = Process(folder, "http://127.0.0.1:9")
    await process.enqueue([("p1", "pool-a")])
    process._environ["PLUGWAVE_CLOUD__UNREACHABLE_AFTER"] = "1s"

    code, _, err = await process.run("work", "--until-empty")

    assert code == 9
    assert "error[CLOUD-01]" in err
    assert "plugwave work --until-empty" in err
