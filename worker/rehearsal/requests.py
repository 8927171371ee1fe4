"""The cloud of a rehearsal: pools whose one plug-in lives as the simulator's do.

It answers as `worker.calls` would, in turn at the permitted rate; every request is written
down.  Nothing is sent anywhere.
"""

from dataclasses import replace
from types import TracebackType
from typing import Final

from jobs.clock import MICROSECONDS
from jobs.decide import Answered, Offered
from jobs.model import Job, PluginSeen, PoolRead, Target
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Bucket, Demand, Pace, reserve
from jobs.rollouts.actions import Action
from jobs.rollouts.plan import Plan, PlanRow
from worker.calls import Permit, Wire
from worker.line import Kind, Lines, Waiting
from worker.rehearsal.agenda import Agenda, Pause
from worker.rehearsal.fates import Fates
from worker.simulator.state import (
    Change,
    ChangeKind,
    Phase,
    Plugin,
    installing,
    settled,
    view,
)

ONE_WAY_S: Final = (0.01, 0.06)
"""How long a request or an answer travels."""

KEY: Final = "rehearsal"
FAR_US: Final = 10**15
"""Further ahead than any turn is."""

WHY: Final = "rehearsed: this pool breaks"


class _Turn(Waiting["_Turn"]):
    """A request in line; entered at the moment at which it may leave."""

    __slots__ = ("_pause", "_turns")

    def __init__(self, project: str, kind: Kind, turns: "RehearsedTurns") -> None:
        super().__init__(project, kind)
        self._pause = Pause()
        self._turns = turns

    def begin(self) -> None:
        """Say that its moment has come."""
        self._pause.go_on()

    async def wait(self) -> None:
        """It is time."""

    def use(self) -> bool:
        """Use it: no turn is late here."""
        return True

    async def __aenter__(self) -> Permit:
        """Wait for the moment."""
        self._turns.line_up(self)
        await self._pause
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give nothing back: requests in flight are not limited here."""


class RehearsedTurns:
    """Gives turns at the permitted rate; whose is next, `worker.line` says, as for real ones."""

    def __init__(self, agenda: Agenda, pace: Pace) -> None:
        self._pace = pace
        self._agenda = agenda
        self._rows: dict[str, Bucket] = {KEY: Bucket()}
        self._lines: Lines[_Turn] = Lines()

    @property
    def limit_per_s(self) -> float:
        """Requests a second."""
        return self._pace.limit.count / self._pace.limit.window_s

    def turn(self, project: str, kind: Kind) -> _Turn:
        """Return a context that waits for a turn."""
        return _Turn(project, kind, self)

    def line_up(self, one: _Turn) -> None:
        """Put a request in line."""
        self._lines.add(one)
        if len(self._lines) == 1:
            self._next_slot()

    def _next_slot(self) -> None:
        now_us = self._agenda.now_us()
        wanted = [Demand(project="", waiting=1)]
        self._rows, slots = reserve(
            (KEY, self._pace), {}, wanted, self._rows, now_us=now_us, until_us=now_us + FAR_US
        )
        self._agenda.at(slots[0].at_us, self._give)

    def _give(self) -> None:
        one = self._lines.next(None)
        assert isinstance(one, _Turn), "a slot is reserved for whoever waits"
        if len(self._lines):
            self._next_slot()
        one.begin()


class RehearsedRequests:
    """What steps of jobs ask; `sent_us` has the instant of every request."""

    def __init__(self, plan: Plan, agenda: Agenda, fates: Fates, pace: Pace) -> None:
        self.limiter = RehearsedTurns(agenda, pace)
        self.sent_us: list[int] = []
        self.broken: set[Target] = set()
        self._plan = plan
        self._agenda = agenda
        self._fates = fates
        self._from_us = agenda.now_us()
        self._chance = fates.chance()
        self._rows = {row.target: row for row in plan.acting}
        self._lives: dict[Target, Plugin | None] = {}

    async def look(self, job: Job, kind: Kind, wire: Wire) -> PoolRead | Answer:
        """Show the pool's plug-in as it is when the request arrives."""
        target = job.request.target
        asked_us = await self._leave(target.project_id, kind, wire)
        one_way_s = self._chance.uniform(*ONE_WAY_S)
        # Nobody else changes the pool, so what will be there is known before time has passed.
        plugin, there_s = self._life(target, one_way_s)
        plugins = {} if plugin is None else {plugin.name: _seen(plugin, there_s)}
        await self._agenda.sleep(2 * one_way_s)
        return PoolRead(asked_us=asked_us, plugins=plugins)

    async def offers(self, job: Job, wire: Wire) -> Offered | Answer:
        """Offer what the plan says, with the template's defaults."""
        await self._leave(job.request.target.project_id, Kind.CHECK, wire)
        await self._agenda.sleep(2 * self._chance.uniform(*ONE_WAY_S))
        version = self._rows[job.request.target].version_to or ""
        return Offered(versions=[version], defaults={version: {}})

    async def send(self, job: Job, turn: Permit, wire: Wire, until_us: int) -> Answered | None:  # noqa: ARG002 - a turn here is never late
        """Take the change; what becomes of it is the pool's fate."""
        await turn.wait()
        sent_us = self._sent(wire)
        one_way_s = self._chance.uniform(*ONE_WAY_S)
        self._begin(job, one_way_s)
        await self._agenda.sleep(2 * one_way_s)
        answer = Answer(outcome=Outcome.OK, sent=True, http_status=200)
        return Answered(answer=answer, sent_us=sent_us)

    async def _leave(self, project: str, kind: Kind, wire: Wire) -> int:
        async with self.limiter.turn(project, kind) as turn:
            await turn.wait()
            return self._sent(wire)

    def _sent(self, wire: Wire) -> int:
        now_us = self._agenda.now_us()
        wire.sent += 1
        wire.sent_us = now_us
        self.sent_us.append(now_us)
        return now_us

    def _life(self, target: Target, in_s: float) -> tuple[Plugin | None, float]:
        """Return the pool's plug-in as it will be *in_s* seconds from now, and when that is."""
        there_s = (self._agenda.now_us() - self._from_us) / MICROSECONDS + in_s
        if target not in self._lives:
            self._lives[target] = _before(self._plan, self._rows[target])
        plugin = self._lives[target]
        if plugin is not None and plugin.change is not None:
            plugin = self._lives[target] = settled(plugin, there_s)
        return plugin, there_s

    def _begin(self, job: Job, in_s: float) -> None:
        target, progress = job.request.target, job.progress
        present, begins_s = self._life(target, in_s)
        fate = self._fates.of(target)
        change = Change(
            kind=ChangeKind.INSTALL if present is None else ChangeKind.UPGRADE,
            version=progress.version or "",
            inputs=progress.inputs or {},
            shown_s=begins_s,
            ends_s=begins_s + fate.takes_s,
            broken=WHY if fate.breaks else None,
        )
        if fate.breaks:
            self.broken.add(target)
        self._lives[target] = (
            installing(self._plan.plugin, change, self._agenda.now_us())
            if present is None
            else replace(present, change=change)
        )


def _seen(plugin: Plugin, now_s: float) -> PluginSeen:
    shown = view(plugin, now_s)
    return PluginSeen(
        name=plugin.name,
        version=shown.version,
        phase=shown.phase,
        reason=shown.reason,
        inputs=shown.inputs,
        created_at=str(plugin.created_us),
    )


def _before(plan: Plan, row: PlanRow) -> Plugin | None:
    """Return the plug-in as the plan has seen it: its inputs only as far as that matters."""
    if row.action is Action.INSTALL:
        return None
    version = row.version_from or "unknown"
    # It is configured anew because it is Abnormal, unless an input is to change.
    mends = row.action is Action.RECONFIGURE and not row.inputs
    return Plugin(
        name=plan.plugin,
        version=version,
        wanted=version,
        inputs={},
        created_us=0,
        phase=Phase.ABNORMAL if mends else Phase.RUNNING,
    )
