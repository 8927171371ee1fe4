"""The checks in their order, how they end together, and what to do next.

A credential is shown to the cloud once: after the first refusal nothing more is asked with
it.  When ModelArts lets it in, its breaker is closed, so that the jobs that were parked
behind it go on by themselves.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from yarl import URL

from config.loading import Loaded
from config.settings import Settings
from jobs.clock import Clock, SystemClock
from jobs.durations import format_duration
from jobs.errors import ConfigError, CredentialsRefusedError
from worker.contact import Contact, asking
from worker.credentials.chain import choose
from worker.credentials.sources import Found, Surroundings
from worker.doctor import identity, rights
from worker.doctor.keeping import Kept, Queue, kept, queue_of, refused_in
from worker.doctor.lines import CheckLine, Verdict, error_of
from worker.guard import SHOWN_IN_A_ROW, Before
from worker.modelarts.auth import NoCredentialError

WORST_FIRST: Final = (2, 4, 9)
"""Which exit code tells most when several checks failed: settings, then rights, then the way."""

AGAIN: Final = "Not ready. Mend what failed, then:  plugwave doctor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for: another profile, project or region than the settings say."""

    profile: str | None = None
    project: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the doctor says."""

    lines: tuple[CheckLine, ...]
    next: str
    exit_code: int


async def checkup(loaded: Loaded, asked: Asked, clock: Clock | None = None) -> Report:
    """Look at everything that a worker needs; changes nothing but a breaker it may close.

    Raises:
        ConfigError: If there is no such profile.
    """
    clock = clock or SystemClock()
    settings = _chosen(loaded.settings, asked)
    origins = dict(loaded.origins)
    if asked.region is not None:
        origins |= dict.fromkeys(identity.region_keys(settings.cloud.profile), "--region")
    async with kept(settings.store, clock) as store:
        lines, queue = await _examined(settings, asked, origins, store, clock)
    codes = {line.error.exit_code for line in lines if line.error is not None}
    exit_code = next((code for code in WORST_FIRST if code in codes), max(codes, default=0))
    return Report(
        lines=tuple(lines),
        next=AGAIN if exit_code else _next(settings, store, queue),
        exit_code=exit_code,
    )


def _chosen(settings: Settings, asked: Asked) -> Settings:
    """Return the settings with what was asked for instead."""
    if asked.profile is not None and asked.profile not in settings.profiles:
        known = ", ".join(sorted(settings.profiles)) or "none"
        raise ConfigError(
            f"there is no profile {asked.profile}",
            do=f"name one of the profiles in the settings ({known})",
        )
    name = asked.profile or settings.cloud.profile
    region = {} if asked.region is None else {"region": asked.region}
    profiles = dict(settings.profiles)
    if name is not None:
        # A profile's own region would go before the one that was asked for.
        profiles[name] = profiles[name].model_copy(update=region)
    cloud = settings.cloud.model_copy(update={"profile": name, **region})
    return settings.model_copy(update={"cloud": cloud, "profiles": profiles})


async def _examined(
    settings: Settings, asked: Asked, origins: Mapping[str, str], store: Kept, clock: Clock
) -> tuple[list[CheckLine], Queue]:
    """Return every line, and what waits in the store once all is done."""
    tail = [CheckLine.skip("write", "not tested: doctor never changes anything"), store.line]
    try:
        found = choose(settings, Surroundings.of(os.environ)).found
        endpoint, region = identity.region_line(settings.cloud_of(), found, origins)
        ignored = identity.ignored_lines(found)
        if store.rows is None:
            head = [identity.credential_line(found), _unasked("clock"), region, _unasked("read")]
        else:
            async with asking(settings, store.rows, clock) as contact:
                visit = _Visit(contact, settings, asked, clock)
                head = await visit.lines(found, endpoint, region)
                tail += await visit.breaker(store)
    except ConfigError as error:
        return [CheckLine.fail("credentials", error), *tail], await queue_of(store.store)
    return [*head, *tail, *ignored], await queue_of(store.store)


def _unasked(topic: str) -> CheckLine:
    return CheckLine.skip(topic, "not asked: the store that has the shared limit cannot be used")


class _Visit:
    """One visit to the cloud as one credential."""

    def __init__(self, contact: Contact, settings: Settings, asked: Asked, clock: Clock) -> None:
        self._contact = contact
        self._settings = settings
        self._asked = asked
        self._clock = clock
        self._before = Before(refused=False, rest_s=0.0)
        self._closed = False

    async def lines(self, found: Found, endpoint: URL | None, region: CheckLine) -> list[CheckLine]:
        """Ask in the order that risks least: the time, then a token, then the pools."""
        bare = identity.credential_line(found)
        clock = CheckLine.skip("clock", "no endpoint to compare with")
        if endpoint is not None:
            clock = await identity.clock_line(self._contact.fetcher, found, endpoint)
        if clock.verdict is Verdict.FAIL:
            return [bare, clock, region, CheckLine.skip("read", "not tried, see clock")]
        self._before = await self._contact.guard.probe()
        refused = await self._refused(bare, endpoint)
        if refused is not None:
            return [refused, clock, region, CheckLine.skip("read", "not tried, see credentials")]
        held = identity.held_line(self._contact.credential, self._clock)
        seen = await rights.look(self._contact.discovery, self._wanted(found))
        if seen.let_in:
            self._closed = await self._contact.guard.close()
        refusal = self._contact.guard.refusal
        if refusal is not None:
            # What failed is not what was asked for, but who asked.
            held = CheckLine.fail("credentials", error_of(refusal, bare.text))
            return [held, clock, region, CheckLine.skip("read", "not tried, see credentials")]
        return [held, clock, region, *seen.lines]

    async def _refused(self, bare: CheckLine, endpoint: URL | None) -> CheckLine | None:
        """Fetch what the credential needs; return the line about it when it cannot be had."""
        rest_s = self._before.rest_s
        if rest_s:
            return CheckLine.fail(
                "credentials",
                CredentialsRefusedError(
                    f"{bare.text}: refused {SHOWN_IN_A_ROW} times in a row",
                    why="six bad signatures lock a key for everybody, so it is not shown again "
                    f"for {format_duration(rest_s)}",
                    do="mend the secret; a changed one is tried at once",
                ),
            )
        credential = self._contact.credential
        try:
            await credential.authorizer.ready(endpoint or URL("https://localhost"))
        except NoCredentialError as error:
            if error.answer.sent:
                await self._contact.guard.learn(error.answer)
            return CheckLine.fail("credentials", error_of(error.answer, bare.text))
        return None

    def _wanted(self, found: Found) -> rights.Wanted:
        cloud, kind = self._settings.cloud_of(), found.kind
        region = cloud.region or found.region
        if self._asked.project is not None:
            project, by = self._asked.project, "--project"
        else:
            profile = cloud.profile
            own = None if profile is None else self._settings.profiles[profile].project
            project = own or found.project or ""
            by = f"profile {profile}" if own else "the credential's source"
        return rights.Wanted(kind=kind, project=project or None, named_by=by, region=region)

    async def breaker(self, store: Kept) -> list[CheckLine]:
        """Say whether jobs rest because the cloud refused a credential."""
        queue, own = await queue_of(store.store), self._contact.credential.name
        jobs = f"{queue.parked} parked jobs" if queue.parked != 1 else "1 parked job"
        if self._closed:
            return [CheckLine.ok("breaker", f"was open, is closed now; {jobs}")]
        if self._before.refused or self._contact.guard.is_open:
            text = f"open: nothing is sent as {own}; {jobs}"
            return [CheckLine.warn("breaker", text, "a green read closes it")]
        others = await refused_in(store.store)
        if queue.parked and others:
            named = [f"another secret of {name}" if name == own else name for name in others]
            text = f"closed for {own}, open for {', '.join(named)}; {jobs}"
            do = "restart the workers that still have the other one, or check it by its --profile"
            return [CheckLine.warn("breaker", text, do)]
        return [CheckLine.ok("breaker", "closed")]


def _next(settings: Settings, store: Kept, queue: Queue) -> str:
    if queue.open and not queue.workers:
        return "Ready. Next:  plugwave work"
    if queue.parked:
        within = format_duration(settings.cloud.breaker)
        jobs = "The parked job goes" if queue.parked == 1 else "The parked jobs go"
        return f"Ready. {jobs} on within {within}:  plugwave jobs list"
    if store.store is None or not queue.open:
        return "Ready. Next:  plugwave enqueue FILE"
    return "Ready. Next:  plugwave jobs list"
