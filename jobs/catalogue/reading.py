"""The files of the catalogue become entries, and a mistake in one is an error at once.

A file names its family at the top and then has one table for each entry:

    [[entry]]
    key = "gateway-0301-signature"
    codes = ["0301"]
    http = [401]
    says = 'verify aksk signature fail'    where the text decides: a lower-case pattern
    class = "auth"
    retry = "after-fix"
    open = true                            the message tells failures apart
    en.title = "…"    en.likely = "…"    en.do = "…"
    zh.title = "…"    zh.likely = "…"    zh.do = "…"

Entries of one code stand in the order in which they are tried, the one without ``says`` last.
They are read when the first one is asked for, not when the program starts.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from jobs.catalogue.entries import Entry, Family, Language, Retry, Text

FILES: Final = ("modelarts", "gateway", "causes", "reasons", "ours", "unknown")
"""The parts of the catalogue, in the order in which a page shows them."""

_NEEDED: Final = frozenset({"key", "codes", "class", "retry", *Language})
_OPTIONAL: Final = frozenset({"http", "says", "open"})
_TEXTS: Final = frozenset({"title", "likely", "do"})


@cache
def entries() -> tuple[Entry, ...]:
    """Return the whole catalogue, in the order of its files."""
    folder = resources.files("jobs.catalogue")
    found: list[Entry] = []
    for name in FILES:
        found.extend(parsed((folder / f"{name}.toml").read_text(encoding="utf-8")))
    return tuple(found)


def parsed(text: str) -> Iterator[Entry]:
    """Yield the entries of one file.

    Raises:
        ValueError: If it is no TOML, or an entry lacks something or has something unknown.
    """
    document = tomllib.loads(text)
    family = Family(document["family"])
    for table in document["entry"]:
        yield _entry(family, table)


def _entry(family: Family, table: Mapping[str, Any]) -> Entry:
    _closed(table, table.get("key", "an entry without a key"), _NEEDED, _OPTIONAL)
    says = table.get("says")
    return Entry(
        key=table["key"],
        family=family,
        codes=tuple(table["codes"]),
        statuses=tuple(table.get("http", ())),
        pattern=None if says is None else re.compile(says),
        cause_class=table["class"],
        retry=Retry(table["retry"]),
        open=table.get("open", False),
        texts=MappingProxyType(
            {language: _text(table[language], table["key"]) for language in Language}
        ),
    )


def _text(table: Mapping[str, str], key: str) -> Text:
    _closed(table, key, _TEXTS, frozenset())
    return Text(title=table["title"], likely=table["likely"], do=table["do"])


def _closed(
    table: Mapping[str, Any], key: str, needed: frozenset[str], optional: frozenset[str]
) -> None:
    lacking, strange = needed - table.keys(), table.keys() - needed - optional
    if lacking or strange:
        raise ValueError(f"{key}: lacks {sorted(lacking)}, does not know {sorted(strange)}")
