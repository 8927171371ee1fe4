"""A forecast as a person reads it, and as JSON.  Texts are cleaned, lines fit 100 columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from config.masking import clean_text
from jobs.clock import MICROSECONDS
from jobs.durations import format_duration
from jobs.rollouts.plan import SHORT_DIGEST, Plan
from worker.cli.console import Console, counted
from worker.cli.printing import fitted
from worker.rehearsal.forecast import Forecast, Point

WIDTH: Final = 100
LABEL: Final = 34
CELL: Final = 9


def rehearsal_fields(plan: Plan, found: Forecast) -> dict[str, Any]:
    """Return the forecast as JSON shows it."""
    return {
        "kind": "rehearsal",
        "name": plan.name,
        "plan": plan.digest,
        "pools": len(plan.acting),
        "most_broken_by_plan": plan.most_broken,
        **found.as_dict(),
    }


def rehearsal_lines(plan: Plan, found: Forecast, console: Console) -> Iterator[str]:
    """Yield the lines of a forecast."""
    for line in _lines(plan, found):
        yield fitted(line.rstrip(), WIDTH, console.symbols.more)


def _lines(plan: Plan, found: Forecast) -> Iterator[str]:
    waves = [wave for wave in plan.waves if wave.pools]
    yield (
        f"Rehearsal of {clean_text(plan.name, 60)}   {counted(len(plan.acting), 'pool')} "
        f"in {counted(len(waves), 'wave')}   plan {plan.digest[:SHORT_DIGEST]}"
    )
    yield from (f"  {line}" for line in _runs_lines(found))
    yield ""
    yield from _finish_lines(found)
    yield ""
    yield _row("if the true failure rate is", [f"{_percent(one.rate)}" for one in found.curve])
    yield _row("broken pools, expected", [f"{one.broken:.1f}" for one in found.curve])
    yield _row("broken pools, most seen", [str(one.most_broken) for one in found.curve])
    yield _row("chance to finish", [f"{one.finishes:.0%}" for one in found.curve])
    yield from _stop_lines(found.curve)
    yield ""
    for warning in found.warnings():
        yield f"  Warning  {warning}"
    yield f"  Risk     at most {plan.most_broken} of {len(plan.acting)} pools, whatever happens"
    yield "Nothing was changed."


def _runs_lines(found: Forecast) -> Iterator[str]:
    wanted = found.wanted
    first, last = wanted.seed, wanted.seed + found.runs - 1
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    why = f"; {wanted.runs} were wanted, then the time was over" if found.cut_short else ""
    if found.left_out:
        why += f" ({counted(found.left_out, 'rate')} left out)"
    yield f"{counted(found.runs, 'run')} for each rate ({seeds}){why}"
    took = "1 to 4 minutes (assumed)"
    if wanted.successes_s:
        took = f"as long as one of the last {len(wanted.successes_s)} successes"
    slower = "" if wanted.slower == 1 else f", a failure {wanted.slower:g} times as long"
    yield f"a change takes {took}{slower}"


def _finish_lines(found: Forecast) -> Iterator[str]:
    finish = found.finish
    rate = _percent(found.wanted.rate)
    if finish.p10_us is None or finish.p50_us is None or finish.p90_us is None:
        yield f"  Finish   never in these runs, at a true failure rate of {rate}"
    else:
        took = format_duration((finish.p50_us - found.start_us) / MICROSECONDS)
        yield (
            f"  Finish   {_moment(finish.p10_us)} ... {_moment(finish.p90_us)} "
            f"(p10 to p90), p50 {_moment(finish.p50_us)}"
        )
        windows = f", {counted(finish.windows, 'opening')} of its windows" if finish.windows else ""
        yield f"           {took} from now{windows}, at a true failure rate of {rate}"
        yield f"  Calls    about {finish.calls}, at most {finish.peak_calls} in a minute"


def _moment(instant_us: int) -> str:
    """Return ``Thu 2026-11-26 04:10`` in this machine's zone."""
    there = datetime.fromtimestamp(instant_us / MICROSECONDS).astimezone()
    return there.strftime("%a %Y-%m-%d %H:%M")


def _row(label: str, texts: Sequence[str]) -> str:
    return f"  {label:<{LABEL}}" + "".join(f"{text:>{CELL}}" for text in texts)


def _stop_lines(curve: Sequence[Point]) -> Iterator[str]:
    """Yield which rules stop how many of the runs."""
    names = Counter[str]()
    for point in curve:
        names.update(point.stops)
    for name, _ in names.most_common():
        shares = [one.stops.get(name, 0) / one.runs for one in curve]
        label = fitted(f"stopped by {clean_text(name, 60)}", LABEL - 1, "...")
        yield _row(label, [f"{share:.0%}" if share else "-" for share in shares])


def _percent(rate: float) -> str:
    return f"{rate * 100:g} %"
