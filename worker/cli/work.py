"""`plugwave work`: run a worker, show how it goes, and leave with its verdict."""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Final, Protocol

import anyio
import click
import structlog

from config.loading import Loaded
from config.settings import StoreSettings
from config.sources import Flag
from jobs.clock import Clock, SystemClock
from jobs.durations import format_duration
from jobs.errors import PlugwaveError
from jobs.report.results import Recap
from worker.app import Work
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.live import Feed, draw
from worker.cli.printing import no_names
from worker.cli.recap import Ended, causes_since, recap_of, tell
from worker.cli.session import configure_logs, loaded_settings, run_async
from worker.statistics import WorkerStatistics
from worker.stores import opened_store

log = structlog.get_logger()

PROGRESS_EVERY_S: Final = 60.0
"""How often a run without a live view says where it is; silent jobs get killed in CI."""

EXIT_OF_SIGNAL: Final[Mapping[int, int]] = {signal.SIGINT: 130, signal.SIGTERM: 143}


@click.command(cls=PlugwaveCommand)
@click.option("--until-empty", is_flag=True, help="Leave when nothing is left to do.")
@click.option("--slots", type=click.IntRange(min=1), help="Jobs in hand at a time.")
@click.pass_obj
def work(choices: Choices, until_empty: bool, slots: int | None) -> int:  # noqa: FBT001 - click hands over flags by name
    """Consume the queue.

    Ctrl-C and SIGTERM drain: nothing new is claimed, requests in flight end.  A second
    one leaves at once; what was sent is read before anything is sent again.
    """
    console = Console(choices)
    no_names(console)
    flags = {"worker.slots": Flag(option="--slots", value=slots)}
    loaded = loaded_settings(choices, flags)
    return run_async(_work, console, loaded, until_empty, fast=True)


async def _work(console: Console, loaded: Loaded, until_empty: bool) -> int:  # noqa: FBT001 - handed on
    feed = Feed(console.symbols, local=True) if console.live else None
    configure_logs(console.choices, loaded, feed=feed)
    running = Work(loaded.settings, slots=None, until_empty=until_empty)
    shift = Shift(console, running, SystemClock(), feed=feed, live=console.live)
    ended = await shift.run(loaded.settings.store)
    tell(ended, console)
    if ended.error is not None:
        raise ended.error
    return ended.exit_code


class Running(Protocol):
    """A worker process as `Shift` handles it; see `worker.app.Work`."""

    def statistics(self) -> WorkerStatistics:
        """Return how it goes; cheap."""
        ...

    def stop(self) -> None:
        """Drain."""
        ...

    def kill(self) -> None:
        """Leave at once."""
        ...

    async def run(self) -> None:
        """Work until drained or empty."""
        ...


class Shift:
    """One run of a worker under a person's eyes: signals, progress, recap."""

    def __init__(
        self,
        console: Console,
        running: Running,
        clock: Clock,
        *,
        feed: Feed | None = None,
        live: bool = False,
    ) -> None:
        self._console = console
        self._running = running
        self._clock = clock
        self._feed = feed if live else None
        self._signals: list[int] = []

    async def run(self, store: StoreSettings) -> Ended:
        """Work until it ends, and return what it did; signals drain it."""
        start_us = self._clock.now_us()
        error = await self._until_over()
        figures = self._running.statistics()
        recap = recap_of(figures, await self._causes(figures, store, start_us))
        return Ended(recap=recap, exit_code=self._exit_code(recap, error), error=error)

    async def _until_over(self) -> PlugwaveError | None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._listen)
            tasks.start_soon(self._show, name="progress")
            try:
                await self._running.run()
            except PlugwaveError as error:
                return error
            finally:
                tasks.cancel_scope.cancel()
        return None

    def _exit_code(self, recap: Recap, error: PlugwaveError | None) -> int:
        if error is not None:
            return error.exit_code
        if self._signals:
            return EXIT_OF_SIGNAL[self._signals[0]]
        return recap.exit_code

    async def _causes(
        self, figures: WorkerStatistics, store: StoreSettings, start_us: int
    ) -> Mapping[str, int]:
        """Look up what the failures of this run have in common; a broken store tells nothing."""
        if not recap_of(figures, {}).bad:
            return {}
        try:
            async with opened_store(store, read_only=True) as opened:
                return await causes_since(opened, start_us)
        except PlugwaveError:
            return {}

    async def _listen(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """First signal: drain.  Second: leave now.  Third: end the process."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                self._signals.append(number)
                if len(self._signals) == 1:
                    self._running.stop()
                    self._say_draining()
                elif len(self._signals) == 2:
                    self._running.kill()
                else:
                    sys.stderr.flush()
                    os._exit(EXIT_OF_SIGNAL[self._signals[0]])

    def _say_draining(self) -> None:
        if self._feed is not None:
            return  # the view says so itself
        held = len(self._running.statistics().in_hand)
        self._console.say(
            f"Draining: {held} jobs in hand, no new one starts. A second signal leaves now;\n"
            "what was sent goes on in the cloud, and the next run asks before it sends again."
        )

    async def _show(self) -> None:
        if self._feed is not None:
            await draw(self._console, self._running.statistics, self._feed, self._clock)
            return
        while True:
            await self._clock.sleep(PROGRESS_EVERY_S)
            figures = self._running.statistics()
            log.info("work.progress", **progress_fields(figures))


def progress_fields(figures: WorkerStatistics) -> dict[str, object]:
    """Return what the progress line tells; ``longest`` is the job that has taken longest."""
    longest = figures.in_hand[0] if figures.in_hand else None
    return {
        "open": figures.open_jobs,
        "ended": sum(figures.ended.values()),
        "in_hand": len(figures.in_hand),
        "waiting": {reason.value: count for reason, count in figures.waiting.items()},
        "rate": round(figures.rate, 2),
        "longest": None
        if longest is None
        else f"{longest.pool_name} {format_duration(longest.since_s)}",
    }
