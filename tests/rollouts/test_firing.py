"""What a schedule does next: the fate of every tick, in tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs.model import RolloutId
from jobs.rollout_states import RolloutState
from jobs.rollouts.advancing import STOPPED
from jobs.rollouts.firing import (
    Firing,
    ScheduleLook,
    fire,
    paused_by,
    resumed,
    run_now,
)
from jobs.rollouts.planning import make_plan
from jobs.rollouts.recurrence import Recurrence, beyond
from jobs.rollouts.ticks import MOST_AT_ONCE, CatchUp, Overlap, Timing
from jobs.rollouts.timing import AutoApply
from jobs.schedule_states import Skipped, TickState
from jobs.store.rollouts import RolloutKind, RolloutRow, Word
from jobs.store.schedules import ScheduleId, ScheduleRow, TickRow
from tests.rollouts.building import TERMS, a_manifest, a_pool

ANA = Word(by="ana", why="a holiday")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


def at(text: str) -> int:
    """Return an instant of 2027-01-01 (UTC), ``09:00`` or ``09:00:30``."""
    moment = datetime.fromisoformat(f"2027-01-01T{text}+00:00")
    return (moment - EPOCH) // timedelta(microseconds=1)


def hourly(**more: Any) -> Recurrence:
    """Return an hourly schedule with two hours of grace."""
    timing = {"cron": "0 * * * *", "zone": ZoneInfo("UTC"), **more.pop("timing", {})}
    facts: dict[str, Any] = {
        "overlap": Overlap.SKIP,
        "pause_after": None,
        "limits": AutoApply(),
        "manifest": a_manifest(),
        **more,
    }
    return Recurrence(name="weekly", timing=Timing(**timing), **facts)


def a_row(last: str = "08:00", **more: Any) -> ScheduleRow:
    """Return the schedule, decided up to *last*."""
    row = ScheduleRow(
        id=ScheduleId(1), name="weekly", body="{}", timing="", rev=3, created_us=0, changed_us=0,
        word=ANA, last_us=at(last),
    )  # fmt: skip
    return replace(row, **more)


def a_tick(when: str, state: TickState = TickState.STARTED, **more: Any) -> TickRow:
    """Return a tick; a started one has the rollout 7."""
    started = {"rollout": RolloutId(7)} if state is TickState.STARTED else {}
    tick = TickRow(at_us=at(when), state=state, until_us=at(when) + 2 * HOUR_US)
    return replace(tick, **{**started, **more})


def a_run(state: RolloutState = RolloutState.RUNNING, **more: Any) -> RolloutRow:
    """Return rollout 7."""
    facts: dict[str, Any] = {
        "name": "weekly", "kind": RolloutKind.ROLLOUT, "plan": "p", "rev": 1, "waves": (),
        "created_us": at("08:00"), **more,
    }  # fmt: skip
    return RolloutRow(id=RolloutId(7), state=state, **facts)


def look(
    now: str,
    *ticks: TickRow,
    row: ScheduleRow | None = None,
    run: RolloutRow | None = None,
    newest: RolloutRow | None = None,
) -> ScheduleLook:
    """Return a look at the schedule."""
    runs = {} if run is None else {run.id: run}
    return ScheduleLook(row=row or a_row(), ticks=ticks, runs=runs, newest=newest, now_us=at(now))


def fates(decided: Firing) -> dict[str, str]:
    """Return what was decided about each tick, by its hour."""
    change = decided.change
    told = () if change is None else (*change.fresh, *change.ticks)
    return {
        (EPOCH + timedelta(microseconds=one.at_us)).strftime("%H:%M"): one.skipped or one.state
        for one in told
    }


D, Q, S, E = TickState.DUE, TickState.QUEUED, TickState.STARTED, TickState.ENDED
MISSED, CAUGHT, OVER = Skipped.MISSED, Skipped.CAUGHT_UP, Skipped.OVERLAP


@pytest.mark.parametrize(
    ("catch_up", "grace_min", "expected"),
    [
        ("none", 240, [MISSED, MISSED, MISSED]),
        ("none", 90, [MISSED, MISSED, MISSED]),
        ("none", 5, [MISSED, MISSED, MISSED]),
        ("latest", 240, [CAUGHT, CAUGHT, D]),
        ("latest", 90, [MISSED, CAUGHT, D]),
        ("latest", 5, [MISSED, MISSED, MISSED]),
        ("all", 240, [D, Q, Q]),
        ("all", 90, [MISSED, D, Q]),
        ("all", 5, [MISSED, MISSED, MISSED]),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)
@pytest.mark.parametrize("overlap", Overlap)
def test_a_scheduler_that_slept_three_hours(
    overlap: Overlap, catch_up: str, grace_min: int, expected: list[str]
) -> None:
    """Every tick it slept through has one fate, by grace and policy, whatever overlap is."""
    timing = {"catch_up": CatchUp(catch_up), "misfire_grace_s": grace_min * 60.0}
    recurrence = hourly(timing=timing, overlap=overlap)

    decided = fire(recurrence, look("11:10"))

    assert list(fates(decided).items()) == list(
        zip(["09:00", "10:00", "11:00"], expected, strict=True)
    )
    assert decided.change is not None
    assert decided.change.row.last_us == at("11:00")
    again = fire(recurrence, look("11:10", row=decided.change.row))
    assert again.change is None


@pytest.mark.parametrize(
    ("overlap", "before", "expected", "replaces"),
    [
        (Overlap.SKIP, [a_tick("08:00")], {"09:00": OVER}, False),
        (Overlap.SKIP, [a_tick("08:00", D)], {"09:00": OVER}, False),
        (Overlap.QUEUE_ONE, [a_tick("08:00")], {"09:00": Q}, False),
        (
            Overlap.QUEUE_ONE,
            [a_tick("07:00"), a_tick("08:00", Q)],
            {"09:00": Q, "08:00": Skipped.SUPERSEDED},
            False,
        ),
        (Overlap.REPLACE, [a_tick("08:00")], {"09:00": Q}, True),
        (Overlap.REPLACE, [a_tick("08:00", D)], {"09:00": Q}, False),
        (Overlap.SKIP, [], {"09:00": D}, False),
        (Overlap.REPLACE, [], {"09:00": D}, False),
        (
            Overlap.SKIP,
            [a_tick("08:00", TickState.WAITING, plan="p")],
            {"09:00": D, "08:00": Skipped.SUPERSEDED},
            False,
        ),
    ],
    ids=[
        *("skip", "skip-planning", "queue", "queue-newest", "replace", "replace-planning"),
        *("free-skip", "free-replace", "waits-for-a-person"),
    ],
)
def test_a_tick_meets_what_is_there(
    overlap: Overlap, before: list[TickRow], expected: dict[str, str], *, replaces: bool
) -> None:
    """By the policy it is skipped, queued or takes over; a plan that only waits gives way."""
    decided = fire(hourly(overlap=overlap), look("09:00", *before, run=a_run()))

    assert fates(decided) == expected
    assert (decided.replace is not None) is replaces


def test_missed_ticks_that_all_run_keep_their_queue_when_another_comes() -> None:
    """`queue-one` bounds what comes on time; what was promised to be caught up stays."""
    late = [a_tick("07:00", D, late=True), a_tick("08:00", Q, late=True)]
    decided = fire(hourly(overlap=Overlap.QUEUE_ONE), look("09:00", *late))
    assert fates(decided) == {"09:00": Q}
    replaced = fire(hourly(overlap=Overlap.REPLACE), look("09:00", *late))
    assert fates(replaced) == {"09:00": Q, "08:00": Skipped.SUPERSEDED}


def test_the_queue_goes_on_when_the_run_ends_and_its_grace_begins_then() -> None:
    """A tick that waited for hours is not missed because it waited."""
    decided = fire(
        hourly(overlap=Overlap.QUEUE_ONE),
        look("08:30", a_tick("04:00"), a_tick("05:00", Q), run=a_run(RolloutState.SUCCEEDED)),
    )
    assert fates(decided) == {"04:00": E, "05:00": D}
    assert decided.change is not None
    assert decided.change.ticks[-1].until_us == at("10:30")
    assert decided.take == (at("05:00"),)


@pytest.mark.parametrize(
    ("tick", "row", "fate", "take"),
    [
        (a_tick("08:00", D), {}, None, True),
        (a_tick("08:00", D, next_us=at("08:31")), {}, None, False),
        (a_tick("08:00", D, holder="1", held_until_us=at("08:31")), {}, None, False),
        (a_tick("08:00", D, holder="1", held_until_us=at("08:29")), {}, None, True),
        (a_tick("06:00", D, why="no answer"), {}, MISSED, False),
        (a_tick("06:00", D, plan="p"), {}, None, True),
        (a_tick("08:00", D), {"paused": ANA}, Skipped.PAUSED, False),
        (a_tick("08:00", Q), {"paused": ANA}, Skipped.PAUSED, False),
        (a_tick("08:00", D, plan="p"), {"paused": ANA}, None, True),
        (a_tick("08:00", D, manual=ANA), {"paused": ANA}, None, True),
    ],
    ids=[
        *("free", "tried-later", "held", "hold-is-over", "too-late", "has-its-plan"),
        *("paused", "paused-queued", "paused-with-plan", "paused-by-hand"),
    ],
)
def test_a_due_tick_is_taken_or_dropped(
    tick: TickRow, row: dict[str, Any], fate: str | None, *, take: bool
) -> None:
    """Not while it is held or rests, not after its grace or in a pause; a plan is always begun."""
    decided = fire(hourly(), look("08:30", tick, row=a_row(**row)))

    assert list(fates(decided).values()) == ([] if fate is None else [fate])
    assert decided.take == ((tick.at_us,) if take else ())
    if fate is MISSED:
        assert decided.change is not None
        assert "no answer" in str(decided.change.ticks[0].why)


def test_a_paused_schedule_tells_of_every_tick_it_skips() -> None:
    """Nothing fires, nothing is passed over in silence."""
    decided = fire(hourly(), look("10:30", row=a_row(paused=ANA)))

    assert fates(decided) == {"09:00": Skipped.PAUSED, "10:00": Skipped.PAUSED}
    assert decided.change is not None
    assert decided.change.fresh[0].why == "the schedule was paused by ana: a holiday"


STOP = {STOPPED: {"why": "cap: 3 of 9 failed"}}


@pytest.mark.parametrize(
    ("run", "failures", "after", "pauses"),
    [
        (a_run(RolloutState.PARTIAL), 0, 1, True),
        (a_run(RolloutState.ABORTED), 1, 2, True),
        (a_run(RolloutState.EXPIRED), 0, 1, False),
        (a_run(RolloutState.SUPERSEDED), 1, 1, False),
        (a_run(RolloutState.SUCCEEDED), 1, 0, False),
        (a_run(RolloutState.PAUSED, facts=STOP), 1, 2, True),
        (a_run(RolloutState.PAUSED), 1, 1, False),
        (a_run(), 1, 1, False),
    ],
    ids=[
        *("partial", "second", "one-of-two", "superseded", "succeeded", "stopped-by-a-rule"),
        *("paused-by-a-person", "running"),
    ],
)
def test_a_schedule_pauses_after_failures_in_a_row(
    run: RolloutRow, failures: int, after: int, *, pauses: bool
) -> None:
    """What ended badly or was stopped by a rule counts once; a success begins anew."""
    limit = 1 if failures == 0 and pauses else 2
    row = a_row(failures=failures)

    decided = fire(hourly(pause_after=limit), look("08:30", a_tick("08:00"), row=row, run=run))

    now = row if decided.change is None else decided.change.row
    assert (now.failures, now.paused is not None, decided.paused) == (after, pauses, pauses)
    if pauses:
        assert now.paused is not None
        assert "ro-7" in str(now.paused.why)


def test_a_failure_is_counted_once_though_it_is_seen_often() -> None:
    """Stopped by a rule, looked at again, and ended at last: one rollout, one failure."""
    stopped = a_run(RolloutState.PAUSED, facts=STOP)
    first = fire(hourly(pause_after=9), look("08:30", a_tick("08:00"), run=stopped)).change
    assert first is not None
    assert (first.row.failures, first.ticks[0].bad) == (1, True)

    seen = look("08:31", first.ticks[0], row=first.row, run=stopped)
    ended = look("08:32", first.ticks[0], row=first.row, run=a_run(RolloutState.ABORTED))

    assert fire(hourly(pause_after=9), seen).change is None
    last = fire(hourly(pause_after=9), ended).change
    assert last is not None
    assert (last.row.failures, last.ticks[0].state) == (1, TickState.ENDED)


def test_a_failing_run_is_not_replaced_by_the_next_one() -> None:
    """A rule stopped the run: the schedule pauses instead of trying the same on more pools."""
    stopped = a_run(RolloutState.PAUSED, facts=STOP)
    recurrence = hourly(overlap=Overlap.REPLACE, pause_after=1)

    decided = fire(recurrence, look("09:00", a_tick("08:00"), run=stopped))

    assert decided.paused
    assert fates(decided)["09:00"] == Skipped.PAUSED
    assert decided.replace is None


@pytest.mark.parametrize(
    ("newest", "begun"),
    [
        ({"plan": "p", "created_us": at("08:20")}, True),
        ({"plan": "p", "created_us": at("07:20")}, False),
        ({"plan": "q", "created_us": at("08:20")}, False),
    ],
    ids=["applied", "of-an-older-tick", "another-plan"],
)
def test_a_plan_that_a_person_applied_is_the_ticks_run(
    newest: dict[str, Any], *, begun: bool
) -> None:
    """Found by its plan, so that no command has to know of ticks."""
    waits = a_tick("08:00", TickState.WAITING, plan="p", why="12 pools")
    decided = fire(hourly(), look("08:30", waits, newest=a_run(**newest)))

    assert fates(decided) == ({"08:00": S} if begun else {})
    assert decided.follows


def test_a_run_by_hand_follows_the_same_rules() -> None:
    """Also while the schedule is paused; never at the instant of a tick of the clock."""
    free = run_now(hourly(), look("09:00", row=a_row("09:00", paused=ANA)), ANA)
    assert (free.fresh[0].state, free.fresh[0].manual) == (D, ANA)
    assert free.fresh[0].at_us == at("09:00") + 1
    alive = look("09:30", a_tick("09:00"), row=a_row("09:00"), run=a_run())
    assert run_now(hourly(), alive, ANA).fresh[0].skipped is OVER
    assert run_now(hourly(overlap=Overlap.QUEUE_ONE), alive, ANA).fresh[0].state is Q


def test_a_resumed_schedule_counts_failures_anew() -> None:
    """A person's word ends the pause and accepts what was."""
    held = paused_by(a_row(failures=3), ANA, at("08:10"))
    assert (held.paused, held.paused_us) == (ANA, at("08:10"))
    assert resumed(held) == a_row()


