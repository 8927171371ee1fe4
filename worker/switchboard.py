"""Which cloud a job talks to, and as whom: one row of calls for each account and endpoint.

Made when the first job of an account and endpoint comes, so that a worker of one region runs
one limiter.  The limit is the credential's: profiles that share one share its limiter, too.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyio.abc import TaskGroup

from config.fields import AUTO, Quota
from config.settings import CloudSettings
from jobs.decide import Offered
from jobs.errors import ConfigError
from jobs.fairness import NO_WEIGHTS, Weights
from jobs.model import Job, PluginWish, PoolRead, Target
from jobs.outcomes import Answer
from jobs.pacing import Limit, Pace
from jobs.store.protocol import LimitStore
from worker.calls import CallCounts, Calls
from worker.cloud import Cloud, Gate
from worker.guard import KeyGuard
from worker.lease import Lease
from worker.limiter import Limiter
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.faults import NotSendableError
from worker.modelarts.models import patch_body, plugin_body
from worker.modelarts.outcomes_of_exceptions import answer_of_exception
from worker.modelarts.urls import Urls


def limit_of(rate: float) -> Limit:
    """Return *rate* requests a second as a limit: a window of a second, or what holds whole ones.

    So 5 is five in a second, 2.5 is two in 0.8 s and 0.5 one in two seconds.
    """
    count = max(1, int(rate))
    return Limit(count=count, window_s=count / rate)


def pace_of(settings: CloudSettings) -> Pace:
    """Return how fast one credential may ask at one origin."""
    rate = settings.rate
    limit = limit_of(settings.rate_per_s)
    if isinstance(rate, Quota):
        limit = Limit(count=rate.count, window_s=rate.window_s)
    return Pace(limit=limit, jitter_s=settings.jitter, burst=settings.burst, auto=rate == AUTO)


class ModelArtsCloud:
    """The ModelArts client, as the executor sees it: one endpoint, region filled in."""

    def __init__(self, client: ModelArtsClient, endpoint: str, region: str | None) -> None:
        self._client = client
        self._region = region
        self.endpoint = endpoint

    async def create(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Send the install or upgrade; *wish* carries the full inputs."""
        return await self._write(plugin_body, self._client.create, target, wish, gate, timeout_s)

    async def update(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Change the installed plug-in; NO_SUCH_API where the site has no such call."""
        return await self._write(patch_body, self._client.update, target, wish, gate, timeout_s)

    async def _write(
        self,
        body_of: Callable[..., bytes],
        call: Callable[..., Awaitable[Answer]],
        target: Target,
        wish: PluginWish,
        gate: Gate,
        timeout_s: float,
    ) -> Answer:
        try:
            body = body_of(wish.name, version=wish.version, inputs=wish.inputs)
        except NotSendableError as error:
            return answer_of_exception(error, sent=False)
        return await call(self._at(target), body, name=wish.name, gate=gate, timeout_s=timeout_s)

    def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> Coroutine[Any, Any, PoolRead | Answer]:
        """Read the pool's plug-ins; the client's own coroutine, because each one more costs."""
        return self._client.list_plugins(self._at(target), gate=gate, timeout_s=timeout_s)

    async def offers(
        self, target: Target, plugin: str, *, gate: Gate, timeout_s: float
    ) -> Offered | Answer:
        """Read what the template offers this pool."""
        found = await self._client.templates(
            self._at(target), plugin, gate=gate, timeout_s=timeout_s
        )
        if isinstance(found, Answer):
            return found
        template = next((one for one in found if one.name == plugin), None)
        if template is None or not template.versions:
            return Offered(versions=())
        return Offered(
            versions=[one.version for one in template.versions],
            defaults={
                one.version: one.default_inputs
                for one in template.versions
                if one.default_inputs is not None
            },
        )

    def _at(self, target: Target) -> Target:
        if target.region is not None or self._region is None:
            return target
        return replace(target, region=self._region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who the jobs of one profile are sent as, and where.

    Attributes:
        client: Sends as its credential.
        urls: Where each region is.
        credential: The credential's name, which is no secret; limits and breakers are its.
        guard: Its breaker.
        region: Of jobs that name none.
    """

    client: ModelArtsClient
    urls: Urls
    credential: str
    guard: KeyGuard
    region: str | None = None


class Switchboard:
    """Finds the calls for a job."""

    def __init__(  # noqa: PLR0913 - it is where calls are put together
        self,
        accounts: Mapping[str | None, Account],
        settings: CloudSettings,
        lease: Lease,
        counts: CallCounts,
        *,
        store: LimitStore,
        tasks: TaskGroup,
        weights: Weights = NO_WEIGHTS,
    ) -> None:
        """Take the accounts by profile; None is the one of jobs that name no profile."""
        self._weights = weights
        self._accounts = accounts
        self._settings = settings
        self._lease = lease
        self._counts = counts
        self._store = store
        self._tasks = tasks
        self._calls: dict[tuple[str | None, str], Calls] = {}
        self._by_place: dict[tuple[str | None, str | None], Calls] = {}
        self._limiters: dict[str, Limiter] = {}
        self._closed = False

    @property
    def limiters(self) -> list[Limiter]:
        """The limiters in use."""
        return list(self._limiters.values())

    def rate(self) -> float:
        """Return the requests a second that are allowed now, over all endpoints in use."""
        allowed = 0.0
        for limiter in self._limiters.values():
            allowed += limiter.limit_per_s
        return allowed or self._settings.rate_per_s

    def calls_for(self, job: Job) -> Calls | None:
        """Return the calls of the job's account and endpoint; None when it has no endpoint.

        Raises:
            KeyError: If there is no such account: the store gives a worker no such job.
        """
        place = (job.request.profile, job.request.target.region)
        calls = self._by_place.get(place)
        if calls is None:
            profile, region = place
            account = self._accounts[profile]
            try:
                endpoint = str(account.urls.endpoint(region or account.region))
            except (NotSendableError, ConfigError):
                return None
            calls = self._by_place[place] = self.calls_to(endpoint, profile)
        return calls

    def calls_to(self, endpoint: str, profile: str | None = None) -> Calls:
        """Return a profile's calls to an endpoint, connected when first asked for."""
        calls = self._calls.get((profile, endpoint))
        if calls is None:
            calls = self._calls[profile, endpoint] = self._connect(
                self._accounts[profile], endpoint
            )
        return calls

    def close(self) -> None:
        """Refuse every request that has no turn yet: the worker drains."""
        self._closed = True
        for limiter in self.limiters:
            limiter.close()

    def _connect(self, account: Account, endpoint: str) -> Calls:
        cloud: Cloud = ModelArtsCloud(account.client, endpoint, account.region)
        return Calls(
            cloud,
            self._limiter(f"{account.credential}|{endpoint}"),
            account.guard,
            self._lease,
            self._counts,
            timeout_s=self._settings.request_timeout,
        )

    def _limiter(self, key: str) -> Limiter:
        """Return the limiter of a credential and endpoint, started when first asked for."""
        limiter = self._limiters.get(key)
        if limiter is None:
            settings = self._settings
            own = settings.rate_per_project
            limiter = self._limiters[key] = Limiter(
                key,
                pace_of(settings),
                store=self._store,
                clock=self._counts.troubles.clock,
                max_in_flight=settings.max_in_flight,
                project_pace=Pace(limit=limit_of(own), jitter_s=settings.jitter) if own else None,
                weights=self._weights,
            )
            if self._closed:
                limiter.close()
            self._tasks.start_soon(limiter.run, name=f"limiter {key}")
        return limiter
