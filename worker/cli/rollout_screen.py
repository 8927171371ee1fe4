"""Draws a followed rollout on a terminal: reads what the view needs, twice a second at most."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from jobs.clock import Clock
from jobs.model import RolloutId
from jobs.rollouts.advancing import decide
from jobs.rollouts.sight import in_hand
from jobs.store.protocol import Store
from worker.cli.rollout_view import Glance, glance_lines
from worker.cli.screen import Lines, redrawn
from worker.cli.symbols import Symbols
from worker.sighting import RolloutReader

DRAW_EVERY_S: Final = 0.5
"""How often it is redrawn: each time asks the store about what runs."""

LATEST: Final = 4
SHOWN: Final = 30
"""Jobs under way whose steps are looked up; further ones are counted."""


class RolloutScreen:
    """The view of one rollout while the block lasts; `latest` are its last lines."""

    def __init__(self, store: Store, clock: Clock, symbols: Symbols, rollout: RolloutId) -> None:
        self.latest: deque[str] = deque(maxlen=LATEST)
        self._store = store
        self._clock = clock
        self._symbols = symbols
        self._rollout = rollout
        self._reader = RolloutReader(store, clock)
        self._draw_at = clock.monotonic()
        self._stack = ExitStack()
        self._show: Callable[[Lines], None] | None = None

    def __enter__(self) -> Self:
        """Take a part of the terminal."""
        self._show = self._stack.enter_context(redrawn())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the view away."""
        self._stack.close()

    async def draw(self, causes: Mapping[str, int], hint: str) -> None:
        """Redraw, if it is time; *hint* says what Ctrl-C does."""
        now = self._clock.monotonic()
        if self._show is None or now < self._draw_at:
            return
        self._draw_at = now + DRAW_EVERY_S
        seen = await self._glance(causes, hint)
        if seen is not None:
            symbols = self._symbols
            self._show(
                lambda width, height: glance_lines(seen, symbols, width=width, height=height)
            )

    async def _glance(self, causes: Mapping[str, int], hint: str) -> Glance | None:
        """Return what the view shows; None when the rollout changed while it was read."""
        read = await self._reader.sight(self._rollout)
        if read is None:
            return None
        course, sight = read
        busy = sorted((job for job in sight.flying if in_hand(job)), key=lambda one: one.job)
        running = [await self._store.job(one.job) for one in busy[:SHOWN]]
        return Glance(
            row=sight.row,
            course=course,
            now_us=sight.now_us,
            running=[job for job in running if job is not None],
            more_running=len(busy) - len(running),
            holds=decide(course, sight).holds,
            causes=causes,
            latest=tuple(self.latest),
            hint=hint,
        )
