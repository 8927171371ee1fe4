"""What the simulated cloud consists of at one moment, and one request on its way through it."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from jobs.clock import Clock
from worker.simulator.answers import Answer
from worker.simulator.fleet import Condition, Fleet, Pool
from worker.simulator.options import SimulatorOptions
from worker.simulator.routes import Place
from worker.simulator.timeline import Timeline
from worker.simulator.wishes import Wish


@dataclass(slots=True, kw_only=True)
class World:
    """The options in force, the time, and the fleet."""

    options: SimulatorOptions
    clock: Clock
    timeline: Timeline
    fleet: Fleet

    def find(self, place: Place) -> Pool | None:
        """Return the pool the request names, or None."""
        if place.project_id is None or place.pool_name is None:
            return None
        return self.fleet.find(place.project_id, place.pool_name, make=self.options.open_fleet)

    def condition(self, pool: Pool, now_s: float) -> Condition:
        """Return what the pool is in now: a Creating one is ready after a while."""
        if pool.condition is Condition.CREATING and now_s >= self.options.creating_s:
            return Condition.ORDINARY
        return pool.condition


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request on its way.

    Attributes:
        seq: Its number, counting from 1; the request id follows from it.
        request_id: What ``X-Request-Id`` says.
        received_us: When it was complete.
        method: In capitals.
        raw_path: Path and query as sent.
        place: What the path names.
        content_type: As sent.
        wish: What a write asks for; None when it makes no sense.
        objection: Why it makes no sense.
        credential: Who asked.
    """

    seq: int
    request_id: str
    received_us: int
    method: str
    raw_path: str
    place: Place
    content_type: str
    wish: Wish | None = None
    objection: Answer | None = None
    credential: str | None = None
    _query: dict[str, list[str]] | None = field(default=None, repr=False)

    def query(self, name: str) -> str | None:
        """Return the query's first value for *name*; None when it is absent or empty."""
        if self._query is None:
            self._query = parse_qs(self.raw_path.partition("?")[2])
        values = self._query.get(name)
        return values[0] if values else None
