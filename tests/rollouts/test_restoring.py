"""The plan that undoes a rollout: who gets what back, and who is left alone for which reason."""

from typing import Any, Final

import pytest

from jobs.model import JobId, PluginSeen, RolloutId
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.actions import Action
from jobs.rollouts.course import course_of, manifest_of
from jobs.rollouts.plan import Plan, plan_body, plan_bytes, read_plan
from jobs.rollouts.planning import make_plan
from jobs.rollouts.restoring import (
    Now,
    Scope,
    Undoing,
    Wanted,
    in_scope,
    undo_jobs,
    undo_plan,
    wave_meant,
)
from jobs.states import JobState
from jobs.store.rollouts import Deed, RolloutKind, RolloutRow, Tally, WaveRow
from tests.builders import NOON_US
from tests.rollouts.building import REST, TERMS, a_manifest, a_pool

SECRET: Final = "planted-secret"
BEFORE: Final[dict[str, Any]] = {"ndots": "2", "password": SECRET}
SENT: Final = {**BEFORE, "ndots": "5"}
WAVES: Final = [
    {"name": "one", "pick": {"count": 1}, "tolerate": 0, "bake": "1h"},
    {**REST, "before": [{"approval": {}}, {"startAt": {"time": "01:00", "timeZone": "UTC"}}]},
]


def a_plan(plugin: str = "node-local-dns") -> Plan:
    """Return the plan of an upgrade of four pools in two waves."""
    manifest = a_manifest(plugin={"name": plugin}, waves=WAVES, stop=[])
    return make_plan(manifest, [a_pool(number) for number in range(4)], TERMS)


def deed(plan: Plan, number: int, **more: Any) -> Deed:
    """Return what was done at the number-th place: it succeeded."""
    waves = [wave.name for wave in plan.waves]
    rows = sorted(plan.acting, key=lambda row: (waves.index(row.wave or ""), row.place or 0))
    row = rows[number]
    facts: dict[str, Any] = {
        "job": JobId(number + 1),
        "wave": waves.index(row.wave or ""),
        "rank": (row.place or 1) - 1,
        "target": row.target,
        "state": JobState.SUCCEEDED,
        "version": row.version_to,
        "inputs": SENT,
        "sent": True,
        "checked": True,
        "baseline": PluginSeen(name=plan.plugin, version="1.0", phase="Running", inputs=BEFORE),
        **more,
    }
    return Deed(**facts)


def a_row(plan: Plan) -> RolloutRow:
    """Return the rollout, paused in its second wave."""
    waves = [
        WaveRow(n=n, state=WaveState.RUNNING, tally=Tally(size=one.pools, admitted=one.pools))
        for n, one in enumerate(plan.waves)
    ]
    return RolloutRow(
        id=RolloutId(12),
        name=plan.name,
        kind=RolloutKind.ROLLOUT,
        plan=plan.digest,
        state=RolloutState.PAUSED,
        rev=1,
        created_us=NOON_US,
        waves=waves,
    )


def undone(plan: Plan, *deeds: Deed, now: Any = None, **wanted: Any) -> Plan:
    """Return the plan that undoes all of the deeds, unless something else is *wanted*."""
    undoing = Undoing(row=a_row(plan), plan=plan, deeds=deeds, now=now)
    return undo_plan(undoing, Wanted(**{"scope": Scope.ALL, **wanted}), NOON_US, 5.0)


def test_the_scope_says_which_pools() -> None:
    """Healthy ones are not touched by failed, and what was never sent to by none."""
    plan = a_plan()
    good, failed = deed(plan, 0), deed(plan, 1, state=JobState.FAILED)
    late, unsent = deed(plan, 2, late="it is gone"), deed(plan, 3, sent=False)
    every = [good, failed, late, unsent]

    def meant(**wanted: Any) -> list[Deed]:
        return [one for one in every if in_scope(one, Wanted(**wanted))]

    assert meant() == [failed, late]
    assert meant(scope=Scope.WAVE, wave=1) == [failed, late]
    assert meant(scope=Scope.WAVE, wave=0) == [good]
    assert meant(scope=Scope.ALL) == [good, failed, late]
    assert wave_meant(a_row(plan)) == 1


def test_the_newest_comes_first_under_the_same_terms() -> None:
    """Waves and their pools in reverse; approvals stay, bakes and moments do not."""
    plan = a_plan()
    made = undone(plan, *(deed(plan, number) for number in range(4)))

    assert [(wave.name, wave.pools) for wave in made.waves] == [("rest", 3), ("one", 1)]
    rest = [row.pool_name for row in made.rows if row.wave == "rest"]
    assert rest == [deed(plan, number).target.pool_name for number in (3, 2, 1)]
    course = course_of(made)
    assert [wave.bake_s for wave in course.waves] == [0, 0]
    assert [len(wave.before) for wave in course.waves] == [1, 0]
    assert course.waves[1].rules[0].name == "one tolerates 0"
    assert not course.undoes
    assert made.restores == 12


