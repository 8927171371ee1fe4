"""The kinds of values settings are made of, each with the words that refuse a wrong one.

A section of settings is closed, unchangeable and silent about what was typed in wrongly,
because that may be a secret.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.fields import FieldInfo

from config.addresses import checked_endpoint
from jobs.durations import parse_duration
from jobs.names import is_region


def not_a_bool(value: object) -> object:
    """Return the value unless it is a bool, which pydantic would take for a number.

    Raises:
        ValueError: If it is one.
    """
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


def _permitted(value: object) -> "float | Quota | Literal['auto']":
    told = _read_rate(value)
    rate = told.per_s if isinstance(told, Quota) else told
    if isinstance(rate, float) and not 0 < rate <= MOST_PER_S:
        raise ValueError(f"must be more than 0 and at most {MOST_PER_S:,} requests a second")
    return told


def _read_rate(value: object) -> "float | Quota | Literal['auto']":
    if isinstance(value, int | float | Quota) and not isinstance(value, bool):
        return value if isinstance(value, Quota) else float(value)
    count, slash, window = str(value).strip().partition("/")
    try:
        if count == AUTO and not slash:
            return AUTO
        return Quota(count=int(count), window_s=_window_s(window)) if slash else float(count)
    except ValueError:
        raise ValueError(PERMITTED_HOW) from None


def _window_s(text: str) -> float:
    text = text.strip()
    return parse_duration(text if text[:1].isdigit() else f"1{text}")


AUTO: Final = "auto"
DAY_S: Final = 86_400.0
MOST_PER_S: Final = 10_000
PERMITTED_HOW: Final = 'write requests a second, "500/10s" for a longer window, or "auto"'


@dataclass(frozen=True, slots=True)
class Quota:
    """So many requests in any window of that length; written ``500/10s``."""

    count: int
    window_s: float

    def __post_init__(self) -> None:
        """Refuse what is no limit.

        Raises:
            ValueError: If nothing is permitted, or the window has no length or is over a day.
        """
        if self.count < 1 or not 0 < self.window_s <= DAY_S:
            raise ValueError(PERMITTED_HOW)

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return self.count / self.window_s

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.count}/{self.window_s:.12g}s"


Permitted = Annotated[float | Quota | Literal["auto"], PlainValidator(_permitted)]
"""A rate: requests a second, a count for a window, or to be found out."""

Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
"""Seconds; zero is allowed."""

PositiveDuration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
"""Seconds, more than zero."""

Count = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1)]
Factor = Annotated[float, BeforeValidator(not_a_bool), Field(ge=1)]
Rate = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, le=10_000)]
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
