"""Read foreign JSON tolerantly: absent and null are the same, a wrong shape is an error.

A container of the wrong type makes an answer unreadable, because nothing under it can be
trusted.  A leaf of the wrong type reads as None: it was not told, which every reader has to
cope with anyway.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from worker.modelarts.faults import UnreadableError
from worker.modelarts.text import LINE_LIMIT, clean_line

Document = Mapping[str, Any]
"""A JSON object."""

EMPTY: Final[Document] = {}

CREATION_SPELLINGS: Final = ("creationTimestamp", "creationtimestamp", "creation_timestamp")
"""All three occur (cloud API notes, section 4, point 8)."""


def document(body: bytes) -> Document:
    """Return the JSON object that *body* is.

    Raises:
        UnreadableError: If it is empty, no JSON, or no object.
    """
    if not body:
        raise UnreadableError("the body is empty")
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableError("the body is not JSON") from None
    if type(read) is not dict:
        raise UnreadableError("the body is not a JSON object")
    return read


def child(parent: Document, name: str) -> Document:
    """Return the object under *name*; an empty one when it is absent or null.

    Raises:
        UnreadableError: If something else than an object is there.
    """
    found = parent.get(name)
    if found is None:
        return EMPTY
    if type(found) is not dict:
        raise UnreadableError(f"{name} is not an object")
    return found


def line(parent: Document, name: str, limit: int = 128) -> str | None:
    """Return the text under *name* as one clean line; None when there is no text."""
    found = parent.get(name)
    if type(found) is not str or not found:
        return None
    if len(found) <= limit and found.isprintable():  # as nearly all are: it spares the call
        return found
    return clean_line(found, limit)


def name_in(parent: Document, place: str) -> str:
    """Return ``name`` exactly as it stands; *place* says where, for the message.

    A name is compared, so nothing of it is cleaned away: that would make two names equal.

    Raises:
        UnreadableError: If it is no text, empty, or not fit to be shown.
    """
    found = parent.get("name")
    if type(found) is not str or not found:
        raise UnreadableError(f"{place}.name is not there")
    if len(found) > LINE_LIMIT or not found.isprintable():
        raise UnreadableError(f"{place}.name is no plain text")
    return found


def whole(parent: Document, name: str) -> int | None:
    """Return the integer under *name*, also when it is spelled as text; else None."""
    found = parent.get(name)
    if type(found) is int:
        return found
    if (
        type(found) is str and found.isascii() and found.isdigit() and len(found) <= 18
    ):  # fits 64 bits
        return int(found)
    return None


def texts(parent: Document, name: str) -> Mapping[str, str]:
    """Return the object under *name* with its text values alone; empty when it is none."""
    found = parent.get(name)
    if type(found) is not dict:
        return {}
    return {
        clean_line(key): clean_line(value) for key, value in found.items() if type(value) is str
    }


def objects(parent: Document, name: str) -> list[Document]:
    """Return the objects under *name*, which may be a list of them or a single one."""
    found = parent.get(name)
    if type(found) is dict:
        return [found]
    return [one for one in found if type(one) is dict] if type(found) is list else []


def items(parent: Document) -> list[Document]:
    """Return ``items``, each of which must be an object.

    Raises:
        UnreadableError: If it is absent, no list, or holds something else.
    """
    found = parent.get("items")
    if type(found) is not list:
        raise UnreadableError("items is not a list")
    for one in found:
        if type(one) is not dict:
            raise UnreadableError("an item is not an object")
    return found


def created(parent: Document) -> str | None:
    """Return the creation instant as the cloud wrote it, in whichever spelling."""
    for spelling in CREATION_SPELLINGS:
        found = line(parent, spelling, 64)
        if found is not None:
            return found
    return None