def test_a_long_sleep_is_told_in_parts_and_whole() -> None:
    """A minutely schedule that slept for a day: every tick has a fate, the newest runs."""
    recurrence = hourly(timing={"cron": "* * * * *"})
    row = a_row("00:00")
    told: list[str] = []
    while True:
        change = fire(recurrence, look("23:00", row=row)).change
        if change is None or not change.fresh:
            break
        assert len(change.fresh) <= MOST_AT_ONCE
        told += [one.skipped or one.state for one in change.fresh]
        row = change.row
    assert len(told) == 23 * 60
    assert told[-121:] == [CAUGHT] * 120 + [D]
    assert set(told[:-121]) == {MISSED}


def test_a_tick_waits_for_the_one_before_it_when_the_jitter_is_longer() -> None:
    """No tick is lost because a later one had the shorter delay."""
    timing = {"cron": "* * * * *", "jitter_s": 1800.0}
    seen: list[int] = []
    row = a_row("08:00")
    for minute in range(120):
        now_us = at("08:00") + minute * MINUTE_US
        decided = fire(hourly(timing=timing), replace(look("08:00", row=row), now_us=now_us))
        if decided.change is not None:
            row = decided.change.row
            seen += [one.at_us for one in decided.change.fresh]
    assert seen == [at("08:00") + n * MINUTE_US for n in range(1, len(seen) + 1)]
    assert len(seen) >= 89


