"""How projects share what there is: the settings of `jobs.fairness`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from config.fields import Section, not_a_bool
from jobs.names import is_project


def _project(text: str) -> str:
    if not is_project(text):
        raise ValueError("not a project id, which is 32 hex digits")
    return text


Project = Annotated[str, AfterValidator(_project)]
Weight = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0.01, le=100)]


class FairnessSettings(Section):
    """Whose turn it is."""

    weights: Mapping[Project, Weight] = Field(
        default_factory=dict, json_schema_extra={"below": "PROJECT"}
    )
    """Turns that a project has for each turn of another, while both have something waiting: 3 is
    three times as many jobs and requests, 0.5 half as many; between 0.01 and 100. Projects not
    named here have 1. It is a share, not a limit: what nobody else wants is everybody's."""
