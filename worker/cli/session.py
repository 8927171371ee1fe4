"""What a command needs before it can do anything: settings, logs, the store, a loop.

Settings come from `config.loading`; the flags of the command line win over them.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TextIO, TypeVar

import anyio

from config.loading import load
from config.logs import configure
from config.settings import LogFormat, LogLevel, Settings
from jobs.store.protocol import Store
from worker.app import opened_store
from worker.cli.choices import Choices
from worker.cli.terminal import is_terminal, takes_colour

T = TypeVar("T")
