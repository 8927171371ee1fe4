"""Virtual time: the production engine on a loop whose clock jumps.

Time stands still while anything can run or a store call is on its way, and jumps to the
next timer when nothing can.  So an hour of backoff and settle times takes milliseconds, and
two runs with one seed see the same instants.
"""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
        self.heard: Callable[[str], None] = lambda _: None

    def kill(self) -> None:
        """From now on no call reaches the store, as after kill -9."""
        self.dead = True

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if name in {"rollouts", "schedules"}:
            return _Part(self, member)
        if not callable(member) or name == "changed":
            return member
        return self.counted(member)

    async def jobs(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Yield what the store yields, all of it read while time stands still."""
        with self._loop.real():
            found = [job async for job in self._store.jobs(*args, **kwargs)]
        for job in found:
            yield job

    def counted(self, member: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        """Return *member* as this process calls it."""

        async def call(*args: Any, **kwargs: Any) -> T:
            if self.dead:
                await asyncio.Event().wait()
            with self._loop.real():
                result = await member(*args, **kwargs)
            self.heard(member.__name__)
            if self.dead:
                await asyncio.Event().wait()
            return result

        return call


class _Part:
    """A part of a store, dead when its process is."""

    def __init__(self, process: OneProcess, part: Any) -> None:
        self._process = process
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return self._process.counted(getattr(self._part, name))


def on_virtual_time(main: Callable[[VirtualLoop, VirtualClock], Awaitable[T]]) -> T:
    """Run *main* on a fresh virtual loop and return its value."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)

        async def started() -> T:
            return await main(loop, VirtualClock(loop))

        return runner.run(started())
