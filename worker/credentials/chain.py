"""Which credential is used: the first complete source in a fixed order, never two mixed.

A source of which a part is missing stops the search: to go on would quietly work as somebody
else.  What comes after the one that is used is looked at only to be able to say that it is
ignored.

Source of the order: experience notes, section 3.10.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from config.choices import Auth
from config.profiles import ProfileSettings
from config.settings import CloudSettings, Settings
from jobs.errors import ConfigError
from worker.credentials import files, variables
from worker.credentials.sources import (
    Agency,
    Found,
    Ignored,
    Kind,
    Metadata,
    Reading,
    Source,
    Surroundings,
    Unusable,
    name_of,
)
from worker.modelarts.keys import AccessKey, Secret, Token

Reader = Callable[[Surroundings], Reading]

VARIABLES: Final[tuple[Reader, ...]] = (
    variables.sdk,
    variables.terraform_token,
    variables.terraform_key,
    variables.terraform_login,
    variables.samples,
)
"""The families of variables.  Within terraform's the order is terraform's own."""

ORDER: Final[tuple[Reader, ...]] = (
    *VARIABLES,
    files.sdk_file,
    files.koocli,
    variables.pod_identity,
)
"""What is asked after our own settings and before the metadata service."""

LOOKED_AT: Final = (
    "cloud.token, the variables HUAWEICLOUD_SDK_AK, HW_ACCESS_KEY and CLOUD_SDK_AK, "
    "~/.huaweicloud/credentials, ~/.hcloud/config.json, the identity of a pod"
)

KIND_OF: Final = {Auth.AKSK: Kind.AKSK, Auth.TOKEN: Kind.TOKEN}
"""What `cloud.auth` restricts the search to."""

NO_AUTH: Final = Found(source="none", kind=Kind.NONE, name="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The credential to use; *source* is None where none is needed."""

    found: Found
    source: Source | None = None


def choose(settings: Settings, around: Surroundings, profile: str | None = None) -> Chosen:
    """Return the credential of *profile*, or of ``cloud.profile``, or the first there is.

    Raises:
        ConfigError: If there is none, if the one that was meant is not complete or cannot be
            used, or if there is no such profile.
    """
    cloud = settings.cloud
    if cloud.auth is Auth.NONE:
        return Chosen(found=NO_AUTH)
    name = profile or cloud.profile
    own = _profile(settings, name)
    first, rest = _readers(own, cloud)
    kind = KIND_OF.get(cloud.auth)
    source, ignored = _first_complete(first, around, own, kind)
    if source is None:
        raise _nothing(settings, name, ignored)
    ignored += [one for one in _others(rest, around) if one.source != source.label]
    return Chosen(source=source, found=_found(source, name, ignored))


def _profile(settings: Settings, name: str | None) -> ProfileSettings | None:
    if name is None:
        return None
    if name not in settings.profiles:
        known = ", ".join(sorted(settings.profiles)) or "none"
        raise ConfigError(
            f"there is no profile {name}", do=f"name one of the profiles in the settings ({known})"
        )
    return settings.profiles[name]


def _readers(
    profile: ProfileSettings | None, cloud: CloudSettings
) -> tuple[Sequence[Reader], Sequence[Reader]]:
    """Return where to look for the credential, and where for what is ignored."""
    every = (_configured_token(cloud), *ORDER, *((_metadata,) if cloud.metadata else ()))
    kind, _, place = ("auto" if profile is None else profile.credentials).partition(":")
    path, _, part = place.partition("#")
    match kind:
        case "auto":
            return every, ()
        case "env":
            own: Sequence[Reader] = VARIABLES
        case "file":
            own = (lambda around: files.section_of(around.path(path), part or "basic"),)
        case "token-file":
            own = (lambda around: files.token_file(around.path(place)),)
        case "hcloud":
            own = (lambda around: files.koocli_profile(_koocli_path(around, path), part or None),)
        case "pod":
            own = (variables.pod_identity,)
        case _:
            own = (_metadata,)
    return own, every


def _koocli_path(around: Surroundings, path: str) -> Path:
    named = path or around.get("HW_SHARED_CONFIG_FILE") or "~/.hcloud/config.json"
    return around.path(named)


def _configured_token(cloud: CloudSettings) -> Reader:
    def read(_: Surroundings) -> Reading:
        if cloud.token is None:
            return None
        token = Token(secret=Secret.one_line(cloud.token.get_secret_value(), "cloud.token"))
        return Source(label="cloud.token in the settings", proof=token)

    return read


def _metadata(_: Surroundings) -> Reading:
    return Source(label="agency of this ECS, from its metadata service", proof=Metadata())


def _first_complete(
    readers: Sequence[Reader],
    around: Surroundings,
    profile: ProfileSettings | None,
    kind: Kind | None,
) -> tuple[Source | None, list[Ignored]]:
    """Return the first source of the wanted kind, and the others there are."""
    used: Source | None = None
    ignored: list[Ignored] = []
    for read in readers:
        reading = read(around)
        if isinstance(reading, Unusable) and used is None:
            raise ConfigError(
                reading.problem,
                why=f"{reading.label} comes first and cannot be used as it is",
                do=reading.do,
            )
        if isinstance(reading, Source):
            reading = _with_profile(reading, profile)
        if isinstance(reading, Source) and used is None and kind in {None, reading.kind}:
            used = reading
        elif reading is not None:
            ignored.append(_ignored(reading))
    return used, ignored


def _others(readers: Sequence[Reader], around: Surroundings) -> Iterator[Ignored]:
    for read in readers:
        reading = read(around)
        if reading is not None:
            yield _ignored(reading)


def _ignored(reading: Source | Unusable) -> Ignored:
    short = reading.short if isinstance(reading, Source) else None
    return Ignored(source=reading.label, short=short)


def _with_profile(source: Source, profile: ProfileSettings | None) -> Source:
    """Return the source with what the profile says beside it."""
    if profile is None:
        return source
    agency = source.agency
    if profile.agency_name is not None:
        agency = Agency(
            name=profile.agency_name,
            domain_name=profile.agency_domain_name,
            domain_id=profile.agency_domain_id,
        )
    return replace(
        source,
        region=profile.region or source.region,
        project=profile.project or source.project,
        agency=agency,
    )


def _found(source: Source, profile: str | None, ignored: Sequence[Ignored]) -> Found:
    label = source.label if profile is None else f"profile {profile}, {source.label}"
    if source.agency is not None:
        label = f"agency {source.agency.name} by {label}"
    return Found(
        source=label,
        kind=source.kind,
        name=name_of(source),
        short=source.short,
        region=source.region,
        project=source.project,
        hint=source.hint,
        ignored=tuple(ignored),
        temporary=isinstance(source.proof, AccessKey) and source.proof.security_token is not None,
    )


def _nothing(settings: Settings, profile: str | None, ignored: Sequence[Ignored]) -> ConfigError:
    cloud, names = settings.cloud, ", ".join(sorted(settings.profiles))
    select = f"name a profile ({names}) with --profile or cloud.profile, or " if names else ""
    if profile is not None:
        place = f"where profile {profile} says"
    else:
        place = f"looked at {LOOKED_AT}"
        place += ", the metadata service" if cloud.metadata else ""
    if ignored:
        found = ", ".join(one.source for one in ignored)
        place = f"cloud.auth asks for {cloud.auth.value}, which this is not ({found})"
    return ConfigError(
        "no credential is configured",
        why=f"none was found; {place}",
        do=f"{select if profile is None else ''}set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK; "
        "for a simulator on this machine set PLUGWAVE_CLOUD__AUTH to none",
    )
