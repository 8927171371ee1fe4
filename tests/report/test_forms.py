"""A report tells what became of a rollout, in forms that no text from outside can break out of."""

import csv
import io
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest

from config.masking import masked_inputs
from jobs.clock import MICROSECONDS
from jobs.model import Job, JobId, PluginSeen, PoolSeen, Progress, RolloutId, Target
from jobs.requests import canonical
from jobs.rollout_states import RolloutEvent, RolloutState, WaveEvent, WaveState
from jobs.rollouts.course import planned_jobs
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import Terms, make_plan
from jobs.rollouts.reading import read_manifest
from jobs.states import JobState
from jobs.store.rollouts import (
    Approved,
    RecordEntry,
    RolloutKind,
    RolloutRow,
    Tally,
    WaveRow,
    Word,
)
from tests.builders import NOON_US, PROJECT
from worker.report.facts import Read, facts_of
from worker.report.html import html
from worker.report.junit import junit
from worker.report.markdown import markdown
from worker.report.tabular import COLUMNS, csv_text

SCRIPT = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"
BROKEN = f"{SCRIPT} ]]> & \x00\x1b[31m password=planted-secret"
PLANTED = ("planted-secret", "planted-input")
MINUTE_US = 60 * MICROSECONDS

MANIFEST = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: volcano-1-15-8}
spec:
  plugin:
    name: volcano
    version: "1.15.8"
    inputs: {merge: {adminPassword: planted-secret, motd: planted-input}}
  waves:
    - {name: canary, pick: {count: 1}, tolerate: 0}
    - {name: rest, pick: {rest: true}}
  stop: [{name: cap, failures: 2}]
"""


def observed(name: str, *, version: str = "1.14.5", blocked: str | None = None) -> Observed:
    """Return a pool whose display name is a formula."""
    return Observed(
        target=Target(project_id=PROJECT, pool_name=name, region="cn-north-4"),
        pool=PoolSeen(name=name, display_name=FORMULA, phase="Running"),
        plugin=PluginSeen(name="volcano", version=version, phase="Running", inputs={"a": "1"}),
        looked=True,
        offers=(Offer(version="1.15.8"), Offer(version="1.14.5")),
        blocked=blocked,
    )


def a_plan() -> Plan:
    """Return a plan of two waves, with one pool left out."""
    pools = [observed(f"pool-{n}") for n in range(4)]
    pools.append(observed("pool-9", blocked=f"it is frozen {SCRIPT}"))
    terms = Terms(now_us=NOON_US, mask=masked_inputs)
    return make_plan(read_manifest(MANIFEST.encode(), "a.yaml"), pools, terms)


def a_job(plan: Plan, number: int, state: JobState, **progress: Any) -> Job:
    """Return the job of the n-th planned pool as it ended."""
    planned = list(planned_jobs(plan))[number]
    facts = {
        "version_from": "1.14.5",
        "version": "1.15.8",
        "sends": 1,
        "inputs": {"adminPassword": "planted-secret", "motd": "planted-input"},
        "inputs_changed": ("motd",),
        **progress,
    }
    return Job(
        id=JobId(number + 1),
        request=planned.request,
        state=state,
        created_us=NOON_US,
        started_us=NOON_US + MINUTE_US,
        finished_us=NOON_US + 3 * MINUTE_US,
        progress=Progress(**facts),
        rollout=RolloutId(7),
        wave=planned.wave,
    )


WHY = "canary tolerates 0: 1 of 1 ended jobs of wave canary failed"
RULE = {
    "rule": "canary tolerates 0", "failed": 1, "finished": 1, "allowed": 0, "in_flight": 0,
    "why": WHY, "by": "rule canary tolerates 0",
}  # fmt: skip


def a_read() -> Read:
    """Return a rollout that its canary has stopped, as a store has it."""
    plan = a_plan()
    waves = (
        WaveRow(
            n=0,
            state=WaveState.FAILED,
            tally=Tally(size=1, admitted=1, failed=1, failures=1),
            opened_us=NOON_US,
            ended_us=NOON_US + 3 * MINUTE_US,
            approvals=(Approved(word=Word(by=f"ana {SCRIPT}", why=BROKEN), at_us=NOON_US),),
            facts={"rule": RULE},
        ),
        WaveRow(n=1, state=WaveState.PENDING, tally=Tally(size=3, succeeded=1, unresolved=1)),
    )
    row = RolloutRow(
        id=RolloutId(7),
        name="volcano-1-15-8",
        kind=RolloutKind.ROLLOUT,
        plan=plan.digest,
        state=RolloutState.PAUSED,
        rev=5,
        created_us=NOON_US,
        waves=waves,
        facts={"stop": RULE},
        labels={"change": f"CHG-1 {SCRIPT}"},
    )
    record = [
        _entry(1, "planned", None, {"by": f"ana {SCRIPT}", "why": BROKEN, "where": "sre-3"}),
        _entry(2, RolloutEvent.HELD, None, {"holds": [{"reason": "bake", "text": "it bakes"}]}),
        _entry(3, WaveEvent.BROKEN, 0, {"rule": RULE}),
        _entry(4, RolloutEvent.PAUSED, None, RULE),
        _entry(5, "word-of-tomorrow", None, {}),
    ]
    jobs = [
        a_job(plan, 0, JobState.FAILED, cause="abnormal", detail=BROKEN, phase="Abnormal",
              cloud_request_id="9c1f", http_status=200),
        a_job(plan, 1, JobState.SUCCEEDED),
        a_job(plan, 2, JobState.UNRESOLVED, cause="deadline", detail="-2+3"),
    ]  # fmt: skip
    restoring = replace(row, id=RolloutId(8), kind=RolloutKind.ROLLBACK, of=row.id)
    return Read(
        row=row,
        plan=plan,
        record=record,
        jobs={job.request.target: job for job in jobs},
        restoring=[restoring],
        now_us=NOON_US + 10 * MINUTE_US,
    )


def _entry(seq: int, event: str, wave: int | None, data: dict[str, Any]) -> RecordEntry:
    return RecordEntry(seq=seq, at_us=NOON_US + seq, event=event, wave=wave, data=data)


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """Return the facts of that rollout."""
    return facts_of(a_read())


FORMS = {"html": html, "md": markdown, "junit": junit, "csv": csv_text, "json": canonical}


@pytest.mark.parametrize("form", list(FORMS))
def test_no_form_tells_inputs_or_secrets(facts: dict[str, Any], form: str) -> None:
    """Neither those of the manifest, nor what was sent, nor one in the words of the cloud."""
    written = FORMS[form](facts)
    text = written.decode() if isinstance(written, bytes) else written

    assert not [word for word in PLANTED if word in text]
    assert "\x1b" not in text
    assert "\x00" not in text


def test_the_facts_say_who_what_why_and_by_which_numbers(facts: dict[str, Any]) -> None:
    """A reader needs nothing else, and a script finds every number."""
    assert facts["state"] == "paused"
    assert facts["verdict"] == 5
    assert facts["stopped_by"] == WHY
    assert facts["started_by"]["by"] == f"ana {SCRIPT}"
    assert facts["started_by"]["where"] == "sre-3"
    assert facts["counts"]["broken"] == 2
    assert facts["counts"]["left_out"] == 1
    assert facts["waves"][0]["evidence"] == WHY
    broken = next(one for one in facts["record"] if one["event"] == "broken")
    assert broken["evidence"] == {"failed": 1, "finished": 1, "allowed": 0, "in_flight": 0}
    assert [one["what"] for one in facts["record"]][-1] == "word-of-tomorrow"
    assert facts["restoring"][0]["rollout"] == "ro-8"
    assert {one["cause"] for one in facts["causes"]} == {"abnormal", "deadline"}
    assert all(one["do"] for one in facts["causes"])
    outcomes = sorted(one["outcome"] for one in facts["pools"])
    assert outcomes == ["blocked", "failed", "succeeded", "unresolved", "upgrade"]
    assert orjson.loads(canonical(facts))["kind"] == "report"


def test_the_page_needs_nothing_and_runs_nothing(facts: dict[str, Any]) -> None:
    """No script, no style sheet, font or picture from elsewhere; every text is escaped."""
    page = html(facts)

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href|url)\s*[=(]""", page)
    assert not re.findall(r"\son\w+=", page)
    assert page.count("<svg") == len(facts["waves"]) + 1
    assert WHY in page


