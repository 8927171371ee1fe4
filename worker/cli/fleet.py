"""What the commands about pools and plug-ins share: which place is meant, and what went wrong.

A place comes from flags, then from the settings and the profile in use, then (for lists)
from IAM.  They open the store for writing, because their requests take turns from the
limiter rows in it; nothing else of it is changed.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import click

from config.masking import clean_text
from config.profiles import ProfileSettings
from config.settings import Settings
from jobs.errors import (
    CloudUnreachableError,
    CredentialsRefusedError,
    NothingMatchedError,
    PlugwaveError,
    UsageError,
)
from jobs.model import Target
from jobs.names import is_name, is_project, is_region
from jobs.outcomes import Answer, Outcome
from jobs.store.protocol import Store
from worker.app import discovering
from worker.cli.choices import Choices
from worker.cli.session import configure_logs, loaded_settings, quiet_logs
from worker.credentials.defaults import region_of
from worker.credentials.sources import Surroundings
from worker.discovery import Discovery, Fleet, Place, PlaceTrouble
from worker.stores import opened_store
from worker.wording import proof_of, words

T = TypeVar("T")

PARTLY: Final = 3
"""Exit code when something could be read and something could not."""

REFUSALS: Final = frozenset({Outcome.UNAUTHENTICATED, Outcome.FORBIDDEN, Outcome.QUOTA_SPENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The settings of a command, the store, and the cloud to be asked."""

    settings: Settings
    store: Store
    cloud: Discovery


@asynccontextmanager
async def outlook(choices: Choices) -> AsyncIterator[Outlook]:
    """Open what a command needs to look at the cloud."""
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded, logs=quiet_logs(loaded))
    settings = loaded.settings
    async with (
        opened_store(settings.store) as store,
        discovering(settings, store) as cloud,
    ):
        yield Outlook(settings=settings, store=store, cloud=cloud)


class CheckedType(click.ParamType[str]):
    """A text that must pass a check before it may become part of a request."""

    def __init__(self, name: str, accepts: Callable[[str], bool], rule: str) -> None:
        self.name = name
        self._accepts = accepts
        self._rule = rule

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not self._accepts(value):
            self.fail(f"'{clean_text(value, 60)}' is no {self.name}; {self._rule}", param, ctx)
        return value


PROJECT: Final = CheckedType("project id", is_project, "write its id, which is 32 hex digits")
REGION: Final = CheckedType("region", is_region, "write it as cn-north-4")
PLUGIN: Final = CheckedType("plug-in", is_name, "write its template name, such as node-local-dns")
WORKSPACE: Final = CheckedType("workspace", is_name, "write its id; the default one is 0")


def _profile(settings: Settings) -> ProfileSettings | None:
    name = settings.cloud.profile
    return None if name is None else settings.profiles[name]


def region_in(settings: Settings, flag: str | None) -> str | None:
    """Return the region that is meant, as for a job request; None when nothing names one."""
    return flag or region_of(settings, Surroundings.of(os.environ))


def target_in(settings: Settings, pool: str, project: str | None, region: str | None) -> Target:
    """Return the pool that *pool* writes, alone or as PROJECT/POOL or REGION/PROJECT/POOL.

    Raises:
        UsageError: If it is no such name, or no project is known for it.
    """
    *before, name = pool.split("/")
    profile = _profile(settings)
    if before:
        project = before.pop()
    if before:
        region = before.pop()
    project = project or (None if profile is None else profile.project)
    if project is None:
        raise UsageError(
            f"no project is named for pool {clean_text(pool, 80)}",
            do="give --project P, or write PROJECT/POOL as `plugwave pools list -o name` does",
        )
    region = region_in(settings, region)
    if before or not (is_name(name) and is_project(project) and is_region(region or "x")):
        raise UsageError(
            f"'{clean_text(pool, 80)}' is no pool",
            do="write POOL, PROJECT/POOL or REGION/PROJECT/POOL; its id, not its display name",
        )
    return Target(project_id=project, pool_name=name, region=region)


async def places_in(
    look: Outlook, projects: Sequence[str], region_flag: str | None
) -> tuple[Place, ...]:
    """Return the projects that are meant: those of the flags, the profile's, or what IAM knows.

    Raises:
        PlugwaveError: If IAM does not tell.
        NothingMatchedError: If it knows none.
    """
    region, profile = region_in(look.settings, region_flag), _profile(look.settings)
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


def checked(seen: T | Answer, what: str) -> T:
    """Return *seen* if it is what was asked for.

    Raises:
        PlugwaveError: If it is not.
    """
    if isinstance(seen, Answer):
        refuse(seen, what)
    return seen


def trouble_words(trouble: PlaceTrouble) -> str:
    """Return what went wrong with one project."""
    place = trouble.place
    where = place.project_id if place.region is None else f"{place.region}/{place.project_id}"
    return f"the pools of {where} could not be read"


def trouble_fields(trouble: PlaceTrouble) -> dict[str, Any]:
    """Return the same as JSON."""
    told = error_of(trouble.answer, trouble_words(trouble)).as_dict()
    return {"project_id": trouble.place.project_id, "region": trouble.place.region, **told}


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


def exit_of(fleet: Fleet) -> int:
    """Return the exit code of a list: 4 once the credential was refused, 3 for any gap."""
    outcomes = {one.answer.outcome for one in fleet.troubles}
    if Outcome.UNAUTHENTICATED in outcomes:
        return CredentialsRefusedError.exit_code
    return PARTLY if outcomes else 0
