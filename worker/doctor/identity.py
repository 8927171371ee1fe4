"""Who we are and where we go: the credential, the clock, the endpoint.

Nothing here signs a request to ModelArts.  The cloud is asked for the time without any
credential, before one is used: a signature with a wrong date would be a bad one.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from yarl import URL

from config.loading import DEFAULT
from config.settings import CloudSettings
from jobs.clock import MICROSECONDS, Clock, iso
from jobs.durations import format_duration
from jobs.errors import ClockError, CloudUnreachableError
from worker.credentials.fetching import Fetcher, Request
from worker.credentials.sources import Found, Kind
from worker.credentials.wallet import Credential
from worker.doctor.lines import CheckLine
from worker.modelarts.auth import NoCredentialError
from worker.modelarts.faults import NotSendableError
from worker.modelarts.transport import RawAnswer
from worker.modelarts.urls import Urls
from worker.wording import proof_of, words

REFUSED_S: Final = 900.0
"""How far the date of a signature may be off (cloud API notes, section 6.2)."""

TOLERANCE_S: Final = 840.0
"""A minute before that a check fails: a date has whole seconds, and requests wait."""

NOTABLE_S: Final = 60.0
"""A clock that is off by more than this is not kept in time by anybody."""

ANY_STATUS: Final = frozenset(range(100, 600))


def credential_line(found: Found) -> CheckLine:
    """Say which credential is used."""
    if found.kind is Kind.NONE:
        return CheckLine.ok("credentials", "none, for a simulator on this machine")
    shown = f", key {found.short}" if found.short else f", {found.name}"
    if found.temporary:
        shown += ", with a security token, which ends within a day of its making"
    return CheckLine.ok("credentials", found.source + shown)


def held_line(credential: Credential, clock: Clock) -> CheckLine:
    """The same once it is held: what was fetched tells when it ends."""
    line = credential_line(credential.found)
    ends_us = None if credential.source is None else credential.source.expires_us
    if ends_us is None:
        return line
    left = format_duration(max(0, ends_us - clock.wall_us()) / MICROSECONDS)
    return CheckLine.ok(line.topic, f"{line.text}, until {iso(ends_us)} ({left} left), renewed")


def region_line(
    cloud: CloudSettings, found: Found, origins: Mapping[str, str]
) -> tuple[URL | None, CheckLine]:
    """Say where requests of no other region go, and who said so.

    Args:
        cloud: As the profile in use sees it.
        found: The credential, whose source may name a region.
        origins: Where each setting comes from.

    Raises:
        ConfigError: If that is no address for a credential.
    """
    region = cloud.region or found.region
    try:
        endpoint = Urls(cloud.endpoint, cloud.endpoints).endpoint(region)
    except NotSendableError:
        text = "none is set, so every job must name its own"
        return None, CheckLine.warn("region", text, "set cloud.region")
    own = () if cloud.profile is None else (f"profiles.{cloud.profile}.endpoint",)
    given = _given((*own, f"cloud.endpoints.{region}", "cloud.endpoint"), origins)
    whence = "the public one" if given is None else f"{given} from {origins[given]}"
    text = f"{region or 'not set'}{_region_origin(cloud, found, origins)}, {endpoint} ({whence})"
    return endpoint, CheckLine.ok("region", text)


def _region_origin(cloud: CloudSettings, found: Found, origins: Mapping[str, str]) -> str:
    if cloud.region is not None:
        given = _given(region_keys(cloud.profile), origins)
        return "" if given is None else f" ({origins[given]})"
    return " (with the credential)" if found.region is not None else ""


def region_keys(profile: str | None) -> tuple[str, ...]:
    """Return the settings that may name the region, the one that counts first."""
    own = () if profile is None else (f"profiles.{profile}.region",)
    return (*own, "cloud.region")


def _given(keys: Iterable[str], origins: Mapping[str, str]) -> str | None:
    """Return the first of the settings that somebody gave."""
    return next((key for key in keys if origins.get(key, DEFAULT) != DEFAULT), None)


def ignored_lines(found: Found) -> list[CheckLine]:
    """Say what is set too and not used, and what to know of the source."""
    lines = []
    for one in found.ignored:
        key = f" (key {one.short})" if one.short else ""
        lines.append(CheckLine.warn("also set", f"{one.source} is set too and is ignored{key}"))
    if found.hint:
        lines.append(CheckLine.warn("hint", found.hint))
    return lines


async def clock_line(fetcher: Fetcher, found: Found, endpoint: URL) -> CheckLine:
    """Compare our time with the date on any answer of the endpoint."""
    request = Request(
        who=found.name,
        what="answer",
        method="GET",
        url=endpoint.with_path("/"),
        success=ANY_STATUS,
    )
    try:
        raw = await fetcher.fetch(request)
    except NoCredentialError as error:
        said = error.answer
        text = f"{endpoint.host} does not answer; {words(said.message)}"
        return CheckLine.fail("clock", CloudUnreachableError(text, proof=proof_of(said)))
    apart_s = _apart_s(raw, fetcher.clock)
    if apart_s is None:
        return CheckLine.skip("clock", "the answer has no date to compare with")
    if abs(apart_s) < NOTABLE_S:
        return CheckLine.ok("clock", f"{abs(apart_s):.0f} s apart from the cloud")
    text = f"{abs(apart_s):.0f} s {'behind' if apart_s > 0 else 'ahead of'} the cloud"
    if abs(apart_s) < TOLERANCE_S or found.kind is not Kind.AKSK:
        return CheckLine.warn("clock", text, "set the clock of this machine (NTP)")
    return CheckLine.fail("clock", ClockError(f"the clock is {text}"))


def _apart_s(raw: RawAnswer, clock: Clock) -> float | None:
    """Return by how many seconds the cloud's clock is ahead; its date has whole seconds."""
    try:
        moment = parsedate_to_datetime(raw.headers.get("Date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # What signatures are dated with, at the moment when the request left.
    left_us = raw.sent_us + clock.wall_us() - clock.now_us()
    return moment.timestamp() - left_us // MICROSECONDS
