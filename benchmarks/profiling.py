"""Where a worker's CPU goes, by part, without touching its code.

A thread looks every millisecond.  For each other thread it reads how much CPU that thread has
used since the last look (the kernel's own clock of that thread, not a count of samples) and
books all of it on the part whose code the thread is in: the innermost frame that belongs to a
part decides, so that a JSON call made by the limiter is the limiter's.  The booked parts add up
to the CPU of the threads; only where a part begins and ends is a sample.

What runs below no frame of ours (the event loop, socket reads and writes, wake-ups) is `loop`.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EVERY_S: Final = 0.001
SWITCH_S: Final = 0.0002
"""How soon a busy thread must let the sampler look; Python's default is 5 ms."""

PARTS: Final = (
    ("claim", ("/claiming.py",)),
    ("limiter", ("worker/limiter.py", "worker/line.py", "worker/stock.py", "jobs/pacing.py")),
    ("limiter", ("/buckets.py", "worker/switchboard.py")),
    ("record", ("/recording.py", "postgres/grouping.py")),
    ("log", ("/structlog/", "config/logs.py", "config/lines.py", "worker/reporting.py")),
    ("log", ("jobs/report/", "config/masking.py", "config/events.py", "config/sinks.py")),
    ("decide", ("jobs/decide/", "jobs/sightings.py", "jobs/inputs.py", "jobs/states.py")),
    ("aiohttp", ("/aiohttp/", "/yarl/", "/multidict/", "/aiosignal/")),
    ("request", ("worker/modelarts/", "worker/calls.py", "worker/guard.py", "worker/lease.py")),
    ("commit", ("sqlite/engine.py", "postgres/transactions.py", "postgres/wire.py")),
    ("store", ("jobs/store/",)),
    ("runner", ("worker/runner.py", "worker/executor.py", "worker/hand.py", "worker/stepping.py")),
    ("runner", ("worker/app.py", "worker/prospects.py", "worker/conductor.py")),
)
"""Which files belong to a part; the first that fits wins."""

LOOP: Final = "loop"


def part_of_file(path: str) -> str | None:
    """Return the part a source file belongs to; None for what serves any of them."""
    for part, places in PARTS:
        if any(place in path for place in places):
            return part
    return None


class Sampler(threading.Thread):
    """Books the CPU of every other thread on parts until stopped."""

    def __init__(self) -> None:
        super().__init__(name="benchmark sampler", daemon=True)
        self.seconds: dict[str, float] = {}
        self._known: dict[str, str | None] = {}
        self._used: dict[int, float] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(EVERY_S):
            self.look()

    def stop(self) -> None:
        """Look a last time and end."""
        self._ended.set()
        self.join()
        self.look()

    def look(self) -> None:
        """Book what each thread has used since the last look."""
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to see other threads
        for thread in threading.enumerate():
            ident = thread.ident
            if thread is self or ident is None or ident not in frames:
                continue
            used = time.clock_gettime(time.pthread_getcpuclockid(ident))
            spent = used - self._used.get(ident, used)
            self._used[ident] = used
            if spent > 0:
                part = self._part(frames[ident])
                self.seconds[part] = self.seconds.get(part, 0.0) + spent

    def _part(self, frame: FrameType | None) -> str:
        while frame is not None:
            path = frame.f_code.co_filename
            if path not in self._known:
                self._known[path] = part_of_file(path)
            part = self._known[path]
            if part is not None:
                return part
            frame = frame.f_back
        return LOOP


@contextmanager
def sampled(wanted: bool) -> Iterator[dict[str, float]]:  # noqa: FBT001 - a switch of the command line
    """Yield the seconds of CPU by part; filled at the end, and only if *wanted*."""
    seconds: dict[str, float] = {}
    if not wanted:
        yield seconds
        return
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    sampler = Sampler()
    sampler.look()
    sampler.start()
    try:
        yield seconds
    finally:
        sampler.stop()
        sys.setswitchinterval(before)
        seconds.update(sampler.seconds)
