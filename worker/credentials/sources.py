"""The words of this package: where a credential was found, and how it becomes a proof.

A source holds secrets only as `Secret`, so that whatever shows a source shows none.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from worker.modelarts.keys import AccessKey, Secret, Token, short_key


class Kind(StrEnum):
    """How requests prove who we are."""

    AKSK = "aksk"
    TOKEN = "token"  # noqa: S105 - the name of a method, not a token
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An IAM user with a password; tokens are asked for with it.

    Exactly one of *user_name* and *user_id* is set; a name needs one of the domain's two.
    """

    password: Secret
    user_name: str | None = None
    user_id: str | None = None
    domain_name: str | None = None
    domain_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFile:
    """A file that somebody keeps filled with a token that has not ended."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """Another provider's id token, which IAM takes instead of a password."""

    provider: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """The identity of a pod in a CCE cluster."""

    url: str
    path: Path


@dataclass(frozen=True, slots=True)
class Metadata:
    """The agency of the ECS this runs on."""


Proof = AccessKey | Token | TokenFile | Login | IdToken | PodIdentity | Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency to act as: its name and, by name or id, the account that made it."""

    name: str
    domain_name: str | None = None
    domain_id: str | None = None
    duration_s: int = 43_200
    """How long its keys are asked to live: twelve hours, as terraform does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One complete source of a credential, with all that belongs to it.

    Attributes:
        label: What people call it; no secret.
        proof: What it has.
        region: The region it names.
        project: The project id it names.
        project_name: The same by name.
        iam: Address of IAM, as it was written.
        domain: The cloud's domain, such as ``myhuaweicloud.com``.
        agency: Whom to act as.
        hint: What to tell whoever uses it.
    """

    label: str
    proof: Proof
    region: str | None = None
    project: str | None = None
    project_name: str | None = None
    iam: str | None = None
    domain: str | None = None
    agency: Agency | None = None
    hint: str | None = None

    @property
    def kind(self) -> Kind:
        """How its requests prove who we are; an agency always gives a key."""
        if self.agency is None and isinstance(self.proof, Token | TokenFile | Login):
            return Kind.TOKEN
        return Kind.AKSK

    @property
    def short(self) -> str | None:
        """The access key as it may be shown, where there is a lasting one."""
        return self.proof.short if isinstance(self.proof, AccessKey) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A source that somebody meant and that cannot be used; *do* is the remedy."""

    label: str
    problem: str
    do: str


Reading = Source | Unusable | None
"""What is found where a source would be; None when nothing of it is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A source that is there too; *short* is its access key as it may be shown."""

    source: str
    short: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Which credential is used, for people; it holds no secret.

    Attributes:
        source: Where it is from.
        kind: How requests prove who we are.
        name: What it is called in limits, logs and breakers; the same on every machine.
        short: Its access key as it may be shown.
        region: The region that its source names.
        project: The project that its source names.
        hint: What to tell whoever uses it.
        ignored: What is set too and not used.
        temporary: Whether a security token goes with the key, so that both end within a day.
    """

    source: str
    kind: Kind
    name: str
    short: str | None = None
    region: str | None = None
    project: str | None = None
    hint: str | None = None
    ignored: tuple[Ignored, ...] = ()
    temporary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The environment and the home folder, passed in; neither is shown."""

    environ: Mapping[str, str] = field(repr=False)
    home: Path | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Surroundings":
        """Return the surroundings that the environment describes."""
        home = environ.get("HOME")
        return cls(environ=environ, home=Path(home) if home else None)

    def get(self, name: str) -> str | None:
        """Return the variable; an empty one counts as not set."""
        return self.environ.get(name) or None

    def path(self, text: str) -> Path:
        """Return *text* as a path, with ``~`` as the home folder."""
        if text.startswith("~/") and self.home is not None:
            return self.home / text[2:]
        return Path(text)


def name_of(source: Source) -> str:
    """Return what the credential is called in limits and logs: stable, shared, no secret."""
    if source.agency is not None:
        agency = source.agency
        return f"agency-{_digest(agency.domain_id, agency.domain_name, agency.name)}"
    match source.proof:
        case AccessKey(access=access):
            shown = short_key(access.reveal()).replace("…", "")
            name = f"ak-{shown or _digest(access.reveal())}"
        case Token(secret=secret):
            name = f"token-{_digest(secret.reveal())}"
        case TokenFile(path=path):
            name = f"token-{_digest(str(path))}"
        case Login() as login:
            domain = login.domain_id or login.domain_name
            name = f"token-{_digest(domain, login.user_id, login.user_name)}"
        case IdToken(provider=provider):
            name = f"oidc-{_digest(provider)}"
        case PodIdentity():
            name = "pod-identity"
        case _:
            name = "ecs-metadata"
    return name


def mark_of(source: Source) -> str:
    """Return 32 bits that change when the source's lasting secret does, and tell nothing of it."""
    match source.proof:
        case AccessKey(secret=secret) | Token(secret=secret):
            lasting = secret.reveal()
        case Login(password=password):
            lasting = password.reveal()
        case _:
            lasting = name_of(source)
    return hashlib.blake2s(lasting.encode(), digest_size=4, person=b"breaker").hexdigest()


def _digest(*parts: str | None) -> str:
    text = "\0".join(part or "" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
