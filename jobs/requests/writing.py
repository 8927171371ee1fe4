"""A stored request as callers write it: what `jobs.requests.parsing` reads as the same one."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jobs.model import InputsBase, JobRequest

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def request_body(request: JobRequest) -> dict[str, Any]:
    """Return the request as JSON, with its inputs; what is at its default is left out.

    The source is not part of it: it is named where a file is taken in.
    """
    target, wish = request.target, request.plugin
    plugin = {
        "name": wish.name,
        "version": wish.version,
        "inputs": None if wish.inputs is None else dict(wish.inputs),
        "base": None if wish.base is InputsBase.CURRENT else wish.base.value,
    }
    body = {
        "project_id": target.project_id,
        "pool_name": target.pool_name,
        "region": target.region,
        "plugin": _told(plugin),
        "profile": request.profile,
        "idempotency_key": request.idempotency_key,
        "priority": request.priority or None,
        "not_before": _instant(request.not_before_us),
        "deadline": request.deadline_s,
        "labels": dict(request.labels) or None,
    }
    return _told(body)


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _instant(instant_us: int | None) -> str | None:
    if instant_us is None:
        return None
    moment = _EPOCH + timedelta(microseconds=instant_us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
