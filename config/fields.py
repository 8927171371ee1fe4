"""The kinds of values settings are made of, each with the words that refuse a wrong one.

A section of settings is closed, unchangeable and silent about what was typed in wrongly,
because that may be a secret.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from config.addresses import checked_endpoint
from jobs.durations import parse_duration
from jobs.names import is_region


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a number, not true or false")  # noqa: TRY004 - pydantic reports ValueError
    return value


def _seconds(value: object) -> object:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return parse_duration(value)
    raise ValueError("write a duration such as 90s, 45m or a number of seconds")


def _region(text: str) -> str:
    if not is_region(text):
        raise ValueError("not a region; write it as cn-north-4")
    return text


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
"""Seconds; zero is allowed."""

PositiveDuration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
"""Seconds, more than zero."""

Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Factor = Annotated[float, BeforeValidator(_number), Field(ge=1)]
Rate = Annotated[float, BeforeValidator(_number), Field(ge=0, le=10_000)]
Endpoint = Annotated[str, AfterValidator(checked_endpoint)]
Region = Annotated[str, AfterValidator(_region)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Section(BaseModel):
    """A group of settings: unchangeable, closed, and silent about what was typed in wrongly."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def is_duration(field: FieldInfo) -> bool:
    """Whether the field holds seconds that are written as a duration."""
    return any(isinstance(one, BeforeValidator) and one.func is _seconds for one in field.metadata)
