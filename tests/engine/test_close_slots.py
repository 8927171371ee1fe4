"""The limiter where slots are so close together that one is always due, and where they are not."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import anyio
import pytest

from jobs.pacing import LATE_LIMIT_S, Bucket, Limit, Pace
from tests.engine.virtual import VirtualClock, VirtualLoop, on_virtual_time
from worker.limiter import Kind, Limiter

T = TypeVar("T")
KEY = "key"


class Rows:
    """The limiter's rows in memory; each transaction takes two milliseconds."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.rows: dict[str, Bucket] = {}

    async def update_buckets(
        self,
        keys: Sequence[str],
        change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
    ) -> T:
        """Apply *change* and let a commit's time pass."""
        known = {key: self.rows[key] for key in keys if key in self.rows}
        changed, answer = change(known, self._clock.now_us())
        self.rows.update(changed)
        await self._clock.sleep(0.002)
        return answer


def limited(
    limit: int,
    script: Callable[[Limiter, Rows, VirtualClock], Awaitable[T]],
    *,
    max_in_flight: int = 64,
) -> T:
    """Run *script* with a limiter of *limit* requests a second on virtual time."""

    async def main(_: VirtualLoop, clock: VirtualClock) -> T:
        rows = Rows(clock)
        pace = Pace(limit=Limit(count=limit), jitter_s=0.028)
        limiter = Limiter(KEY, pace, store=rows, clock=clock, max_in_flight=max_in_flight)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(limiter.run)
            told = await script(limiter, rows, clock)
            tasks.cancel_scope.cancel()
        return told

    return on_virtual_time(main)


async def ask(
    limiter: Limiter, clock: VirtualClock, kind: Kind, sent: list[tuple[float, float]]
) -> None:
    """Make one request: commit first when it is a send, then leave on the turn."""
    while True:
        async with limiter.turn("project", kind) as turn:
            if kind is Kind.SEND:
                await clock.sleep(0.012)
            await turn.wait()
            if turn.use():
                sent.append((clock.monotonic(), turn.at))
                await clock.sleep(0.003)
                return


async def busy(limiter: Limiter, clock: VirtualClock, each: int) -> list[tuple[float, float]]:
    """Let 48 tasks make *each* requests one after the other; return when they left, and on what."""
    sent: list[tuple[float, float]] = []

    async def loop() -> None:
        for number in range(each):
            await ask(limiter, clock, Kind.SEND if number % 4 == 1 else Kind.LOOK, sent)

    async with anyio.create_task_group() as tasks:
        for _ in range(48):
            tasks.start_soon(loop)
    return sent


def test_no_slot_is_used_twice_and_none_late_however_close_they_are() -> None:
    """Each request has a slot of its own, of its moment; so no window holds more than the limit."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        sent = await busy(limiter, clock, 80)
        assert len(sent) == 48 * 80
        assert len({at for _, at in sent}) == len(sent)
        assert all(-0.001 <= left - at <= LATE_LIMIT_S + 1e-9 for left, at in sent)
        times = sorted(left for left, _ in sent)
        over = [1 for first, last in zip(times, times[1000:], strict=False) if last - first < 1.0]
        assert not over, "a window of one second held more than 1000 requests"

    limited(1000, script)


def test_a_busy_worker_does_not_wait_for_slots_of_a_limit_that_is_far_away() -> None:
    """What it may use is in stock: a request that comes leaves in the same instant."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        await busy(limiter, clock, 200)  # it has to show first that it is busy
        sent: list[tuple[float, float]] = []
        began = clock.monotonic()
        await ask(limiter, clock, Kind.LOOK, sent)
        assert sent[0][0] - began <= 0.001

    limited(20_000, script)


def test_a_late_turn_is_changed_for_the_slot_of_the_moment_where_there_is_one() -> None:
    """A send whose commit took long leaves on another slot instead of going round again."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        await busy(limiter, clock, 200)
        async with limiter.turn("project", Kind.SEND) as turn:
            first = turn.at
            await clock.sleep(0.040)
            assert turn.use()
            assert turn.at != first
            assert 0 <= clock.monotonic() - turn.at <= LATE_LIMIT_S

    limited(20_000, script)


def test_where_each_slot_counts_none_is_reserved_for_nobody_and_a_late_turn_is_lost() -> None:
    """At fifty a second a worker takes exactly the slots that its requests have asked for."""

    async def script(limiter: Limiter, rows: Rows, clock: VirtualClock) -> None:
        sent: list[tuple[float, float]] = []
        for number in range(40):
            await ask(limiter, clock, Kind.LOOK, sent)
            assert rows.rows[KEY].given == number + 1
            await clock.sleep(0.1)
        async with limiter.turn("project", Kind.LOOK) as turn:
            await turn.wait()
            await clock.sleep(LATE_LIMIT_S + 0.001)
            assert not turn.use()

    limited(50, script)


@pytest.mark.parametrize(("limit", "each"), [(50, 1), (20_000, 20)])
def test_a_place_that_becomes_free_is_the_next_ones(limit: int, each: int) -> None:
    """No more are in flight than may be, and none waits longer than for a place and a slot."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        await busy(limiter, clock, each)  # with close slots, a stock of them is kept from now on
        began, there, most, ended = clock.monotonic(), 0, 0, 0

        async def one() -> None:
            nonlocal there, most, ended
            async with limiter.turn("project", Kind.LOOK) as turn:
                await turn.wait()
                there += 1
                most = max(most, there)
                await clock.sleep(0.2)
                there -= 1
            ended += 1

        with anyio.move_on_after(10):
            async with anyio.create_task_group() as tasks:
                for _number in range(12):
                    tasks.start_soon(one)
        assert (ended, most) == (12, 3)
        assert clock.monotonic() - began <= 4 * (0.2 + 0.1)

    limited(limit, script, max_in_flight=3)


def test_a_request_that_is_cancelled_while_it_waits_leaves_no_trace() -> None:
    """Its place in the line goes, and who comes after it is served."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        sent: list[tuple[float, float]] = []
        for _number in range(5):
            with anyio.move_on_after(0.001):
                await ask(limiter, clock, Kind.LOOK, sent)
        assert sent == []
        with anyio.fail_after(5):
            await ask(limiter, clock, Kind.LOOK, sent)
        assert len(sent) == 1

    limited(50, script)


def test_a_request_that_is_cancelled_and_refused_in_the_same_moment_is_both() -> None:
    """Draining at the instant of a cancellation neither fails nor loses count."""

    async def script(limiter: Limiter, _: Rows, clock: VirtualClock) -> None:
        sent: list[tuple[float, float]] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, limiter, clock, Kind.LOOK, sent)
            await clock.sleep(0.001)
            tasks.cancel_scope.cancel()
            limiter.close()
        assert sent == []

    limited(50, script)
