"""`apply` and what steers a rollout: what a person does, sees, and a script can rely on."""

import pytest

from jobs.rollouts.plan import read_plan
from tests.cli.running import Cli, Ran, Start
from worker.cli.console import Console
from worker.simulator import Simulator

MANIFEST = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: ndots, labels: {change: CHG-1}}
spec:
  plugin:
    name: node-local-dns
    version: "1.6.63"
    inputs: {merge: {custom: {ndots: "5"}, dbPassword: planted-secret}}
  targets: {ifAbsent: install}
  waves:
    - {name: canary, pick: {count: 1}, tolerate: 0}
    - {name: rest, pick: {rest: true}}
  stop: [{name: cap, failures: 2}]
  job: {verify: {settle: 0s, abnormalGrace: 200ms, poll: {first: 100ms, max: 200ms}}}
"""
GATED = MANIFEST.replace("tolerate: 0}", "tolerate: 0, after: [{approval: {}}]}")


def write(cli: Cli, text: str = MANIFEST) -> str:
    """Write the manifest and return its name."""
    (cli.folder / "r.yaml").write_text(text)
    return "r.yaml"


def sends(cloud: Simulator) -> list[str]:
    """Return the pools that were written to, in order."""
    entries = cloud.journal.entries()
    return [str(one["pool_name"]) for one in entries if one["method"] in {"POST", "PATCH"}]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_apply_runs_the_rollout_to_its_verdict(cli: Cli, start: Start) -> None:
    """Without a worker the command is one; it tells each change once and leaves with 0."""
    cloud = start()

    ran = cli("apply", write(cli), "--yes")

    assert ran.code == 0, ran.err
    assert ran.lines[0].startswith("Rollout ndots ended SUCCEEDED: 4 of 4 pools changed")
    assert len(sends(cloud)) == len(set(sends(cloud))) == 4
    assert "rollout started ro=ndots plan=" in ran.err
    assert "wave 1/2 canary started pools=1" in ran.err
    assert "wave 2/2 rest passed" in ran.err
    assert ran.err.count("/4] ok") == 4
    assert "planted-secret" not in ran.out + ran.err
    again = cli("apply", "r.yaml", "--yes")
    assert again.code == 0
    assert again.lines == ["Nothing to do: none of 4 pools would be changed."]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_failed_canary_stops_it_with_5_and_says_by_which_rule(cli: Cli, start: Start) -> None:
    """The exit code is the verdict; status, why and watch tell the same."""
    cloud = start(bad_pools=1.0, fail_s=100.0)

    ran = cli("apply", write(cli), "--yes")

    assert ran.code == 5, ran.err
    assert "canary tolerates 0: 1 of 1 ended jobs of wave canary failed" in ran.out
    assert len(set(sends(cloud))) == 1
    assert "[1/4] FAILED pool-" in ran.err
    shown = cli("status")
    assert "paused (by a rule)" in shown.out
    assert "1/4" in shown.out
    why = cli("why", "ndots")
    assert why.lines[0] == "ndots is paused: 1 of 4 pools have ended."
    assert "canary tolerates 0" in why.lines[1]
    assert cli("watch", "ndots", "--timeout", "1s").code == 5
    page = cli.folder / "report.html"
    assert cli("report", "ndots", "--format", "html", "--out", str(page)).code == 0
    assert "canary tolerates 0: 1 of 1 ended jobs" in page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o077 == 0
    assert cli("report", "ndots", "--format", "junit").out.count("<testcase") == 4
    report = cli("report", "ndots", "-o", "json").document
    assert (report["schema"], report["counts"]["broken"]) == ("plugwave/v1", 1)
    assert cli("report", "ndots", "--format", "csv", "-o", "json").code == 2
    assert cli("report", "nobody").code == 6
    told = cli("abort", "ndots", "--reason", "wrong version")
    assert told.lines == ["ndots: aborted; it is aborting now"]


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, cli: Cli, *arguments: str) -> Ran:
    """Run a command as if both streams were a terminal of 100 columns."""
    with monkeypatch.context() as patched:
        patched.setattr(Console, "live", property(lambda _: True))
        patched.setenv("COLUMNS", "100")
        patched.setenv("FORCE_COLOR", "1")  # rich draws on what it takes for a terminal
        return cli(*arguments)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_orders_are_repeatable_and_approvals_let_it_go_on(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two equal orders says who was first, changes nothing and leaves with 0."""
    cloud = start()
    rehearsed = cli("rehearse", write(cli, GATED), "--runs", "1", "-o", "json").document
    assert (rehearsed["pools"], rehearsed["durations"], sends(cloud)) == (4, "assumed", [])
    begun = cli("apply", "r.yaml", "--yes", "--detach", "-o", "name")
    assert begun.lines == ["ndots"]
    assert "No worker is alive" in begun.err

    assert cli("pause", "ndots", "--reason", "lunch").lines == ["ndots: paused; it is paused now"]
    second = cli("pause", "ndots")
    assert second.code == 0
    assert second.out.startswith("ndots: already paused by ")
    assert cli("work", "--until-empty").code == 0
    assert sends(cloud) == []
    assert "lunch" in cli("why", "ndots").out

    cli("resume", "ndots")
    assert cli("work", "--until-empty").code == 0
    assert len(sends(cloud)) == 1
    why = cli("why", "ndots")
    assert "wave canary waits for approval" in why.out
    drawn = _on_a_terminal(monkeypatch, cli, "watch", "ndots", "--timeout", "100ms")
    assert drawn.code == 8
    assert "wave canary waits for approval" in drawn.err
    assert "Ctrl-C stops following; the rollout goes on" in drawn.err
    assert drawn.lines[0].startswith("Rollout ndots is WAITING: 1 of 4 pools changed")
    assert "plugwave approve ndots --wave 1" in why.out
    waiting = cli("jobs", "list", "--state", "waiting", "-o", "name").lines[0]
    assert "wave canary waits for approval" in cli("why", waiting).out
    assert cli("watch", "ndots", "--timeout", "0s").code == 8

    assert cli("approve", "ndots", "--plan", "ffffff").code == 7
    assert cli("approve", "ndots").lines == ["wave canary of ndots: approved; it is waiting now"]
    assert cli("approve", "ndots", "--wave", "canary").out.startswith(
        "wave canary of ndots: already approved by "
    )
    assert cli("work", "--until-empty").code == 0
    assert len(sends(cloud)) == 4
    body = cli("status", "ndots", "-o", "json").document
    assert (body["state"], body["waves"][0]["state"]) == ("succeeded", "passed")
    assert cli("pause", "ndots").code != 0


