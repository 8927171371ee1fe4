"""Credentials in files: the SDK's INI file, KooCLI's JSON file, and a file with a token.

A file that nobody named may be missing.  One that was named must be there, and one that is
there must be readable.  No message repeats anything of a file's content.
"""

from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from pathlib import Path
from re import ASCII
from re import compile as pattern
from typing import Any, Final

import orjson

from jobs.errors import ConfigError
from worker.credentials.sources import (
    Agency,
    IdToken,
    Metadata,
    Proof,
    Reading,
    Source,
    Surroundings,
    TokenFile,
    Unusable,
)
from worker.modelarts.keys import AccessKey, Secret

LIMIT_BYTES: Final = 1_048_576
"""A file of credentials is a page; more is somebody's mistake."""

DECRYPT: Final = "hcloud configure set --cli-auth-encrypt=false"
"""What makes KooCLI keep its profiles readable; then they must be configured anew."""

_PLAIN_KEY: Final = pattern(r"[A-Z0-9]{10,40}", ASCII)
"""How an access key looks that is not encrypted."""


class Trouble(Exception):  # noqa: N818 - it becomes an Unusable here and is never seen
    """A file cannot be used, and what to do about it."""

    def __init__(self, problem: str, do: str) -> None:
        super().__init__(problem)
        self.do = do


def sdk_file(around: Surroundings) -> Reading:
    """Read section ``[basic]`` of the SDK's file, in its usual place or where it was named."""
    named = around.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    if named is not None:
        return section_of(around.path(named), "basic")
    if around.home is None:
        return None
    return section_of(around.home / ".huaweicloud" / "credentials", "basic", named=False)


def section_of(path: Path, section: str, *, named: bool = True) -> Reading:
    """Read one section of an INI file; unless *named*, file and section may be missing."""
    label = f"section [{section}] of {path}"
    try:
        text = _read(path, named=named)
        told = None if text is None else _ini_section(path, text, section, named=named)
        return None if not told else _sdk_source(label, path, told)
    except Trouble as trouble:
        return Unusable(label=label, problem=str(trouble), do=trouble.do)


def _ini_section(path: Path, text: str, section: str, *, named: bool) -> Mapping[str, str]:
    # Without interpolation: a secret may have a percent sign.
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except IniError:  # its text repeats lines of the file
        raise Trouble(f"{path} is not an INI file", "correct it") from None
    if parser.has_section(section):
        return {name: value.strip() for name, value in parser.items(section) if value}
    if named:
        raise Trouble(f"{path} has no section [{section}]", "name a section that it has")
    return {}


def _sdk_source(label: str, path: Path, told: Mapping[str, str]) -> Reading:
    proof: Proof | None
    if told.get("idp_id") and told.get("id_token_file"):
        proof = IdToken(provider=told["idp_id"], path=Path(told["id_token_file"]).expanduser())
    else:
        proof = _key(path, told, "ak", "sk", "security_token")
    if proof is None:
        return None
    return Source(
        label=label, proof=proof, project=told.get("project_id"), iam=told.get("iam_endpoint")
    )


def token_file(path: Path) -> Reading:
    """Read a token now, to see that it is there; it is read anew when it has ended."""
    label = f"the token in {path}"
    try:
        read_token(path)
    except ConfigError as error:
        return Unusable(label=label, problem=str(error), do=error.do)
    return Source(label=label, proof=TokenFile(path=path))


def read_token(path: Path) -> Secret:
    """Return the one line in the file.

    Raises:
        ConfigError: If it cannot be read or is not one line.
    """
    try:
        text = _read(path, named=True) or ""
    except Trouble as trouble:
        raise ConfigError(str(trouble), do=trouble.do) from None
    return Secret.one_line(text.strip("\r\n \t"), f"the token in {path}")


def koocli(around: Surroundings) -> Reading:
    """Read KooCLI's file, in its usual place or where it was named."""
    named = around.get("HW_SHARED_CONFIG_FILE")
    profile = around.get("HW_PROFILE")
    if named is not None:
        return koocli_profile(around.path(named), profile)
    if around.home is None:
        return None
    wanted = profile is not None
    return koocli_profile(around.home / ".hcloud" / "config.json", profile, named=wanted)