def test_the_jobs_carry_the_full_inputs_and_the_plan_none() -> None:
    """Inputs are never shown; a plan file of an undoing can be read again."""
    plan = a_plan()
    deeds = [deed(plan, 0), deed(plan, 1)]
    made = undone(plan, *deeds)

    assert SECRET not in plan_body(made)
    assert read_plan(plan_bytes(made), "p.json") == made
    jobs = list(undo_jobs(made, deeds))
    assert [(one.wave, one.rank) for one in jobs] == [(0, 0), (1, 0)]
    wishes = [one.request.plugin for one in jobs]
    assert {(wish.version, wish.base.value) for wish in wishes} == {("1.0", "empty")}
    assert all(wish.inputs == BEFORE for wish in wishes)
    assert SECRET not in repr(jobs)
    with pytest.raises(LookupError):
        list(undo_jobs(made, deeds[:1]))


REASONS: Final = [
    ({"baseline": None, "checked": False}, {}, "impossible: what it had was not read"),
    ({"late": "x"}, {"versions": ["2.0"]}, "impossible: 1.0 is not on offer any more"),
    ({}, {"seen": None}, "conflict: the plug-in is gone"),
    ({}, {"inputs": {**SENT, "ndots": "9"}}, "conflict: the plug-in is at"),
    ({}, {"trouble": "it could not be read"}, "it could not be read"),
    ({}, {"version": "1.0", "inputs": BEFORE}, "already 1.0, as before"),
]


@pytest.mark.parametrize(
    ("facts", "now", "why"),
    REASONS,
    ids=["unread", "offer", "gone", "changed", "trouble", "already"],
)
def test_what_is_left_alone_says_why(facts: Any, now: dict[str, Any], why: str) -> None:
    """No pool is silently left out."""
    plan = a_plan()
    one = deed(plan, 0, **facts)
    version = now.get("version", one.version)
    plugin = PluginSeen(
        name=plan.plugin, version=version, phase="Running", inputs=now.get("inputs", SENT)
    )
    shown = Now(
        plugin=now.get("seen", plugin),
        versions=now.get("versions", ["1.0", version]),
        trouble=now.get("trouble"),
    )

    made = undone(plan, one, now={one.target.pool: shown})

    assert made.acting == []
    (row,) = made.rows
    assert (row.why or "").startswith(why)


def test_a_conflict_is_taken_on_purpose_only() -> None:
    """Its row says so, and its job replaces whatever there is."""
    plan = a_plan()
    one = deed(plan, 0)
    theirs = PluginSeen(name=plan.plugin, version=one.version, phase="Running", inputs={"a": "b"})
    made = undone(plan, one, now={one.target.pool: Now(plugin=theirs)}, conflicts=True)

    assert [row.anyhow for row in made.rows] == [True]
    (job,) = undo_jobs(made, [one])
    assert job.request.plugin.restore is not None
    assert job.request.plugin.restore.anyhow


def test_lossy_is_taken_on_purpose_only() -> None:
    """The version comes back, with its defaults; without a version to bring back nothing does."""
    plan = a_plan()
    lossy = PluginSeen(name=plan.plugin, version="1.0", phase="Running", inputs=None)
    one = deed(plan, 0, baseline=lossy)
    assert (undone(plan, one).rows[0].why or "").startswith("lossy: ")
    assert [row.action for row in undone(plan, one, lossy=True).rows] == [Action.DOWNGRADE]
    same = deed(plan, 0, baseline=lossy, version="1.0")
    assert (undone(plan, same, lossy=True).rows[0].why or "").startswith("impossible: only inputs")


def test_volcano_never_gets_an_older_version() -> None:
    """Whoever orders it; inputs of the same version come back."""
    plan = a_plan("volcano")
    one = deed(plan, 0)
    assert (undone(plan, one).rows[0].why or "").startswith("impossible: volcano must never")
    same = deed(plan, 0, version="1.0")
    assert undone(plan, same).rows[0].action is Action.RECONFIGURE


def test_what_was_installed_is_not_removed() -> None:
    """Nothing was there before, and nothing is removed by an undoing."""
    manifest = a_manifest(targets={"ifAbsent": "install"}, stop=[])
    plan = make_plan(manifest, [a_pool(0, installed=None)], TERMS)
    one = deed(plan, 0, baseline=None)
    assert (undone(plan, one).rows[0].why or "").startswith("impossible: nothing was installed")
    assert manifest_of(undone(plan, one)).spec.on_stop.do == "pause"
