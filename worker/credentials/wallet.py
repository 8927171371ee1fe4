"""The credentials of one process, by the names of their profiles, each put together once.

A wallet looks at the surroundings when a credential is first asked for, and again only after a
refusal: then a secret that was mended in a file is taken (`worker.credentials.standing`).
Tokens and temporary keys are renewed all the same.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from yarl import URL

from config.settings import CloudSettings, Settings
from jobs.errors import ConfigError
from worker.credentials.chain import choose
from worker.credentials.fetching import Fetcher, checked_url
from worker.credentials.grants import (
    METADATA,
    AgencyGrant,
    Asking,
    IdTokenGrant,
    MetadataGrant,
    PasswordGrant,
    PodGrant,
    TokenFileGrant,
)
from worker.credentials.renewing import Renewing
from worker.credentials.sources import (
    Found,
    IdToken,
    Login,
    PodIdentity,
    Source,
    Surroundings,
    TokenFile,
    mark_of,
    name_of,
)
from worker.credentials.standing import Standing
from worker.modelarts.auth import (
    AkSkAuth,
    Authorizer,
    Fixed,
    NoAuth,
    TokenAuth,
    project_of,
)
from worker.modelarts.faults import NotSendableError
from worker.modelarts.keys import AccessKey, Token
from worker.modelarts.urls import Urls, checked_endpoint, default_iam_endpoint

PROJECTS: Final = 1024
"""Tokens kept for that many projects; the ones not used for longest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who requests are sent as.

    Attributes:
        found: What may be told about it.
        authorizer: Proves it.
        mark: Changes with the lasting secret and tells nothing of it; None without a secret.
        iam: Where its IAM is, if its source says so.
        source: Reads it again after a refusal; None where there is nothing to read.
        place: Where its secret is; two that are from one place stand and fall together.
    """

    found: Found
    authorizer: Authorizer = field(repr=False)
    mark: str | None = None
    iam: URL | None = None
    source: Standing | None = field(default=None, repr=False)
    place: str = ""

    @property
    def name(self) -> str:
        """What it is called in limits, logs and breakers; no secret."""
        return self.found.name


class Wallet:
    """Finds credentials and keeps them renewed."""

    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        fetcher: Fetcher,
        *,
        metadata: URL = METADATA,
    ) -> None:
        """Take what credentials are found and fetched with.

        Args:
            settings: Which of them are wanted.
            around: Where they are.
            fetcher: Asks for tokens and temporary keys.
            metadata: Where the metadata service is; tests have their own.
        """
        self._settings = settings
        self._around = around
        self._fetcher = fetcher
        self._metadata = metadata
        self._held: dict[str | None, Credential] = {}

    @property
    def fetcher(self) -> Fetcher:
        """Who asks for tokens and temporary keys."""
        return self._fetcher

    def get(self, profile: str | None = None) -> Credential:
        """Return the credential of a profile; without a name, the one of the settings.

        Raises:
            ConfigError: If there is none, or it cannot be used.
        """
        name = profile or self._settings.cloud.profile
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = self._made(name)
        return held

    def _made(self, profile: str | None) -> Credential:
        chosen = choose(self._settings, self._around, profile)
        if chosen.source is None:
            return Credential(found=chosen.found, authorizer=NoAuth())
        source, cloud = chosen.source, self._settings.cloud_of(profile)
        build = partial(self._authorizer, cloud=cloud)
        standing = Standing(source, partial(self._source, profile), build)
        return Credential(
            found=chosen.found,
            authorizer=standing,
            mark=mark_of(source),
            iam=None if source.iam is None else _named_iam(source),
            source=standing,
            place=source.label,
        )

    def _source(self, profile: str | None) -> Source | None:
        return choose(self._settings, self._around, profile).source

    def _authorizer(self, source: Source, cloud: CloudSettings) -> Authorizer:
        base = self._base(source, cloud)
        if source.agency is None:
            return base
        asking = self._asking(source, cloud)
        grant = AgencyGrant(asking=asking, agency=source.agency, base=base)
        return AkSkAuth(Renewing(grant.fetch, self._fetcher.clock, "key of the agency"))

    def _base(self, source: Source, cloud: CloudSettings) -> Authorizer:
        """Return what proves the source itself, without its agency."""
        fetcher, clock, who = self._fetcher, self._fetcher.clock, name_of(source)
        match source.proof:
            case AccessKey() as key:
                return AkSkAuth(Fixed(key))
            case Token() as token:
                return TokenAuth(Fixed(token))
            case TokenFile(path=path):
                read = TokenFileGrant(path=path, fetcher=fetcher).fetch
                return TokenAuth(Renewing(read, clock, "token in the file"))
            case Login() as login:
                return ProjectTokens(self._asking(source, cloud), login, source, cloud)
            case IdToken(provider=provider, path=path):
                asking = self._asking(source, cloud)
                fetch = IdTokenGrant(asking=asking, provider=provider, path=path).fetch
            case PodIdentity(url=url, path=path):
                checked = checked_url(url, "HC_CONTAINER_CREDENTIALS_FULL_URI")
                fetch = PodGrant(who=who, url=checked, path=path, fetcher=fetcher).fetch
            case _:
                fetch = MetadataGrant(who, fetcher, self._metadata).fetch
        return AkSkAuth(Renewing(fetch, clock, "temporary key"))

    def _asking(self, source: Source, cloud: CloudSettings) -> Asking:
        iam = iam_of(source, cloud)
        return Asking(who=name_of(source), iam=iam, fetcher=self._fetcher)


class ProjectTokens:
    """A token of its own for each project that a URL names: IAM's tokens are of one project."""

    def __init__(
        self, asking: Asking, login: Login, source: Source, settings: CloudSettings
    ) -> None:
        self._asking = asking
        self._login = login
        self._project = source.project
        # A region's own project has its name.
        self._project_name = source.project_name or source.region or settings.region
        self._tokens: OrderedDict[str | None, TokenAuth] = OrderedDict()

    async def ready(self, url: URL) -> None:
        """Have a token of the URL's project."""
        await self._of(url).ready(url)

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:
        """Return the header with that project's token."""
        return self._of(url).headers(method, url, body, now_us)

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:
        """Have that project's token renewed, unless it has been already."""
        return self._of(url).ended(url, proof)

    def _of(self, url: URL) -> TokenAuth:
        project = project_of(url) or self._project
        auth = self._tokens.get(project)
        if auth is None:
            auth = self._tokens[project] = self._new(project)
            if len(self._tokens) > PROJECTS:
                self._tokens.popitem(last=False)
        self._tokens.move_to_end(project)
        return auth

    def _new(self, project: str | None) -> TokenAuth:
        grant = PasswordGrant(
            asking=self._asking,
            login=self._login,
            project=project,
            project_name=self._project_name,
        )
        return TokenAuth(Renewing(grant.fetch, self._asking.fetcher.clock, "token from IAM"))


def _named_iam(source: Source) -> URL:
    # Often written with the API's version: https://iam.cn-north-4.myhuaweicloud.com/v3
    return checked_url(source.iam or "", f"the address of IAM beside {source.label}").origin()


def iam_of(source: Source, settings: CloudSettings) -> URL:
    """Return the origin of the IAM that knows this credential.

    What the settings say wins, then what the credential's own source says; otherwise IAM is
    beside ModelArts.

    Raises:
        ConfigError: If that is no address that a secret may be sent to.
    """
    if settings.iam_endpoint is not None:
        return checked_endpoint(settings.iam_endpoint)
    if source.iam is not None:
        return _named_iam(source)
    region = source.region or settings.region
    if source.domain is not None and settings.endpoint is None:
        usual = default_iam_endpoint(region)
        host = usual.rpartition("myhuaweicloud")[0]
        return checked_endpoint(f"{host}{source.domain}")
    try:
        return Urls(settings.endpoint, settings.endpoints).iam(region)
    except NotSendableError as error:
        raise ConfigError(
            "where IAM is cannot be told", why=str(error), do="set cloud.iam_endpoint"
        ) from None
