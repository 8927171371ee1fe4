"""`schedules`, `when`, and `apply` of a schedule: what a person does, sees, and may rely on."""

import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.cli.running import Cli, Start
from tests.cli.test_rollouts import sends

SCHEDULE = """\
apiVersion: plugwave/v1
kind: Schedule
metadata: {name: weekly, labels: {change: CHG-1}}
spec:
  cron: "0 3 * * SUN"
  timeZone: Asia/Shanghai
  autoApply: LIMITS
  rollout:
    plugin:
      name: node-local-dns
      version: latest
      inputs: {merge: {custom: {ndots: "5"}, dbPassword: planted-secret}}
    targets: {ifAbsent: install}
    waves: [{name: rest, pick: {rest: true}}]
    stop: [{name: cap, failures: 2}]
    job: {verify: {settle: 0s, poll: {first: 100ms, max: 200ms}}}
"""
ROLLOUT = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: nightly}
spec:
  plugin: {name: volcano, version: latest}
  windows:
    - {name: night, start: "01:00", duration: 4h, timeZone: Europe/Berlin}
MORE
"""


def write(cli: Cli, text: str, name: str = "s.yaml") -> str:
    """Write a file and return its name."""
    (cli.folder / name).write_text(text)
    return name


def kept(cli: Cli, limits: str = "true") -> None:
    """Apply the weekly schedule."""
    assert cli("apply", write(cli, SCHEDULE.replace("LIMITS", limits))).code == 0


def test_apply_keeps_a_schedule_and_starts_nothing(cli: Cli) -> None:
    """No cloud is needed; the answer says when it ticks; the same again changes nothing."""
    name = write(cli, SCHEDULE.replace("LIMITS", "true"))

    first, second = cli("apply", name), cli("apply", name)

    assert (first.code, second.code) == (0, 0), first.err
    assert first.lines[0] == "schedule weekly: created; At 03:00 on Sunday, Asia/Shanghai"
    following = r"Next: Sun \d{4}-\d\d-\d\d 03:00 \+08:00, \S+T19:00:00\.000Z"
    assert re.fullmatch(following, first.lines[1])
    assert "No worker is alive" in first.err
    assert second.lines[0].startswith("schedule weekly: unchanged")
    assert cli("schedules", "list", "-o", "name").lines == ["weekly"]
    assert cli("status", "-o", "json").document["rollouts"] == []
    assert "planted-secret" not in cli("schedules", "show", "weekly", "-o", "json").out
    assert cli("apply", name, "--idempotency-key", "k").code == 2


def test_a_rollout_with_a_schedule_is_a_schedule(cli: Cli) -> None:
    """`schedule:` in a rollout's manifest says the same as `kind: Schedule`."""
    text = ROLLOUT.replace("MORE", '  schedule: {cron: "@daily", timeZone: Europe/Berlin}')
    told = cli("apply", write(cli, text))

    assert told.lines[0] == "schedule nightly: created; At 00:00 every day, Europe/Berlin"


def test_nothing_is_kept_of_what_nobody_would_do(cli: Cli) -> None:
    """A schedule whose rollout asks for what is not served is refused when it is applied."""
    text = SCHEDULE.replace("LIMITS", "true").replace(
        "targets: {", "notify: [{events: [paused], webhook: env:HOOK}]\n    targets: {"
    )

    assert cli("apply", write(cli, text)).code == 2
    cli("store", "migrate")
    assert cli("schedules", "list", "-o", "name").lines == []


