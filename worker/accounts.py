"""The accounts of one process: for each profile who its jobs are sent as, made once.

Profiles whose credentials are one and the same, such as one key in several regions, share its
breaker: a wrong secret is shown to the cloud once, not once for each of them.  A profile whose
credential cannot be put together is left out with a warning: its jobs stay with the workers
that have it, and those of the other accounts go on.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from config.settings import CloudSettings, Settings
from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from jobs.store.protocol import LimitStore
from worker.credentials.wallet import Credential, Wallet
from worker.guard import KeyGuard, LastingSource
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.transport import Transport
from worker.modelarts.urls import Urls
from worker.switchboard import Account
from worker.troubles import Troubles

log = structlog.get_logger()


REFUSED_BEFORE: Final = Answer(
    outcome=Outcome.UNAUTHENTICATED,
    sent=False,
    message="the cloud refused it before, and it has not changed since; mend it, or run "
    "`plugwave doctor` when it should be accepted now",
)
"""What is said of a credential whose breaker is open when a finite run begins."""


async def note_refusals(accounts: Mapping[str | None, Account], troubles: Troubles) -> None:
    """Remember which credentials were refused before: a finite run waits for none of them."""
    for account in accounts.values():
        if not await account.guard.admits():
            troubles.refused[account.credential] = REFUSED_BEFORE


def placed(cloud: CloudSettings, credential: Credential) -> CloudSettings:
    """Return the settings with the credential's region, where they name none."""
    region = cloud.region or credential.found.region
    return cloud.model_copy(update={"region": region})


class _Together:
    """The sources of one credential, read again as one: they are all of the same place."""

    def __init__(self) -> None:
        self.sources: list[LastingSource] = []

    async def look_again(self) -> str:
        """Read each again and return the mark that all have now."""
        marks = [await source.look_again() for source in self.sources]
        return marks[0]

    async def renew(self) -> None:
        """Let each begin afresh."""
        for source in self.sources:
            await source.renew()


class Accounts:
    """Puts accounts together; those that share a credential share its breaker."""

    def __init__(
        self,
        settings: Settings,
        wallet: Wallet,
        wire: Transport,
        *,
        store: LimitStore,
        clock: Clock,
    ) -> None:
        """Take what accounts are made of.

        Args:
            settings: Which profiles there are, and where their clouds are.
            wallet: Their credentials.
            wire: The connections to the cloud.
            store: Where the breakers are.
            clock: For asking the store again.
        """
        self._settings = settings
        self._wallet = wallet
        self._wire = wire
        self._store = store
        self._clock = clock
        self._guards: dict[tuple[str, str | None, str], tuple[KeyGuard, _Together]] = {}

    def account(self, profile: str | None = None) -> Account:
        """Return the account of a profile; without a name, that of jobs that name none.

        Raises:
            ConfigError: If its credential cannot be put together.
        """
        credential = self._wallet.get(profile)
        cloud = placed(self._settings.cloud_of(profile), credential)
        urls = Urls(cloud.endpoint, cloud.endpoints)
        return Account(
            client=ModelArtsClient(self._wire, urls, credential.authorizer, self._clock),
            urls=urls,
            credential=credential.name,
            guard=self.guard(credential),
            region=cloud.region,
        )

    def guard(self, credential: Credential) -> KeyGuard:
        """Return the breaker of a credential, which reads its place again while it is open."""
        key = (credential.name, credential.mark, credential.place)
        if key not in self._guards:
            together = _Together()
            guard = KeyGuard(
                credential.name,
                credential.mark,
                store=self._store,
                clock=self._clock,
                source=None if credential.source is None else together,
            )
            self._guards[key] = (guard, together)
        guard, together = self._guards[key]
        if credential.source is not None and credential.source not in together.sources:
            together.sources.append(credential.source)
        return guard

    def all(self) -> Mapping[str | None, Account]:
        """Return every account that can be used, by profile; None is that of jobs without one.

        Raises:
            ConfigError: If jobs without a profile have none.
        """
        accounts: dict[str | None, Account] = {None: self.account()}
        for profile in sorted(self._settings.profiles):
            try:
                accounts[profile] = self.account(profile)
            except ConfigError as error:
                log.warning("profile.unusable", profile=profile, error=str(error), do=error.do)
        return accounts
