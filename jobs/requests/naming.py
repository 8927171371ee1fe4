"""Why a name is refused: which character, and what to write instead.

`jobs.names` decides; this module only explains.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jobs.names import is_name, is_project, is_region, is_version
from jobs.requests.problems import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One kind of name: who decides, and the rule in words."""

    word: str
    accepts: Callable[[str], bool]
    rule: str
    allowed: re.Pattern[str]
    first: re.Pattern[str]
    longest: int


_LETTER_OR_DIGIT: Final = re.compile(r"[A-Za-z0-9]", re.ASCII)

PROJECT: Final = Naming(
    word="project id",
    accepts=is_project,
    rule="a project id is letters, digits, '_' and '-'",
    allowed=re.compile(r"[A-Za-z0-9_-]", re.ASCII),
    first=_LETTER_OR_DIGIT,
    longest=64,
)
NAME: Final = Naming(
    word="name",
    accepts=is_name,
    rule="a name is letters, digits, '.', '_' and '-'",
    allowed=re.compile(r"[A-Za-z0-9._-]", re.ASCII),
    first=_LETTER_OR_DIGIT,
    longest=128,
)
REGION: Final = Naming(
    word="region",
    accepts=is_region,
    rule="a region is small letters, digits and '-'",
    allowed=re.compile(r"[a-z0-9-]", re.ASCII),
    first=re.compile(r"[a-z0-9]", re.ASCII),
    longest=64,
)
VERSION: Final = Naming(
    word="version",
    accepts=is_version,
    rule="a version is letters, digits, '.', '_', '+' and '-'",
    allowed=re.compile(r"[A-Za-z0-9._+-]", re.ASCII),
    first=_LETTER_OR_DIGIT,
    longest=128,
)


def explain(path: str, text: str, naming: Naming) -> tuple[str, str | None]:
    """Return message and suggestion for a *text* that *naming* does not accept."""
    return f"{path} {_trouble(text, naming)}; {naming.rule}", _suggestion(text, naming)


def _trouble(text: str, naming: Naming) -> str:
    if not text:
        return "is empty"
    shown = quoted(text)
    wrong = next((char for char in text if not naming.allowed.fullmatch(char)), None)
    if wrong is not None:
        return f"{shown}: {_named(wrong)} may not stand in a {naming.word}"
    if len(text) > naming.longest:
        return f"{shown} has {len(text)} characters, more than {naming.longest}"
    if not naming.first.fullmatch(text[0]):
        return f"{shown}: a {naming.word} may not begin with '{text[0]}'"
    return f"{shown}: '..' may not stand in a {naming.word}"


def _named(char: str) -> str:
    """Return the character so that look-alikes and invisible ones can be told apart."""
    if "!" <= char <= "~":
        return f"'{char}'"
    unnamed = "a control character" if unicodedata.category(char) == "Cc" else "no character"
    name = unicodedata.name(char, unnamed)
    code = f"U+{ord(char):04X}"
    return f"'{char}' ({code} {name})" if char.isprintable() and char != " " else f"{code} ({name})"


def _suggestion(text: str, naming: Naming) -> str | None:
    if text != text.strip() and naming.accepts(text.strip()):
        return "remove the space around it"
    for likely in (unicodedata.normalize("NFKC", text), text.lower()):
        if likely != text and naming.accepts(likely):
            return f"did you mean '{likely}'?"
    return None
