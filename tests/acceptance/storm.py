"""The storm: several workers on one store, and every second one of them is killed or frozen.

A killed worker is started again at once, as a service manager would.  A frozen one (SIGSTOP)
wakes up after its lease and the grace of others are over, so that its jobs are in other
hands by then.  The database, where there is one, is stopped without a goodbye and started
again.  All the while a bystander asks `plugwave why` about jobs that are not final.

When most of the work is done the storm ends, and the rest must end too.
"""

import json
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Self

from tests.acceptance.checker import Violation
from tests.acceptance.evidence import Evidence, Place, place
from tests.acceptance.harness import HarnessError, Plugwave, Worker, tail
from tests.acceptance.ledger import Life, lives
from tests.acceptance.trials import Outcome, Size, Stage, stage
from tests.postgres.server import PrivateServer

RECONNECT_S: Final = 5.0
"""Within this time after the database takes connections again somebody asks the cloud."""

OPEN_STATES: Final = ("waiting", "ready", "checking", "sending", "unknown", "watching")

STORE_AWAY: Final = 9
"""Exit code of a command that cannot reach its store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad the storm is; durations in seconds.

    Attributes:
        workers: Processes at a time.
        every_s: From one interruption to the next.
        spared: Nobody is interrupted unless more than so many are at work.
        lease_s: Of the workers.
        freeze_s: How long a frozen worker sleeps, shortest and longest.
        most_frozen: Workers that are frozen at a time; 0 only kills.
        outages_s: For each outage of the database how long it lasts, spread over the work.
        calm_after: Share of the work after which the storm is over.
        most: Interruptions after which it is over in any case.
        first_after_s: Nothing is interrupted before that.
        found_within_s: A killed worker must be found dead so soon; None is not judged.
        ask_every_s: From one question of the bystander to the next.
    """

    workers: int
    every_s: float = 1.0
    spared: int = 1
    lease_s: float = 3.0
    freeze_s: tuple[float, float] = (6.0, 9.0)
    most_frozen: int = 1
    outages_s: Sequence[float] = ()
    calm_after: float = 0.9
    most: int = 10_000
    first_after_s: float = 0.0
    found_within_s: float | None = None
    ask_every_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What became of a killed worker that held jobs: seconds from the kill."""

    found_s: float
    asked_s: float | None
    """Until the first request about one of its pools by another worker; None without any."""


class Bystander:
    """Asks why about jobs that are not final, from a thread, until told to stop."""

    def __init__(self, plugwave: Plugwave, dice: random.Random, every_s: float) -> None:
        self._plugwave = plugwave
        self._dice = dice
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="bystander")
        self.answers = 0
        self.found: list[Violation] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        states = [part for state in OPEN_STATES for part in ("--state", state)]
        while not self._over.wait(self._every_s):
            done = self._plugwave.run("jobs", "list", *states, "--limit", "200", "-o", "json")
            if done.returncode == STORE_AWAY:
                continue
            items = json.loads(done.stdout)["items"] if done.returncode == 0 else []
            for item in self._dice.sample(items, min(2, len(items))):
                self._why(item["job"])

    def _why(self, job: str) -> None:
        done = self._plugwave.run("why", job, "-o", "json")
        if done.returncode == STORE_AWAY:
            return
        answers = json.loads(done.stdout)["answers"] if done.returncode == 0 else []
        self.answers += len(answers)
        if not answers or not all(one["headline"] and _is_explained(one) for one in answers):
            detail = f"why {job} ended with {done.returncode}: {done.stdout[:300]!r}"
            self.found.append(Violation(check="why", detail=detail))


def _is_explained(answer: dict[str, object]) -> bool:
    """Whether it has a reason; what succeeded meanwhile needs none."""
    return bool(answer["reasons"]) or answer["state"] in {"succeeded", "unchanged"}


@dataclass(slots=True)
class Crew:
    """The workers at work, and what is done to them."""

    plugwave: Plugwave
    weather: Weather
    dice: random.Random
    at_work: list[Worker] = field(default_factory=list)
    frozen: dict[int, float] = field(default_factory=dict)
    """When the worker at that place of `at_work` wakes up."""

    interruptions: int = 0
    freezes: int = 0

    def muster(self) -> None:
        """Start all of them."""
        self.at_work = [self.plugwave.start_worker() for _ in range(self.weather.workers)]

    def replace_dead(self) -> None:
        """Start a worker for each that has ended, unless there was nothing left to do."""
        for number, worker in enumerate(self.at_work):
            if worker.process.poll() not in {None, 0}:
                self.frozen.pop(number, None)
                self.at_work[number] = self.plugwave.start_worker()

    def interrupt(self) -> None:
        """Freeze or kill one, whoever it is; a frozen one may be killed in its sleep."""
        crew = range(len(self.at_work))
        awake = [n for n in crew if n not in self.frozen and self.at_work[n].log.stat().st_size]
        if len(awake) < min(self.weather.spared + 1, len(crew)):
            return  # on a busy machine beginners take seconds: else nobody would ever work
        number = self.dice.choice(crew)
        worker = self.at_work[number]
        if worker.process.poll() is not None:
            return
        self.interruptions += 1
        may_freeze = len(self.frozen) < self.weather.most_frozen and number not in self.frozen
        if may_freeze and self.dice.random() < 0.5:
            worker.signal(signal.SIGSTOP)
            self.freezes += 1
            self.frozen[number] = time.monotonic() + self.dice.uniform(*self.weather.freeze_s)
            return
        worker.kill()

    def wake(self, *, everybody: bool = False) -> None:
        """Let those go on whose sleep is over."""
        for number, until in list(self.frozen.items()):
            if everybody or time.monotonic() >= until:
                del self.frozen[number]
                if self.at_work[number].process.poll() is None:
                    self.at_work[number].signal(signal.SIGCONT)

    def finish(self, within_s: float) -> None:
        """Let everybody finish.

        Raises:
            HarnessError: If somebody does not in time, or ends badly.
        """
        self.wake(everybody=True)
        until = time.monotonic() + within_s
        for number in range(len(self.at_work)):
            # One that lost its store, or was killed last, is started until the queue is empty.
            while self.at_work[number].end(within_s=until - time.monotonic()) != 0:
                worker = self.at_work[number]
                if worker.process.returncode not in {-signal.SIGKILL, STORE_AWAY}:
                    code = worker.process.returncode
                    raise HarnessError(f"a worker ended with {code}: {tail(worker.log)}")
                self.at_work[number] = self.plugwave.start_worker()


def storm(
    folder: Path, name: str, size: Size, weather: Weather, database: PrivateServer | None = None
) -> Outcome:
    """Let the storm go over the workers; without *database* they share an SQLite file."""
    settings = {
        "PLUGWAVE_WORKER__LEASE": f"{weather.lease_s}s",
        "PLUGWAVE_WORKER__HEARTBEAT": f"{weather.lease_s / 5}s",
    }
    if database is not None:
        settings["PLUGWAVE_STORE__URL"] = database.dsn
    dice = random.Random(f"storm {size.seed}")
    with stage(folder, size, settings=settings) as on:
        crew = Crew(on.plugwave, weather, dice)
        crew.muster()
        try:
            with Bystander(on.plugwave, random.Random(size.seed), weather.ask_every_s) as bystander:
                returns = _blow(on, crew, database)
                crew.finish(size.within_s)
        finally:
            crew.wake(everybody=True)
        return _outcome(on, name, crew, bystander, returns, database)


def _blow(on: Stage, crew: Crew, database: PrivateServer | None) -> list[float]:
    """Interrupt until most of the work is done; return when the database came back each time."""
    weather = crew.weather
    work = sum(1 for job in on.scenario.expected if job.changes) * weather.calm_after
    calms = len(weather.outages_s) + 1
    outages = [
        (work * (number + 1) / calms, away_s) for number, away_s in enumerate(weather.outages_s)
    ]
    returns: list[float] = []
    next_at = on.begun + max(weather.first_after_s, weather.every_s)
    while on.cloud.count("settled") < work and crew.interruptions < weather.most:
        time.sleep(0.05)
        crew.wake()
        crew.replace_dead()
        if database is not None and outages and on.cloud.count("settled") >= outages[0][0]:
            _, away_s = outages.pop(0)
            database.stop()
            time.sleep(away_s)
            database.start()
            returns.append(time.monotonic())
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + weather.every_s
            crew.interrupt()
        if time.monotonic() - on.begun > 600 + len(on.scenario.expected):
            raise HarnessError("the storm does not end: too little gets done")
    return returns


def _outcome(
    on: Stage,
    name: str,
    crew: Crew,
    bystander: Bystander,
    returns: Sequence[float],
    database: PrivateServer | None,
) -> Outcome:
    store = on.plugwave.folder / "plugwave.db" if database is None else database.dsn
    wall = float(on.cloud.lines()[0]["wall"])
    known = lives(store, wall=wall)
    seen = on.outcome(name)
    weather = crew.weather
    recovered = recoveries(seen.run, on.plugwave.workers, known)
    reconnected = [_first_request_after(seen.run, at) - at for at in returns]
    found = [*bystander.found, *_late_finds(recovered, weather.found_within_s)]
    found += [
        Violation(check="reconnect", detail=f"no request for {it:.2f} s")
        for it in reconnected
        if it > RECONNECT_S
    ]
    more = {
        "workers started": str(len(on.plugwave.workers)),
        "freezes": str(crew.freezes),
        "worker found dead after": _spread([it.found_s for it in recovered]),
        "first request for its jobs": _spread(
            [it.asked_s for it in recovered if it.asked_s is not None]
        ),
        "jobs taken over": str(sum(len(life.jobs) for life in known)),
        "database restarts": str(len(returns)),
        "first request after a restart": _spread(reconnected),
        "answers of why": str(bystander.answers),
    }
    return Outcome(
        name=name, run=seen.run, exits=seen.exits, took_s=seen.took_s, found=found, more=more
    )


def recoveries(run: Evidence, workers: Sequence[Worker], known: Sequence[Life]) -> list[Recovery]:
    """Return what became of each killed worker that held jobs."""
    pools = {
        str(line["job"]): (str(line["project_id"]), str(line["pool_name"])) for line in run.results
    }
    arrivals: dict[Place, list[float]] = {}
    for line in run.requests:
        arrivals.setdefault(place(line), []).append(float(line["received"]))
    by_pid = {life.pid: life for life in sorted(known, key=lambda life: life.started)}
    seen: list[Recovery] = []
    for worker in workers:
        life = by_pid.get(worker.process.pid)
        killed = worker.killed
        if killed is None or life is None or not life.jobs:
            continue
        if life.dead is None or life.dead < killed:
            continue
        dead = life.dead
        its = {pools[job] for job in life.jobs if job in pools}
        after = (at for pool in its for at in arrivals.get(pool, ()))
        asked = min((at for at in after if at >= dead), default=None)
        seen.append(
            Recovery(found_s=dead - killed, asked_s=None if asked is None else asked - killed)
        )
    return seen


def _late_finds(recovered: Sequence[Recovery], within_s: float | None) -> list[Violation]:
    if within_s is None:
        return []
    late = [it.found_s for it in recovered if it.found_s > within_s]
    found = [Violation(check="recovery", detail=f"found dead after {it:.2f} s") for it in late]
    if not recovered:
        found.append(Violation(check="recovery", detail="no killed worker held a job"))
    return found


def _first_request_after(run: Evidence, instant: float) -> float:
    return min(
        (float(line["received"]) for line in run.requests if float(line["received"]) > instant),
        default=float("inf"),
    )


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return f"median {median(seconds):.2f} s, longest {max(seconds):.2f} s, of {len(seconds)}"
