"""A rollout goes on by its plan, stops by its rules, and says what holds it."""

import random
from itertools import pairwise
from typing import Any

import pytest

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.rollout_states import RolloutEvent, RolloutState, WaveState
from jobs.rollouts.advancing import STOPPED, decide
from jobs.rollouts.manifest import PRESETS
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.states import WaitReason
from jobs.store.rollouts import GOES_ON, LineStop, OrderKind, Word
from tests.builders import NOON_US
from tests.rollouts.building import REST, TERMS, a_manifest
from tests.rollouts.running import ModelRollout, events_of, failing, three_regions

CAREFUL: dict[str, Any] = dict(PRESETS["careful"])
CAP = {"name": "hard-cap", "failures": 12}
HOUR_US = 3600 * MICROSECONDS


def planned(pools: list[Observed], **spec: Any) -> Plan:
    """Return the plan of a manifest for *pools*."""
    return make_plan(a_manifest(**spec), pools, TERMS)


def a_rollout(size: int = 30, *, rate: float = 0.0, seed: int = 1, **spec: Any) -> ModelRollout:
    """Return a rollout over *size* pools whose jobs fail at *rate*."""
    plan = planned(three_regions(size), **spec)
    return ModelRollout(plan, failing(rate), random.Random(seed))


@pytest.fixture(scope="module")
def careful() -> Plan:
    """Return the careful preset on 300 pools."""
    return planned(three_regions(300), **CAREFUL)


@pytest.fixture(scope="module")
def capped() -> Plan:
    """Return the careful preset with a hard cap of 12 on 300 pools."""
    return planned(three_regions(300), **{**CAREFUL, "stop": [CAP, *CAREFUL["stop"]]})


def broken_of(plan: Plan, rate: float, seeds: range, **how: float) -> list[ModelRollout]:
    """Run the plan once for each seed."""
    found = []
    for seed in seeds:
        one = ModelRollout(plan, failing(rate, **how), random.Random(seed))
        one.run()
        found.append(one)
    return found


@pytest.mark.slow
def test_a_cap_is_never_exceeded_by_more_than_one(capped: Plan) -> None:
    """Whatever fails whenever: with a limit of 12, at most 13 pools break."""
    for rate in (0.08, 0.3, 1.0):
        for one in broken_of(capped, rate, range(8)):
            assert one.broken <= 13
            assert one.state in {RolloutState.PAUSED, RolloutState.PARTIAL}


@pytest.mark.slow
def test_a_bad_version_stops_in_the_canary_or_by_evidence(careful: Plan) -> None:
    """With a true rate of 30 % nothing gets beyond the first waves."""
    for one in broken_of(careful, 0.3, range(10)):
        assert one.state is RolloutState.PAUSED
        stop = one.row.facts[STOPPED]
        assert stop["rule"] in {"canary tolerates 0", "evidence", "ratio"}
        assert str(stop["failed"]) in stop["why"]
        assert one.row.waves[stop["wave"]].state is WaveState.FAILED
        assert one.row.waves[3].state is WaveState.PENDING


@pytest.mark.slow
def test_a_healthy_rollout_finishes(careful: Plan) -> None:
    """At 0.5 % of failures hardly any rollout is stopped."""
    ends = [one.state for one in broken_of(careful, 0.005, range(10))]
    assert sum(state is not RolloutState.PAUSED for state in ends) >= 9
    assert RolloutState.SUCCEEDED in ends


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_hundred_seeds_on_two_thousand_pools() -> None:
    """The promises above, at the size they are made for."""
    pools = three_regions(2000)
    capped = planned(pools, **{**CAREFUL, "stop": [CAP, *CAREFUL["stop"]]})
    for one in broken_of(capped, 0.08, range(200)):
        assert one.state is RolloutState.PAUSED
        assert one.broken <= 13
        assert one.row.facts[STOPPED]["rule"] in {
            "canary tolerates 0",
            "evidence",
            "ratio",
            "hard-cap",
        }
    careful = planned(pools, **CAREFUL)
    bad = broken_of(careful, 0.3, range(200))
    assert all(one.state is RolloutState.PAUSED for one in bad)
    healthy = broken_of(careful, 0.005, range(200))
    assert sum(one.state is not RolloutState.PAUSED for one in healthy) >= 190


@pytest.mark.slow
def test_the_same_facts_give_the_same_decision(careful: Plan) -> None:
    """A resume is a replay: no decision depends on anything that was not passed in."""
    (one,) = broken_of(careful, 0.02, range(3, 4))
    for sight, decision in one.decided:
        assert decide(one.course, sight) == decision


