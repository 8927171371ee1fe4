"""The redrawn view of a rollout that is followed: its waves, what runs, what holds it.

Pure: facts and a size go in, lines come out that are never more or wider than the terminal.
What does not fit is folded into "and 5 more".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.masking import clean_text, mask_text
from jobs.clock import MICROSECONDS, iso
from jobs.durations import format_duration
from jobs.model import Job
from jobs.report.results import wanted_version
from jobs.rollout_states import WaveState
from jobs.rollouts.course import Course, WaveCourse
from jobs.rollouts.gates import Hold
from jobs.rollouts.plan import SHORT_DIGEST
from jobs.rollouts.sight import turn
from jobs.rollouts.stopping import RuleKind
from jobs.rollouts.verdicts import done_of, stopped_by
from jobs.states import JobState
from jobs.store.rollouts import RolloutRow, WaveRow
from worker.cli.printing import fitted
from worker.cli.symbols import Symbols

BAR: Final = 20
NAME: Final = 16
TEXT: Final = 300
HOLDS: Final = 3
CAUSES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a view shows at one moment.

    Attributes:
        row: The rollout.
        course: How its plan is run.
        now_us: Now.
        running: Jobs in a worker's hands, the oldest first.
        more_running: Further ones.
        holds: What keeps it from starting more.
        causes: How many pools failed of which cause.
        latest: The last lines about it.
        hint: What Ctrl-C does.
    """

    row: RolloutRow
    course: Course
    now_us: int
    running: Sequence[Job] = ()
    more_running: int = 0
    holds: Sequence[Hold] = ()
    causes: Mapping[str, int] | None = None
    latest: Sequence[str] = ()
    hint: str = ""


def glance_lines(seen: Glance, symbols: Symbols, *, width: int, height: int) -> list[str]:
    """Return the view: at most *height* lines of at most *width* columns."""
    head = [_head(seen), *_waves(seen, symbols)]
    tail = _tail(seen)
    room = max(1, height - len(head) - len(tail) - 2)
    lines = [*head, *_running(seen, symbols, width, room), *tail]
    return [fitted(line.rstrip(), width, symbols.more) for line in lines[:height]]


def _head(seen: Glance) -> str:
    row = seen.row
    first = turn(row)
    wave = "" if first is None else f"   wave {first.n + 1} of {len(row.waves)}"
    so_far = format_duration(max(0, seen.now_us - row.created_us) / MICROSECONDS)
    return f"{row.name}   {row.state}{wave}   {so_far} so far   plan {row.plan[:SHORT_DIGEST]}"


def _waves(seen: Glance, symbols: Symbols) -> list[str]:
    pairs = zip(seen.row.waves, seen.course.waves, strict=True)
    return [_wave(wave, known, symbols) for wave, known in pairs]


def _wave(wave: WaveRow, known: WaveCourse, symbols: Symbols) -> str:
    tally = wave.tally
    filled = BAR * tally.ended // max(1, tally.size)
    bar = symbols.full * filled + symbols.empty * (BAR - filled)
    counts = {
        JobState.SUCCEEDED: tally.succeeded + tally.unchanged,
        JobState.FAILED: tally.failed + tally.unresolved,
        JobState.WATCHING: tally.admitted - tally.ended,
        JobState.READY: tally.size - tally.admitted,
    }
    told = "  ".join(f"{symbols.states[state]} {count}" for state, count in counts.items() if count)
    name = fitted(f"{wave.n + 1} {clean_text(known.name)}", NAME, symbols.more)
    done = f"{tally.ended}/{tally.size}"
    return f"  {name:<{NAME}} {bar} {done:>9}  {told:<26}  {_standing(wave, known)}"


def _standing(wave: WaveRow, known: WaveCourse) -> str:
    """Return the wave's state, or how much of the lowest limit of failures is used up."""
    limits = [rule.limit for rule in known.rules if rule.kind is RuleKind.FAILURES]
    used = wave.tally.failures
    if wave.state is WaveState.RUNNING and limits and used:
        return f"{used} of {min(limits)} failures used"
    return wave.state.value


def _running(seen: Glance, symbols: Symbols, width: int, room: int) -> list[str]:
    """Return a title and a line for each job, as many as there is room for."""
    if not seen.running:
        return []
    wide = max(10, width - 42)
    fits = len(seen.running) + bool(seen.more_running) <= room
    shown = seen.running if fits else seen.running[: max(1, room - 1)]
    lines = [f"  {'Running now':<{wide}}  {'Step':<20} {'For':>8}  {'Try':>3}"]
    for job in shown:
        progress = job.progress
        before = f"{progress.version_from} {symbols.arrow} " if progress.version_from else ""
        pool = clean_text(job.request.target.pool_name)
        change = f"{before}{wanted_version(job) or 'newest'}"
        what = fitted(f"{symbols.states[job.state]} {pool}  {change}", wide, symbols.more)
        phase = f": {clean_text(progress.phase)}" if progress.phase else ""
        since = format_duration(
            max(0, seen.now_us - (job.started_us or seen.now_us)) / MICROSECONDS
        )
        step = f"{job.state.value}{phase}"
        lines.append(f"  {what:<{wide}}  {step:<20.20} {since:>8}  {progress.sends:>3}")
    more = len(seen.running) - len(shown) + seen.more_running
    if more:
        lines.append(f"  and {more} more")
    return lines


def _tail(seen: Glance) -> list[str]:
    lines = []
    stop = stopped_by(seen.row)
    if stop is not None:
        lines.append(f"  Stopped  {clean_text(stop, TEXT)}")
    for number, hold in enumerate(seen.holds[:HOLDS]):
        label = "Waits" if not number else ""
        until = iso(hold.until_us)
        when = f" (until {until})" if until is not None and until not in hold.text else ""
        lines.append(f"  {label:<8} {clean_text(hold.text, TEXT)}{when}")
    if seen.causes:
        told = [f"{clean_text(cause)} {count}" for cause, count in _most(seen.causes)]
        more = len(seen.causes) - CAUSES
        lines.append(f"  Failed   {', '.join(told)}" + (f" and {more} more" if more > 0 else ""))
    if seen.latest:
        lines += ["  Latest", *(f"  {clean_text(mask_text(line), TEXT)}" for line in seen.latest)]
    ended, size, failed = done_of(seen.row)
    return [*lines, f"  {ended} of {size} ended, {failed} failed   {seen.hint}"]


def _most(causes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(causes.items(), key=lambda item: (-item[1], item[0]))[:CAUSES]
