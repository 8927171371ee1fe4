"""The simulated cloud without its network: a request in, an answer and its manner out.

    request ─> late effects due? ─> credential ─> throttle ─> fault ─> effect ─> journal ─> reply

It never waits.  An effect that comes late is carried out by the next request after its
moment, at its moment; nobody can tell the difference, because nobody looked in between.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.clock import Clock, seconds_to_us
from worker.simulator import answers
from worker.simulator.answers import Answer
from worker.simulator.asked import Asked
from worker.simulator.chance import hexadecimal
from worker.simulator.credentials import Authenticator, Rejected
from worker.simulator.faults import Fault, Manner, disguised, read_fault, write_fault
from worker.simulator.fleet import Fleet
from worker.simulator.iam.identity import Identity
from worker.simulator.inputs import digest
from worker.simulator.journal import Journal
from worker.simulator.options import SimulatorOptions, changed
from worker.simulator.reads import READS
from worker.simulator.routes import WRITES, place_of
from worker.simulator.state import View, view
from worker.simulator.throttle import Throttle
from worker.simulator.timeline import Timeline
from worker.simulator.wishes import Wish, wish_of
from worker.simulator.world import Visit, World
from worker.simulator.writes import Done, perform

BODY_LIMIT: Final = 12 * 1024 * 1024
"""Bytes; what the gateway takes (code 0201)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back, and how; *answer* is None when the connection is reset."""

    request_id: str
    answer: Answer | None
    manner: Manner = Manner.WHOLE
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a request went, before it is written down."""

    answer: Answer | None
    fault: Fault | None = None
    done: Done | None = None