def test_a_page_of_a_rollout_that_has_not_begun_can_be_drawn() -> None:
    """Nothing has a time yet, and nothing has ended."""
    read = a_read()
    waves = [
        WaveRow(n=n, state=WaveState.PENDING, tally=Tally(size=size))
        for n, size in ((0, 1), (1, 3))
    ]
    row = replace(read.row, waves=tuple(waves), facts={}, state=RolloutState.WAITING)
    told = facts_of(replace(read, row=row, jobs={}, record=[], restoring=[]))

    assert "Rollout volcano-1-15-8: waiting" in html(told)
    assert "unknown on unknown" in markdown(told)
    assert told["verdict"] is None


def test_junit_has_one_case_for_each_pool(facts: dict[str, Any]) -> None:
    """Failed is a failure, unresolved an error, what was not done is skipped."""
    suite = ET.fromstring(junit(facts)).find("testsuite")

    assert suite is not None
    assert suite.attrib["tests"] == "5"
    counted = {name: suite.attrib[name] for name in ("failures", "errors", "skipped")}
    assert counted == {"failures": "1", "errors": "1", "skipped": "2"}
    names = {case.attrib["name"] for case in suite.findall("testcase")}
    assert f"cn-north-4/{PROJECT}/pool-9" in names
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "abnormal"
    assert SCRIPT in failure.attrib["message"]
    assert "request: 9c1f" in (failure.text or "")


def test_no_cell_of_the_table_is_run_by_a_spreadsheet(facts: dict[str, Any]) -> None:
    """A text that begins like a formula gets an apostrophe before it."""
    rows = list(csv.DictReader(io.StringIO(csv_text(facts))))

    assert len(rows) == 5
    assert tuple(rows[0]) == COLUMNS
    assert {row["display_name"] for row in rows} == {f"'{FORMULA}"}
    assert "'-2+3" in {row["why"] for row in rows}
    for row in rows:
        assert not [cell for cell in row.values() if cell.lstrip()[:1] in set("=+-@")]


def test_no_text_breaks_out_of_a_cell_of_the_ticket() -> None:
    """Bars, links, headings and tags stay what somebody has typed."""
    read = a_read()
    word = {"by": "a|b", "why": "[x](http://e.invalid) ![y](z) # `c` <b>", "where": "h"}
    text = markdown(facts_of(replace(read, record=[_entry(1, "planned", None, word)])))

    assert "a\\|b" in text
    assert "\\[x\\](http://e.invalid) \\!\\[y\\](z) \\# \\`c\\` &lt;b>" in text
    assert "<script" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)
