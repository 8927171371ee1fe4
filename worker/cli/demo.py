"""`plugwave demo`: a whole batch on a simulated cloud, and the proof of what was done.

The proof is not the worker's word: it is the simulator's own journal of what was asked and
what took effect, and the inputs of each pool before and after.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from config.logs import configure
from jobs.causes import ABNORMAL
from jobs.clock import SystemClock
from jobs.inputs import contains
from jobs.report.results import EXIT_PARTIAL, Recap
from jobs.requests import parse_request
from jobs.states import BAD_STATES, JobState
from jobs.store.protocol import JobFilter
from worker.app import Work
from worker.cli.choices import Choices
from worker.cli.console import Console, counted
from worker.cli.lazy import PlugwaveCommand
from worker.cli.live import Feed
from worker.cli.printing import document, no_names
from worker.cli.recap import Ended, recap_lines
from worker.cli.scenes import PLUGIN, SCENES, cloud_options, worker_settings
from worker.cli.session import run_async
from worker.cli.work import Shift
from worker.simulator import Simulator
from worker.simulator.catalogue import CATALOGUE
from worker.stores import opened_store

STAYS: Final = 4
"""Every fourth pool that has the plug-in is to stay at its version: nothing is to be done."""

NEXT: Final = (
    ("plugwave simulate --write-jobs jobs.jsonl", "a cloud of your own; set what it prints"),
    ("plugwave enqueue jobs.jsonl", "queue one job for each of its pools"),
    ("plugwave work --until-empty", "and do them"),
)

Pool = tuple[str, str]
"""Project id and pool name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    pools: int
    projects: int
    speed: float
    scene: str
    no_browser: bool
    headless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the simulator says about the run.

    Attributes:
        sends: Install requests that reached the cloud.
        effects: How many of them changed a pool.
        changed_twice: Pools that were changed more than once; must be none.
        upgraded: Pools whose installed plug-in got another version.
        inputs_kept: How many of those still have every input they had before.
        unplanned: Jobs that ended badly on pools that work.
    """

    sends: int
    effects: int
    changed_twice: int
    upgraded: int
    inputs_kept: int
    unplanned: int

    @property
    def holds(self) -> bool:
        """Whether the demo went as planned."""
        return not self.changed_twice and not self.unplanned and self.inputs_kept == self.upgraded


@click.command(cls=PlugwaveCommand)
@click.option("--pools", type=click.IntRange(1, 5000), default=60, show_default=True)
@click.option("--projects", type=click.IntRange(1, 100), default=6, show_default=True)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Simulated seconds in a real second.",
)
@click.option("--scene", type=click.Choice(list(SCENES)), default="flaky", show_default=True)
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option("--headless", is_flag=True, help="One line for each job instead of a live view.")
@click.pass_obj
def demo(choices: Choices, /, **wanted: Any) -> int:  # noqa: ANN401 - click's values, named by Wanted
    """Run a whole batch on a simulated cloud; no account, nothing leaves this machine."""
    no_names(Console(choices))
    return run_async(_demo, choices, Wanted(**wanted), fast=True)


async def _demo(choices: Choices, wanted: Wanted) -> int:
    console = Console(choices)
    scene = SCENES[wanted.scene]
    projects = min(wanted.projects, wanted.pools)
    each = -(-wanted.pools // projects)
    options = cloud_options(scene, projects=projects, pools_each=each, speed=wanted.speed)
    console.say(f"Simulated cloud: {wanted.pools} pools in {projects} projects.")
    console.say(f'Scene "{wanted.scene}": {scene.words}. Nothing leaves this machine.')
    with TemporaryDirectory(prefix="plugwave-demo-") as folder:
        async with Simulator(options) as cloud:
            stage = _Stage(cloud, cloud.targets[: wanted.pools], Path(folder))
            ended = await stage.play(console, live=console.live and not wanted.headless)
            proof = await stage.proof()
    return _tell(console, ended, proof)


class _Stage:
    """One demo: the cloud, the pools that take part, and a store of its own."""

    def __init__(self, cloud: Simulator, pools: Sequence[Pool], folder: Path) -> None:
        self._cloud = cloud
        self._pools = pools
        self._settings = worker_settings(cloud.url, f"sqlite:///{folder / 'state.db'}")
        self._before = {pool: self._inputs(pool) for pool in pools}

    def _inputs(self, pool: Pool) -> Mapping[str, Any] | None:
        plugin = self._cloud.installed(*pool).get(PLUGIN)
        return None if plugin is None else plugin.inputs

    async def play(self, console: Console, *, live: bool) -> Ended:
        """Queue one job for each pool and work until all are done."""
        feed = Feed(console.symbols, None if live else console.say, local=live)
        configure(self._settings.logs, stream=feed)
        async with opened_store(self._settings.store) as store:
            await store.enqueue([parse_request(one, source="demo") for one in self._requests()])
        running = Work(self._settings, slots=None, until_empty=True)
        shift = Shift(console, running, SystemClock(), feed=feed, live=live)
        return await shift.run(self._settings.store)

    def _requests(self) -> list[dict[str, Any]]:
        template = CATALOGUE[PLUGIN]
        requests = []
        there = 0
        for number, pool in enumerate(self._pools, start=1):
            there += self._before[pool] is not None
            stays = self._before[pool] is not None and there % STAYS == 0
            version = template.oldest if stays else template.newest
            requests.append(
                {
                    "project_id": pool[0],
                    "pool_name": pool[1],
                    "plugin": {"name": PLUGIN, "version": version},
                    "idempotency_key": f"demo-{number}",
                }
            )
        return requests

    async def proof(self) -> Proof:
        """Return what the simulator's journal and pools say."""
        effects: Counter[tuple[str, str]] = Counter()
        sends = 0
        for line in self._cloud.journal.entries():
            sends += line["method"] == "POST" and line["kind"] == "request"
            if line["applied"]:
                effects[line["project_id"], line["pool_name"]] += 1
        upgraded = kept = unplanned = 0
        async with opened_store(self._settings.store, read_only=True) as store:
            async for job in store.jobs(JobFilter()):
                pool = (job.request.target.project_id, job.request.target.pool_name)
                before = self._before[pool]
                unplanned += job.state in BAD_STATES and job.progress.cause != ABNORMAL
                if job.state is JobState.SUCCEEDED and before is not None:
                    upgraded += 1
                    kept += contains(self._inputs(pool), before)
        return Proof(
            sends=sends,
            effects=effects.total(),
            changed_twice=sum(count > 1 for count in effects.values()),
            upgraded=upgraded,
            inputs_kept=kept,
            unplanned=unplanned,
        )