def test_what_is_wrong_with_a_schedule_is_told_at_once(cli: Cli) -> None:
    """Line, column and advice, as in every manifest; no value of the inputs."""
    text = SCHEDULE.replace("LIMITS", "{poolsAtMots: 3, actions: [erase]}").replace(
        "0 3 * * SUN", "0 3 31 2 *"
    )
    told = cli("apply", write(cli, text.replace("timeZone: Asia/Shanghai", "timezone: Mars/One")))

    assert told.code == 2
    assert "s.yaml:5:9: cron: '0 3 31 2 *' is no cron line" in told.err
    assert "s.yaml:6:3: unknown field 'timezone' - did you mean 'timeZone'?" in told.err
    assert "did you mean 'poolsAtMost'?" in told.err
    assert "must be one of install, upgrade, downgrade, reconfigure" in told.err
    assert "planted-secret" not in told.err


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_plan_beyond_the_limits_waits_for_a_person(cli: Cli, start: Start) -> None:
    """The tick is planned, the plan is shown in list and status, and a person applies it.

    The fleet file was read when the schedule was applied, so that any machine may plan.
    """
    cloud = start()
    pools = [name.split("/") for name in cli("pools", "list", "-o", "name").lines]
    rows = [f"{project},{pool},{region}" for region, project, pool in pools]
    write(cli, "\n".join(["project_id,pool_name,region", *rows]), "fleet.csv")
    limits = "{poolsAtMost: 1, actions: [install]}"
    text = SCHEDULE.replace("LIMITS", limits).replace("targets: {", "targets: {file: fleet.csv, ")
    assert cli("apply", write(cli, text)).code == 0
    (cli.folder / "fleet.csv").unlink()
    assert cli("schedules", "run", "weekly", "--reason", "now").code == 0
    assert cli("work", "--until-empty").code == 0
    assert sends(cloud) == []

    listed, status = cli("schedules", "list").out, cli("status").out
    assert "waits for a person" in listed
    assert "4 pools would be changed, poolsAtMost is 1" in status
    digest = re.findall(r"plugwave apply ([0-9a-f]{12})", status)[0]
    assert "Next schedule: weekly, Sun " in status
    assert cli("apply", digest, "--yes").code == 0
    assert len(set(sends(cloud))) == 4
    assert cli("work", "--until-empty").code == 0

    (tick,) = cli("schedules", "show", "weekly", "-o", "json").document["ticks"]
    assert (tick["state"], tick["why"], tick["rollout"]) == ("ended", "succeeded", "ro-1")
    assert cli("schedules", "list").out.splitlines()[1].split()[1] == "on"


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_run_is_begun_by_a_worker_and_shown_with_its_end(cli: Cli, start: Start) -> None:
    """`schedules run` runs it now, also while it is paused; what has nothing to do says so."""
    cloud = start()
    kept(cli)
    assert cli("schedules", "pause", "weekly", "--reason", "freeze").lines == ["weekly: paused"]
    assert "already paused by" in cli("schedules", "pause", "weekly").out
    cli("schedules", "run", "weekly")
    assert cli("schedules", "run", "weekly").code == 7
    assert cli("work", "--until-empty").code == 0
    assert len(set(sends(cloud))) == 4
    cli("schedules", "run", "weekly")
    assert cli("work", "--until-empty").code == 0
    shown = cli("schedules", "show", "weekly")

    assert "paused" in shown.lines[0]
    assert "nothing" in shown.out
    assert "none of 4 pools would be changed" in shown.out
    assert "ended" in shown.out
    assert "the schedule was paused by" in cli("schedules", "list").out
    assert cli("schedules", "resume", "weekly").lines == ["weekly: resumed"]
    assert cli("schedules", "resume", "weekly").lines == ["weekly: already resumed"]
    assert cli("schedules", "delete", "weekly").code == 2
    assert cli("schedules", "delete", "weekly", "--yes").lines == ["weekly: removed"]
    assert cli("schedules", "show", "weekly").code == 6


def test_when_prints_the_next_seven_ticks_in_both_times(cli: Cli) -> None:
    """A week apart, in the schedule's zone and in UTC; `schedules next` prints five."""
    kept(cli)
    body = cli("when", "weekly", "-o", "json").document
    times = [datetime.fromisoformat(one["at"]) for one in body["ticks"]]

    assert len(times) == 7
    assert {later - one for one, later in pairwise(times)} == {timedelta(days=7)}
    assert all(" 03:00 +08:00" in one["local"] for one in body["ticks"])
    assert len(cli("schedules", "next", "weekly").lines) == 6
    assert cli("when", "nowhere").code == 6


def test_when_prints_the_openings_of_a_file(cli: Cli) -> None:
    """Before anything is applied a manifest says when its jobs could start."""
    text = ROLLOUT.replace("MORE", '  schedule: {cron: "@daily", timeZone: Europe/Berlin}')
    lines = cli("when", write(cli, text), "--count", "2").lines

    assert lines[0] == "nightly   At 00:00 every day, Europe/Berlin"
    assert lines[3] == "Jobs may start in every region:"
    assert " 01:00 +0" in "".join(lines[4:]) or "now" in lines[4]
    assert len(lines) == 6
    bare = ROLLOUT.replace("MORE", "").split("  windows:")[0]
    assert "at any time" in cli("when", write(cli, bare)).out
