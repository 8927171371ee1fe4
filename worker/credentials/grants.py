"""The requests that bring a credential: tokens, agencies, pods and machines.

Each is a frozen value that knows whom to ask; `fetch` asks once.  Who renews when is
`worker.credentials.renewing`.

Source: cloud API notes, sections 6.1 and 6.3.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from yarl import URL

from jobs.clock import seconds_to_us
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from worker.credentials.fetching import METADATA_HOST, Fetcher, Request, unavailable
from worker.credentials.files import read_token
from worker.credentials.sources import Agency, Login
from worker.modelarts.auth import Authorizer, NoCredentialError, hidden_in_errors
from worker.modelarts.faults import UnreadableError
from worker.modelarts.keys import AccessKey, Secret, Token
from worker.modelarts.reading import Document, document
from worker.modelarts.transport import RawAnswer

SHORTEST_LIFE_S: Final = 900.0
"""What a temporary key lives at least; assumed of one that does not tell its end."""

TOKEN_LIFE_S: Final = 86_400.0
"""What a token lives, should it not tell its end."""

FEDERATED_S: Final = 21_600
"""How long the key for an id token is asked to live, as the official SDK does."""

METADATA: Final = URL(f"http://{METADATA_HOST}")
METADATA_TOKEN_S: Final = 21_600

SUBJECT: Final = "X-Subject-Token"

_KEYS: Final = (
    ("access", "secret", "securitytoken"),
    ("accessKeyId", "secretAccessKey", "securityToken"),
    ("access_key_id", "secret_access_key", "security_token"),
)
"""The spellings of IAM and metadata, of pod identity, and of STS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks whom: what all grants share."""

    who: str
    iam: URL
    fetcher: Fetcher = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordGrant:
    """A token of one project, for a user's password."""

    asking: Asking
    login: Login
    project: str | None = None
    project_name: str | None = None

    async def fetch(self) -> Token:
        """Ask IAM for a token.

        Raises:
            NoCredentialError: If there is none.
        """
        what = "token from IAM"
        if self.project is None and self.project_name is None:
            raise refused(what, "neither a project nor a region is known for it")
        raw = await self.asking.fetcher.fetch(
            Request(
                who=self.asking.who,
                what=what,
                method="POST",
                url=self.asking.iam.with_path("/v3/auth/tokens").with_query("nocatalog=true"),
                body=self._body(),
                success=frozenset({201}),
                secrets=(self.login.password.reveal(),),
            )
        )
        return _token(what, raw, self.asking.fetcher.clock.wall_us())

    def _body(self) -> bytes:
        login = self.login
        user: dict[str, Any] = {"password": login.password.reveal()}
        if login.user_id is not None:
            user["id"] = login.user_id
        else:
            domain = {"id": login.domain_id} if login.domain_id else {"name": login.domain_name}
            user |= {"name": login.user_name, "domain": domain}
        project = {"id": self.project} if self.project else {"name": self.project_name}
        identity = {"methods": ["password"], "password": {"user": user}}
        return orjson.dumps({"auth": {"identity": identity, "scope": {"project": project}}})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileGrant:
    """A token that somebody else keeps in a file."""

    path: Path
    fetcher: Fetcher = field(repr=False)

    async def fetch(self) -> Token:
        """Read the file.

        Raises:
            NoCredentialError: If it does not hold a token.
        """
        return Token(secret=_secret_in("token", self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyGrant:
    """A temporary key of an agency, asked for as somebody else."""

    asking: Asking
    agency: Agency
    base: Authorizer = field(repr=False)

    async def fetch(self) -> AccessKey:
        """Ask IAM for a key.

        Raises:
            NoCredentialError: If there is none.
        """
        what = f"key of agency {self.agency.name}"
        fetcher = self.asking.fetcher
        url = self.asking.iam.with_path("/v3.0/OS-CREDENTIAL/securitytokens")
        body = orjson.dumps({"auth": {"identity": self._identity()}})
        await self.base.ready(url)
        proof = self.base.headers("POST", url, body, fetcher.clock.wall_us())
        raw = await fetcher.fetch(
            Request(
                who=self.asking.who,
                what=what,
                method="POST",
                url=url,
                headers=proof,
                body=body,
                success=frozenset({200, 201}),
                secrets=hidden_in_errors(proof),
            )
        )
        return _access_key(what, raw, fetcher.clock.wall_us())

    def _identity(self) -> dict[str, Any]:
        agency = self.agency
        domain = (
            {"domain_id": agency.domain_id}
            if agency.domain_id
            else {"domain_name": agency.domain_name}
        )
        role = {"agency_name": agency.name, **domain, "duration_seconds": agency.duration_s}
        return {"methods": ["assume_role"], "assume_role": role}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenGrant:
    """A temporary key for another provider's id token."""

    asking: Asking
    provider: str
    path: Path

    async def fetch(self) -> AccessKey:
        """Change the id token for a token of the account, and that for a key.

        Raises:
            NoCredentialError: If there is none.
        """
        what = "key for the id token"
        id_token = _secret_in("id token", self.path)
        token = await self._ask(
            what,
            "/v3.0/OS-AUTH/id-token/tokens",
            {"auth": {"id_token": {"id": id_token.reveal()}}},
            headers={"X-Idp-Id": self.provider},
            secrets=(id_token.reveal(),),
        )
        subject = _token(what, token, self.asking.fetcher.clock.wall_us()).secret
        asked = {"id": subject.reveal(), "duration_seconds": FEDERATED_S}
        raw = await self._ask(
            what,
            "/v3.0/OS-CREDENTIAL/securitytokens",
            {"auth": {"identity": {"methods": ["token"], "token": asked}}},
            secrets=(subject.reveal(),),
        )
        return _access_key(what, raw, self.asking.fetcher.clock.wall_us())

    async def _ask(
        self,
        what: str,
        path: str,
        told: dict[str, Any],
        *,
        headers: dict[str, str] | None = None,
        secrets: tuple[str, ...],
    ) -> RawAnswer:
        return await self.asking.fetcher.fetch(
            Request(
                who=self.asking.who,
                what=what,
                method="POST",
                url=self.asking.iam.with_path(path),
                headers=headers or {},
                body=orjson.dumps(told),
                secrets=secrets,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodGrant:
    """A temporary key for the identity of a pod; its token file is renewed by the cluster."""

    who: str
    url: URL
    path: Path
    fetcher: Fetcher = field(repr=False)

    async def fetch(self) -> AccessKey:
        """Ask the cluster's agent for a key.

        Raises:
            NoCredentialError: If there is none.
        """
        what = "key of the pod"
        token = _secret_in("token of the pod", self.path)
        raw = await self.fetcher.fetch(
            Request(
                who=self.who,
                what=what,
                method="POST",
                url=self.url,
                headers={"Authorization": token.reveal()},
                body=b"{}",
                secrets=(token.reveal(),),
            )
        )
        return _access_key(what, raw, self.fetcher.clock.wall_us())


class MetadataGrant:
    """A temporary key of the agency of the ECS this runs on.

    A hardened machine answers 401 to who has no token of its metadata service; then one is
    asked for and used from there on.
    """

    def __init__(self, who: str, fetcher: Fetcher, origin: URL = METADATA) -> None:
        self._who = who
        self._fetcher = fetcher
        self._origin = origin
        self._headers: dict[str, str] = {}

    async def fetch(self) -> AccessKey:
        """Ask the metadata service for a key.

        Raises:
            NoCredentialError: If there is none; the machine may have no agency.
        """
        what = "key of this ECS"
        raw = await self._ask(what, success=frozenset({200, 401}))
        if raw.status == 401:
            self._headers = await self._token(what)
            raw = await self._ask(what, success=frozenset({200}))
        return _access_key(what, raw, self._fetcher.clock.wall_us())

    async def _ask(self, what: str, *, success: frozenset[int]) -> RawAnswer:
        return await self._fetcher.fetch(
            Request(
                who=self._who,
                what=what,
                method="GET",
                url=self._origin.with_path("/openstack/latest/securitykey"),
                headers=self._headers,
                success=success,
                secrets=tuple(self._headers.values()),
            )
        )

    async def _token(self, what: str) -> dict[str, str]:
        raw = await self._fetcher.fetch(
            Request(
                who=self._who,
                what=what,
                method="PUT",
                url=self._origin.with_path("/meta-data/latest/api/token"),
                headers={"X-Metadata-Token-Ttl-Seconds": str(METADATA_TOKEN_S)},
                success=frozenset({200}),
            )
        )
        text = (raw.body or b"").decode("ascii", "replace").strip()
        if not text or not text.isprintable() or " " in text:
            raise refused(what, "the metadata service gave no token")
        return {"X-Metadata-Token": text}


def refused(what: str, why: str) -> NoCredentialError:
    """Return the error for a credential that cannot be had as things are."""
    answer = Answer(outcome=Outcome.UNAUTHENTICATED, sent=False, message=why)
    return unavailable(what, answer)


def _secret_in(what: str, path: Path) -> Secret:
    try:
        return read_token(path)
    except ConfigError as error:
        raise refused(what, str(error)) from None


def _token(what: str, raw: RawAnswer, now_us: int) -> Token:
    """Return the token that an answer hands out in its header."""
    try:
        told = document(raw.body or b"").get("token")
        text = raw.headers.get(SUBJECT, "")
        end_us = _instant_us(told.get("expires_at") if type(told) is dict else None)
        expires_us = end_us or now_us + seconds_to_us(TOKEN_LIFE_S)
        return Token.of(text, expires_us=expires_us)
    except (UnreadableError, ConfigError):
        raise _unreadable(what) from None


def _access_key(what: str, raw: RawAnswer, now_us: int) -> AccessKey:
    """Return the temporary key in an answer; all three parts of it."""
    try:
        told = document(raw.body or b"")
        held = _held(told)
        end_us = _instant_us(held.get("expires_at") or held.get("expiration"))
        expires_us = end_us or now_us + seconds_to_us(SHORTEST_LIFE_S)
        return AccessKey.of(*_parts(held), expires_us=expires_us)
    except (UnreadableError, ConfigError):
        raise _unreadable(what) from None


def _held(told: Document) -> Document:
    held = told.get("credential") or told.get("credentials") or told
    if type(held) is not dict:
        raise UnreadableError("the key is no object")
    return held


def _parts(held: Document) -> list[str]:
    """Return key, secret and security token, in whichever spelling."""
    spelt = next((names for names in _KEYS if names[0] in held), _KEYS[0])
    parts = [part for name in spelt if isinstance(part := held.get(name), str) and part]
    if len(parts) != len(spelt):
        raise UnreadableError("a part of the key is missing")
    return parts


def _unreadable(what: str) -> NoCredentialError:
    answer = Answer(
        outcome=Outcome.UNREADABLE_SUCCESS, sent=True, message="the answer cannot be read"
    )
    return unavailable(what, answer)


def _instant_us(text: object) -> int | None:
    """Return an instant such as ``2019-02-13T06:52:13.855000Z``; None if it is none."""
    if type(text) is not str:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return seconds_to_us(moment.timestamp())
