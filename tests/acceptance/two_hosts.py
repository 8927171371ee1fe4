"""Two hosts, one worker on each, and lines that are cut: to the database, to the cloud, to both.

The line of the first host is cut without a word, so that both sides keep connections that
lead nowhere.  What is judged is when requests *arrive* at the cloud, by the address they
come from, against what the database says about the lease.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.acceptance.checker import Violation
from tests.acceptance.evidence import Evidence, place
from tests.acceptance.harness import Worker
from tests.acceptance.ledger import Life, lives
from tests.acceptance.namespaces import NETWORK, Host, hosts
from tests.acceptance.trials import Outcome, Size, Stage, stage
from tests.postgres.server import PrivateServer

LEASE_S: Final = 3.0
GRACE_S: Final = 2.0
"""The request time-out of the harness: what others wait after the lease."""

CUT_S: Final = LEASE_S + GRACE_S + 3.0
"""Long enough that the other host takes over."""

CLOUD_CUT_S: Final = 7.0
"""Longer than a request and its settle time, so that reads after it may prove something."""

BACK_S: Final = 40.0
"""Within this time after a cut the host works again."""

BACK_WITHIN_S: Final = 15.0
"""Within this time after a line was mended its host works again: the wait between two tries to
reach a database, the connection, a new registration and the next claim."""

TAKEN_OVER_S: Final = 60.0
"""Within this time the other host goes on with what was held, also on a busy machine; its own jobs
take turns with it."""


SIZE: Final = Size(jobs=500, rate=50, faults=0.0, seed=7, throttles=0, slots=64, within_s=200)
"""Work for about a minute, more than the cuts take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One cut of the first host's lines, in monotonic seconds."""

    what: str
    begun: float
    healed: float


def two_hosts(folder: Path, size: Size) -> Outcome:
    """Let two hosts share the work; cut the first one off, in three ways."""
    database = PrivateServer(friends=NETWORK)
    settings = {
        "PLUGWAVE_STORE__URL": database.dsn,
        "PLUGWAVE_WORKER__LEASE": f"{LEASE_S}s",
        "PLUGWAVE_WORKER__HEARTBEAT": "0.5s",
    }
    listening = ("--host", "0.0.0.0")
    try:
        with hosts(2) as (one, two), stage(folder, size, *listening, settings=settings) as on:
            for host in (one, two):
                host.lead(on.cloud.port)
                host.lead(database.port)
            lonely = on.plugwave.start_worker(*one.inside)
            on.plugwave.start_worker(*two.inside)
            cuts = _cuts(on, one, database.port)
            for worker in on.plugwave.workers:
                worker.end(within_s=size.within_s)
            known = lives(database.dsn, wall=float(on.cloud.lines()[0]["wall"]))
            return _judged(on, lonely, one, cuts, known)
    finally:
        database.remove()


def _cuts(on: Stage, host: Host, database: int) -> list[Cut]:
    cloud = on.cloud.port
    plan = (
        ("database", (database,), CUT_S),
        ("cloud", (cloud,), CLOUD_CUT_S),
        ("both", (database, cloud), CUT_S),
    )
    done: list[Cut] = []
    for what, ports, lasts_s in plan:
        _wait_for_work(on, host)
        begun = time.monotonic()
        host.cut(*ports)
        time.sleep(lasts_s)
        host.heal(*ports)
        done.append(Cut(what=what, begun=begun, healed=time.monotonic()))
    return done


def _wait_for_work(on: Stage, host: Host, sends: int = 5) -> None:
    """Wait until the host has sent some more requests that change something."""
    start = len(on.cloud.lines())
    on.cloud.wait_for(partial(_has_sent, host=host, start=start, sends=sends), within_s=BACK_S)


def _has_sent(record: Any, *, host: Host, start: int, sends: int) -> bool:
    new = record[start:]
    return sum(1 for line in new if _is_from(line, host) and line["method"] != "GET") >= sends


def _is_from(line: Mapping[str, Any], host: Host) -> bool:
    return bool(line["kind"] == "request" and line["peer"] == host.address)


def _judged(on: Stage, lonely: Worker, host: Host, cuts: list[Cut], known: list[Life]) -> Outcome:
    seen = on.outcome("two hosts")
    # What was sent into a cut line was an attempt, and never arrived.
    run = replace(seen.run, interruptions=len(cuts))
    found: list[Violation] = []
    more: dict[str, str] = {}
    for cut in cuts:
        back_s = _first_from(seen.run, host, after=cut.healed) - cut.healed
        more[f"cut off from {cut.what}: back"] = f"{back_s:.2f} s after the line was mended"
        if back_s > BACK_WITHIN_S:
            detail = f"idle for {back_s:.2f} s after the line to the {cut.what} was mended"
            found.append(Violation(check="reconnect", detail=detail))
        if cut.what == "cloud":
            continue
        life = _buried(lonely, known, cut)
        if life is None:
            detail = f"nobody took over while the {cut.what} was out of reach"
            found.append(Violation(check="takeover", detail=detail))
            continue
        last = _last_from(seen.run, host, before=cut.healed)
        more[f"cut off from {cut.what}: last request"] = (
            f"{last - cut.begun:.2f} s after the cut,"
            f" {life.lease_end - last:.2f} s before the end of the lease"
        )
        if last >= life.lease_end:
            detail = f"a request came {last - life.lease_end:.2f} s after the lease had ended"
            found.append(Violation(check="I7 fenced", detail=detail))
        after = _taken_over_after(seen.run, host, life)
        more[f"cut off from {cut.what}: taken over"] = f"{after:.2f} s after it was declared dead"
        if after > TAKEN_OVER_S:
            detail = f"what it held was not asked about by the other host for {after:.2f} s"
            found.append(Violation(check="takeover", detail=detail))
    return Outcome(
        name=seen.name, run=run, exits=seen.exits, took_s=seen.took_s, found=found, more=more
    )


def _buried(lonely: Worker, known: list[Life], cut: Cut) -> Life | None:
    """Return the life of the cut-off worker that was declared over during the cut."""
    for life in known:
        ended = life.dead is not None and cut.begun < life.dead < cut.healed
        if life.pid == lonely.process.pid and ended:
            return life
    return None


def _last_from(run: Evidence, host: Host, *, before: float) -> float:
    its = [line for line in run.requests if line["peer"] == host.address]
    return max(float(line["received"]) for line in its if float(line["received"]) < before)


def _first_from(run: Evidence, host: Host, *, after: float) -> float:
    its = (float(line["received"]) for line in run.requests if line["peer"] == host.address)
    return min((at for at in its if at > after), default=float("inf"))


def _taken_over_after(run: Evidence, host: Host, life: Life) -> float:
    """Return after how long the other host asked about a pool that was held; infinite if never."""
    pools = {
        str(line["job"]): (str(line["project_id"]), str(line["pool_name"])) for line in run.results
    }
    held = {pools[job] for job in life.jobs if job in pools}
    dead = life.dead or 0.0
    its = (
        float(line["received"])
        for line in run.requests
        if place(line) in held and line["peer"] != host.address
    )
    return min((at - dead for at in its if at >= dead), default=float("inf"))
