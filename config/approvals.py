"""Who may approve what: groups of persons, as manifests ask for them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from config.fields import Count, Section
from jobs.names import is_name


def _group(text: str) -> str:
    if not is_name(text):
        raise ValueError("a group is a name of letters, digits, dot, dash and underscore")
    return text


def _persons(value: object) -> object:
    """Take ``ana, ben`` for a list, as variables have it."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ValueError('write persons as ["ana", "ben"]')
    names = tuple(one.strip() for one in listed)
    if not all(name and name.isprintable() for name in names):
        raise ValueError("a person is the name of a user, as `plugwave status` shows it")
    return names


Group = Annotated[str, AfterValidator(_group)]
Persons = Annotated[tuple[str, ...], BeforeValidator(_persons)]


class ApprovalSettings(Section):
    """Who may approve waves of rollouts."""

    groups: Mapping[Group, Persons] = Field(
        default_factory=dict, json_schema_extra={"below": "GROUP"}
    )
    """The persons of each group that a manifest's `approval.groups` may name: names of users, as
    `plugwave approve` records them. Read where the command runs, and kept with the approval."""

    break_glass_persons: Annotated[Count, Field(le=10)] = 1
    """How many different persons must give `resume --break-glass` before windows and freezes of a
    rollout hold it no longer."""

    def of(self, person: str) -> tuple[str, ...]:
        """Return the groups that *person* is in."""
        return tuple(sorted(name for name, persons in self.groups.items() if person in persons))