def test_waves_go_in_their_order_and_bake_by_the_clock() -> None:
    """A wave starts when the one before has ended and its bake is over, not sooner."""
    waves = [{"name": "one", "pick": {"count": 2}, "bake": "2h"}, REST]
    rollout = a_rollout(waves=waves)

    assert rollout.run() is RolloutState.SUCCEEDED
    starts = sorted(rollout.sent.values())
    bake_from = rollout.row.waves[0].facts["ended_us"]
    assert starts[2] == bake_from + 2 * HOUR_US
    assert [wave.state for wave in rollout.row.waves] == [WaveState.PASSED] * 2
    assert events_of(rollout) == [
        RolloutEvent.OPENED,
        RolloutEvent.HELD,
        RolloutEvent.OPENED,
        RolloutEvent.FINISHED,
    ]


def test_an_empty_wave_is_skipped_with_its_gates() -> None:
    """Nobody is asked to approve the start of nothing."""
    none = {"name": "none", "pick": {"labels": {"a": "b"}}, "before": [{"approval": {}}]}
    rollout = a_rollout(waves=[none, REST])

    assert rollout.run() is RolloutState.SUCCEEDED
    assert rollout.row.waves[0].state is WaveState.SKIPPED


def test_no_more_jobs_run_than_the_budgets_let() -> None:
    """Each budget holds at every moment, in the rollout, each project and each region."""
    budgets = {"concurrency": 7, "perProject": 2, "perRegion": 3}
    rollout = a_rollout(60, budgets=budgets)
    most: list[int] = []

    def look(one: ModelRollout) -> None:
        flying = [job.target for job in one.flying.values()]
        most.append(len(flying))
        for name, limit in (("project_id", 2), ("region", 3)):
            held = [getattr(target, name) for target in flying]
            assert all(held.count(word) <= limit for word in held)

    rollout.look = look
    assert rollout.run() is RolloutState.SUCCEEDED
    assert max(most) == 7


def test_what_is_in_flight_can_trip_a_rule_only_once() -> None:
    """With two failures allowed, three jobs run at a time, then two, then one."""
    rollout = a_rollout(40, rate=1.0, stop=[{"name": "cap", "failures": 2}])

    assert rollout.run() is RolloutState.PAUSED
    assert rollout.broken == 3
    assert len(rollout.sent) == 3


def test_fast_overshoots_as_it_says() -> None:
    """`overshoot: fast` runs the whole budget, and the failures in flight come on top."""
    rollout = a_rollout(40, rate=1.0, stop=[{"name": "cap", "failures": 2}], overshoot="fast")

    assert rollout.run() is RolloutState.PAUSED
    assert rollout.broken == 22


def test_abort_admits_nothing_more() -> None:
    """What has not started never does, what is in flight ends, and the end is `aborted`."""
    rollout = a_rollout(60)
    rollout.look_once()
    started = len(rollout.sent)
    rollout.order(OrderKind.ABORT)

    assert rollout.run() is RolloutState.ABORTED
    assert len(rollout.sent) == started == 20
    assert rollout.row.waves[0].tally.cancelled == 40
    assert rollout.row.waves[0].state is WaveState.FAILED


def test_a_rule_may_abort() -> None:
    """`onStop: {do: abort}` winds up what has not started."""
    stop = [{"name": "cap", "failures": 0}]
    rollout = a_rollout(rate=1.0, stop=stop, onStop={"do": "abort"})

    assert rollout.run() is RolloutState.ABORTED
    assert rollout.broken == 1
    assert rollout.row.waves[0].tally.cancelled == 29
    assert rollout.row.facts[STOPPED]["rule"] == "cap"


def test_a_resume_accepts_what_was_there_and_counts_anew() -> None:
    """The person has seen the failures; the same ones do not stop the rollout twice."""
    rollout = a_rollout(20, rate=1.0, stop=[{"name": "cap", "failures": 2}])
    rollout.run()
    rollout.order(OrderKind.RESUME)

    assert rollout.run() is RolloutState.PAUSED
    assert rollout.broken == 6
    assert rollout.row.facts[STOPPED]["failed"] == 3


def test_pausing_lasts_until_the_last_job_in_flight_has_ended() -> None:
    """Nothing new starts after the order, and nothing is cut short."""
    rollout = a_rollout(60)
    rollout.look_once()
    rollout.order(OrderKind.PAUSE)
    assert rollout.state is RolloutState.PAUSING

    assert rollout.run() is RolloutState.PAUSED
    assert len(rollout.sent) == rollout.ended == 20
    rollout.order(OrderKind.RESUME)
    assert rollout.run() is RolloutState.SUCCEEDED


