"""Stop rules: by count, by ratio, by evidence, and what is in flight meanwhile."""

import random
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.rollouts.exposure import WaveExposure, most_broken
from jobs.rollouts.pace import startable, suspect_after_s
from jobs.rollouts.stopping import (
    Rule,
    RuleKind,
    Tally,
    clean_jobs_missing,
    evidence_stops,
    failures_allowed,
    ordinal,
    resolved,
    stop_words,
    tolerance,
    trips,
    verdict,
)
from jobs.rollouts.strategy import Evidence, StopRule
from tests.rollouts.building import run_waves

EVIDENCE = Evidence()
CAP_12 = resolved(StopRule(name="cap", failures=12), 200)
RATIO = resolved(StopRule(name="ratio", ratio="15%", minFinished=20, scope="wave"), 100)  # type: ignore[arg-type] # as a person writes it
PROOF = resolved(StopRule(name="evidence", evidence=EVIDENCE), 200)


def a_tally(failed: int, succeeded: int = 0, planned: int = 200, in_flight: int = 0) -> Tally:
    """Return a tally."""
    return Tally(planned=planned, succeeded=succeeded, failed=failed, in_flight=in_flight)


@pytest.mark.parametrize(("failures", "finished"), [(3, 9), (4, 18), (5, 27), (6, 36)])
def test_evidence_stops_at_these_failures_and_no_later(failures: int, finished: int) -> None:
    """With 5 %, 20 % and 0.05: 3 within 9, 4 within 18, 5 within 27, 6 within 36."""
    assert evidence_stops(EVIDENCE, finished, failures)
    assert not evidence_stops(EVIDENCE, finished + 1, failures)


def test_two_failures_are_never_evidence() -> None:
    """That is the canary's business."""
    assert not any(evidence_stops(EVIDENCE, finished, 2) for finished in range(2, 200))


def test_the_evidence_still_missing_is_told() -> None:
    """It takes 59 clean pools to be 95 % sure of less than 5 %."""
    assert clean_jobs_missing(EVIDENCE, 0) == 59
    assert clean_jobs_missing(EVIDENCE, 50) == 9
    assert clean_jobs_missing(EVIDENCE, 80) == 0


@pytest.mark.slow
def test_a_good_rollout_is_rarely_stopped_by_evidence() -> None:
    """At a true rate of exactly `ok` at most alpha of the rollouts are stopped, ever looked at."""
    chance = random.Random(7)
    stopped = 0
    for _ in range(2_000):
        failed = 0
        for finished in range(1, 201):
            failed += chance.random() < 0.05
            if evidence_stops(EVIDENCE, finished, failed):
                stopped += 1
                break

    assert stopped / 2_000 <= 0.05 + 0.01


@given(finished=st.integers(0, 400), failed=st.integers(0, 400))
def test_what_is_allowed_is_what_does_not_trip(finished: int, failed: int) -> None:
    """The limit that plans print and the rule that stops are the same rule."""
    failed = min(failed, finished)
    tally = a_tally(failed, finished - failed)
    for rule in (CAP_12, RATIO, PROOF):
        assert trips(rule, tally) is (failed > failures_allowed(rule, finished, 200))
    assert trips(PROOF, tally) is evidence_stops(EVIDENCE, finished, failed)


def test_a_limit_is_exceeded_not_met() -> None:
    """With 12 failures allowed the 13th stops, and the words say so."""
    assert not trips(CAP_12, a_tally(12))
    assert trips(CAP_12, a_tally(13))
    assert stop_words(CAP_12) == "the 13th failure"
    assert stop_words(tolerance("canary", 0)) == "any failure"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip


def test_a_ratio_says_nothing_before_its_sample() -> None:
    """19 of 19 failures are not judged; with 20 ended, 3 are 15 % and 4 are more."""
    assert not trips(RATIO, a_tally(19))
    assert not trips(RATIO, a_tally(3, 17))
    assert trips(RATIO, a_tally(4, 16))


def test_a_ratio_of_all_pools_needs_so_many_failures() -> None:
    """of: planned divides by all jobs of the scope, as some other systems do."""
    rule = resolved(StopRule(name="r", ratio="10%", of="planned"), 200)  # type: ignore[arg-type] # as a person writes it

    assert not trips(rule, a_tally(20, 10))
    assert trips(rule, a_tally(21, 10))


