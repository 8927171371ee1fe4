"""`rollback`, `retry` and `pause --all`: what a person does, sees, and a script can rely on."""

import pytest

from tests.cli.running import Cli, Start
from tests.cli.test_rollouts import sends, write

MANIFEST = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: ndots}
spec:
  plugin:
    name: node-local-dns
    version: "1.6.63"
    inputs: {merge: {custom: {ndots: "5"}, dbPassword: planted-secret}}
  waves: [{name: all, pick: {rest: true}}]
  stop: [{name: cap, failures: 0}]
  budgets: {concurrency: 1}
  job: {verify: {settle: 0s, abnormalGrace: 200ms, poll: {first: 100ms, max: 200ms}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_rollback_shows_its_plan_and_gives_back_what_there_was(cli: Cli, start: Start) -> None:
    """The plan is asked about; once undone there is nothing to do, and no input is shown."""
    cloud = start(installed=1.0, projects=1)
    assert cli("apply", write(cli, MANIFEST), "--yes").code == 0
    assert cli("plan", "r.yaml").code == 0
    changed = set(sends(cloud))

    shown = cli("rollback", "ndots", "--scope", "all", "--dry-run")
    assert shown.code == 0, shown.err
    assert f"undoes ndots: {len(changed)} of {len(changed)} pools" in shown.lines[0]
    digest = cli("rollback", "ndots", "--scope", "all", "--dry-run", "-o", "name").lines[0]
    unasked = cli("rollback", "ndots", "--scope", "all")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert cli("rollback", "ndots", "--scope", "all", "--plan", "ffffff", "--yes").code == 7
    assert cli("rollback", "ndots", "--dry-run").lines[-1] == "  Nothing to do."

    ran = cli("rollback", "ndots", "--scope", "all", "--plan", digest, "--yes")

    assert ran.code == 0, ran.err
    assert "Rollout rollback-ro-1 ended ROLLED-BACK" in ran.out
    assert len(sends(cloud)) == 2 * len(changed)
    again = cli("rollback", "ndots", "--scope", "all", "--yes")
    assert (again.code, again.lines[-1]) == (0, "  Nothing to do.")
    assert "planted-secret" not in shown.out + shown.err + ran.out + ran.err
    assert cli("rollback", "rollback-ro-1").code == 2


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_failed_jobs_are_tried_again_by_filter(cli: Cli, start: Start) -> None:
    """The plan is frozen; asking again adds nothing, and a filter that means nothing is told."""
    cloud = start(installed=1.0, projects=1, bad_pools=1.0, fail_s=100.0)
    assert cli("apply", write(cli, MANIFEST), "--yes").code == 5
    assert cli("retry", "ndots", "--pool", "nowhere*").code == 6
    assert cli("retry", "ndots", "--state", "succeeded").code == 2
    assert cli("retry", "ndots", "--dry-run", "-o", "name").lines == ["job-1"]

    told = cli("retry", "ndots", "--cause", "abnormal", "--wave", "all", "--reason", "mended")

    assert told.lines == ["ndots: 1 are tried again; it is paused now"]
    assert "plugwave resume ndots" in told.err
    again = cli("retry", "ndots")
    assert (again.code, "under way already" in again.out) == (0, True)
    assert cli("resume", "ndots").lines == ["ndots: resumed; it is waiting now"]
    assert len(sends(cloud)) == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_paused_line_starts_nothing_and_says_who_paused_it(cli: Cli, start: Start) -> None:
    """In status, why and the second order, which leaves with 0."""
    cloud = start(installed=1.0, projects=1)
    assert cli("apply", write(cli, MANIFEST), "--yes", "--detach").code == 0

    first = cli("pause", "--all", "--reason", "the registry is down")
    second = cli("pause", "--all")

    assert first.lines == ["the line is stopped; nothing starts any more, what is in flight ends"]
    assert second.code == 0
    assert second.out.startswith("the line is already stopped since ")
    assert cli("work", "--until-empty").code == 0
    assert sends(cloud) == []
    shown = cli("status")
    assert shown.lines[0].startswith("NOTHING STARTS: the line was stopped by ")
    assert "the registry is down" in cli("why", "ndots").out
    assert "the registry is down" in cli("why", "job-1").out
    assert cli("status", "-o", "json").document["line_stop"]["why"] == "the registry is down"
    assert cli("pause").code == 2
    assert cli("resume", "--all").lines == ["the line is going on"]
    assert cli("work", "--until-empty").code == 0
    assert len(sends(cloud)) == 2
