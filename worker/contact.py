"""Ask the cloud as one credential: connections, wallet and limiter for whoever only looks.

A worker is put together in `worker.app`, of the same connections and wallet.
"""

import os
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup

from config.settings import CloudSettings, Settings
from jobs.clock import Clock, SystemClock
from jobs.errors import ConfigError, PlugwaveError
from jobs.store.protocol import LimitStore
from worker.accounts import Accounts, placed
from worker.calls import CallCounts
from worker.credentials.fetching import Fetcher, WireFetcher
from worker.credentials.sources import Surroundings
from worker.credentials.turns import Turns
from worker.credentials.wallet import Credential, Wallet
from worker.discovery import Discovery
from worker.guard import KeyGuard
from worker.inquiry import Inquiry
from worker.lease import NoLease
from worker.modelarts.iam import IamClient
from worker.modelarts.transport import Transport, TransportSettings
from worker.modelarts.urls import Urls
from worker.switchboard import Switchboard, pace_of
from worker.troubles import Troubles

FLEET_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""Largest list that discovery reads: pools have no pages, and each takes a few kilobytes."""


def _tls(settings: CloudSettings) -> ssl.SSLContext | None:
    if settings.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cloud.ca_file {settings.ca_file} cannot be used: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """The connections of this process; ``local`` never goes through a proxy."""

    outward: Transport
    local: Transport


@asynccontextmanager
async def opened_wires(
    cloud: CloudSettings, clock: Clock, limit_bytes: int
) -> AsyncIterator[Wires]:
    """Open the connections while the block lasts; an answer may have *limit_bytes* at most."""
    settings = TransportSettings(
        trust_env=cloud.trust_env,
        tls=_tls(cloud),
        answer_limit_bytes=limit_bytes,
        # Half of the settle time stays for what the cloud itself does late.
        unacked_s=min(cloud.request_timeout, max(cloud.settle / 2, 1.0)),
    )
    async with Transport(clock, settings) as outward, Transport(clock) as local:
        yield Wires(outward=outward, local=local)


def new_wallet(
    settings: Settings, wires: Wires, counts: CallCounts, store: LimitStore, tasks: TaskGroup
) -> Wallet:
    """Return the credentials of this process; what they ask for is limited and counted."""
    clock = counts.troubles.clock
    turns = Turns(
        pace_of(settings.cloud), store=store, clock=clock, tasks=tasks, counted=counts.count
    )
    fetcher = WireFetcher(wires.outward, wires.local, turns.turn, clock)
    return Wallet(settings, Surroundings.of(os.environ), fetcher)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What is needed to ask the cloud as one credential; *fetcher* asks without it."""

    discovery: Discovery
    credential: Credential
    guard: KeyGuard
    fetcher: Fetcher


@asynccontextmanager
async def discovering(
    settings: Settings, store: LimitStore, clock: Clock | None = None
) -> AsyncIterator[Discovery]:
    """Ask the cloud what there is while the block lasts; *store* has the limiter's rows.

    Raises:
        ConfigError: If no credential is configured.
    """
    async with asking(settings, store, clock) as contact:
        yield contact.discovery


@asynccontextmanager
async def asking(
    settings: Settings, store: LimitStore, clock: Clock | None = None
) -> AsyncIterator[Contact]:
    """The same, with what stands behind it.

    Raises:
        ConfigError: If no credential is configured.
    """
    clock = clock or SystemClock()
    counts = CallCounts(Troubles(clock))
    opened = opened_wires(settings.cloud, clock, FLEET_LIMIT_BYTES)
    try:
        async with opened as wires, anyio.create_task_group() as tasks:
            wallet = new_wallet(settings, wires, counts, store, tasks)
            account = Accounts(settings, wallet, wires.outward, store=store, clock=clock).account()
            credential = wallet.get()
            cloud = placed(settings.cloud_of(), credential)
            beside = None if credential.iam is None else str(credential.iam)
            urls = Urls(cloud.endpoint, cloud.endpoints, iam=cloud.iam_endpoint or beside)
            board = Switchboard({None: account}, cloud, NoLease(), counts, store=store, tasks=tasks)
            rng = random.Random()  # noqa: S311 - jitter, not a secret
            inquiry = Inquiry(board.calls_to, clock=clock, rng=rng)
            iam = IamClient(wires.outward, urls, credential.authorizer, clock)
            yield Contact(
                discovery=Discovery(account.client, iam, urls, inquiry),
                credential=credential,
                guard=account.guard,
                fetcher=wallet.fetcher,
            )
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that a person should hear of: our own first, else the first bug."""
    own, others = group.split(PlugwaveError)
    found: BaseException = own if own is not None else group
    if own is None and others is not None:
        found = others
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