def test_a_share_of_failures_becomes_a_number() -> None:
    """5 % of 37 is 1: rounded down, so the second stops."""
    rule = resolved(StopRule(name="r", failures="5%"), 37)  # type: ignore[arg-type] # as a person writes it

    assert (rule.limit, stop_words(rule)) == (1, "the 2nd failure")


def test_refused_jobs_have_a_rule_of_their_own() -> None:
    """What was refused before anything was sent is no failure."""
    rule = resolved(StopRule(name="r", rejected=2), 10)

    assert not trips(rule, a_tally(9))
    assert trips(rule, Tally(planned=10, rejected=3))
    assert not trips(CAP_12, Tally(planned=200, rejected=100))


def test_the_first_rule_wins_and_the_waves_own_scope_counts() -> None:
    """Rules are looked at in their order, each with the tally of its scope."""
    rules = [tolerance("canary", 0), CAP_12]

    stop = verdict(rules, a_tally(1, planned=2), a_tally(13))
    assert stop is not None
    assert stop.rule.name == "canary tolerates 0"
    assert verdict(rules, a_tally(0), a_tally(12)) is None
    assert (verdict(rules, a_tally(0), a_tally(13)) or stop).rule is CAP_12


def test_bounded_overshoot_slows_down_as_failures_use_up_the_limit() -> None:
    """At once: the budget, or the failures still allowed and one more."""
    idle = a_tally(0)
    assert startable([CAP_12], idle, idle, 20) == 13
    assert startable([CAP_12], idle, idle, 20, bounded=False) == 20
    late = a_tally(10, 50)
    assert startable([CAP_12], late, late, 20) == 3
    flying = a_tally(10, 50, in_flight=3)
    assert startable([CAP_12], flying, flying, 20) == 0
    over = a_tally(13)
    assert startable([CAP_12], over, over, 20, bounded=False) == 0


def test_no_more_is_started_than_there_is() -> None:
    """The wave's jobs, those in flight and the budget of the rollout bound it."""
    assert startable([], a_tally(0, 3, planned=5, in_flight=1), a_tally(0, in_flight=1), 20) == 1
    assert startable([], a_tally(0, planned=50), a_tally(0, in_flight=19), 20) == 1


def test_suspects_hold_new_starts_and_stop_nothing() -> None:
    """A slow job counts as failed when another is to be started, and in no verdict."""
    slow = Tally(planned=200, in_flight=5, suspects=3, succeeded=6)

    assert startable([PROOF], slow, slow, 20) == 0
    assert verdict([PROOF], slow, slow) is None
    assert startable([PROOF], a_tally(0, 6, in_flight=5), a_tally(0, 6, in_flight=5), 20) == 15


def test_when_a_job_is_a_suspect() -> None:
    """1.5 times the p95 of at least five successes, else half of the deadline."""
    assert suspect_after_s("auto", [10] * 4, 1800) == 900
    assert suspect_after_s("auto", [10] * 19 + [100], 1800) == 15
    assert suspect_after_s("auto", [100] * 5, 1800) == 150
    assert suspect_after_s("never", [100] * 5, 1800) == float("inf")
    assert suspect_after_s(60.0, [], 1800) == 60


def mean_broken(**how: float) -> float:
    """Return the mean damage over 100 runs of 200 pools, 10 at a time, evidence alone."""
    chance = random.Random(11)
    runs = [run_waves([200], [10], [[PROOF]], chance, rate=0.3, **how)[0] for _ in range(100)]
    return sum(runs) / len(runs)


@pytest.mark.slow
def test_slow_failures_do_not_hide() -> None:
    """With failures 8 times slower the damage is within 1.2 of that with fast ones."""
    fast, slow = mean_broken(), mean_broken(slow=8.0)

    assert slow > 1.5 * fast
    assert mean_broken(slow=8.0, suspect=1.5) <= 1.2 * fast


