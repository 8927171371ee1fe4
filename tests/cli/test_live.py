"""The redrawn view: never higher or wider than the terminal, always with the reasons."""

import json

import pytest

from jobs.states import JobState, WaitReason
from worker.cli.live import LATEST, Feed, live_lines
from worker.cli.printing import cells
from worker.cli.symbols import ASCII, UNICODE
from worker.statistics import InHand, WorkerStatistics


def in_hand(number: int) -> InHand:
    """Return one job in hand."""
    return InHand(
        job=number,
        pool_name=f"pool-{number}",
        plugin="volcano",
        version_from="1.14.5",
        version_to="1.15.8",
        state=JobState.WATCHING,
        phase="Updating",
        since_s=125.0 - number,
        attempt=1,
    )


FIGURES = WorkerStatistics(
    worker="w1",
    running_s=90.0,
    slots=4,
    in_hand=(in_hand(1), in_hand(2), in_hand(3)),
    ended={JobState.SUCCEEDED: 14, JobState.FAILED: 1},
    open_jobs=5,
    waiting={WaitReason.POOL_BUSY: 2},
    calls=100,
    throttled=1,
    rate=3.84,
    rate_limit=5.0,
    trouble="no answer from the cloud for 5s",
)


def test_the_view_tells_what_is_done_running_and_waiting() -> None:
    """Head, bar, jobs with their step, latest, reasons to wait, the cloud, trouble."""
    lines = live_lines(FIGURES, ["12:41:07 ok pool-9 succeeded"], ASCII, width=80, height=24)

    assert lines == [
        "w1   running   1m 30s so far   3 of 4 slots in use",
        "  ###############.....  15 done, 5 open   ok 14 succeeded  X 1 failed",
        "  Running now                             Step                      For  Try",
        "  > pool-1  1.14.5 -> 1.15.8              watching: Updating     2m 04s    1",
        "  > pool-2  1.14.5 -> 1.15.8              watching: Updating     2m 03s    1",
        "  > pool-3  1.14.5 -> 1.15.8              watching: Updating     2m 02s    1",
        "  Latest",
        "  12:41:07 ok pool-9 succeeded",
        "  Waiting  2 pool-busy",
        "  Cloud 3.8 of 5 calls/s, 1 slow-down (429), no lost answers",
        "  ! no answer from the cloud for 5s",
        "  Ctrl-C drains",
    ]


@pytest.mark.parametrize("height", [4, 8, 10, 24, 50])
@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_view_is_never_larger_than_the_terminal(width: int, height: int) -> None:
    """Jobs that do not fit are folded into one line."""
    figures = WorkerStatistics(
        worker="w" * 60, running_s=1.0, slots=99, in_hand=tuple(map(in_hand, range(60)))
    )

    lines = live_lines(figures, ["x" * 300] * LATEST, UNICODE, width=width, height=height)

    assert len(lines) <= height
    assert max(cells(line) for line in lines) <= width
    if height >= 24:
        assert any(line.startswith("  and ") and line.endswith(" more") for line in lines)


def test_an_idle_worker_has_a_view_too() -> None:
    """Nothing to do is told, not divided by."""
    lines = live_lines(
        WorkerStatistics(worker="w1", running_s=0.0, slots=4), [], ASCII, width=80, height=24
    )

    assert lines[1] == "  ####################  0 done, 0 open"


def a_result(outcome: str, **more: object) -> str:
    """Return a result line as the log writes it."""
    entry = {
        "ts": "2026-11-24T12:41:07.123Z",
        "level": "info",
        "event": "job.result",
        "pool_name": "pool-9",
        "outcome": outcome,
        "run_s": 238.0,
    }
    return json.dumps({**entry, **more}) + "\n"


def test_the_feed_makes_short_lines_of_results_and_warnings() -> None:
    """Log lines never pass through the view; the latest stand in it."""
    feed = Feed(ASCII)

    feed.write(a_result("succeeded") + a_result("failed", cause="abnormal"))
    feed.write('{"ts":"2026-11-24T12:41:08Z","level":"debug","event":"cloud.request"}\n')
    feed.write('{"ts":"2026-11-24T12:41:09Z","level":"warning","event":"cloud.throttled"}\n')
    feed.write("not json\n")

    assert list(feed.latest) == [
        "12:41:07Z ok pool-9 succeeded in 3m 58s",
        "12:41:07Z X pool-9 failed in 3m 58s: abnormal",
        "12:41:09Z ! cloud throttled",
    ]


def test_the_feed_keeps_only_the_latest() -> None:
    """A day of results needs no memory."""
    told: list[str] = []
    feed = Feed(ASCII, told.append)

    for number in range(10):
        feed.write(a_result("succeeded", pool_name=f"pool-{number}"))

    assert [line.split()[2] for line in feed.latest] == ["pool-7", "pool-8", "pool-9"]
    assert len(told) == 10
