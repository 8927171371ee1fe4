"""The four trials a worker must pass, in any size: faults, kills, two workers, drain.

Each trial queues the jobs of a scenario, lets real processes work them off against a chaos
cloud, treats the processes as its name says, and returns what it saw.  The default tests
run small ones; `python -m tests.acceptance.run` and the soak tests run them in full.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.acceptance.checker import Violation, violations
from tests.acceptance.evidence import Evidence, Figures, Place, figures, parse_lines, place
from tests.acceptance.harness import Cloud, HarnessError, Plugwave
from tests.acceptance.scenario import Scenario, make_scenario

RECOVERY_S: Final = 1.0
"""Within this time after its imports a restarted worker asks the cloud something."""

ENOUGH_TO_DO: Final = 10
"""Untouched pools that must be left for a restart to be judged by its first request."""

STARTING_S: Final = 0.8
"""Longest life of a worker that is killed while it imports or just begins."""

JUST_AFTER_S: Final = (0.0, 0.02)
"""How soon after the event it waits for a kill follows: a commit takes some milliseconds."""

KILL_FAULTS: Final = (
    *("pause-then-effect", "effect-then-pause", "reset-late"),
    *("read-500", "read-reset", "read-stale"),
)
"""Faults of the kill trial: sends that are on their way for long, so that kills meet them, and
whose effect comes when a hasty restart has already looked."""

CLAIMED_BEFORE_S: Final = 0.5
"""A job claimed before the signal to drain may ask about its pool for the first time after it."""

DRAIN_S: Final = 10.0
"""How long a drain may take; the longest request takes 2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a trial is, and how bad the cloud."""

    jobs: int
    rate: int
    faults: float
    seed: int = 1
    throttles: int = 2
    undone: int = 2
    slots: int = 256
    """Jobs a worker may have in hand; few enough, and a second worker finds some too."""

    within_s: float = 120.0
    """How long one process may take to work the queue off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How a worker came back, in seconds: from process start, and from its first log line."""

    from_start_s: float
    from_first_line_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial saw; times in seconds.

    Attributes:
        name: The trial.
        run: The evidence.
        found: Broken promises that only this trial can see.
        exits: The workers' exit codes in order of their start.
        took_s: From the first worker's start to the last one's end.
        restarts: How each judged restart went.
        drains_s: From each signal to the worker's end.
        more: Figures that only this trial has, as text.
    """

    name: str
    run: Evidence
    exits: Sequence[int]
    took_s: float
    found: Sequence[Violation] = ()
    restarts: Sequence[Restart] = ()
    drains_s: Sequence[float] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    def violations(self) -> list[Violation]:
        """Return every broken promise."""
        return [*violations(self.run), *self.found]

    def figures(self) -> Figures:
        """Return the counts."""
        return figures(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running cloud, a queue with the scenario's jobs, and the scenario."""

    cloud: Cloud
    plugwave: Plugwave
    scenario: Scenario
    begun: float

    def outcome(self, name: str, **seen: Any) -> Outcome:
        """Stop the cloud and return what was seen; every worker must have ended."""
        took = time.monotonic() - self.begun
        run = self.plugwave.evidence(self.scenario, self.cloud.stop())
        exits = [worker.process.returncode for worker in self.plugwave.workers]
        return Outcome(name=name, run=run, exits=exits, took_s=took, **seen)


@contextmanager
def stage(
    folder: Path, size: Size, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """Start the cloud and queue the jobs; take everything down at the end.

    Args:
        folder: Where files go.
        size: Of the trial.
        options: More options of the cloud.
        settings: More variables for every command of plugwave.
    """
    scenario = make_scenario(size.jobs, seed=size.seed)
    state, jobs = scenario.write(folder)
    told = {"seed": size.seed, "faults": size.faults, "throttles": size.throttles}
    told["undone"] = size.undone
    settings = {"PLUGWAVE_WORKER__SLOTS": str(size.slots), **(settings or {})}
    command = [part for name, value in told.items() for part in (f"--{name}", str(value))]
    with (
        Cloud(folder, state, *command, "--limit", str(size.rate), *options) as cloud,
        Plugwave(folder, cloud.endpoint, size.rate, settings) as plugwave,
    ):
        plugwave.enqueue(jobs)
        yield Stage(cloud=cloud, plugwave=plugwave, scenario=scenario, begun=time.monotonic())


def faults(folder: Path, size: Size) -> Outcome:
    """Let one worker meet every fault."""
    with stage(folder, size) as on:
        on.plugwave.start_worker().end(within_s=size.within_s)
        return on.outcome("faults")


def kills(folder: Path, size: Size, *, count: int, life_s: tuple[float, float]) -> Outcome:
    """Kill a worker *count* times at every kind of moment, then let the last one finish.

    Args:
        folder: Where files go.
        size: Of the trial.
        count: How many kills; their kinds take turns, see `_wait_for_moment`.
        life_s: Shortest and longest life after the first request, where that is random.
    """
    dice = random.Random(f"kills {size.seed}")
    with stage(folder, size, "--only", ",".join(KILL_FAULTS)) as on:
        for number in range(count):
            worker = on.plugwave.start_worker()
            lives = _wait_for_moment(on, number, dice, life_s)
            if worker.ended_within(lives):
                break
            worker.kill()
        on.plugwave.start_worker().end(within_s=size.within_s)
        restarts = _restarts(on)
        slow = [
            Violation(check="recovery", detail=f"no request for {it.from_first_line_s:.2f} s")
            for it in restarts
            if it.from_first_line_s > RECOVERY_S
        ]
        return on.outcome("kills", restarts=restarts, found=slow)


def two_workers(folder: Path, size: Size, *, stop_s: float, after: int) -> Outcome:
    """Let two workers share the queue; stop one for *stop_s*, once *after* requests have come."""
    with stage(folder, size) as on:
        sleeper, other = on.plugwave.start_worker(), on.plugwave.start_worker()
        on.cloud.wait_for_requests(after, within_s=20)
        sleeper.signal(signal.SIGSTOP)
        other.ended_within(stop_s)
        sleeper.signal(signal.SIGCONT)
        other.end(within_s=size.within_s)
        sleeper.end(within_s=size.within_s)
        return on.outcome("two workers")


def drain(folder: Path, size: Size, *, after: Mapping[int, int]) -> Outcome:
    """Send each signal once a new worker has made that many requests; then let one finish."""
    found: list[Violation] = []
    drains: list[float] = []
    with stage(folder, size, "--latency-range", "0.02-0.2") as on:
        for number, requests in after.items():
            arrived = on.cloud.arrived()
            worker = on.plugwave.start_worker()
            on.cloud.wait_for_requests(arrived + requests, within_s=20)
            signalled = time.monotonic()
            worker.signal(number)
            worker.end(within_s=DRAIN_S)
            drains.append(time.monotonic() - signalled)
            found += _not_drained(on, signalled)
        on.plugwave.start_worker().end(within_s=size.within_s)
        return on.outcome("drain", drains_s=drains, found=found)


def _wait_for_moment(
    on: Stage, number: int, dice: random.Random, life_s: tuple[float, float]
) -> float:
    """Wait for the moment before kill *number*; return the seconds that are left to it.

    In turn: right after a send has arrived, right after a look at a settled plug-in was
    answered, at random, while the worker still starts, at random.
    """
    kind = number % 5
    if kind == 3:
        return dice.uniform(0.0, STARTING_S)
    watch = (_a_send, _a_last_look, _a_request, None, _a_request)[kind]
    assert watch is not None
    # Near the end of the work none may be due for a while; then any moment is as good.
    with suppress(HarnessError):
        on.cloud.wait_for(_New(watch, len(on.cloud.lines())), within_s=4.0)
    return dice.uniform(*(life_s if watch is _a_request else JUST_AFTER_S))


class _New:
    """Whether a line after the first *start* ones is one that is waited for; looks at each once."""

    def __init__(self, wanted: Callable[["_New", Mapping[str, Any]], bool], start: int) -> None:
        self._wanted = wanted
        self._start = start
        self._next = 0
        self.settled: set[Place] = set()
        self.reads: dict[int, Place] = {}

    def __call__(self, record: Sequence[Mapping[str, Any]]) -> bool:
        found = False
        for line in record[self._next :]:
            if line["kind"] == "settled":
                self.settled.add(place(line))
            elif line["kind"] == "request" and line["method"] == "GET":
                self.reads[line["request"]] = place(line)
            found = found or (self._next >= self._start and self._wanted(self, line))
            self._next += 1
        return found


def _a_request(_: _New, line: Mapping[str, Any]) -> bool:
    return bool(line["kind"] == "request")


def _a_send(_: _New, line: Mapping[str, Any]) -> bool:
    return bool(line["kind"] == "request" and line["method"] != "GET")


def _a_last_look(known: _New, line: Mapping[str, Any]) -> bool:
    """Whether it is the answer to a read that may show a worker that its job has succeeded."""
    return line["kind"] == "answer" and known.reads.get(line["request"]) in known.settled


def _restarts(on: Stage) -> list[Restart]:
    """Return how each restart went that had enough to do.

    How long a process needs for its imports hangs on how busy the machine is, so what is
    judged is the time from its first log line, which it writes before it looks for work.
    """
    lines = on.cloud.lines()
    wall = float(lines[0]["wall"])
    requests = [line for line in lines if line["kind"] == "request"]
    pools = {job.place for job in on.scenario.expected}
    workers = on.plugwave.workers
    seen: list[Restart] = []
    for worker, following in zip(workers[1:], [*workers[2:], None], strict=True):
        until = following.started if following else float("inf")
        touched = {place(line) for line in requests if _received(line) < worker.started}
        its_own = [at for at in map(_received, requests) if worker.started <= at < until]
        log, _ = parse_lines([worker.log])
        if its_own and log and len(pools - touched) >= ENOUGH_TO_DO:
            said = datetime.fromisoformat(str(log[0]["ts"])).timestamp() - wall
            first = min(its_own)
            spent = {"from_start_s": first - worker.started, "from_first_line_s": first - said}
            seen.append(Restart(**spent))
    return seen


def _not_drained(on: Stage, signalled: float) -> Iterator[Violation]:
    """Yield what a worker did after the signal to drain that it should not have done."""
    lines = on.cloud.lines()
    requests = [line for line in lines if line["kind"] == "request"]
    known = {place(line) for line in requests if _received(line) < signalled + CLAIMED_BEFORE_S}
    for line in requests:
        if place(line) not in known:
            yield Violation(check="drain", detail=f"{line['pool']} was begun after the signal")
    sends = {line["request"] for line in requests if line["method"] != "GET"}
    for line in lines:
        if line["kind"] == "answer" and line["request"] in sends and line["status"] is None:
            yield Violation(check="drain", detail=f"send {line['request']} was broken off")


def _received(line: Mapping[str, Any]) -> float:
    return float(line["received"])
