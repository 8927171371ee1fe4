"""Look for damage in what is kept about rollouts."""

from collections.abc import Sequence
from typing import Final

from jobs.model import rollout_name
from jobs.rollout_states import LIVE_ROLLOUTS
from jobs.states import BAD_STATES
from jobs.store.facts import Finding
from jobs.store.postgres.wire import Wire
from jobs.store.rollout_rows import COUNTED_AS, TALLY
from jobs.store.schema import STATE_CODES

LINES: Final = (
    "lines",
    "jobs whose place in a line does not fit their state or their rollout",
    """
    SELECT j.id FROM plugwave.jobs j
      LEFT JOIN plugwave.waves w ON w.rollout = j.rollout AND w.n = j.wave
      LEFT JOIN plugwave.rollouts r ON r.id = j.rollout
     WHERE j.rollout IS NOT NULL AND (w.n IS NULL OR r.id IS NULL OR j.rank IS NULL
           OR j.left_us IS NULL AND (NOT r.live OR j.place <> 0 OR j.state <> 1 OR j.reason <> 1))
        OR j.rollout IS NULL AND coalesce(j.wave, j.rank, j.left_us, j.successor) IS NOT NULL
    """,
)
"""A rule as in `checking.RULES`."""

_ENDS: Final = ", ".join(
    f"count(*) FILTER (WHERE successor IS NULL AND state = {STATE_CODES[state]}) AS {name}"
    for state, name in COUNTED_AS.items()
)
_BAD: Final = ", ".join(str(STATE_CODES[state]) for state in sorted(BAD_STATES))
_TOLD: Final = ", ".join(f"coalesce(sum(t.{name}), 0) AS {name}" for name in TALLY)
# Whether a job was refused before it was sent is told by its last event, which nobody recounts.
_NAMES: Final = ("written", *(name for name in TALLY if name != "rejected"))


def _recounted(name: str) -> str:
    """Return what a column of a tally is by a recount; a late failure is one of the failures."""
    if name == "late":
        return "w.found"
    return f"coalesce(j.{name}, 0)" + (" + w.found" if name == "failures" else "")


_RECOUNTED: Final = f"""
SELECT w.rollout, w.n FROM (
    SELECT w.rollout, w.n, w.size, w.written, {_TOLD},
           (SELECT count(*) FROM plugwave.late_failures f
             WHERE f.rollout = w.rollout AND f.wave = w.n) AS found
      FROM plugwave.waves w
      JOIN plugwave.rollouts r ON r.id = w.rollout AND r.live AND NOT r.pruned
      LEFT JOIN plugwave.tallies t ON t.rollout = w.rollout AND t.wave = w.n
     GROUP BY w.rollout, w.n) w
  LEFT JOIN (
    SELECT rollout, wave, count(*) FILTER (WHERE successor IS NULL) AS written,
           count(*) FILTER (WHERE successor IS NULL AND left_us IS NOT NULL) AS admitted,
           {_ENDS}, count(*) FILTER (WHERE state IN ({_BAD})) AS failures
      FROM plugwave.jobs WHERE rollout IS NOT NULL GROUP BY rollout, wave) j
    ON j.rollout = w.rollout AND j.wave = w.n
 WHERE {" OR ".join(f"w.{name} <> {_recounted(name)}" for name in _NAMES)}
    OR w.written > w.size
"""  # noqa: S608 - made of constants only
PLACES: Final = (
    "places",
    "jobs that stand at a place of their rollout where another one stands",
    """
    SELECT min(id) FROM plugwave.jobs WHERE rollout IS NOT NULL AND successor IS NULL
     GROUP BY rollout, wave, rank HAVING count(*) > 1
    """,
)
"""Another one; SQLite's index refuses such jobs."""

_LIVE: Final = ", ".join(f"'{state}'" for state in sorted(LIVE_ROLLOUTS))
_ODD: Final = f"""
SELECT id FROM plugwave.rollouts r
 WHERE live <> (state IN ({_LIVE})) OR live <> (finished_us IS NULL)
    OR NOT EXISTS (SELECT 1 FROM plugwave.plans WHERE digest = r.plan)
"""  # noqa: S608 - made of constants only


async def check_rollouts(wire: Wire) -> Sequence[Finding]:
    """Recount the tallies of live rollouts, and look for rollouts that make no sense."""
    wrong = await wire.rows(_RECOUNTED)
    odd = await wire.rows(_ODD)
    tallies = "the tallies of live rollouts equal a recount"
    if wrong:
        where = f"wave {wrong[0][1]} of {rollout_name(wrong[0][0])}"
        tallies = f"{len(wrong)} tallies of waves are wrong; the first is of {where}"
    rollouts = "every rollout has its plan, and its state fits"
    if odd:
        first = rollout_name(odd[0][0])
        rollouts = f"{len(odd)} rollouts without a plan, or half ended; the first is {first}"
    return [
        Finding(name="tallies", ok=not wrong, detail=tallies),
        Finding(name="rollouts", ok=not odd, detail=rollouts),
    ]