def test_an_approval_opens_the_next_wave_and_says_whom_it_waits_for() -> None:
    """A gate after a wave holds the next one until a person has approved."""
    waves = [{"name": "one", "pick": {"count": 1}, "after": [{"approval": {}}]}, REST]
    rollout = a_rollout(waves=waves)
    seen: list[str] = []

    def look(one: ModelRollout) -> None:
        holds = [hold for hold in one.last.holds if hold.reason is WaitReason.APPROVAL]
        if holds and not seen:
            seen.append(holds[0].text)
            one.order(OrderKind.APPROVE, wave=0)

    rollout.look = look
    assert rollout.run() is RolloutState.SUCCEEDED
    assert seen
    assert seen[0].startswith("wave one waits for approval, asked ")


FROZEN: dict[str, Any] = {
    "windows": [{"name": "w", "start": "02:00", "duration": "1h", "timeZone": "UTC"}],
    "freezes": [
        {"name": "f", "from": "2026-11-01T00:00", "until": "2027-02-01T00:00", "timeZone": "UTC"}
    ],
}


def test_broken_glass_lets_it_start_in_spite_of_windows_and_freezes() -> None:
    """Once as many persons as it needs want that, each once; it is told loudly, and once."""
    rollout = a_rollout(3, **FROZEN)
    rollout.look_once()
    assert [hold.reason for hold in rollout.last.holds] == [WaitReason.FREEZE]

    rollout.order(OrderKind.BREAK_GLASS, by="ana", persons=2)
    rollout.order(OrderKind.BREAK_GLASS, by="ana", persons=2)
    rollout.look_once()
    assert not rollout.sent

    rollout.order(OrderKind.BREAK_GLASS, by="ben", persons=2)
    assert rollout.run() is RolloutState.SUCCEEDED
    assert set(rollout.sent.values()) == {NOON_US}
    loud = [one.loud for _, one in rollout.decided if one.loud is not None]
    assert len(loud) == 1
    assert "ana at 2026-11-24T12:00:00" in loud[0]
    assert "ben at " in loud[0]
    assert "INC-1" in loud[0]


def test_broken_glass_opens_nothing_else() -> None:
    """Approvals, moments and bakes hold as before."""
    waves = [{**REST, "before": [{"approval": {}}]}]
    rollout = a_rollout(3, waves=waves, **FROZEN)
    rollout.order(OrderKind.BREAK_GLASS)
    rollout.look_once()

    assert [hold.reason for hold in rollout.last.holds] == [WaitReason.APPROVAL]


def test_an_approval_that_does_not_come_expires_the_rollout() -> None:
    """A gate is not waited for for ever: after its time the rollout has expired."""
    waves = [{**REST, "before": [{"approval": {"expires": "3h"}}]}]
    rollout = a_rollout(waves=waves)

    assert rollout.run() is RolloutState.EXPIRED
    assert rollout.now_us == NOON_US + 3 * HOUR_US
    assert not rollout.sent
    assert rollout.row.waves[0].state is WaveState.SKIPPED


def test_nothing_starts_before_its_moment() -> None:
    """`startAt` holds the wave until that instant, and the look comes exactly then."""
    at = {"startAt": {"time": "13:30", "timeZone": "UTC"}}
    rollout = a_rollout(waves=[{**REST, "before": [at]}])

    assert rollout.run() is RolloutState.SUCCEEDED
    assert min(rollout.sent.values()) % (24 * HOUR_US) == 13.5 * HOUR_US


