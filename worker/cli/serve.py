"""`plugwave serve`: the interface over HTTP, alone or with a worker in the same process."""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio
import click

from config.addresses import StoreEngine
from config.loading import Loaded
from config.sources import Flag
from jobs.clock import SystemClock
from worker.api.rooms import Rooms
from worker.api.serving import leave, rooms_of, serving
from worker.app import Work
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import configure_logs, loaded_settings, run_async
from worker.cli.version import installed_version
from worker.contact import discovering, first_of
from worker.credentials.defaults import request_defaults
from worker.credentials.sources import Surroundings
from worker.garbage import collected_rarely
from worker.stores import opened_store

EXIT_OF_SIGNAL: Final[Mapping[int, int]] = {signal.SIGINT: 130, signal.SIGTERM: 143}
ID_BYTES: Final = 8


@click.command(cls=PlugwaveCommand)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; 127.0.0.1:8787 without it.")
@click.option("--with-worker", is_flag=True, help="Work on the queue in the same process, too.")
@click.option("--read-only", is_flag=True, help="Show only; what changes anything is not there.")
@click.pass_obj
def serve(choices: Choices, listen: str | None, with_worker: bool, read_only: bool) -> int:  # noqa: FBT001 - click hands over flags by name
    """Serve the HTTP API until Ctrl-C.

    On this machine alone no login is asked for. Anywhere else it starts only when there is a
    token: plugwave tokens create. Ctrl-C and SIGTERM let calls in hand end.
    """
    console = Console(choices)
    no_names(console)
    flags = {
        "server.listen": Flag(option="--listen", value=listen),
        "server.read_only": Flag(option="--read-only", value=read_only or None),
    }
    loaded = loaded_settings(choices, flags)
    configure_logs(choices, loaded)
    return run_async(_serve, console, loaded, with_worker, fast=True)


async def _serve(console: Console, loaded: Loaded, with_worker: bool) -> int:  # noqa: FBT001 - handed on
    settings = loaded.settings
    work = Work(settings, slots=None, until_empty=False) if with_worker else None
    stay = _Stay(work)
    try:
        with collected_rarely():
            async with (
                _rooms(loaded) as rooms,
                serving(rooms, partial(secrets.token_hex, ID_BYTES)) as server,
                anyio.create_task_group() as tasks,
            ):
                await tasks.start(stay.listen)
                _tell(console, server.url)
                await stay.until_over(lambda: leave(rooms))
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    return stay.exit_code


class _Stay:
    """How long the process stays: until a signal, or until its worker ends."""

    def __init__(self, work: Work | None) -> None:
        self._work = work
        self._signals: list[int] = []
        self._asked = anyio.Event()

    @property
    def exit_code(self) -> int:
        """What the process leaves with when nothing went wrong."""
        return EXIT_OF_SIGNAL[self._signals[0]] if self._signals else 0

    async def listen(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """First signal: end in order.  Second: leave now, which is safe, too."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                self._signals.append(number)
                self._asked.set()
                if len(self._signals) > 1 and self._work is not None:
                    self._work.kill()

    async def until_over(self, leave: Callable[[], None]) -> None:
        """Return when it is time to go, the worker's requests in flight ended.

        Raises:
            PlugwaveError: What ended the worker early.
        """
        if self._work is None:
            await self._asked.wait()
            leave()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._drain_when_asked, self._work, leave, name="drain")
            await self._work.run()
            tasks.cancel_scope.cancel()

    async def _drain_when_asked(self, work: Work, leave: Callable[[], None]) -> None:
        await self._asked.wait()
        leave()
        work.stop()


@asynccontextmanager
async def _rooms(loaded: Loaded) -> AsyncIterator[Rooms]:
    settings, clock = loaded.settings, SystemClock()
    read_only = settings.server.read_only
    async with opened_store(settings.store, clock, read_only=read_only) as store:
        if settings.store.engine is not StoreEngine.SQLITE:
            clock.anchor(await store.now_us())  # leases and keys are by the store's time
        yield rooms_of(
            settings,
            store,
            clock,
            defaults=request_defaults(settings, Surroundings.of(os.environ)),
            contact=partial(discovering, settings, store, clock),
            version=installed_version(),
        )


def _tell(console: Console, url: str) -> None:
    if console.structured:
        document(console, {"url": url})
    else:
        console.out(url)
    console.flush()
    console.say(f"The document of the API: {url}/api/openapi.json   Ctrl-C ends it.")
