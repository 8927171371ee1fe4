"""Questions outside of any job: again while it helps, a bounded number at a time, to the end."""

import random
from collections.abc import Sequence
from typing import TypeVar

import anyio
import pytest
from yarl import URL

from jobs.clock import seconds_to_us
from jobs.outcomes import Answer, Outcome
from tests.fakes import FakeClock
from worker.cloud import Gate
from worker.inquiry import PASSING, TRIES, UNREACHED, Inquiry, Read, all_pages, in_order

T = TypeVar("T")
HERE, THERE = URL("https://here.example"), URL("https://there.example")


class Sleepless(FakeClock):
    """A clock on which waiting takes no time, and adds up."""

    slept_us = 0

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept_us += seconds_to_us(seconds)
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()


class Script:
    """An endpoint that answers as it is told; the last word repeats."""

    def __init__(self, *says: Outcome | str) -> None:
        self.says = says
        self.asked = 0

    async def ask(self, project: str, read: Read[T]) -> T | Answer:
        """Count and hand on."""
        del project
        return await read(lambda: None, 1.0)

    async def read(self, gate: Gate, timeout_s: float) -> str | Answer:
        """Say the next word."""
        del gate, timeout_s
        word = self.says[min(self.asked, len(self.says) - 1)]
        self.asked += 1
        return Answer(outcome=word, sent=False) if isinstance(word, Outcome) else word


def an_inquiry(**scripts: Script) -> tuple[Inquiry, Sleepless]:
    """Return an inquiry of the endpoints by the first word of their hosts."""
    clock = Sleepless()
    turns = {f"https://{name}.example": script for name, script in scripts.items()}
    return Inquiry(turns.__getitem__, clock=clock, rng=random.Random(1)), clock


@pytest.mark.parametrize("trouble", sorted(PASSING))
async def test_what_fails_for_a_moment_is_asked_again(trouble: Outcome) -> None:
    """Two hiccups do not spoil a list of pools; between the tries there is a pause."""
    script = Script(trouble, trouble, "found")
    inquiry, clock = an_inquiry(here=script)

    assert await inquiry.ask(HERE, "p", script.read) == "found"
    assert script.asked == 3
    assert clock.slept_us > 0


async def test_the_tries_are_bounded() -> None:
    """What stays broken is told as it is, after a few tries."""
    script = Script(Outcome.SERVER_ERROR)
    inquiry, _ = an_inquiry(here=script)

    seen = await inquiry.ask(HERE, "p", script.read)

    assert isinstance(seen, Answer)
    assert (seen.outcome, script.asked) == (Outcome.SERVER_ERROR, TRIES)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - PASSING))
async def test_a_verdict_is_not_asked_for_twice(outcome: Outcome) -> None:
    """A refusal stays one, a bad credential is not tried again, a time-out has cost enough."""
    script = Script(outcome, "found")
    inquiry, clock = an_inquiry(here=script)

    seen = await inquiry.ask(HERE, "p", script.read)

    assert isinstance(seen, Answer)
    assert (script.asked, clock.slept_us) == (1, 0)


@pytest.mark.parametrize("outcome", sorted(UNREACHED))
async def test_an_endpoint_that_nobody_reaches_is_given_up(outcome: Outcome) -> None:
    """A hundred projects do not each wait for a host that is not there; others are asked."""
    dead, alive = Script(outcome), Script("found")
    inquiry, _ = an_inquiry(here=dead, there=alive)
    first = await inquiry.ask(HERE, "p", dead.read)
    asked = dead.asked

    again = await inquiry.ask(HERE, "q", dead.read)

    assert again == first
    assert dead.asked == asked
    assert await inquiry.ask(THERE, "p", alive.read) == "found"


async def test_answers_come_in_the_order_of_the_questions() -> None:
    """Whoever answers first does not come first."""
    second_done = anyio.Event()

    async def answer(question: str) -> str:
        if question == "first":
            await second_done.wait()
        else:
            second_done.set()
        return question.upper()

    assert await in_order(["first", "second"], answer, 2) == ["FIRST", "SECOND"]
    assert await in_order([], answer) == []


async def test_only_so_many_questions_are_open_at_a_time() -> None:
    """Ten thousand pools are not ten thousand waits at once, and none is forgotten."""
    waiting, most, answered = 0, 0, 0

    async def answer(number: int) -> int:
        nonlocal waiting, most, answered
        waiting += 1
        most = max(most, waiting)
        await anyio.lowlevel.checkpoint()
        waiting -= 1
        answered += 1
        return number

    assert await in_order(range(100), answer, 7) == list(range(100))
    assert (most, answered) == (7, 100)


def pages(*tokens: str | None) -> Sequence[tuple[int, str | None]]:
    """Return one page for each token that leads on."""
    return list(enumerate(tokens))


async def read_all(told: Sequence[tuple[int, str | None]]) -> tuple[object, list[str | None]]:
    """Return what became of a list in pages, and the tokens that were asked for."""
    asked: list[str | None] = []

    async def page(token: str | None) -> tuple[int, str | None] | Answer:
        asked.append(token)
        return told[min(len(asked), len(told)) - 1]

    return await all_pages(page, lambda one: one[1]), asked


async def test_a_list_is_followed_to_its_end() -> None:
    """Each page names the next; the last one none."""
    found, asked = await read_all(pages("a", "b", None))

    assert found == pages("a", "b", None)
    assert asked == [None, "a", "b"]


async def test_a_list_that_goes_round_in_circles_is_no_list() -> None:
    """A part is never taken for the whole, and nobody asks for ever."""
    found, asked = await read_all(pages("a", "b", "a"))

    assert isinstance(found, Answer)
    assert found.outcome is Outcome.UNREADABLE_SUCCESS
    assert len(asked) == 3


async def test_a_page_that_cannot_be_read_spoils_the_list() -> None:
    """Half of the pools must not look like all of them."""
    broken = Answer(outcome=Outcome.FORBIDDEN, sent=True)

    async def page(token: str | None) -> str | Answer:
        return "first" if token is None else broken

    assert await all_pages(page, lambda _: "next") is broken