def test_jobs_start_in_windows_in_which_they_most_likely_end() -> None:
    """No job starts so late that it would end after its window; the rest goes on next night."""
    window = {"name": "night", "start": "22:00", "duration": "5m", "timeZone": "UTC"}
    rollout = a_rollout(60, windows=[window], budgets={"concurrency": 4})

    assert rollout.run() is RolloutState.SUCCEEDED
    into = [(at - NOON_US - 10 * HOUR_US) % (24 * HOUR_US) for at in rollout.sent.values()]
    assert max(into) <= seconds_to_us(240)
    assert len({at // (24 * HOUR_US) for at in rollout.sent.values()}) > 1


def test_a_freeze_holds_whatever_the_windows_say_and_is_named() -> None:
    """Whoever asks is told which freeze it is, why, and when it ends."""
    freeze = {
        "name": "spring",
        "from": "2020-01-01T00:00",
        "until": "2026-12-01T00:00",
        "timeZone": "UTC",
        "reason": "Spring Festival",
    }
    rollout = a_rollout(freezes=[freeze])
    rollout.look_once()

    (hold,) = rollout.last.holds
    assert hold.reason is WaitReason.FREEZE
    assert "spring (Spring Festival)" in hold.text
    assert hold.until_us == rollout.last.again_us
    assert not rollout.sent


def test_slow_jobs_hold_new_starts_and_stop_nothing() -> None:
    """A job that is slower than usual counts as failed for starting another, and only for that."""
    rollout = a_rollout(
        40, rate=0.0, stop=[{"name": "cap", "failures": 2}], budgets={"concurrency": 3}
    )
    rollout.look_once()
    assert len(rollout.sent) == 3
    rollout.now_us += seconds_to_us(200)
    ended = next(iter(rollout.flying))
    del rollout.flying[ended]
    rollout.count(0, succeeded=1)
    rollout.look_once()

    assert len(rollout.sent) == 4 or "longer than usual" in rollout.last.holds[0].text
    assert rollout.state is RolloutState.RUNNING


def test_a_ramp_spreads_the_starts() -> None:
    """Four starts a minute in the beginning: no minute sees more than four and the first."""
    rollout = a_rollout(12, budgets={"starts": {"perMinute": 4}})

    assert rollout.run() is RolloutState.SUCCEEDED
    starts = sorted(rollout.sent.values())
    assert all(later - earlier >= seconds_to_us(14.9) for earlier, later in pairwise(starts))


def test_a_rollout_expires_and_what_has_not_started_never_does() -> None:
    """The manifest's `expires` counts from the start, also while it waits."""
    waves = [{"name": "one", "pick": {"count": 1}, "bake": "2d"}, REST]
    rollout = a_rollout(waves=waves, expires="1d")

    assert rollout.run() is RolloutState.EXPIRED
    assert len(rollout.sent) == 1


def test_what_may_be_down_limits_what_is_changed() -> None:
    """Pools that were not Running before, and those that broke, use the same allowance."""
    rollout = a_rollout(30, rate=1.0, budgets={"maxUnavailable": 3})
    texts: set[str] = set()
    rollout.look = lambda one: texts.update(hold.text for hold in one.last.holds)

    assert rollout.run() is RolloutState.EXPIRED
    assert rollout.broken == 3
    assert any(text.startswith("maxUnavailable is 3: 0 pools were not") for text in texts)


def refusing(*stop: dict[str, Any], tolerate: int | None = None) -> ModelRollout:
    """Return a rollout of ten pools of which three were refused and two failed."""
    wave = {**REST} if tolerate is None else {**REST, "tolerate": tolerate}
    one = a_rollout(10, waves=[wave], stop=list(stop), budgets={"concurrency": 1})
    one.look_once()
    one.count(0, admitted=4, failed=5, failures=5, rejected=3)
    one.look_once()
    return one


def test_refused_jobs_are_judged_by_the_rule_of_refusals() -> None:
    """With such a rule they are no failures of the version; without one they count as such."""
    calm = [{"name": "cap", "failures": 4}, {"name": "refused", "rejected": 3}]
    assert refusing(*calm).state is RolloutState.RUNNING
    one = refusing({"name": "cap", "failures": 4}, {"name": "refused", "rejected": 2})
    assert one.row.facts[STOPPED]["why"] == "refused: 3 jobs of the rollout were refused"
    assert refusing({"name": "cap", "failures": 4}).row.facts[STOPPED]["rule"] == "cap"


def test_a_wave_tolerates_refusals_no_more_than_failures() -> None:
    """A canary that was refused has proven nothing."""
    one = refusing({"name": "refused", "rejected": 9}, tolerate=4)
    assert one.row.facts[STOPPED]["why"].startswith("rest tolerates 4: 5 of 5 ended jobs")


def test_a_stopped_line_holds_every_start_and_says_who_stopped_it() -> None:
    """The rollout waits with that reason, and goes on when the line does."""
    one = a_rollout(4)
    one.line_stop = LineStop(stopped=True, word=Word(by="ana", why="fire"), at_us=NOON_US)
    one.look_once()
    assert (one.state, one.sent) == (RolloutState.WAITING, {})
    (hold,) = one.last.holds
    assert hold.text == "the line was stopped by ana at 2026-11-24T12:00:00.000Z: fire"

    one.line_stop = GOES_ON
    assert one.run() is RolloutState.SUCCEEDED
