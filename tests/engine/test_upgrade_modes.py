"""Whether POST upgrades is settled nowhere, so every variant of the cloud must be survived.

200 upgrades in each combination of what POST does to an installed plug-in (upgrades it,
refuses with 409 or with 400, or answers as if and does nothing), whether reads lag 0 or 2 s
behind, whether answers are lost, and whether the site has PATCH.  The clouds are the
product's own simulator, the client and the engine are production code; only the socket is
left out, so that settle times and deadlines of many minutes pass on virtual time.

The default suite runs FEW upgrades in the combinations of SPREAD, which between them hold
every mode, lag, loss and site; `soak` runs 200 in all 32.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import anyio
import pytest
import structlog

from jobs.decide import Rules, checking, watching
from jobs.inputs import merged
from jobs.model import Job, PluginSeen
from jobs.sightings import Sighting, sighting
from jobs.states import JobState
from jobs.store.protocol import JobFilter, Result
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.engine.one_worker import USUAL, OneWorker, Stage
from tests.engine.simulated import SimulatedCloud
from tests.engine.virtual import OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from worker.simulator import SimulatorOptions
from worker.simulator.options import PostMode, Site

PLUGIN: Final = "node-local-dns"
WANTED: Final = "1.6.64"
UPGRADES: Final = 200
FEW: Final = 48
SETTLE_S: Final = 90.0

LOST: Final[dict[str, Any]] = {
    "lost_before": 0.04,
    "lost_after": 0.04,
    "late": 0.04,
    "late_s": SETTLE_S - 1.0,  # an effect may come right before a read may be believed
    "error_before": 0.02,
    "error_after": 0.02,
    "html": 0.02,
    "truncated": 0.02,
    "empty": 0.02,
    "wrong_type": 0.02,
    "slow": 0.02,
    "slow_s": USUAL.request_s + 1.0,  # slower than we wait
    "read_faults": 0.1,
}
"""Every way in which the simulator loses the answer to a write; a quarter of them are lost."""


Answers = Literal["whole", "lossy"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One cloud."""

    mode: PostMode
    lag_s: float
    answers: Answers
    site: Site
    upgrades: int = UPGRADES

    def __str__(self) -> str:
        return f"{self.mode}-lag{self.lag_s:g}-{self.answers}-{self.site}"

    @property
    def options(self) -> SimulatorOptions:
        """The cloud as the simulator takes it: every pool has an old version, set by its owner."""
        faults = LOST if self.answers == "lossy" else {}
        return SimulatorOptions(
            projects=4,
            pools=self.upgrades // 4,
            installed=1.0,
            lag_s=self.lag_s,
            post_mode=self.mode,
            answer_shape="full",  # what it tells of a plug-in is then most tempting to believe
            site=self.site,
            seed=11,
            **faults,
        )

    @property
    def end(self) -> tuple[JobState, str | None]:
        """How every job ends, and why if it fails: PATCH helps where POST does not upgrade."""
        if self.mode == "upsert" or self.site == "eu":
            return JobState.SUCCEEDED, None
        return JobState.FAILED, "no-effect" if self.mode == "no-op" else "conflict"


