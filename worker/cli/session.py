"""What a command needs before it can do anything: settings, logs, the store, a loop.

Settings come from `config.loading`; what the global flags say about logs wins over them.
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO, TypeVar

import anyio

from config.choices import LogFormat, LogLevel
from config.loading import Loaded, Places, load
from config.logs import configure
from config.settings import LogSettings, StoreSettings
from config.sources import Flag
from jobs.store.protocol import Store
from worker.cli.choices import Choices
from worker.cli.terminal import is_terminal, takes_colour
from worker.credentials.known import secrets_around
from worker.credentials.sources import Surroundings
from worker.stores import opened_store

T = TypeVar("T")
NO_FLAGS: Final[Mapping[str, Flag]] = MappingProxyType({})


def loaded_settings(choices: Choices, flags: Mapping[str, Flag] = NO_FLAGS) -> Loaded:
    """Read the settings of this run; *flags* are options by the key they set.

    Raises:
        ConfigError: If a setting is unknown or wrong.
    """
    environ = dict(os.environ)
    places = Places.of_machine(environ, Path.cwd())
    logs = {
        "logs.format": Flag(option="--log-format", value=choices.log_format),
        "logs.level": Flag(option="-q" if choices.quiet else "-v", value=_level(choices)),
    }
    chosen = {"cloud.profile": Flag(option="--profile", value=choices.profile)}
    given = {**logs, **chosen, **flags}
    return load(environ=environ, places=places, flags=given, config_file=choices.config)


def _level(choices: Choices) -> str | None:
    if choices.quiet:
        return LogLevel.ERROR.value
    return LogLevel.DEBUG.value if choices.verbose else None


def configure_logs(
    choices: Choices, loaded: Loaded, *, feed: TextIO | None = None, logs: LogSettings | None = None
) -> None:
    """Send log lines to stderr or the configured file; a live view takes them as JSON by *feed*."""
    wanted = logs or loaded.settings.logs
    around = Surroundings.of(os.environ)
    if feed is not None and wanted.file is None:
        wanted = wanted.model_copy(update={"format": LogFormat.JSON})
    configure(
        wanted,
        stream=feed or sys.stderr,
        known_secrets=loaded.secrets + secrets_around(loaded.settings, around),
        is_terminal=is_terminal(sys.stderr),
        colour=takes_colour(sys.stderr, choices, os.environ),
    )


def quiet_logs(loaded: Loaded) -> LogSettings:
    """Return log settings for a command whose result is what counts: from warnings on."""
    logs = loaded.settings.logs
    if logs.level is not LogLevel.INFO or logs.file is not None:
        return logs
    return logs.model_copy(update={"level": LogLevel.WARNING})


def store_place(store: StoreSettings) -> str:
    """Return where the store is, without passwords."""
    path = store.sqlite_path
    return store.engine.value if path is None else str(path)


@asynccontextmanager
async def reading(choices: Choices) -> AsyncIterator[Store]:
    """Open the configured store for looking only."""
    async with _opened(choices, read_only=True) as store:
        yield store


@asynccontextmanager
async def writing(choices: Choices, *, heard: bool = False) -> AsyncIterator[Store]:
    """Open the configured store, which is made when there is none; *heard* logs as configured."""
    async with _opened(choices, read_only=False, heard=heard) as store:
        yield store


@asynccontextmanager
async def _opened(
    choices: Choices, *, read_only: bool, heard: bool = False
) -> AsyncIterator[Store]:
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded, logs=None if heard else quiet_logs(loaded))
    async with opened_store(loaded.settings.store, read_only=read_only) as store:
        yield store


def run_async(function: Callable[..., Awaitable[T]], *arguments: object, fast: bool = False) -> T:
    """Run *function* on an event loop; *fast* takes uvloop, which pays off for long work."""
    use_uvloop = fast and find_spec("uvloop") is not None
    return anyio.run(function, *arguments, backend_options={"use_uvloop": use_uvloop})
