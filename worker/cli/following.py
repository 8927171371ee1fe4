"""Follow a rollout: one line for every change, one a minute when nothing does, then the recap.

The lines go to stderr; a person's terminal gets a view that is redrawn instead, in which the
latest of them stand.  The recap is the result.  The exit code is the rollout's verdict.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from config.masking import clean_text, mask_text
from jobs.clock import MICROSECONDS, Clock, iso
from jobs.durations import format_duration
from jobs.model import Job, JobId, job_name, rollout_name
from jobs.report.reasons import diagnosis
from jobs.rollout_states import RolloutEvent, WaveEvent
from jobs.rollouts.course import Course
from jobs.rollouts.verdicts import done_of, stopped_by, verdict_of
from jobs.states import BAD_STATES, FINAL_STATES, JobState
from jobs.store.aftermath import LATE
from jobs.store.cursor import EventCursor
from jobs.store.protocol import Store
from jobs.store.rollouts import LineStop, OrderKind, RecordEntry, RolloutRow
from worker.cli.console import Console, local_time
from worker.cli.github import annotate, in_actions, summarise
from worker.cli.printing import document
from worker.cli.rollout_screen import RolloutScreen
from worker.sighting import RolloutReader
from worker.telling.rollouts import rollout_fields

LOOK_EVERY_S: Final = 0.25
TELL_EVERY_S: Final = 60.0
"""A line comes at least this often: silent runs get killed in CI."""

LEAVES: Final = "Ctrl-C stops following; the rollout goes on"
DRAINS: Final = "Ctrl-C drains: what is in flight ends, nothing new starts"

TIMED_OUT: Final = 8
EVENTS_AT_ONCE: Final = 500

_WORDS: Final[Mapping[str, str]] = {
    RolloutEvent.APPLIED: "rollout started",
    RolloutEvent.HELD: "rollout waits",
    RolloutEvent.PAUSED: "rollout pausing",
    RolloutEvent.RESUMED: "rollout resumed",
    RolloutEvent.ABORTED: "rollout aborting",
    OrderKind.BREAK_GLASS: "BREAK GLASS: windows and freezes are to hold no longer, ordered",
    RolloutEvent.DRAINED: "nothing is in flight any more",
}
"""Moves of a rollout that get a line; its end is the recap."""

_WAVE_WORDS: Final[Mapping[str, str]] = {
    WaveEvent.OPENED: "started",
    WaveEvent.REOPENED: "reopened",
    WaveEvent.ENDED: "ended",
    WaveEvent.BAKED: "passed",
    WaveEvent.BROKEN: "FAILED",
    WaveEvent.EMPTIED: "skipped",
    "approved": "approved",
    LATE: "late failure",
    "joined": "joined by pools that came later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How a rollout was when it was left: *code* is its verdict, 8 when the time was over.

    ``causes`` are the failures that were seen to happen, by title.
    """

    row: RolloutRow
    code: int
    causes: Mapping[str, int] = field(default_factory=dict)


