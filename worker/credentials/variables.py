"""Credentials in environment variables: three families of names, each read by itself.

A variable that is set and empty counts as not set.  A family of which a part is missing is
told and not skipped: going on would quietly work as somebody else.
"""

from typing import NamedTuple

from jobs.errors import ConfigError
from worker.credentials.sources import (
    Agency,
    IdToken,
    Login,
    PodIdentity,
    Proof,
    Reading,
    Source,
    Surroundings,
    Unusable,
)
from worker.modelarts.keys import AccessKey, Secret, Token


class _Names(NamedTuple):
    access: str
    secret: str
    security_token: str | None


_SDK = _Names("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
_TERRAFORM = _Names("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN")
_SAMPLES = _Names("CLOUD_SDK_AK", "CLOUD_SDK_SK", None)

SECRET_VARIABLES = (
    *(name for names in (_SDK, _TERRAFORM, _SAMPLES) for name in names if name is not None),
    "HW_AUTH_TOKEN",
    "HW_USER_PASSWORD",
)
"""Variables whose values must never be seen, used or not."""


def sdk(around: Surroundings) -> Reading:
    """Read the names of the official SDKs; an id token goes before a key, as in them."""
    provider, path = (
        around.get("HUAWEICLOUD_SDK_IDP_ID"),
        around.get("HUAWEICLOUD_SDK_ID_TOKEN_FILE"),
    )
    if provider and path:
        proof: Proof | Unusable | None = IdToken(provider=provider, path=around.path(path))
        label = "HUAWEICLOUD_SDK_IDP_ID / _ID_TOKEN_FILE from the environment"
    else:
        label = "HUAWEICLOUD_SDK_AK / _SK from the environment"
        proof = _key(around, label, _SDK)
    if proof is None or isinstance(proof, Unusable):
        return proof
    return Source(
        label=label,
        proof=proof,
        project=around.get("HUAWEICLOUD_SDK_PROJECT_ID"),
        iam=around.get("HUAWEICLOUD_SDK_IAM_ENDPOINT"),
    )


def terraform_token(around: Surroundings) -> Reading:
    """Read terraform's token, which goes before its key."""
    label = "HW_AUTH_TOKEN from the environment"
    text = around.get("HW_AUTH_TOKEN")
    if text is None:
        return None
    token = _secret(text, label, "HW_AUTH_TOKEN")
    return token if isinstance(token, Unusable) else _hw(around, label, Token(secret=token))


def terraform_key(around: Surroundings) -> Reading:
    """Read terraform's key."""
    label = "HW_ACCESS_KEY / HW_SECRET_KEY from the environment"
    key = _key(around, label, _TERRAFORM)
    return key if key is None or isinstance(key, Unusable) else _hw(around, label, key)


def terraform_login(around: Surroundings) -> Reading:
    """Read terraform's user and password; a name without password is no credential."""
    label = "HW_USER_NAME / HW_USER_PASSWORD from the environment"
    text = around.get("HW_USER_PASSWORD")
    if text is None:
        return None
    name, number = around.get("HW_USER_NAME"), around.get("HW_USER_ID")
    domain, domain_id = around.get("HW_DOMAIN_NAME"), around.get("HW_DOMAIN_ID")
    if name is None and number is None:
        return _missing(label, "HW_USER_PASSWORD", "HW_USER_NAME")
    if number is None and domain is None and domain_id is None:
        return _missing(label, "HW_USER_NAME", "HW_DOMAIN_NAME")
    login = Login(
        password=Secret(text),  # goes into a body, so it may hold anything
        user_name=None if number else name,
        user_id=number,
        domain_name=domain,
        domain_id=domain_id,
    )
    return _hw(around, label, login)


def samples(around: Surroundings) -> Reading:
    """Read the names that code samples use."""
    label = "CLOUD_SDK_AK / CLOUD_SDK_SK from the environment"
    key = _key(around, label, _SAMPLES)
    if key is None or isinstance(key, Unusable):
        return key
    hint = "these are the names of code samples; HUAWEICLOUD_SDK_AK and _SK are the usual ones"
    return Source(label=label, proof=key, hint=hint)


def pod_identity(around: Surroundings) -> Reading:
    """Read where the identity of a pod is handed out."""
    label = "pod identity of the CCE cluster"
    names = "HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"
    url, path = (around.get(name) for name in names)
    if url is None:
        return None
    if path is None:
        return _missing(label, *names)
    return Source(label=label, proof=PodIdentity(url=url, path=around.path(path)))


def _hw(around: Surroundings, label: str, proof: Proof) -> Reading:
    """Return terraform's source with all that its family names."""
    agency = _agency(around)
    if isinstance(agency, Unusable):
        return agency
    return Source(
        label=label,
        proof=proof,
        region=around.get("HW_REGION_NAME"),
        project=around.get("HW_PROJECT_ID"),
        project_name=around.get("HW_PROJECT_NAME"),
        iam=around.get("HW_AUTH_URL"),
        domain=around.get("HW_CLOUD"),
        agency=agency,
    )


def _agency(around: Surroundings) -> Agency | Unusable | None:
    label = "HW_ASSUME_ROLE_AGENCY_NAME from the environment"
    name = around.get("HW_ASSUME_ROLE_AGENCY_NAME")
    if name is None:
        return None
    domain = around.get("HW_ASSUME_ROLE_DOMAIN_NAME")
    domain_id = around.get("HW_ASSUME_ROLE_DOMAIN_ID")
    if domain is None and domain_id is None:
        return _missing(label, "HW_ASSUME_ROLE_AGENCY_NAME", "HW_ASSUME_ROLE_DOMAIN_NAME")
    duration = around.get("HW_ASSUME_ROLE_DURATION")
    if duration is None:
        return Agency(name=name, domain_name=domain, domain_id=domain_id)
    if not (duration.isascii() and duration.isdigit() and 900 <= int(duration[:9]) <= 86_400):
        problem = "HW_ASSUME_ROLE_DURATION is not a number of seconds from 900 to 86400"
        return Unusable(label=label, problem=problem, do="correct it or unset it")
    return Agency(name=name, domain_name=domain, domain_id=domain_id, duration_s=int(duration))


def _key(around: Surroundings, label: str, names: _Names) -> AccessKey | Unusable | None:
    """Return the key of one family, None when nothing of it is set."""
    texts = {name: around.get(name) for name in names if name is not None}
    there = [name for name, text in texts.items() if text is not None]
    if not there:
        return None
    for name in (names.access, names.secret):
        if name not in there:
            return _missing(label, there[0], name)
    secrets: dict[str, Secret] = {}
    for name in there:
        secret = _secret(texts[name] or "", label, name)
        if isinstance(secret, Unusable):
            return secret
        secrets[name] = secret
    return AccessKey(
        access=secrets[names.access],
        secret=secrets[names.secret],
        security_token=secrets.get(names.security_token or ""),
    )


def _secret(text: str, label: str, name: str) -> Secret | Unusable:
    try:
        return Secret.one_line(text, name)
    except ConfigError as error:
        do = f"look for spaces and line breaks in {name}"
        return Unusable(label=label, problem=str(error), do=do)


def _missing(label: str, there: str, missing: str) -> Unusable:
    return Unusable(
        label=label,
        problem=f"{there} is set and {missing} is not",
        do=f"set {missing}, or unset {there} to use another source",
    )
