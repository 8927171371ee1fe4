"""One thing that is wrong with a job request, and how values are shown in messages.

Plug-in inputs may hold secrets, so nothing here is ever given a value from inside them.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.errors import BadRequestError

_SHOWN: Final = 60  # characters of a foreign value in a message
_SMALL: Final = 10**15  # numbers up to here are shown as they are

_KINDS: Final = {type(None): "null", str: "text", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: The field, as ``plugin.version``; empty when the whole request is meant.
        message: What is wrong, complete in itself.
        suggestion: What to do about it; None when the message leaves nothing open.
        column: Where in the line it is, counting characters from 1; None when unknown.
    """

    path: str
    message: str
    suggestion: str | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return it as one line: ``column 18: … (did you mean 'version'?)``."""
        place = f"column {self.column}: " if self.column else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}{self.message}{hint}"


def refusal(problems: Sequence[Problem]) -> BadRequestError:
    """Return the error that carries all *problems*, of which there is at least one."""
    first, *others = problems
    more = f" (and {len(others)} more)" if others else ""
    do = first.suggestion if not others else None
    return BadRequestError(f"{first.message}{more}", do=do, problems=tuple(problems))


def problems_of(error: BadRequestError) -> tuple[Problem, ...]:
    """Return what `refusal` put into *error*; its message alone for one made elsewhere."""
    carried = error.facts.get("problems")
    if isinstance(carried, tuple) and carried:
        return tuple(item for item in carried if isinstance(item, Problem))
    return (Problem(path="", message=str(error)),)


def quoted(text: str) -> str:
    """Return *text* in single quotes, cut short, with everything invisible escaped."""
    cut = text[:_SHOWN]
    visible = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut
    )
    return f"'{visible}{'…' if len(text) > _SHOWN else ''}'"


def kind(value: object) -> str:
    """Say what *value* is in JSON's words; numbers and truth values are shown, texts are not."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if -_SMALL <= value <= _SMALL else "a number"
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the member of *known* that *word* was most likely meant to be, or None."""
    close = difflib.get_close_matches(word[:_SHOWN], list(known), n=1, cutoff=0.6)
    return close[0] if close else None