class Cloud:
    """All of the simulated cloud but its sockets."""

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        clock: Clock,
        journal: Journal,
        authenticator: Authenticator | None = None,
    ) -> None:
        self.journal = journal
        self._clock = clock
        self._throttle = Throttle()
        self._world = World(
            options=options,
            clock=clock,
            timeline=Timeline(clock.now_us(), options.speed),
            fleet=Fleet(options),
        )
        self.identity = Identity(self._world, authenticator)
        self._authenticator = self.identity.authenticator
        self._late: list[tuple[int, int, Visit]] = []
        self._visits = 0

    @property
    def options(self) -> SimulatorOptions:
        """The options in force."""
        return self._world.options

    @property
    def fleet(self) -> Fleet:
        """The projects and pools."""
        return self._world.fleet

    def change(self, wanted: Mapping[str, Any]) -> SimulatorOptions:
        """Put other options in force from now on.

        Raises:
            ConfigError: If one of them is unknown, fixed or out of bounds; nothing changes.
        """
        options = changed(self.options, wanted)
        now_us = self._clock.now_us()
        self.settle(now_us)
        self._world.timeline.run_at(options.speed, now_us)
        self._world.options = options
        return options

    def installed(self, project_id: str, pool_name: str) -> dict[str, View]:
        """Return the plug-ins of a pool as a reader would see them now, by name."""
        now_us = self._clock.now_us()
        self.settle(now_us)
        pool = self.fleet.find(project_id, pool_name)
        now_s = self._world.timeline.at(now_us)
        present = pool.present(now_s) if pool is not None else []
        return {plugin.name: view(plugin, now_s) for plugin in present}

    def handle(self, asked: Asked) -> Reply:
        """Carry out one request and say what goes back."""
        visit = self._arrive(asked)
        self.settle(visit.received_us)
        refused = self._refused(visit, asked)
        if refused is not None:
            outcome = _Outcome(answer=refused)
        elif visit.place.call in WRITES:
            outcome = self._write(visit)
        elif visit.place.is_identity:
            outcome = _Outcome(answer=self.identity.answer(visit, asked))
        else:
            outcome = self._read(visit)
        self._write_down(visit, outcome)
        fault = outcome.fault
        return Reply(
            request_id=visit.request_id,
            answer=outcome.answer,
            manner=fault.manner if fault is not None else Manner.WHOLE,
            wait_s=fault.wait_s if fault is not None else 0.0,
        )

    def settle(self, now_us: int) -> None:
        """Carry out the late effects whose moment has come, each at its moment."""
        while self._late and self._late[0][0] <= now_us:
            at_us, _, visit = heapq.heappop(self._late)
            self._write_down_late(visit, perform(self._world, visit, at_us), at_us)

    def settle_now(self) -> None:
        """Carry out the late effects that are due by now."""
        self.settle(self._clock.now_us())

    def close(self) -> None:
        """Carry out what is due and end the journal; an effect still to come never does."""
        self.settle_now()
        self.journal.close()

    def _arrive(self, asked: Asked) -> Visit:
        self._visits += 1
        place = place_of(asked.method, asked.raw_path, self.options.site)
        visit = Visit(
            seq=self._visits,
            request_id=hexadecimal(self.options.seed, "request", self._visits),
            received_us=self._clock.now_us(),
            method=asked.method,
            raw_path=asked.raw_path,
            place=place,
            content_type=asked.headers.get("Content-Type", ""),
        )
        if place.call in WRITES and asked.body is not None:
            wish = wish_of(place, visit.content_type, asked.body)
            if isinstance(wish, Wish):
                visit.wish = wish
            else:
                visit.objection = wish
        return visit

    def _refused(self, visit: Visit, asked: Asked) -> Answer | None:
        """Return what the gateway says before the service sees anything."""
        body = asked.body
        if body is None:
            message = "Request body is too large"
            return answers.gateway_refusal(413, answers.TOO_LARGE, message, visit.request_id)
        if visit.place.is_identity:
            return None  # some need no credential, because they hand it out
        who = self._authenticator.check(asked.method, asked.raw_path, asked.headers, body)
        if isinstance(who, Rejected):
            return answers.rejection(who, visit.request_id)
        visit.credential = who
        over = self._throttle.refusal(
            who,
            visit.received_us,
            permitted=self.options.permitted,
            daily_quota=self.options.daily_quota,
            project=visit.place.project_id or "",
        )
        if over is not None:
            return answers.gateway_refusal(
                429,
                answers.THROTTLED,
                over.message,
                visit.request_id,
                retry_after_s=over.wait_s if self.options.retry_after else None,
            )
        return answers.no_such_api(visit.request_id) if visit.place.call is None else None

    def _read(self, visit: Visit) -> _Outcome:
        assert visit.place.call is not None
        now_s = self._world.timeline.at(visit.received_us)
        answer: Answer | None = READS[visit.place.call](self._world, visit, now_s)
        pool = self._world.find(visit.place)
        if pool is not None:
            pool.reads += 1
        if not self.options.read_faults:
            return _Outcome(answer=answer)
        # A read of no pool has no count of its own; its number among all requests stands in.
        key = (pool.project_id, pool.name, pool.reads) if pool is not None else (visit.seq,)
        fault = read_fault(self.options, *key)
        if fault is not None:
            answer = disguised(fault, answer, visit.request_id)
        return _outcome(answer, fault)

    def _write(self, visit: Visit) -> _Outcome:
        fault = self._draw(visit)
        done: Done | None = None
        if fault is None or fault.effect:
            done = perform(self._world, visit, visit.received_us)
        elif fault.late_s is not None:
            due_us = visit.received_us + seconds_to_us(fault.late_s)
            heapq.heappush(self._late, (due_us, visit.seq, visit))
        answer = done.answer if done is not None else None
        if fault is not None:
            answer = disguised(fault, answer, visit.request_id)
        return _outcome(answer, fault, done)

    def _draw(self, visit: Visit) -> Fault | None:
        pool = self._world.find(visit.place)
        if pool is None:
            return None
        pool.writes += 1
        return write_fault(self.options, pool.project_id, pool.name, pool.writes)

    def _write_down(self, visit: Visit, outcome: _Outcome) -> None:
        fault, done, answer = outcome.fault, outcome.done, outcome.answer
        applied = done is not None and done.applied
        answered_us: int | None = self._clock.now_us()
        if fault is not None and answered_us is not None:
            answered_us += seconds_to_us(fault.wait_s)
        self.journal.append(
            {
                "kind": "request",
                "of": None,
                "received_us": visit.received_us,
                "effect_us": visit.received_us if applied else None,
                "answered_us": answered_us if answer is not None else None,
                **_what(visit, done),
                "fault": fault.name if fault is not None else None,
                "status": answer.status if answer is not None else None,
                "applied": applied,
                "overlap": done is not None and done.overlap,
            }
        )

    def _write_down_late(self, visit: Visit, done: Done, at_us: int) -> None:
        self.journal.append(
            {
                "kind": "late-effect",
                "of": visit.request_id,
                "received_us": visit.received_us,
                "effect_us": at_us if done.applied else None,
                "answered_us": None,
                **_what(visit, done),
                "fault": "late",
                "status": None,
                "applied": done.applied,
                "overlap": done.overlap,
            }
        )


def _outcome(answer: Answer | None, fault: Fault | None, done: Done | None = None) -> _Outcome:
    """Return how it went; a reset connection carries no answer."""
    lost = fault is not None and fault.manner is Manner.RESET
    return _Outcome(answer=None if lost else answer, fault=fault, done=done)


def _what(visit: Visit, done: Done | None) -> dict[str, Any]:
    """Return what the request was about, without the inputs themselves."""
    wish, place = visit.wish, visit.place
    version = done.version if done is not None and done.version is not None else None
    return {
        "method": visit.method,
        "path": visit.raw_path,
        "credential": visit.credential,
        "request_id": visit.request_id,
        "project_id": place.project_id,
        "pool_name": place.pool_name,
        "plugin": wish.name if wish is not None else place.template,
        "version": version or (wish.version if wish is not None else None),
        "inputs_sha256": digest(wish.inputs) if wish is not None else None,
    }