def _tell(console: Console, ended: Ended, proof: Proof) -> int:
    """Print how the demo went and return its exit code."""
    code = 0 if proof.holds and ended.error is None else EXIT_PARTIAL
    if ended.error is not None:
        raise ended.error
    if ended.exit_code not in {0, EXIT_PARTIAL}:
        code = ended.exit_code  # left by a signal
    if console.structured:
        body = {"kind": "demo", **ended.recap.as_dict(), "proof": asdict(proof)}
        document(console, {**body, "exit_code": code})
        return code
    for line in [*recap_lines(ended.recap, code, console), *proof_lines(ended.recap, proof)]:
        console.out(line)
    console.out("Try next:")
    width = max(len(command) for command, _ in NEXT)
    for command, words in NEXT:
        console.out(f"  {command:<{width}}   {words}")
    return code


def proof_lines(recap: Recap, proof: Proof) -> list[str]:
    """Return what the simulator's journal proves, in sentences."""
    lines = ["Proof, from the simulated cloud's own journal:"]
    lines.append(
        f"  {proof.sends} install requests had {proof.effects} effects; "
        f"{counted(proof.changed_twice, 'pool')} changed twice"
    )
    lines.append(
        f"  {counted(recap.lost_answers, 'lost answer')}, settled by late reads before anything "
        "was sent again"
    )
    lines.append(
        f"  {proof.inputs_kept} of {counted(proof.upgraded, 'upgraded pool')} kept every input "
        "of their own"
    )
    if recap.bad and not proof.unplanned:
        lines.append(
            f"  {counted(recap.bad, 'failed job')}, all on pools that cannot pull the image: "
            "as planned"
        )
    if proof.unplanned:
        lines.append(f"  {counted(proof.unplanned, 'job')} ended badly on pools that work")
    return lines