def test_when_to_look_again_is_the_next_tick_with_its_jitter() -> None:
    """Nobody polls for a tick that is a week away."""
    assert fire(hourly(), look("08:30")).again_us == at("09:00")
    retried = a_tick("08:00", D, next_us=at("08:40"))
    assert fire(hourly(), look("08:30", retried)).again_us == at("08:40")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, ""),
        ({"pools_at_most": 3}, ""),
        ({"pools_at_most": 2}, "3 pools would be changed, poolsAtMost is 2"),
        ({"actions": ["upgrade", "install"]}, ""),
        ({"actions": ["install"]}, "2 pools would upgrade, and a person must see that"),
        ({"blocked_at_most": 1}, ""),
        ({"blocked_at_most": 0}, "1 of 5 pools are blocked or could not be read"),
        ({"actions": []}, "a person must see that"),
    ],
    ids=["all", "pools", "too-many", "actions", "upgrade", "blocked", "too-blocked", "none"],
)
def test_a_plan_beyond_the_limits_says_by_what(limits: dict[str, Any], told: str) -> None:
    """Two upgrades, an install, a blocked pool and one that is as wanted."""
    pools = [
        a_pool(1), a_pool(2), a_pool(3, installed=None), a_pool(4, blocked="Abnormal"),
        a_pool(5, installed="1.6.63"),
    ]  # fmt: skip
    plan = make_plan(a_manifest(targets={"ifAbsent": "install"}), pools, TERMS)
    found = "; ".join(beyond(AutoApply.model_construct(**{**_defaults(), **limits}), plan))

    assert told in found
    assert bool(found) == bool(told)


def _defaults() -> dict[str, Any]:
    return dict(AutoApply())
