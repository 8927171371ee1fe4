"""What the commands about pools and plug-ins share: which place is meant, and what went wrong.

A place comes from flags, then from the settings and the profile in use, then (for lists)
from IAM.  They open the store for writing, because their requests take turns from the
limiter rows in it; nothing else of it is changed.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import click

from config.masking import clean_text
from config.settings import Settings
from jobs.errors import CredentialsRefusedError, UsageError
from jobs.model import Target
from jobs.names import is_name, is_project, is_region
from jobs.outcomes import Outcome
from worker import places
from worker.cli.choices import Choices
from worker.cli.session import configure_logs, loaded_settings, quiet_logs
from worker.contact import discovering
from worker.discovery import Fleet, Place, PlaceTrouble
from worker.outlook import Outlook
from worker.places import checked, error_of, insist, profile_in, refuse, region_in, trouble_words
from worker.stores import opened_store

__all__ = [
    "PARTLY",
    "PLUGIN",
    "PROJECT",
    "REGION",
    "WORKSPACE",
    "CheckedType",
    "Outlook",
    "checked",
    "error_of",
    "exit_of",
    "insist",
    "outlook",
    "places_in",
    "refuse",
    "region_in",
    "target_in",
    "trouble_fields",
    "trouble_words",
]

PARTLY: Final = 3
"""Exit code when something could be read and something could not."""


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


def target_in(settings: Settings, pool: str, project: str | None, region: str | None) -> Target:
    """Return the pool that *pool* writes, alone or as PROJECT/POOL or REGION/PROJECT/POOL.

    Raises:
        UsageError: If it is no such name, or no project is known for it.
    """
    *before, name = pool.split("/")
    profile = profile_in(settings)
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
    """Return the projects that are meant; see `worker.places.places_in`."""
    return await places.places_in(look.settings, look.cloud, projects, region_flag)


def trouble_fields(trouble: PlaceTrouble) -> dict[str, Any]:
    """Return the same as JSON."""
    told = error_of(trouble.answer, trouble_words(trouble)).as_dict()
    return {"project_id": trouble.place.project_id, "region": trouble.place.region, **told}


def exit_of(fleet: Fleet) -> int:
    """Return the exit code of a list: 4 once the credential was refused, 3 for any gap."""
    outcomes = {one.answer.outcome for one in fleet.troubles}
    if Outcome.UNAUTHENTICATED in outcomes:
        return CredentialsRefusedError.exit_code
    return PARTLY if outcomes else 0