def koocli_profile(path: Path, profile: str | None, *, named: bool = True) -> Reading:
    """Read one profile of a KooCLI file, its current one when none is named."""
    label = f"KooCLI profile {profile or 'in use'} in {path}"
    try:
        text = _read(path, named=named)
        return None if text is None else _koocli(path, text, profile, named=named)
    except Trouble as trouble:
        return Unusable(label=label, problem=str(trouble), do=trouble.do)


def _koocli(path: Path, text: str, profile: str | None, *, named: bool) -> Reading:
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise Trouble(f"{path} is not a JSON object", "configure KooCLI anew")
    wanted = profile or told.get("current") or "default"
    listed = told.get("profiles")
    profiles = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found = next((one for one in profiles if one.get("name") == wanted), None)
    if found is None:
        if named:
            raise Trouble(f"{path} has no profile {wanted}", "name a profile that it has")
        return None
    encrypted = str(told.get("authEncrypt", "")).lower()
    return _koocli_source(path, found, encrypted=None if encrypted == "" else encrypted == "true")


def _koocli_source(path: Path, told: Mapping[str, Any], *, encrypted: bool | None) -> Reading:
    texts = {name: value for name, value in told.items() if isinstance(value, str) and value}
    keys: Mapping[str, str] = texts
    if texts.get("mode") == "SSO":
        keys = _texts(told, "ssoAuth", "stsToken")
    proof: Proof | None
    if texts.get("mode") == "ecsAgency":
        proof = Metadata()
    else:
        access = keys.get("accessKeyId", "")
        if encrypted or (encrypted is None and access and not _PLAIN_KEY.fullmatch(access)):
            raise Trouble(
                f"the keys in {path} are encrypted, and only KooCLI can read them",
                f"run `{DECRYPT}` and configure the profile again, or set HUAWEICLOUD_SDK_AK "
                "and HUAWEICLOUD_SDK_SK",
            )
        proof = _key(path, keys, "accessKeyId", "secretAccessKey", "securityToken")
    if proof is None:
        return None
    return Source(
        label=f"KooCLI profile {told.get('name')} in {path}",
        proof=proof,
        region=texts.get("region"),
        project=texts.get("projectId"),
        agency=_koocli_agency(path, texts),
    )


def _koocli_agency(path: Path, texts: Mapping[str, str]) -> Agency | None:
    name = texts.get("agencyName")
    if name is None or texts.get("mode") == "ecsAgency":
        return None  # the agency of the machine itself needs no name
    domain, domain_id = texts.get("agencyDomainName"), texts.get("agencyDomainId")
    if domain is None and domain_id is None:
        problem = f"{path} has agencyName and neither agencyDomainName nor agencyDomainId"
        raise Trouble(problem, "set the agency's account in KooCLI")
    return Agency(name=name, domain_name=domain, domain_id=domain_id)


def _texts(told: Mapping[str, Any], *names: str) -> Mapping[str, str]:
    place: object = told
    for name in names:
        place = place.get(name) if isinstance(place, dict) else None
    held = place if isinstance(place, dict) else {}
    return {name: value for name, value in held.items() if isinstance(value, str) and value}


def _key(
    path: Path, told: Mapping[str, str], access: str, secret: str, token: str
) -> AccessKey | None:
    """Return the key under these names; None when nothing of it is there.

    Raises:
        Trouble: If a part of it is missing or no header can carry it.
    """
    there = [name for name in (access, secret, token) if told.get(name)]
    if not there:
        return None
    for name in (access, secret):
        if name not in there:
            raise Trouble(f"{path} has {there[0]} and no {name}", f"add {name} to it")
    try:
        return AccessKey.of(told[access], told[secret], told.get(token))
    except ConfigError as error:
        raise Trouble(f"{error} (in {path})", f"correct it in {path}") from None


def _read(path: Path, *, named: bool) -> str | None:
    """Return the file's text; None when it is missing and nobody named it.

    Raises:
        Trouble: If it cannot be read, or is no page of text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if not named:
            return None
        raise Trouble(f"{path} does not exist", "name a file that exists") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Trouble(f"cannot read {path} ({reason})", "let this user read it") from None
    if len(content) > LIMIT_BYTES:
        raise Trouble(f"{path} is over 1 MiB, so it is no such file", "name another file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Trouble(f"{path} is not UTF-8 text", "name another file") from None
