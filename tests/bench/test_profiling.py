"""CPU is booked on the part that used it."""

import threading
from pathlib import Path

import pytest

from benchmarks.profiling import LOOP, Sampler, part_of_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("worker/limiter.py", "limiter"),
        ("jobs/store/sqlite/claiming.py", "claim"),
        ("jobs/store/postgres/claiming.py", "claim"),
        ("jobs/store/sqlite/recording.py", "record"),
        ("jobs/store/sqlite/engine.py", "commit"),
        ("jobs/store/sqlite/buckets.py", "limiter"),
        ("jobs/store/sqlite/rows.py", "store"),
        ("jobs/decide/sending.py", "decide"),
        ("worker/modelarts/exchange.py", "request"),
        ("worker/reporting.py", "log"),
        ("worker/runner.py", "runner"),
    ],
)
def test_a_file_belongs_to_its_part(path: str, part: str) -> None:
    """The files that do a job's work are known, under the names they have today."""
    assert (ROOT / path).exists()
    assert part_of_file(str(ROOT / path)) == part


def test_what_serves_every_part_belongs_to_its_caller() -> None:
    """The standard library and anyio are booked on whoever called them."""
    assert part_of_file(threading.__file__) is None


def test_the_booked_time_is_what_the_thread_used() -> None:
    """A thread that works is booked, and one that waits is not."""
    sampler = Sampler()
    go, gone, end = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        sum(number * number for number in range(200_000))
        gone.set()
        end.wait()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    sampler.look()
    go.set()
    gone.wait()
    sampler.look()
    busy = dict(sampler.seconds)
    end.set()
    thread.join()

    assert busy[LOOP] > 0.001
