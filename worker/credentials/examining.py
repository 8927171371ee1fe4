"""What `plugwave doctor` says about who we are: the credential, the clock, where it goes.

Nothing is changed and nothing is signed: a token or temporary key is fetched where one is
used, and the cloud is asked for the time without any credential.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from yarl import URL

from config.settings import Settings
from jobs.clock import MICROSECONDS
from jobs.errors import ConfigError
from worker.credentials.fetching import Fetcher, Request
from worker.credentials.grants import METADATA
from worker.credentials.sources import Found, Kind, Surroundings
from worker.credentials.wallet import Credential, Wallet
from worker.modelarts.auth import NoCredentialError
from worker.modelarts.faults import NotSendableError
from worker.modelarts.transport import RawAnswer
from worker.modelarts.urls import Urls

TOLERANCE_S: Final = 900.0
"""How far the date of a signature may be off (cloud API notes, section 6.2)."""

NOTABLE_S: Final = 60.0
"""A clock that is off by more than this is not kept in time by anybody."""

ANY_STATUS: Final = frozenset(range(100, 600))


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """One line of the doctor: what was looked at, what was seen, what to do."""

    verdict: Verdict
    topic: str
    text: str
    do: str | None = None


async def examine(
    settings: Settings,
    around: Surroundings,
    fetcher: Fetcher,
    *,
    profile: str | None = None,
    metadata: URL = METADATA,
) -> list[CheckLine]:
    """Look at the credential of *profile*, or of the settings, and at where it is sent.

    Args:
        settings: Which credential, and which endpoint.
        around: Where credentials are.
        fetcher: Asks for tokens, and for the time.
        profile: Instead of ``cloud.profile``.
        metadata: Where the metadata service is.
    """
    wallet = Wallet(settings, around, fetcher, metadata=metadata)
    try:
        credential = wallet.get(profile)
    except ConfigError as error:
        text = f"{error}; {error.why}" if error.why else str(error)
        return [_line(Verdict.FAIL, "credentials", text, error.do)]
    endpoint, region = _region(settings, credential.found)
    lines = [await _credentials(credential, endpoint)]
    if endpoint is not None:
        lines.append(await _clock(fetcher, credential.name, endpoint))
    lines += [region, _project(credential.found), *_remarks(credential.found)]
    return lines


async def _credentials(credential: Credential, endpoint: URL | None) -> CheckLine:
    """Say which credential is used, after fetching what it needs."""
    try:
        await credential.authorizer.ready(endpoint or URL("https://localhost"))
    except NoCredentialError as error:
        answer = error.answer
        proof = f"{answer.http_status or ''} {answer.error_code or ''}".strip()
        text = f"{credential.found.source}: {answer.message}" + (f" ({proof})" if proof else "")
        return _line(Verdict.FAIL, "credentials", text, "check it where it is set")
    found = credential.found
    if found.kind is Kind.NONE:
        return _line(Verdict.OK, "credentials", "none, for a simulator on this machine")
    shown = f", key {found.short}" if found.short else f", {found.name}"
    return _line(Verdict.OK, "credentials", found.source + shown)


def _region(settings: Settings, found: Found) -> tuple[URL | None, CheckLine]:
    cloud = settings.cloud
    region = cloud.region or found.region
    try:
        endpoint = Urls(cloud.endpoint, cloud.endpoints).endpoint(region)
    except NotSendableError:
        text = "none is set, so every job must name its own"
        return None, _line(Verdict.WARN, "region", text, "set cloud.region")
    named = region or "not set"
    return endpoint, _line(Verdict.OK, "region", f"{named}, {endpoint}")


async def _clock(fetcher: Fetcher, who: str, endpoint: URL) -> CheckLine:
    """Compare our time with the date on any answer of the endpoint."""
    request = Request(
        who=who,
        what="answer",
        method="GET",
        url=endpoint.with_path("/"),
        success=ANY_STATUS,
    )
    try:
        raw = await fetcher.fetch(request)
    except NoCredentialError as error:
        text = f"{endpoint.host} does not answer; {error.answer.message}"
        return _line(Verdict.FAIL, "clock", text, "check cloud.endpoint and the network")
    apart_s = _apart_s(raw)
    if apart_s is None:
        return _line(Verdict.SKIP, "clock", "the answer has no date to compare with")
    text = f"{abs(apart_s):.0f} s {'behind' if apart_s > 0 else 'ahead of'} the cloud"
    if abs(apart_s) >= TOLERANCE_S:
        do = "set the clock of this machine (NTP) before anything is signed"
        return _line(Verdict.FAIL, "clock", f"{text}; signatures are refused from 15 min on", do)
    if abs(apart_s) >= NOTABLE_S:
        return _line(Verdict.WARN, "clock", text, "set the clock of this machine (NTP)")
    return _line(Verdict.OK, "clock", f"{abs(apart_s):.0f} s apart from the cloud")


def _apart_s(raw: RawAnswer) -> float | None:
    """Return by how many seconds the cloud's clock is ahead; its date has whole seconds."""
    try:
        moment = parsedate_to_datetime(raw.headers.get("Date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - raw.sent_us // MICROSECONDS


def _project(found: Found) -> CheckLine:
    if found.project is None:
        return _line(Verdict.OK, "project", "none is set; each job names its own")
    return _line(Verdict.OK, "project", found.project)


def _remarks(found: Found) -> list[CheckLine]:
    remarks = [_line(Verdict.WARN, "hint", found.hint)] if found.hint else []
    for one in found.ignored:
        key = f" (key {one.short})" if one.short else ""
        text = f"{one.source} is set too and is ignored{key}"
        remarks.append(_line(Verdict.WARN, "also set", text))
    return remarks


def _line(verdict: Verdict, topic: str, text: str, do: str | None = None) -> CheckLine:
    return CheckLine(verdict=verdict, topic=topic, text=text, do=do)
