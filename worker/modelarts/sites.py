"""Which calls a site has, learned from its answers: not every site has every call.

Show, patch and delete of a plug-in are documented for two sites; elsewhere the gateway may
or may not know them (cloud API notes, sections 0 and 1).  So the first answer tells, and it
is remembered for each endpoint as long as the process lives.

What proves that a call is there: a success, or a refusal that ModelArts itself wrote about
the content.  The gateway's own words prove nothing, because it looks at the credential and
the rate before it looks for the call; what ModelArts says about the credential is left out
for the same reason.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from yarl import URL

from jobs.outcomes import Answer, Outcome
from worker.modelarts.codes import Family, family_of

WHO_ASKS: Final = frozenset({Outcome.UNAUTHENTICATED, Outcome.FORBIDDEN})
"""Verdicts on who asks, not on what is asked for."""


class Has(StrEnum):
    """Whether a site has a call."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Extra(StrEnum):
    """The calls that not every site has."""

    SHOW = "show"
    PATCH = "patch"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is known about the calls of one endpoint."""

    has_show: Has = Has.UNKNOWN
    has_patch: Has = Has.UNKNOWN
    has_delete: Has = Has.UNKNOWN


def told_by(seen: object) -> Has:
    """Return what the result of a call tells about its being there: a value is a success."""
    if not isinstance(seen, Answer) or seen.outcome is Outcome.OK:
        return Has.YES
    if seen.outcome is Outcome.NO_SUCH_API:
        return Has.NO
    code = family_of(seen.error_code or "")
    if code is None or code[0] is not Family.MODELARTS or seen.outcome in WHO_ASKS:
        return Has.UNKNOWN
    return Has.YES


def learned(site: Site, extra: Extra, seen: object) -> Site:
    """Return *site* with what the result *seen* of the call *extra* tells; the latest counts."""
    told = told_by(seen)
    return site if told is Has.UNKNOWN else replace(site, **{f"has_{extra.value}": told})


class Sites:
    """What is known about every endpoint; forgotten when the process ends."""

    def __init__(self) -> None:
        self._sites: dict[URL, Site] = {}

    def at(self, endpoint: URL) -> Site:
        """Return what is known about *endpoint*."""
        return self._sites.get(endpoint, Site())

    def learn(self, endpoint: URL, extra: Extra, seen: object) -> None:
        """Take note of how a call of *extra* ended."""
        self._sites[endpoint] = learned(self.at(endpoint), extra, seen)
