"""Virtual time: the production engine on a loop whose clock jumps.

Time stands still while anything can run or a store call is on its way, and jumps to the
next timer when nothing can.  So an hour of backoff and settle times takes milliseconds, and
two runs with one seed see the same instants.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from jobs.clock import MICROSECONDS

T = TypeVar("T")

EPOCH_US = 1_800_000_000 * MICROSECONDS


class VirtualSelector(selectors.SelectSelector):
    """Never waits for time; waits for real only while a store call is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.outstanding = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready, or let the time pass that the loop would have waited."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.outstanding > 0:
            return super().select(5.0)
        if timeout is None:
            message = "everything waits and nothing is to come"
            raise RuntimeError(message)
        self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        """Return the virtual seconds."""
        return self.virtual.now

    @contextmanager
    def real(self) -> Iterator[None]:
        """Let time stand still: what is waited for now comes from a thread."""
        self.virtual.outstanding += 1
        try:
            yield
        finally:
            self.virtual.outstanding -= 1


class VirtualClock:
    """The loop's clock, as the engine takes it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_us(self) -> int:
        """Return the virtual instant."""
        return EPOCH_US + round(self._loop.virtual.now * MICROSECONDS)

    def wall_us(self) -> int:
        """Return the virtual instant: nobody sets this clock."""
        return self.now_us()

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._loop.virtual.now

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(max(seconds, 0.0))  # noqa: TID251 - this is the clock


class OneProcess:
    """A store as one process sees it: counted for the loop, and gone after `kill`."""

    def __init__(self, store: Any, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop
        self.dead = False

    def kill(self) -> None:
        """From now on no call reaches the store, as after kill -9."""
        self.dead = True

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if not callable(member) or name in {"changed", "jobs"}:
            return member
        return self._counted(member)

    def _counted(self, member: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def call(*args: Any, **kwargs: Any) -> T:
            if self.dead:
                await asyncio.Event().wait()
            with self._loop.real():
                result = await member(*args, **kwargs)
            if self.dead:
                await asyncio.Event().wait()
            return result

        return call


def on_virtual_time(main: Callable[[VirtualLoop, VirtualClock], Awaitable[T]]) -> T:
    """Run *main* on a fresh virtual loop and return its value."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)

        async def started() -> T:
            return await main(loop, VirtualClock(loop))

        return runner.run(started())
