"""How questions that belong to no job are asked: in turn, again while it helps, many at a time.

A read may be made again, so what fails for a moment is asked again here, a few times.  An
endpoint that cannot be reached is given up for the rest of the run, so that a hundred
projects do not each wait for it.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol, TypeVar

import anyio
from yarl import URL

from jobs.clock import Clock
from jobs.outcomes import Answer, Outcome
from jobs.retries import backoff_s
from worker.cloud import Gate
from worker.modelarts.outcomes_of_exceptions import without_answer

T = TypeVar("T")
Q = TypeVar("Q")

Read = Callable[[Gate, float], Awaitable[T | Answer]]
"""One request, given its gate and its time in seconds."""

AT_ONCE: Final = 16
"""Questions that wait or are on the wire at a time; the limiter decides how many leave."""

TRIES: Final = 4
"""How often a read that failed for a moment is made; with backoff that is about 2 s."""

PAGES: Final = 1000
"""Pages of one list that are followed; more is a server that goes round in circles."""

UNREACHED: Final = frozenset({Outcome.DNS_FAILED, Outcome.CONNECT_REFUSED, Outcome.TLS_WRONG})
"""Nobody answers there; it will be no better for the next question."""

PASSING: Final = frozenset(
    {
        Outcome.GATE_CLOSED,
        Outcome.CREDENTIAL_ENDED,
        Outcome.DNS_FAILED,
        Outcome.CONNECT_REFUSED,
        Outcome.CONNECTION_LOST,
        Outcome.GARBAGE_ANSWER,
        Outcome.BODY_CUT,
        Outcome.REQUEST_TIMEOUT,
        Outcome.THROTTLED,
        Outcome.THROTTLED_BLINDLY,
        Outcome.SERVER_ERROR,
    }
)
"""Outcomes of a read that may be gone when it is made again; timeouts have cost enough."""


class Turns(Protocol):
    """What lets one request after the other through; see `worker.calls.Calls`."""

    async def ask(self, project: str, read: Read[T]) -> T | Answer:
        """Make the request when it is its turn."""
        ...


class Inquiry:
    """Asks every endpoint as one credential."""

    def __init__(
        self, turns_of: Callable[[str], Turns], *, clock: Clock, rng: random.Random
    ) -> None:
        """Take what gives the turns of an endpoint."""
        self._turns_of = turns_of
        self._clock = clock
        self._rng = rng
        self._given_up: dict[URL, Answer] = {}

    async def ask(self, endpoint: URL, project: str, read: Read[T]) -> T | Answer:
        """Ask in turn, and again while it may help; not at all where nobody can be reached.

        Args:
            endpoint: Whose limit it counts under.
            project: Whose turn it takes.
            read: The request.
        """
        turns = self._turns_of(str(endpoint))
        failures = 0
        while endpoint not in self._given_up:
            seen = await turns.ask(project, read)
            if not isinstance(seen, Answer):
                return seen
            failures += 1
            if failures < TRIES and seen.outcome in PASSING:
                await self._clock.sleep(backoff_s(failures, self._rng))
                continue
            if seen.outcome in UNREACHED:
                self._given_up[endpoint] = seen
            return seen
        return self._given_up[endpoint]


async def in_order(
    questions: Iterable[Q], answer: Callable[[Q], Awaitable[T]], at_once: int = AT_ONCE
) -> list[T]:
    """Return the answer of each question, with at most *at_once* of them waited for at a time.

    An exception cancels the others and is raised in a group.
    """
    left = iter(list(enumerate(questions)))
    found: dict[int, T] = {}

    async def take() -> None:
        for number, question in left:  # shared by all takers: each question is taken once
            found[number] = await answer(question)

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(take)
    return [found[number] for number in sorted(found)]


async def all_pages(
    page: Callable[[str | None], Awaitable[T | Answer]], token_of: Callable[[T], str | None]
) -> list[T] | Answer:
    """Follow the tokens of a list to its end; a part is never taken for the whole.

    Args:
        page: Reads the page that a token names; None is the first.
        token_of: The token of the page after, None when there is none.
    """
    pages: list[T] = []
    token: str | None = None
    met: set[str] = set()
    while True:
        one = await page(token)
        if isinstance(one, Answer):
            return one
        pages.append(one)
        token = token_of(one)
        if token is None:
            return pages
        if token in met or len(pages) == PAGES:
            detail = "the pages of the list have no end"
            return without_answer(Outcome.UNREADABLE_SUCCESS, sent=True, detail=detail)
        met.add(token)
