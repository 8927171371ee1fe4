"""Many rehearsals become a forecast: when it would be over, and how much would break.

Each seed is run once for every failure rate, so that all numbers of a forecast come from the
same runs.  A rehearsal has a budget of time; what did not fit into it is not made up.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from jobs.clock import MICROSECONDS, iso
from jobs.rollouts.pace import percentile
from worker.rehearsal.fates import Fates
from worker.rehearsal.one_run import Circumstances, Ending, run_once, windows_used

RATES: Final = (0.005, 0.02, 0.05, 0.10, 0.30, 1.0)
"""True failure rates of the blast-radius curve."""

HEALTHY: Final = 0.02
"""Up to this rate a rollout should be let finish; see `warnings`."""

COSTLY: Final = 0.90
"""A rule that lets fewer healthy rollouts finish than this is warned about."""

HARMFUL: Final = 0.30
"""From this rate on a rollout should be stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How much is rehearsed.

    Attributes:
        runs: Seeds, from *seed* on.
        seed: The first one.
        rate: The failure rate for which the finish is told.
        slower: How many times longer a failure takes than a success.
        successes_s: Durations of earlier successes, for the fates.
    """

    runs: int = 100
    seed: int = 1
    rate: float = RATES[0]
    slower: float = 1.0
    successes_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """When the runs that went to their end were over; instants, None when none did."""

    p10_us: int | None
    p50_us: int | None
    p90_us: int | None
    windows: int
    """Openings of the windows that were used, in the run in the middle."""

    calls: int
    """Requests of the run in the middle."""

    peak_calls: int
    """The most requests within a minute, of all runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a true failure rate would mean."""

    rate: float
    runs: int
    broken: float
    """Broken pools, on average."""

    most_broken: int
    finishes: float
    """The share of runs that go to their end."""

    stops: Mapping[str, int]
    """How many runs each rule has stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was rehearsed, and what came out."""

    wanted: Wanted
    runs: int
    start_us: int
    finish: Finish
    curve: tuple[Point, ...]
    left_out: int = 0
    """Failure rates for which there was no time at all."""

    @property
    def cut_short(self) -> bool:
        """Whether time was over before all runs were made."""
        return self.runs < self.wanted.runs or self.left_out > 0

    def warnings(self) -> list[str]:
        """Return what a person should know before going on."""
        told = []
        for point in self.curve:
            if point.rate <= HEALTHY and point.finishes < COSTLY:
                stopped = 1 - point.finishes
                told.append(
                    f"these rules stop {stopped:.0%} of rollouts whose true failure rate is only "
                    f"{point.rate:.1%}"
                )
            if point.rate >= HARMFUL and point.finishes > 1 - COSTLY:
                told.append(
                    f"{point.finishes:.0%} of rollouts with a true failure rate of "
                    f"{point.rate:.0%} go to their end: no rule stops them in time"
                )
        return told

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        wanted, finish = self.wanted, self.finish
        return {
            "runs": self.runs,
            "runs_wanted": wanted.runs,
            "rates_left_out": self.left_out,
            "seeds": [wanted.seed, wanted.seed + self.runs - 1],
            "start": iso(self.start_us),
            "durations": "recorded" if wanted.successes_s else "assumed",
            "failures_slower": wanted.slower,
            "finish": {
                "failure_rate": wanted.rate,
                "p10": iso(finish.p10_us),
                "p50": iso(finish.p50_us),
                "p90": iso(finish.p90_us),
                "windows": finish.windows,
                "calls": finish.calls,
                "peak_calls_per_minute": finish.peak_calls,
            },
            "curve": [
                {
                    "failure_rate": point.rate,
                    "broken": round(point.broken, 2),
                    "most_broken": point.most_broken,
                    "finishes": round(point.finishes, 4),
                    "stops": dict(point.stops),
                }
                for point in self.curve
            ],
            "warnings": self.warnings(),
        }


def forecast(around: Circumstances, wanted: Wanted, *, over: Callable[[], bool]) -> Forecast:
    """Rehearse a rollout with as many seeds as are wanted, or as there is time for.

    Args:
        around: What is rehearsed.
        wanted: How often.
        over: Says that the time is over; asked before every run but the first.
    """
    rates = sorted({*RATES, wanted.rate}, key=lambda rate: (rate != wanted.rate, rate))
    endings: dict[float, list[Ending]] = {}
    runs = 0
    while runs < wanted.runs:
        found = _one_seed(around, wanted, runs, rates, over)
        if runs and len(found) < len(rates):
            break  # numbers of different seeds are not compared
        for rate, ending in found.items():
            endings.setdefault(rate, []).append(ending)
        runs += 1
    return Forecast(
        wanted=wanted,
        runs=runs,
        start_us=around.start_us,
        finish=_finish(around, endings[wanted.rate]),
        curve=tuple(_point(rate, endings[rate]) for rate in sorted(endings)),
        left_out=len(rates) - len(endings),
    )


def _one_seed(
    around: Circumstances,
    wanted: Wanted,
    number: int,
    rates: Sequence[float],
    over: Callable[[], bool],
) -> dict[float, Ending]:
    """Run one seed for each rate, as far as there is time; the very first run is always made."""
    found: dict[float, Ending] = {}
    for rate in rates:
        if (number or found) and over():
            break
        fates = Fates(
            seed=wanted.seed + number,
            rate=rate,
            successes_s=wanted.successes_s,
            slower=wanted.slower,
        )
        found[rate] = run_once(around, fates)
    return found


def _point(rate: float, endings: Sequence[Ending]) -> Point:
    return Point(
        rate=rate,
        runs=len(endings),
        broken=fmean(one.broken for one in endings),
        most_broken=max(one.broken for one in endings),
        finishes=sum(one.finished for one in endings) / len(endings),
        stops=Counter(one.stopped_by for one in endings if one.stopped_by is not None),
    )


def _finish(around: Circumstances, endings: Sequence[Ending]) -> Finish:
    peak = max(one.peak_calls for one in endings)
    ends = sorted((one for one in endings if one.finished), key=lambda one: one.took_s)
    if not ends:
        return Finish(p10_us=None, p50_us=None, p90_us=None, windows=0, calls=0, peak_calls=peak)
    took_s = [one.took_s for one in ends]
    at = [
        around.start_us + round(percentile(took_s, percent) * MICROSECONDS)
        for percent in (10, 50, 90)
    ]
    middle = ends[(len(ends) - 1) // 2]
    return Finish(
        p10_us=at[0],
        p50_us=at[1],
        p90_us=at[2],
        windows=windows_used(around.course.calendar, middle.starts_us),
        calls=middle.calls,
        peak_calls=peak,
    )
