"""What a fault makes of an answer: the bytes for every way to answer badly."""

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.acceptance.chaos_faults import Form
from tests.acceptance.chaos_wire import HEAD_END, answer, error_body

HTML: Final = b"<html><head><title>Gateway</title></head><body><h1>Please wait</h1></body></html>"

WRONG_LISTS: Final = (
    "[]",
    "{}",
    "null",
    "42",
    '"ok"',
    '{"kind": "PluginList", "items": "none"}',
    '{"kind": "PluginList", "items": {"name": "x"}}',
    '{"kind": "PluginList", "items": [3]}',
    '{"kind": "PluginList", "items": null}',
)
"""Answers 200 to a list call that are no list: none of them says that a plug-in is absent."""

WRONG_PLUGINS: Final = (
    "[]",
    "null",
    "42",
    '"created"',
    '{"kind": "Plugin", "spec": {"template": {"name": 5}}}',
    '{"kind": "Plugin", "spec": {"template": {"name": "somebody-else"}}}',
    '{"kind": "PluginList", "items": []}',
)
"""Answers 200 to a send that do not tell of the plug-in that was sent."""

FIXED: Final[Mapping[Form, bytes]] = MappingProxyType(
    {
        Form.EMPTY: answer(200, b"", request_id=None),
        Form.HTML: answer(200, HTML, request_id=None, content_type="text/html"),
        Form.HTML_502: answer(502, HTML, request_id=None, content_type="text/html"),
        Form.THROTTLED_HTML: answer(429, HTML, request_id=None, content_type="text/html"),
        Form.ERROR_500: answer(
            500, error_body("ModelArts.50005000", "Internal error."), request_id=None
        ),
    }
)
"""Answers that are the same for every request."""


def throttled(request_id: str, limit: int) -> bytes:
    """Return the gateway's 429 as it is documented: limit and window in its text."""
    text = (
        "The throttling threshold has been reached: policy user over ratelimit,"
        f"limit:{limit},time:1 second"
    )
    return answer(429, error_body("APIG.0308", text, request_id), request_id=request_id)


def truncated(reply: bytes) -> bytes:
    """Return *reply* without the second half of its body."""
    body = reply.partition(HEAD_END)[2]
    return reply[: len(reply) - max(1, len(body) // 2)]


def wrong_type(request_id: str, dice: random.Random, *, reading: bool) -> bytes:
    """Return a success whose JSON is something else than the call answers."""
    wrong = dice.choice(WRONG_LISTS if reading else WRONG_PLUGINS)
    return answer(200, wrong.encode(), request_id=request_id)


def gateway_timeout(request_id: str) -> bytes:
    """Return the gateway's 504: the backend may have done it."""
    body = error_body("APIG.0203", "Backend timeout.", request_id)
    return answer(504, body, request_id=request_id)
