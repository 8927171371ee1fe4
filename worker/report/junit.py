"""A report as JUnit XML: one test case for each pool, as CI systems read it."""

from typing import Any
from xml.etree import ElementTree as ET  # it writes here, and reads nothing

from jobs.states import JobState

SKIPPED = frozenset({JobState.SKIPPED, JobState.CANCELLED})


def junit(facts: dict[str, Any]) -> str:
    """Return the report as one test suite.

    A pool that failed is a failure, one that nobody can tell about an error; what was left
    out, cancelled or has not ended is skipped; what was changed or already right has passed.
    """
    pools = facts["pools"]
    cases = [_case(facts, pool) for pool in pools]
    counts = {
        "tests": str(len(pools)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{facts['took_s'] or 0:.3f}",
    }
    name = f"plugwave {facts['name']}"
    whole = ET.Element("testsuites", {"name": name, **counts})
    suite = ET.SubElement(
        whole,
        "testsuite",
        {"name": name, "timestamp": facts["created_at"].removesuffix("Z"), **counts},
    )
    properties = ET.SubElement(suite, "properties")
    for key in ("rollout", "state", "plan", "plugin", "version", "stopped_by"):
        value = {"name": key, "value": str(facts[key] or "")}
        ET.SubElement(properties, "property", value)
    suite.extend(cases)
    ET.indent(whole)
    body = ET.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(facts: dict[str, Any], pool: dict[str, Any]) -> ET.Element:
    place = [pool["region"] or "", pool["project_id"], pool["pool_name"]]
    case = ET.Element(
        "testcase",
        {
            "classname": f"{facts['name']}.{pool['wave'] or 'left-out'}",
            "name": "/".join(part for part in place if part),
            "time": f"{pool['run_s'] or 0:.3f}",
        },
    )
    outcome, why = pool["outcome"], pool["why"] or pool["outcome"]
    if outcome in {JobState.FAILED, JobState.UNRESOLVED}:
        kind = "failure" if outcome == JobState.FAILED else "error"
        told = {"message": why, "type": pool["cause"] or "unknown"}
        ET.SubElement(case, kind, told).text = _proof(pool)
    elif not (pool["ok"] or outcome == "no-op") or outcome in SKIPPED:
        ET.SubElement(case, "skipped", {"message": f"{outcome}: {why}"})
    return case


def _proof(pool: dict[str, Any]) -> str:
    facts = {
        "job": pool["job"],
        "version": f"{pool['version_from'] or 'none'} -> {pool['version_to'] or '?'}",
        "attempts": pool["attempts"],
        "HTTP status": pool["http_status"],
        "cloud's code": pool["error_code"],
        "request": pool["cloud_request_id"],
    }
    return "\n".join(f"{key}: {value}" for key, value in facts.items() if value is not None)
