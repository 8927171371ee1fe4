"""When two requests are the same.

Both digests are SHA-256 (hex) over canonical JSON: UTF-8, no spaces, keys sorted by code
point at every level, defaults filled in, times as microseconds and durations as seconds.
So neither the order of keys nor the way a time is written makes a difference, while ``1``
and ``1.0`` stay apart, because the cloud is sent what was written.

* The *fingerprint* says whether a repeated idempotency key comes with the same content.  It
  covers everything but the key and the source: target, profile, plug-in, base, priority,
  not_before, deadline and labels.
* The *natural key* joins requests without a key to an equal open job: region, project, pool,
  profile, plug-in, version, base and inputs.

Both are of the request as it is stored, with region and profile filled in: a line that means
another pool or account than before is not the same, however equal it looks.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from jobs.model import PluginWish, Target

_NO_INPUTS: Final = b"null"


def canonical(value: object) -> bytes:
    """Return the canonical JSON of a JSON value.

    Raises:
        TypeError: If it holds something that is not JSON.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def canonical_inputs(plugin: PluginWish) -> bytes:
    """Return the canonical JSON of the plug-in's inputs; ``null`` when there are none."""
    return _NO_INPUTS if plugin.inputs is None else canonical(plugin.inputs)


def fingerprint(
    target: Target,
    plugin: PluginWish,
    terms: Mapping[str, Any],
    *,
    inputs_json: bytes | None = None,
) -> str:
    """Return the digest of everything that makes two requests the same.

    Args:
        target: The pool.
        plugin: The change.
        terms: ``profile``, ``priority``, ``not_before_us``, ``deadline_s`` and ``labels``.
        inputs_json: `canonical_inputs` of *plugin* where the caller has it already.
    """
    # Without a profile the digest is the one that it was before there were profiles.
    told = {name: value for name, value in terms.items() if (name, value) != ("profile", None)}
    content = {
        **told,
        "target": [target.region, target.project_id, target.pool_name],
        "plugin": [plugin.name, plugin.version, plugin.base.value],
        "inputs": orjson.Fragment(inputs_json or canonical_inputs(plugin)),
    }
    return hashlib.sha256(canonical(content)).hexdigest()


def natural_key(
    target: Target,
    plugin: PluginWish,
    *,
    profile: str | None = None,
    inputs_json: bytes | None = None,
) -> str:
    """Return the digest of what the request asks of which pool; arguments as in `fingerprint`."""
    content: list[object] = [
        [target.region, target.project_id, target.pool_name],
        [plugin.name, plugin.version, plugin.base.value],
        hashlib.sha256(inputs_json or canonical_inputs(plugin)).hexdigest(),
    ]
    if profile is not None:
        content.append(profile)
    return hashlib.sha256(canonical(content)).hexdigest()
