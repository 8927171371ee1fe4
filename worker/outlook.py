"""What is needed to look at the cloud, and what a refusal of it means."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from config.profiles import ProfileSettings
from config.settings import Settings
from jobs.errors import (
    CloudUnreachableError,
    CredentialsRefusedError,
    NothingMatchedError,
    PlugwaveError,
    UsageError,
)
from jobs.outcomes import Answer, Outcome
from jobs.store.protocol import Store
from worker.credentials.defaults import region_of
from worker.credentials.sources import Surroundings
from worker.discovery import Discovery, Fleet, Place, PlaceTrouble
from worker.wording import proof_of, words

REFUSALS: Final = frozenset({Outcome.UNAUTHENTICATED, Outcome.FORBIDDEN, Outcome.QUOTA_SPENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The settings of a command, the store, and the cloud to be asked."""

    settings: Settings
    store: Store
    cloud: Discovery


def profile_in(settings: Settings) -> ProfileSettings | None:
    """Return the profile that is selected, if any."""
    name = settings.cloud.profile
    return None if name is None else settings.profiles[name]


def region_in(settings: Settings, flag: str | None) -> str | None:
    """Return the region that is meant, as for a job request; None when nothing names one."""
    return flag or region_of(settings, Surroundings.of(os.environ))


async def places_in(
    look: Outlook, projects: Sequence[str], region_flag: str | None
) -> tuple[Place, ...]:
    """Return the projects that are meant: those of the flags, the profile's, or what IAM knows.

    Raises:
        PlugwaveError: If IAM does not tell.
        NothingMatchedError: If it knows none.
    """
    region, profile = region_in(look.settings, region_flag), profile_in(look.settings)
    named = projects or (() if profile is None or profile.project is None else (profile.project,))
    if named:
        return tuple(Place(project_id=one, region=region) for one in dict.fromkeys(named))
    found = await look.cloud.places(region)
    if isinstance(found, Answer):
        refuse(found, "IAM does not tell the projects", do="name them: --project P --region R")
    if not found:
        where = "" if region is None else f" in region {region}"
        raise NothingMatchedError(
            f"IAM knows no project of this credential{where}", do="name one: --project P"
        )
    if look.settings.cloud.token is not None and len({one.region for one in found}) > 1:
        # A token is of one region; asked of another, the cloud says that it has ended.
        raise UsageError(
            "the projects are in several regions, and a token is good for one",
            do="name the region: --region R or cloud.region",
        )
    return found


def refuse(answer: Answer, what: str, *, do: str | None = None) -> NoReturn:
    """Raise what *answer* means for the command.

    Raises:
        PlugwaveError: Always; its class says the exit code.
    """
    raise error_of(answer, what, do=do)


def error_of(answer: Answer, what: str, *, do: str | None = None) -> PlugwaveError:
    """Return the error that stands for a request without the answer that was wanted."""
    kind: type[PlugwaveError] = CloudUnreachableError
    if answer.outcome in REFUSALS:
        kind, do = CredentialsRefusedError, None
    elif answer.outcome is Outcome.NOT_FOUND:
        kind = NothingMatchedError
        do = do or "list what there is: plugwave pools list"
    elif answer.outcome is Outcome.NOT_SENDABLE:
        kind = UsageError
        do = do or "set --region R, cloud.region or cloud.endpoint"
    return kind(f"{what}: {words(answer.message)}", do=do, proof=proof_of(answer))


def trouble_words(trouble: PlaceTrouble) -> str:
    """Return what went wrong with one project."""
    place = trouble.place
    where = place.project_id if place.region is None else f"{place.region}/{place.project_id}"
    return f"the pools of {where} could not be read"


def insist(fleet: Fleet) -> None:
    """Refuse a fleet of which nothing could be read.

    Raises:
        PlugwaveError: What went wrong with the first project; a refused credential goes first.
    """
    if fleet.pools:
        return
    bad = [*fleet.troubles, *fleet.absent]
    bad.sort(key=lambda one: one.answer.outcome not in REFUSALS)
    if bad and len(fleet.troubles) + len(fleet.absent) == fleet.asked:
        refuse(bad[0].answer, trouble_words(bad[0]))
