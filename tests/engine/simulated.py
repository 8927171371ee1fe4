"""The product's simulator on virtual time, behind the product's own client.

Only the socket is left out: a request goes from `ModelArtsClient` straight into the
simulator's `Cloud`, and what a connection would do to the answer becomes what the transport
makes of it.  So POST modes, lags and lost answers are the simulator's own, and bodies, codes
and outcomes are read by production code.
"""

import random
from collections.abc import Mapping
from typing import Any

from multidict import CIMultiDict
from yarl import URL

from jobs.clock import MICROSECONDS, Clock
from jobs.model import Target
from jobs.outcomes import Answer, Outcome
from worker.modelarts.auth import NoAuth
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.faults import GateClosed
from worker.modelarts.outcomes_of_exceptions import answer_of_exception, without_answer
from worker.modelarts.transport import Gate, RawAnswer, Transport
from worker.modelarts.urls import Urls
from worker.simulator.asked import Asked
from worker.simulator.cloud import Cloud, Reply
from worker.simulator.faults import Manner
from worker.simulator.fleet import Fleet
from worker.simulator.journal import Journal
from worker.simulator.options import SimulatorOptions
from worker.switchboard import ModelArtsCloud

ENDPOINT = "http://127.0.0.1:1"
"""Never connected to."""


class Wire(Transport):
    """A transport without a network: each way takes up to four virtual milliseconds."""

    def __init__(self, cloud: Cloud, clock: Clock, rng: random.Random) -> None:
        super().__init__(clock)
        self._cloud = cloud
        self._time = clock
        self._rng = rng

    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout_s: float,
        gate: Gate,
    ) -> RawAnswer | Answer:
        """Ask the gate, then the simulator; return what arrives of its answer."""
        await self._travel()
        try:
            gate()
        except GateClosed as error:
            return answer_of_exception(error, sent=False)
        sent_us = self._time.now_us()
        asked = Asked(
            method=method,
            raw_path=url.raw_path_qs,
            headers=CIMultiDict(headers),
            body=body or b"",
        )
        reply = self._cloud.handle(asked)
        if reply.wait_s >= timeout_s:
            await self._time.sleep(timeout_s)
            return without_answer(Outcome.ANSWER_TIMEOUT, sent=True)
        await self._time.sleep(reply.wait_s)
        await self._travel()
        return _arrived(reply, sent_us)

    async def _travel(self) -> None:
        await self._time.sleep(self._rng.uniform(0.0, 0.004))


def _arrived(reply: Reply, sent_us: int) -> RawAnswer | Answer:
    """Return what the transport makes of the reply; see `worker.simulator.server`."""
    answer = reply.answer
    if answer is None or reply.manner is Manner.RESET:
        return without_answer(Outcome.CONNECTION_LOST, sent=True)
    if reply.manner is Manner.CUT:
        return without_answer(Outcome.BODY_CUT, sent=True)
    head = {"Content-Type": answer.content_type, "X-Request-Id": reply.request_id}
    return RawAnswer(
        status=answer.status, headers=CIMultiDict(head), body=answer.body, sent_us=sent_us
    )


class SimulatedCloud:
    """A simulated fleet, what a worker talks to, and what really became of every pool."""

    def __init__(self, options: SimulatorOptions, clock: Clock) -> None:
        assert options.speed == 1, "virtual time needs no other speed"
        self._started_us = clock.now_us()
        self._cloud = Cloud(options, clock=clock, journal=Journal())
        wire = Wire(self._cloud, clock, random.Random(options.seed))
        client = ModelArtsClient(wire, Urls(ENDPOINT), NoAuth(), clock)
        self.spoken_to = ModelArtsCloud(client, ENDPOINT, None)
        self._clock = clock

    @property
    def fleet(self) -> Fleet:
        """The projects and pools."""
        return self._cloud.fleet

    def target(self, project: str, pool: str) -> Target:
        """Return a pool as jobs name it."""
        return Target(project_id=project, pool_name=pool)

    def entries(self) -> list[Mapping[str, Any]]:
        """Return every request that arrived."""
        return list(self._cloud.journal.entries())

    def inputs(self, project: str, pool: str, plugin: str) -> dict[str, Any]:
        """Return the inputs that a plug-in has, or is being given."""
        return dict(self._cloud.installed(project, pool)[plugin].inputs)

    def truth(self, project: str, pool: str, plugin: str) -> tuple[str, dict[str, Any]] | None:
        """Return version and inputs of a plug-in that runs; None while it is being changed.

        What a lag hides from readers is not hidden here.
        """
        self._cloud.settle_now()
        found = self.fleet.find(project, pool)
        assert found is not None
        now_s = (self._clock.now_us() - self._started_us) / MICROSECONDS
        if found.is_moving(now_s):
            return None
        one = found.plugin(plugin, now_s)
        assert one is not None
        return one.version, dict(one.inputs)

    def change(self, **wanted: Any) -> None:
        """Let the cloud behave otherwise from now on."""
        self._cloud.change(wanted)

    @property
    def asked(self) -> list[Mapping[str, Any]]:
        """Every request that reached the cloud, as its journal has it."""
        return list(self._cloud.journal.entries())

    def applied(self) -> dict[str, int]:
        """Return how many changes really began on each pool that was written to."""
        self._cloud.settle_now()
        counts: dict[str, int] = {}
        for entry in self._cloud.journal.entries():
            if entry["method"] in {"POST", "PATCH"}:
                pool = entry["pool_name"]
                counts[pool] = counts.get(pool, 0) + bool(entry["applied"])
        return counts

    def overlaps(self) -> list[Mapping[str, Any]]:
        """Return every change that began while another was under way on its pool."""
        return [entry for entry in self._cloud.journal.entries() if entry["overlap"]]