class Follower:
    """Tells what happens to one rollout until there is a verdict."""

    def __init__(
        self,
        console: Console,
        store: Store,
        clock: Clock,
        row: RolloutRow,
        *,
        works: bool = False,
    ) -> None:
        """Take what is told to whom; *works* says that this process runs the jobs as well."""
        self._console = console
        self._works = works
        self._causes: Counter[str] = Counter()
        self._screen: RolloutScreen | None = None
        self._store = store
        self._clock = clock
        self._row = row
        self._course: Course | None = None
        self._told = 0
        self._ended = 0
        self._cursor = EventCursor()
        self._tell_at = clock.monotonic() + TELL_EVERY_S

    async def follow(self, timeout_s: float | None = None) -> Followed:
        """Follow until the rollout has a verdict or the time is over."""
        try:
            with ExitStack() as drawing:
                if self._console.live:
                    symbols = self._console.symbols
                    screen = RolloutScreen(self._store, self._clock, symbols, self._row.id)
                    self._screen = drawing.enter_context(screen)
                return await self._follow(timeout_s)
        except anyio.get_cancelled_exc_class():
            if not self._works:
                self._say_left()
            raise
        finally:
            self._screen = None

    def _say_left(self) -> None:
        name = self._row.name
        self._console.say(
            "Stopped following. The rollout goes on as long as a worker is alive.\n"
            f"   watch again: plugwave watch {name}      hold it: plugwave pause {name}"
        )

    def note(self, text: str) -> None:
        """Tell a line that is not about the rollout: in the view, where one is drawn."""
        if self._screen is None:
            self._console.say(text)
        else:
            self._screen.latest += text.splitlines()

    async def _follow(self, timeout_s: float | None) -> Followed:
        until = None if timeout_s is None else self._clock.monotonic() + timeout_s
        self._course = await RolloutReader(self._store, self._clock).course(self._row)
        self._cursor = await self._store.event_cursor(since_us=self._row.created_us)
        while True:
            # The row first: what it says has ended is then among the lines.
            self._row = await self._now()
            await self._tell_jobs()
            await self._tell_record()
            code = verdict_of(self._row)
            if code is not None:
                return self._left(code)
            if until is not None and self._clock.monotonic() >= until:
                return self._left(TIMED_OUT)
            if self._screen is None:
                self._tell_progress()
            else:
                await self._screen.draw(self._causes, DRAINS if self._works else LEAVES)
            await self._clock.sleep(LOOK_EVERY_S)

    def _left(self, code: int) -> Followed:
        return Followed(row=self._row, code=code, causes=dict(self._causes))

    async def _now(self) -> RolloutRow:
        row = await self._store.rollouts.rollout(rollout_name(self._row.id))
        assert row is not None, "a rollout that began is there"
        return row

    def _say(self, at_us: int, text: str) -> None:
        self._tell_at = self._clock.monotonic() + TELL_EVERY_S
        line = clean_text(mask_text(text), 300)
        if self._screen is None:
            self._console.say(f"{(iso(at_us) or '')[11:19]}Z {line}")
        else:
            self._screen.latest.append(f"{local_time(at_us)[11:19]} {line}")

    async def _tell_record(self) -> None:
        for entry in await self._store.rollouts.record_of(self._row.id):
            if entry.seq <= self._told:
                continue
            self._told = entry.seq
            line = self._words(entry)
            if line is not None:
                self._say(entry.at_us, line)

    def _words(self, entry: RecordEntry) -> str | None:
        assert self._course is not None
        data = entry.data
        if entry.wave is not None:
            word = _WAVE_WORDS.get(entry.event)
            wave = self._course.waves[entry.wave]
            place = f"wave {wave.n + 1}/{len(self._course.waves)} {wave.name}"
            told = data.get("rule", {}).get("why") if entry.event == WaveEvent.BROKEN else None
            told = data["text"] if entry.event == LATE else told
            by = f" by {data['by']}" if entry.event == "approved" else ""
            pools = f" pools={wave.size}" if entry.event == WaveEvent.OPENED else ""
            why = f": {told}" if told else ""
            return None if word is None else f"{place} {word}{by}{pools}{why}"
        word = _WORDS.get(entry.event)
        if word is None:
            return None
        if entry.event == RolloutEvent.APPLIED:
            size, waves = done_of(self._row)[1], len(self._row.waves)
            plan = self._row.plan[:12]
            return f"{word} ro={self._row.name} plan={plan} pools={size} waves={waves}"
        reasons = "; ".join(one["text"] for one in data.get("holds", ()))
        parts = [f" by {data['by']}" if data.get("by") else ""]
        parts += [f": {text}" for text in (data.get("why"), reasons) if text]
        return word + "".join(parts)

    async def _tell_jobs(self) -> None:
        while True:
            events, self._cursor = await self._store.events_after(
                self._cursor, limit=EVENTS_AT_ONCE
            )
            for event in events:
                if event.state in FINAL_STATES and event.event != "cancelled":
                    await self._tell_job(event.job, event.at_us)
            if len(events) < EVENTS_AT_ONCE:
                return

    async def _tell_job(self, number: JobId, at_us: int) -> None:
        job = await self._store.job(number)
        if job is None or job.rollout != self._row.id or job.state not in FINAL_STATES:
            return
        self._ended += 1
        if job.state in BAD_STATES:
            self._causes[diagnosis(job).text().title] += 1
            if in_actions():
                annotate(self._console, job, clean_text(mask_text(_why_of(job)), 300))
        size = done_of(self._row)[1]
        self._say(at_us, f"[{min(self._ended, size):>{len(str(size))}}/{size}] {_job_words(job)}")

    def _tell_progress(self) -> None:
        if self._clock.monotonic() < self._tell_at:
            return
        ended, size, failed = done_of(self._row)
        self._say(
            self._clock.now_us(),
            f"still {self._row.state}: {ended}/{size} ended, {failed} failed",
        )


