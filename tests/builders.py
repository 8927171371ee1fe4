"""Requests and jobs for tests: what does not matter is filled in, what matters is visible."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from jobs.model import InputsBase, Job, JobId, JobRequest, PluginWish, Target
from jobs.states import JobState
from tests.planted import INPUTS

PROJECT = "0" * 32
NOON_US = 1_795_521_600_000_000
"""2026-11-24T12:00:00Z, where test clocks start."""


def digest(*facts: Any) -> str:
    """Return the SHA-256 (hex) over the canonical JSON of *facts*."""
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def a_request(
    pool: str = "pool-a",
    project: str = PROJECT,
    plugin: str = "node-local-dns",
    version: str | None = "1.6.36",
    key: str | None = None,
    source: str = "test",
    *,
    region: str | None = None,
    inputs: Mapping[str, Any] | None = INPUTS,
    base: InputsBase = InputsBase.CURRENT,
    **more: Any,
) -> JobRequest:
    """Return one acceptable request; *more* are further fields of `JobRequest`."""
    wish = (region, project, pool, plugin, version, inputs)
    extras = {name: value for name, value in more.items() if name != "fingerprint"}
    facts: dict[str, Any] = {
        "fingerprint": digest(*wish, base, extras),
        "natural_key": digest(*wish),
        **more,
    }
    return JobRequest(
        target=Target(project_id=project, pool_name=pool, region=region),
        plugin=PluginWish(name=plugin, version=version, inputs=inputs, base=base),
        source=source,
        idempotency_key=key,
        **facts,
    )


def a_job(
    state: JobState = JobState.READY,
    *,
    number: int = 1,
    request: JobRequest | None = None,
    **more: Any,
) -> Job:
    """Return job *number* in *state*; *more* are further fields of `Job`."""
    facts: dict[str, Any] = {"created_us": NOON_US, **more}
    return Job(id=JobId(number), request=request or a_request(), state=state, **facts)
