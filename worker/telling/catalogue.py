"""An entry of the catalogue as JSON shows it."""

from typing import Any

from jobs.catalogue.entries import Entry, Language


def entry_fields(entry: Entry, language: Language) -> dict[str, Any]:
    """Return the entry as it appears in JSON."""
    told = entry.texts[language]
    return {
        "key": entry.key,
        "family": entry.family.value,
        "codes": list(entry.names()),
        "http_statuses": list(entry.statuses),
        "pattern": None if entry.pattern is None else entry.pattern.pattern,
        "class": entry.cause_class,
        "retry": entry.retry.value,
        "title": told.title,
        "likely": told.likely,
        "do": told.do,
    }