@pytest.mark.slow
def test_two_persons_of_a_group_approve(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings say who is in it; who approved, why, and what there was to see is shown."""
    cloud = start()
    gate = "tolerate: 0, before: [{approval: {groups: [sre], count: 2, fourEyes: true}}]}"
    (cli.folder / "plugwave.toml").write_text('[approvals.groups]\nsre = ["ana", "ben", "sam"]\n')
    monkeypatch.chdir(cli.folder)
    person = "LOGNAME"
    monkeypatch.setenv(person, "sam")
    text = MANIFEST.replace("tolerate: 0}", gate)
    assert cli("apply", write(cli, text), "--yes", "--detach").code == 0

    own = cli("approve", "ndots", "--wave", "canary")
    monkeypatch.setenv(person, "eve")
    other = cli("approve", "ndots", "--wave", "canary")
    assert (own.code, other.code) == (5, 5)
    assert "sam started the rollout" in own.err
    assert "eve is in none of its groups: sre" in other.err
    monkeypatch.setenv(person, "ana")
    first = cli("approve", "ndots", "--wave", "canary", "--reason", "CHG-1 is green")
    assert first.lines == ["wave canary of ndots: approved, 1 more needed; it is waiting now"]
    assert cli("approve", "ndots", "--wave", "canary").out.startswith(
        "wave canary of ndots: already approved by ana at "
    )
    assert cli("work", "--until-empty").code == 0
    assert sends(cloud) == []
    why = cli("why", "ndots").out
    assert "2 approvals by sre, not by sam (1 of 2: ana)" in why
    monkeypatch.setenv(person, "ben")
    assert cli("approve", "ndots").lines == ["wave canary of ndots: approved; it is waiting now"]

    shown = cli("status", "ndots")
    assert "wave canary approved by ana (sre) at " in shown.out
    assert "seeing 0/4 ended, 0 failed: CHG-1 is green" in shown.out
    given = cli("status", "ndots", "-o", "json").document["waves"][0]["approvals"]
    assert [one["by"] for one in given] == ["ana", "ben"]
    assert cli("work", "--until-empty").code == 0
    assert len(sends(cloud)) > 0


@pytest.mark.slow
def test_broken_glass_beats_a_freeze_from_a_calendar_file(cli: Cli, start: Start) -> None:
    """The file's event holds the rollout by its name, until somebody orders otherwise, with why."""
    cloud = start()
    event = "SUMMARY:Quiet years\nDTSTART:20260101T000000Z\nDTEND:29990101T000000Z\n"
    calendar = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{event}END:VEVENT\nEND:VCALENDAR\n"
    (cli.folder / "freeze.ics").write_text(calendar.replace("DTEND", "RDATE"))
    text = MANIFEST + "  freezes: [{name: company, ics: freeze.ics}]\n"
    wrong = cli("plan", write(cli, text))
    assert wrong.code == 2
    assert "error[MAN-11]: freeze.ics:5:1: RDATE is not understood here" in wrong.err

    (cli.folder / "freeze.ics").write_text(calendar)
    assert "company: 1 event of freeze.ics" in cli("plan", "r.yaml").out
    assert cli("apply", "r.yaml", "--yes", "--detach").code == 0
    assert cli("work", "--until-empty").code == 0
    assert "freeze company (Quiet years)" in cli("why", "ndots").out
    assert sends(cloud) == []

    assert cli("resume", "ndots", "--break-glass").code == 2
    assert cli("resume", "ndots", "--break-glass", "--reason", "INC-7").code == 0
    assert "the glass was broken by" in cli("why", "ndots").out
    worked = cli("work", "--until-empty", "--log-format", "json")
    assert worked.code == 0
    assert worked.err.count('"event":"rollout.glass_broken"') == 1
    assert "INC-7" in worked.err
    assert len(sends(cloud)) > 0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_stale_plan_is_refused_with_what_moved(cli: Cli, start: Start) -> None:
    """A plan is of one fleet: when that has moved, nothing is started (PLAN-04, exit 7)."""
    cloud = start()
    write(cli)
    assert cli("plan", "r.yaml", "--out", "p.json").code == 0
    plan = read_plan((cli.folder / "p.json").read_bytes(), "p.json")
    assert cli("apply", "p.json", "--yes", "--detach").code == 0
    again = cli("apply", plan.digest[:12], "--yes", "--detach")
    assert again.code == 0
    assert "started before" in again.out
    assert cli("work", "--until-empty").code == 0

    stale = cli("apply", "p.json", "--yes")
    assert stale.code == 7
    assert "PLAN-04" in stale.err
    assert f"{plan.acting[0].pool_name} is now 1.6.63" in stale.err
    assert len(sends(cloud)) == 4


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_one_key_is_one_rollout(cli: Cli, start: Start) -> None:
    """A cron job that runs twice starts one rollout; another manifest with the key is refused."""
    start()
    first = cli("apply", write(cli), "--yes", "--detach", "--idempotency-key", "week-47")
    second = cli("apply", "r.yaml", "--yes", "--detach", "--idempotency-key", "week-47")
    assert (first.code, second.code) == (0, 0)
    assert len(cli("status", "-o", "name").lines) == 1

    text = MANIFEST.replace("name: ndots,", "name: other,").replace("failures: 2", "failures: 1")
    assert cli("apply", write(cli, text), "--yes", "--idempotency-key", "week-47").code == 7


@pytest.mark.slow
def test_nothing_starts_of_what_nobody_would_do(cli: Cli, start: Start) -> None:
    """A manifest that relies on a term this version does not honour is refused, by field."""
    cloud = start()
    text = MANIFEST + "  notify: [{events: [paused], webhook: env:HOOK}]\n"

    ran = cli("apply", write(cli, text), "--yes")

    assert ran.code == 2
    assert "spec.notify" in ran.err
    assert sends(cloud) == []


def test_without_a_terminal_nobody_is_asked(cli: Cli, start: Start) -> None:
    """In CI the command says that it needs --yes instead of waiting for an answer."""
    start()

    ran = cli("apply", write(cli))

    assert ran.code == 2
    assert "--yes" in ran.err


def test_an_unknown_rollout_is_told(cli: Cli, start: Start) -> None:
    """Exit 6, as for every name that there is not."""
    start()
    cli("store", "migrate")
    for command in ("status", "watch", "pause", "resume", "abort", "approve"):
        assert cli(command, "nowhere").code == 6, command
