"""An answer of the cloud, a cause, a reason text or what a person types finds its entry.

Status first, digits second, and the text only where the catalogue names one: the same digits
come with several statuses and mean something else with each.  The gateway's prefix differs
by installation, so its codes are matched on their digits.

Source: cloud API notes, section 5.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final

from jobs.catalogue.entries import Entry, Family
from jobs.catalogue.reading import entries

_CODE: Final = re.compile(r"(modelarts|apig|apigw|apic)\.(\d{1,12})", re.ASCII | re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d{4,12}", re.ASCII)
SUGGESTED: Final = 3
"""Near misses that are named."""


def family_of(code: str) -> tuple[Family, str] | None:
    """Return whose code this is and its digits; None when the catalogue knows no such family."""
    found = _CODE.fullmatch(code)
    if found is None:
        return None
    return Family.MODELARTS if found[1].lower() == "modelarts" else Family.GATEWAY, found[2]


def find(http_status: int | None, error_code: str | None, message: str) -> Entry | None:
    """Return what the catalogue says about an answer of the cloud.

    Without a status the digits must have one meaning only.  None means that the catalogue
    does not know the answer; there is no nearest entry.
    """
    known = None if error_code is None else family_of(error_code)
    if known is None:
        return None
    fitting = [
        entry
        for entry in _by_code().get(known, ())
        if http_status is None or not entry.statuses or http_status in entry.statuses
    ]
    if http_status is None and len([one for one in fitting if one.pattern is None]) > 1:
        return None
    return _first(fitting, message)


def cause_entry(word: str, message: str = "") -> Entry | None:
    """Return the entry of a cause, None for a word of a newer program."""
    return _first(_by_code().get((Family.CAUSE, word), ()), message)


@lru_cache(maxsize=1024)  # a fleet that fails, fails in a few ways
def reason_entry(reason: str) -> Entry | None:
    """Return why a plug-in is Abnormal, by the text that the cloud gives as the reason."""
    return _first((entry for entry in entries() if entry.family is Family.REASON), reason)


def unknown_entry() -> Entry:
    """Return the entry for what is in no other."""
    return next(entry for entry in entries() if entry.family is Family.UNKNOWN)


def named(text: str) -> tuple[Entry, ...]:
    """Return the entries that a person means: by code, by digits alone, by cause or by word.

    Upper and lower case are the same.  Digits alone may mean several families.
    """
    wanted = text.strip()
    known = family_of(wanted)
    if known is not None:
        return _by_code().get(known, ())
    if _DIGITS.fullmatch(wanted):
        clouds = (Family.GATEWAY, Family.MODELARTS)
        return tuple(one for family in clouds for one in _by_code().get((family, wanted), ()))
    return _by_word().get(wanted.lower(), ())


def near(text: str) -> tuple[str, ...]:
    """Return up to SUGGESTED names that look like *text*, nearest first."""
    known = family_of(text.strip())
    wanted = f"{known[0]}.{known[1]}" if known else text.strip().lower()
    names = _spelled()
    found = difflib.get_close_matches(wanted, names, n=3 * SUGGESTED, cutoff=0.6)
    return tuple(dict.fromkeys(names[name] for name in found))[:SUGGESTED]


def _first(found: Iterable[Entry], message: str) -> Entry | None:
    return next((entry for entry in found if entry.says(message)), None)


@cache
def _by_code() -> Mapping[tuple[Family, str], tuple[Entry, ...]]:
    table: dict[tuple[Family, str], tuple[Entry, ...]] = {}
    for entry in entries():
        for code in entry.codes:
            place = (entry.family, code)
            table[place] = (*table.get(place, ()), entry)
    return MappingProxyType(table)


@cache
def _by_word() -> Mapping[str, tuple[Entry, ...]]:
    """Return what is called by a word of its own: causes, reasons, our codes."""
    words = (Family.CAUSE, Family.REASON, Family.OURS)
    table: dict[str, tuple[Entry, ...]] = {}
    for (family, code), found in _by_code().items():
        if family in words:
            table[code.lower()] = (*table.get(code.lower(), ()), *found)
    return MappingProxyType(table)


@cache
def _spelled() -> Mapping[str, str]:
    """Return the names by the spellings a person may have aimed at."""
    spelled: dict[str, str] = {}
    for entry in entries():
        for code, name in zip(entry.codes, entry.names(), strict=True):
            if code == name:
                spelled[name.lower()] = name
            else:
                spelled[f"{entry.family}.{code}"] = name
                spelled.setdefault(code, name)
    return MappingProxyType(spelled)
