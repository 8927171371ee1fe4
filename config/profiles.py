"""Profiles: accounts to work as, each with a name that jobs may use.

A profile says where credentials are and never holds one; who reads them is
`worker.credentials`.
"""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, model_validator

from config.fields import Endpoint, Region, Section
from jobs.names import is_name, is_project

PROFILES: Final = "profiles"
"""The one section whose tables have names of their own."""

CREDENTIAL_SOURCES: Final = {
    "auto": "auto",
    "env": "env",
    "file": "file:PATH#SECTION",
    "token-file": "token-file:PATH",
    "hcloud": "hcloud[:PATH#PROFILE]",
    "pod": "pod",
    "metadata": "metadata",
}
"""Where a profile may take its credentials from, and how that is written."""


def _profile_name(text: str) -> str:
    if not is_name(text):
        raise ValueError("name it with letters, digits, dot, dash and underscore")
    return text


def _project(text: str) -> str:
    if not is_project(text):
        raise ValueError("not a project id, which is 32 hex digits")
    return text


def _credential_source(text: str) -> str:
    kind, _, place = text.partition(":")
    if kind not in CREDENTIAL_SOURCES:
        raise ValueError(f"write {', '.join(CREDENTIAL_SOURCES.values())}")
    needs_place = ":PATH" in CREDENTIAL_SOURCES[kind] and "[" not in CREDENTIAL_SOURCES[kind]
    if needs_place and place.partition("#")[0] == "":
        raise ValueError(f"the file is missing; write {CREDENTIAL_SOURCES[kind]}")
    if place and ":" not in CREDENTIAL_SOURCES[kind]:
        raise ValueError(f"write {kind} alone")
    return text


ProfileName = Annotated[str, AfterValidator(_profile_name)]
CredentialSource = Annotated[str, AfterValidator(_credential_source)]
Project = Annotated[str, AfterValidator(_project)]


class ProfileSettings(Section):
    """One account to work as: where its credentials are, never the credentials themselves."""

    credentials: CredentialSource = "auto"
    """Where the credentials are: `auto` (the first complete source), `env` (variables alone),
    `file:PATH#SECTION` (a credentials file of the SDK), `token-file:PATH`, `hcloud` or
    `hcloud:PATH#PROFILE` (a profile of KooCLI), `pod`, `metadata`."""

    project: Project | None = None
    """Project id for commands that need one, and for tokens."""

    region: Region | None = None
    """Region of this account's jobs that name none; without it `cloud.region`."""

    endpoint: Endpoint | None = None
    """Base URL of the ModelArts API for this account; goes before `cloud.endpoint` and
    `cloud.endpoints`. For an account of another cloud."""

    iam_endpoint: Endpoint | None = None
    """Base URL of IAM for this account. Without it `cloud.iam_endpoint`; for a profile with an
    endpoint of its own, the IAM beside that."""

    agency_name: str | None = None
    """An agency to act as; its temporary keys are asked for with the profile's credentials."""

    agency_domain_name: str | None = None
    """Name of the account that made the agency."""

    agency_domain_id: str | None = None
    """Id of the account that made the agency, instead of its name."""

    @model_validator(mode="after")
    def _agency_is_whole(self) -> Self:
        accounts = [one for one in (self.agency_domain_name, self.agency_domain_id) if one]
        if len(accounts) != (1 if self.agency_name else 0):
            raise ValueError(
                "an agency is agency_name with either agency_domain_name or agency_domain_id"
            )
        return self
