"""From a JSON object to a `JobRequest`, or to everything that is wrong with it at once."""

import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from jobs.model import InputsBase, JobRequest, PluginWish, Target
from jobs.requests.body import JobRequestBody
from jobs.requests.defaults import NO_DEFAULTS, Defaults
from jobs.requests.explaining import explained
from jobs.requests.identity import canonical, fingerprint, natural_key
from jobs.requests.problems import Problem, kind, refusal
from jobs.requests.strictjson import depth_exceeds

PROBLEM_KEY: Final = "_problem"
"""The one foreign field that is ignored: `jobs.intake.rejects` writes reasons there."""

INPUTS_LIMIT_BYTES: Final = 64 * 1024
INPUTS_MAX_DEPTH: Final = 20

_PLAIN_TYPES: Final = frozenset({str, int, bool, type(None)})


def parse_request(value: object, *, source: str, defaults: Defaults = NO_DEFAULTS) -> JobRequest:
    """Return the request that *value*, a JSON object, describes.

    Args:
        value: What `jobs.requests.strictjson.loads` returned; any mapping is taken.
        source: Who asks; the scope of idempotency keys.
        defaults: What the request gets that it does not say.

    Raises:
        BadRequestError: With every `Problem` at once, see `problems_of`.
    """
    if not isinstance(value, Mapping):
        message = f"a job request is a JSON object, not {kind(value)}"
        raise refusal([Problem(path="", message=message)])
    document = dict(value)
    document.pop(PROBLEM_KEY, None)
    try:
        body = JobRequestBody.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        inputs_json, problem = _inputs_json(body.plugin.inputs)
        if problem is None:
            return _request(body, source, inputs_json, defaults)
        raise refusal([problem])
    # Outside the handler: the foreign error holds the whole request, inputs included.
    raise refusal([*explained(details, document), *_inputs_problems(document)])


def _request(
    body: JobRequestBody, source: str, inputs_json: bytes, defaults: Defaults
) -> JobRequest:
    wanted = body.plugin
    profile = body.profile or defaults.profile
    region = body.region or defaults.region_of(profile)
    target = Target(project_id=body.project_id, pool_name=body.pool_name, region=region)
    plugin = PluginWish(
        name=wanted.name,
        version=wanted.version,
        inputs=wanted.inputs,
        base=wanted.base or InputsBase.CURRENT,
    )
    terms: dict[str, Any] = {
        "profile": profile,
        "priority": body.priority or 0,
        "not_before_us": body.not_before,
        "deadline_s": body.deadline,
        "labels": body.labels or {},
    }
    return JobRequest(
        target=target,
        plugin=plugin,
        fingerprint=fingerprint(target, plugin, terms, inputs_json=inputs_json),
        natural_key=natural_key(target, plugin, profile=profile, inputs_json=inputs_json),
        source=source,
        idempotency_key=body.idempotency_key,
        **terms,
    )


def _inputs_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the inputs of a request that has other problems."""
    plugin = document.get("plugin")
    inputs = plugin.get("inputs") if isinstance(plugin, dict) else None
    _, problem = _inputs_json(inputs if isinstance(inputs, dict) else None)
    return [problem] if problem else []


def _inputs_json(inputs: Mapping[str, Any] | None) -> tuple[bytes, Problem | None]:
    """Return the canonical JSON of the inputs, or what is wrong with them; never their values."""
    message = _inputs_trouble(inputs)
    if message is None:
        try:
            written = canonical(inputs)
        except TypeError:  # its text may show a value
            message = "hold something that is not JSON: a key, a text or a large number"
        else:
            if len(written) <= INPUTS_LIMIT_BYTES:
                return written, None
            message = f"are {len(written)} bytes of JSON; at most {INPUTS_LIMIT_BYTES} are taken"
    return b"", Problem(path="plugin.inputs", message=f"the inputs of the plug-in {message}")


def _inputs_trouble(inputs: object) -> str | None:
    """Look at the depth and at the type of every value."""
    if depth_exceeds(inputs, INPUTS_MAX_DEPTH):
        return f"have more than {INPUTS_MAX_DEPTH} levels of objects and lists"
    todo: list[Any] = [inputs]
    while todo:
        item = todo.pop()
        item_type = type(item)
        if item_type in _PLAIN_TYPES:
            continue
        if item_type is dict:
            todo.extend(item.values())
        elif item_type is list:
            todo.extend(item)
        elif item_type is not float:
            return f"hold something that is not JSON: a {item_type.__name__}"
        elif not math.isfinite(item):
            return "hold a number that is not finite"
    return None