def _why_of(job: Job) -> str:
    return job.progress.detail or job.progress.cause or "no reason is known"


def _job_words(job: Job) -> str:
    progress = job.progress
    target = progress.version or job.request.plugin.version or "?"
    change = f"{progress.version_from or 'none'} -> {target}"
    took = ""
    if job.started_us is not None and job.finished_us is not None:
        took = format_duration((job.finished_us - job.started_us) / MICROSECONDS)
    pool = job.request.target.pool_name
    if job.state in BAD_STATES:
        word = "FAILED" if job.state is JobState.FAILED else "UNRESOLVED"
        return f"{word} {pool} {job_name(job.id)} {_why_of(job)}"
    word = "ok    " if job.state is JobState.SUCCEEDED else job.state.value
    return f"{word} {pool} {change} {took}".rstrip()


def tell_recap(console: Console, followed: Followed, now_us: int) -> None:
    """Print what became of the rollout, and what to do next."""
    row, code = followed.row, followed.code
    lines = recap_lines(followed, now_us)
    if in_actions():
        summarise(lines)
    if console.structured:
        document(console, {"kind": "recap", **rollout_fields(row), "exit_code": code})
        return
    for line in lines:
        console.out(line)


def recap_lines(followed: Followed, now_us: int) -> list[str]:
    """Return the last lines about a rollout."""
    row, code = followed.row, followed.code
    tallies = [wave.tally for wave in row.waves]
    good = sum(one.succeeded + one.unchanged for one in tallies)
    ended, size, failed = done_of(row)
    head = "ended " if row.finished_us is not None else "is "
    never = sum(one.cancelled for one in tallies) + size - ended
    changed = f"{good} of {size} pools changed, {failed} failed, {never} not changed"
    lines = [f"Rollout {row.name} {head}{row.state.upper()}: {changed}      exit {code}"]
    stop = stopped_by(row)
    if stop is not None:
        lines.append(f"  Stopped: {clean_text(stop, 300)}")
    if followed.causes:
        told = ", ".join(f"{clean_text(one)} {count}" for one, count in followed.causes.items())
        lines.append(f"  Failed:  {told}")
    took = (row.finished_us or now_us) - row.created_us
    lines.append(f"  Time:    {format_duration(max(0, took) / MICROSECONDS)}")
    lines += [
        f"  {'Next:' if not number else '     '}    {step}"
        for number, step in enumerate(_next(row, code, failed))
    ]
    lines.append(f"  Report:  plugwave report {row.name} --format html --out report.html")
    return lines


def _next(row: RolloutRow, code: int, failed: int) -> list[str]:
    steps = ["plugwave failures"] if failed else []
    if row.finished_us is None:
        steps.append(f"plugwave why {row.name}")
        if stopped_by(row) is not None:
            steps.append(f"plugwave resume {row.name} --reason '...'")
            steps.append(f"plugwave abort {row.name}")
    if code == TIMED_OUT:
        steps.append(f"plugwave watch {row.name}")
    return steps


def line_fields(line: LineStop) -> dict[str, Any]:
    """Return whether the whole line is stopped, and by whom, as JSON shows it."""
    word = line.word
    return {
        "stopped": line.stopped,
        "by": None if word is None else word.by,
        "why": None if word is None else word.why,
        "where": None if word is None else word.where,
        "at": iso(line.at_us),
    }