MODES: Final[tuple[PostMode, ...]] = ("upsert", "conflict-409", "conflict-400", "no-op")
SITES: Final[tuple[Site, ...]] = ("cn", "eu")
ALL: Final = tuple(
    Variant(mode, lag_s, answers, site)
    for mode in MODES
    for lag_s in (0.0, 2.0)
    for answers in get_args(Answers)
    for site in SITES
)
SPREAD: Final = (
    Variant("upsert", 2.0, "lossy", "cn"),
    Variant("conflict-409", 2.0, "lossy", "eu"),
    Variant("conflict-400", 0.0, "whole", "cn"),
    Variant("no-op", 0.0, "lossy", "cn"),
    Variant("no-op", 2.0, "whole", "eu", 20),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """What came of it: how jobs ended, and every success that was not true when it was told."""

    jobs: list[Job]
    lies: list[str]
    wrong: list[str]
    sent_twice: list[str]
    overlaps: int


class Upgrades:
    """Upgrades every pool of one cloud to WANTED with an input of its own."""

    def __init__(self, variant: Variant, cloud: SimulatedCloud) -> None:
        self.variant = variant
        self.cloud = cloud
        self.targets = cloud.fleet.targets
        self.before = {pool: cloud.inputs(project, pool, PLUGIN) for project, pool in self.targets}
        self.wanted = {
            pool: merged(self.before[pool], {"custom": ours(number)})
            for number, (_, pool) in enumerate(self.targets)
        }
        self.lies: list[str] = []

    def requests(self) -> list[Any]:
        """Return one request for each pool."""
        return [
            a_request(
                pool=pool,
                project=project,
                plugin=PLUGIN,
                version=WANTED,
                inputs={"custom": ours(number)},
                key=pool,
            )
            for number, (project, pool) in enumerate(self.targets)
        ]

    def told(self, result: Result) -> None:
        """Compare a success, the moment it is told, with what is true in the cloud."""
        target = result.job.request.target
        truth = self.cloud.truth(target.project_id, target.pool_name, PLUGIN)
        claimed = (WANTED, self.wanted[target.pool_name])
        if result.job.state is JobState.SUCCEEDED and truth != claimed:
            self.lies.append(f"{target.pool_name}: succeeded, and in truth {truth}")

    def outcome(self, jobs: list[Job]) -> Upgraded:
        """Return what came of it, once everything has settled."""
        applied = self.cloud.applied()
        changed = self.variant.end[0] is JobState.SUCCEEDED
        wrong = []
        for project, pool in self.targets:
            truth = self.cloud.truth(project, pool, PLUGIN)
            due = (WANTED, self.wanted[pool]) if changed else ("1.6.36", self.before[pool])
            if truth != due:
                wrong.append(f"{pool}: {truth}, not {due}")
        return Upgraded(
            jobs=jobs,
            lies=self.lies,
            wrong=wrong,
            sent_twice=[pool for pool, count in applied.items() if count > 1],
            overlaps=len(self.cloud.overlaps()),
        )


def ours(number: int) -> dict[str, str]:
    """Return the input that job *number* sets: one for all pools would hide a mix-up."""
    return {"ndots": str(100 + number)}


def upgraded(folder: Path, variant: Variant, *, first_look_s: float = 5.0) -> Upgraded:
    """Run all upgrades on one cloud, on virtual time."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> Upgraded:
        cloud = SimulatedCloud(variant.options, clock)
        upgrades = Upgrades(variant, cloud)
        with loop.real():
            store = await open_sqlite(folder / "store.db", clock)
        await OneProcess(store, loop).enqueue(upgrades.requests())
        stage = Stage(
            loop=loop, clock=clock, store=store, folder=folder / "results", limit=100, slots=256
        )
        rules = Rules(
            settle_s=SETTLE_S,
            stale_after_s=60.0,
            poll_first_s=first_look_s,
            rng=random.Random(1),
        )
        worker = OneWorker(stage, cloud.spoken_to, rules, times=USUAL, told=upgrades.told)
        with anyio.fail_after(7200):
            await worker.run()
        with loop.real():
            jobs = [job async for job in store.jobs(JobFilter())]
            await store.close()
        return upgrades.outcome(jobs)

    return on_virtual_time(main)


@pytest.fixture(autouse=True)
def only_errors_logged() -> Iterator[None]:
    """Thousands of lines of a normal day cost more than the work that they tell of."""
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


def check(folder: Path, variant: Variant) -> None:
    """Run all upgrades on one cloud and insist on every promise about them."""
    done = upgraded(folder, variant)

    assert done.lies == []
    assert Counter((job.state, job.progress.cause) for job in done.jobs) == {
        variant.end: variant.upgrades
    }
    assert done.wrong == []
    assert done.sent_twice == []
    assert done.overlaps == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("variant", SPREAD, ids=str)
def test_upgrades_end_as_wanted_or_with_the_right_cause(tmp_path: Path, variant: Variant) -> None:
    """Every pool ends at the wanted version with its inputs kept, changed once, or says why not."""
    check(tmp_path, replace(variant, upgrades=FEW))


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", ALL, ids=str)
def test_every_cloud_is_survived(tmp_path: Path, variant: Variant) -> None:
    """The same in all combinations of mode, lag, loss and site."""
    check(tmp_path, variant)


def by_phase_alone(_: Job, seen: PluginSeen | None, version: str | None, inputs: Any) -> Sighting:
    """Planted fault: Running is taken for the target, whatever runs."""
    if seen is not None and seen.phase == "Running":
        return Sighting.TARGET
    return sighting(seen, version, inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant",
    [Variant("no-op", 2.0, "whole", "cn", 20), Variant("upsert", 2.0, "whole", "cn", 20)],
    ids=str,
)
def test_a_worker_that_takes_stale_evidence_is_caught(
    tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted fault: what still runs from before the write is reported as a success."""
    monkeypatch.setattr(watching, "sighted", by_phase_alone)
    monkeypatch.setattr(watching, "_is_fresh", lambda *_: True)
    monkeypatch.setattr(watching, "EARLY_S", 0.0)

    done = upgraded(tmp_path, variant, first_look_s=1.0)

    assert len(done.lies) == variant.upgrades


@pytest.mark.slow
def test_a_worker_that_does_not_send_every_input_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted fault: only the job's own inputs are sent, and the cloud resets all others."""
    monkeypatch.setattr(checking, "merged", lambda _, ours: dict(ours or {}))

    done = upgraded(tmp_path, Variant("upsert", 0.0, "whole", "cn", 20))

    assert len(done.wrong) == 20


def test_the_default_suite_meets_every_mode_lag_loss_and_site() -> None:
    """SPREAD leaves nothing out that ALL has."""
    for attribute in ("mode", "lag_s", "answers", "site", "end"):
        assert {getattr(one, attribute) for one in SPREAD} == {
            getattr(one, attribute) for one in ALL
        }
