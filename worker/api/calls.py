"""The values a call becomes on its way: as it arrived, as a handler is asked, as it is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from pydantic import BaseModel

from worker.api.rooms import Rooms
from worker.api.terms import Caller, Needs, Reach

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
STREAM: Final = "text/event-stream"
YAML: Final = "application/yaml"


class BodyReader(Protocol):
    """Reads the body of a call, once."""

    async def __call__(self, limit_bytes: int, /) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError: If it is larger than that.
            BodyTooSlowError: If it does not come in time.
            BodyError: If it is cut off.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it arrived; *headers* are looked up whatever the case of their names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    peer: str
    read: BodyReader
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a handler is asked: everything in it has been checked.

    Attributes:
        caller: Who asks.
        reach: How far the caller reaches here.
        path: The variable parts of the path by name.
        query: The parameters, as the route's model of them.
        body: The JSON value, or the raw bytes where the route takes no JSON; None without one.
        key: The idempotency key of the header.
        headers: The headers of the call.
    """

    caller: Caller
    reach: Reach
    path: Mapping[str, str]
    query: Any
    body: Any = field(default=None, repr=False)
    key: str | None = None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: a document, or a stream of text that ends when the caller leaves."""

    status: int = 200
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = JSON
    stream: AsyncIterator[str] | None = None


Handler = Callable[[Rooms, Asked], Awaitable[Reply]]


class KeyRule(StrEnum):
    """Whether a call has an idempotency key."""

    NONE = "none"
    OPTIONAL = "optional"
    NEEDED = "needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a route takes as its body.

    Attributes:
        model: Its shape, for the document; the handler checks it, because requests are checked
            by their own rules everywhere.
        limit_bytes: The largest that is read.
        media: What it may be written as; the first one when the caller does not say.
        depth: How deep JSON may be nested; None for a body that is handed on as it came.
        optional: Whether it may be left out.
    """

    model: type[BaseModel]
    limit_bytes: int
    media: tuple[str, ...] = (JSON,)
    depth: int | None = 22
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way a route answers when all is well."""

    status: int
    model: type[BaseModel] | None
    text: str
    media: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table: everything the router, the document and the rights are made from.

    Attributes:
        name: What the document calls it.
        method: Such as GET; what is not GET changes something.
        path: With variable parts in braces.
        needs: Who may.
        handler: What serves it.
        text: One sentence for people.
        answers: How it answers when all is well.
        query: The model of its parameters.
        body: What it takes.
        key: Whether it has an idempotency key.
        refuses: Statuses with which it refuses, beside those that follow from all of this.
    """

    name: str
    method: str
    path: str
    needs: Needs
    handler: Handler
    text: str
    answers: tuple[Answer, ...]
    query: type[BaseModel] | None = None
    body: Body | None = None
    key: KeyRule = KeyRule.NONE
    refuses: tuple[int, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"