RULES = st.lists(
    st.one_of(
        st.builds(
            lambda limit, wave: Rule(
                name="cap", kind=RuleKind.FAILURES, limit=limit, per_wave=wave
            ),
            st.integers(0, 12),
            st.booleans(),
        ),
        st.builds(
            lambda share, least, wave: Rule(
                name="ratio",
                kind=RuleKind.RATIO,
                ratio=Fraction(share, 100),
                min_finished=least,
                per_wave=wave,
            ),
            st.integers(1, 60),
            st.integers(1, 25),
            st.booleans(),
        ),
        st.just(PROOF),
    ),
    max_size=3,
)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    budget=st.integers(1, 100),
    rules=RULES,
    bounded=st.booleans(),
    rate=st.sampled_from([0.05, 0.15, 0.3, 0.6, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_never_more_pools_break_than_the_plan_says(
    *, sizes: list[int], budget: int, rules: list[Rule], bounded: bool, rate: float, seed: int
) -> None:
    """Whatever fails in whatever order, the number in the plan is not exceeded."""
    waves = [WaveExposure(pools=size, at_once=min(budget, size), rules=rules) for size in sizes]
    limit = most_broken(waves, bounded=bounded)

    broken, _ = run_waves(
        sizes, [budget] * len(sizes), [rules] * len(sizes), random.Random(seed),
        rate=rate, bounded=bounded,
    )  # fmt: skip

    assert broken <= limit <= sum(sizes)


def worst(sizes: tuple[int, ...], budget: int, rules: list[Rule], *, bounded: bool) -> int:
    """Return the most pools that break, found by trying every order and outcome."""
    total = sum(sizes)

    @cache
    def after(wave: int, ok: int, bad: int, flying: int, ended: int, failed: int) -> int:
        if wave == len(sizes):
            return failed
        here = a_tally(bad, ok, sizes[wave], flying)
        whole = a_tally(failed, ended - failed, total, flying)
        flying += startable(rules, here, whole, budget, bounded=bounded)
        if flying == 0:
            return after(wave + 1, 0, 0, 0, ended, failed) if ok + bad == sizes[wave] else failed
        found = 0
        for one in (0, 1):
            here = a_tally(bad + one, ok + 1 - one, sizes[wave], flying - 1)
            whole = a_tally(failed + one, ended + 1 - failed - one, total, flying - 1)
            if verdict(rules, here, whole) is not None:
                found = max(found, failed + one + flying - 1)
            else:
                rest = (ok + 1 - one, bad + one, flying - 1, ended + 1, failed + one)
                found = max(found, after(wave, *rest))
        return found

    return after(0, 0, 0, 0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    budget=st.integers(1, 9),
    rules=RULES,
    bounded=st.booleans(),
)
def test_the_number_in_the_plan_is_the_worst_case_itself(
    *, sizes: list[int], budget: int, rules: list[Rule], bounded: bool
) -> None:
    """Trying everything that can happen finds exactly as many broken pools, never more."""
    waves = [WaveExposure(pools=size, at_once=min(budget, size), rules=rules) for size in sizes]

    assert most_broken(waves, bounded=bounded) == worst(
        tuple(sizes), budget, rules, bounded=bounded
    )


@pytest.mark.parametrize("at_once", [1, 2, 7, 20, 100])
def test_the_bound_is_reached(at_once: int) -> None:
    """Bounded: one more than the limit. Fast: the limit and all that are in flight."""
    wave = [WaveExposure(pools=200, at_once=at_once, rules=[CAP_12])]
    chance = random.Random(1)

    for bounded, most in ((True, 13), (False, 12 + at_once)):
        assert most_broken(wave, bounded=bounded) == most
        run = run_waves([200], [at_once], [[CAP_12]], chance, rate=1.0, bounded=bounded)
        assert run == (min(most, 13 if bounded else max(13, at_once + 12)), False)


def test_without_rules_everything_can_break() -> None:
    """And a canary that tolerates nothing bounds only itself."""
    canary, rest = tolerance("canary", 0), WaveExposure(pools=50, at_once=20, rules=[])

    assert most_broken([rest], bounded=True) == 50
    assert most_broken([WaveExposure(pools=3, at_once=3, rules=[canary]), rest], bounded=True) == 50
