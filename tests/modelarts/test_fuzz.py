"""No answer, however strange, makes the client raise or report an acceptance that was none."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.model import PoolRead
from jobs.outcomes import Answer, Outcome
from tests.builders import NOON_US
from tests.modelarts.scripted import NAME, OPEN_ANSWER, TOKEN, Reply, Then, caller, cloud
from worker.modelarts.errors import classify_status
from worker.modelarts.faults import UnreadableError
from worker.modelarts.models import read_plugin, read_plugin_list, to_seen
from worker.modelarts.reading import document

WIRE_CASES = 400
KEYS = ["kind", "apiVersion", "spec", "template", "name", "items", "status", "values", "inputs"]
KEYS += ["version", "phase", "metadata", "error_code", "error_msg", "error", "code", "message"]
WORDS = ["Plugin", "PluginList", NAME, "v2", "Running", "", "APIG.0308", TOKEN]
STATUSES = [100, 101, 200, 200, 200, 201, 202, 204, 206, 301, 304, 400, 401, 404, 429, 500, 999]

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text()
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(tree=trees)
def test_no_json_breaks_a_reader(tree: Any) -> None:
    """A reader returns what it read or says that it cannot; it has no third way."""
    body = orjson.dumps(tree)
    for read in (read_plugin, read_plugin_list):
        try:
            read(document(body))
        except UnreadableError:
            continue


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    status=st.integers(0, 999),
    body=st.binary(max_size=200) | trees.map(orjson.dumps) | st.none(),
    retry=st.text(max_size=40),
)
def test_no_refusal_breaks_the_classification(status: int, body: bytes | None, retry: str) -> None:
    """Any status and body has a row, and it is never the row of an acceptance."""
    headers = {"Retry-After": retry, "X-Request-Id": retry}
    answer = classify_status(status, headers, body, now_us=NOON_US, secrets=(TOKEN,))

    assert answer.outcome is not Outcome.OK
    assert answer.http_status == status
    assert len(answer.message) <= 300
    assert answer.message.isprintable()
    assert TOKEN not in repr(answer)
    assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= 86_400


def strange_tree(rng: random.Random, depth: int = 0) -> Any:
    """Return JSON that is a plug-in with parts exchanged, or made of the same words."""
    kind = rng.randrange(8 if depth < 4 else 4)
    if kind < 4:
        return rng.choice([None, True, 7, 1.5, *WORDS, "x" * 400, "\u202e\x1b\n"])
    if kind == 4:
        return [strange_tree(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {rng.choice(KEYS): strange_tree(rng, depth + 1) for _ in range(rng.randrange(5))}


def mutated_plugin(rng: random.Random) -> Any:
    """Return the good answer with one place of it exchanged."""
    answer: dict[str, Any] = orjson.loads(orjson.dumps(OPEN_ANSWER))
    place = rng.choice([answer, answer["spec"], answer["spec"]["template"]])
    place[rng.choice(KEYS)] = strange_tree(rng, 2)
    return answer


def strange_reply(rng: random.Random) -> Reply:
    """Return an answer with a strange status, body, framing or end."""
    body = rng.choice(
        [
            rng.randbytes(rng.randrange(40)),
            orjson.dumps(strange_tree(rng)),
            orjson.dumps(mutated_plugin(rng)),
            orjson.dumps({"kind": "PluginList", "items": [mutated_plugin(rng)]}),
        ]
    )
    status = rng.choice(STATUSES)
    length = len(body) if rng.random() < 0.8 else max(0, len(body) + rng.randrange(-5, 6))
    lines = [f"HTTP/1.{rng.choice('0111')} {status} Said", f"Content-Length: {length}"]
    if rng.random() < 0.2:
        lines.append(rng.choice(["Content-Encoding: br", "Retry-After: x", "X-Request-Id: \xff"]))
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    if rng.random() < 0.2:
        place = rng.randrange(len(raw))
        raw = raw[:place] + rng.randbytes(1) + raw[place + 1 :]
    return Reply(data=raw, then=rng.choice([Then.CLOSE, Then.CLOSE, Then.RESET]))


def names_ours(reply: Reply) -> bool:
    """Whether the bytes, read independently, are an acceptance of our plug-in."""
    head, _, body = reply.data.partition(b"\r\n\r\n")
    if head[8:13] not in {b" 200 ", b" 201 ", b" 202 "}:
        return False
    for length in range(len(body), 0, -1):  # an announced length may cut it
        try:
            told = orjson.loads(body[:length])
        except orjson.JSONDecodeError:
            continue
        return bool(
            told["spec"]["template"]["name"] == NAME and told.get("kind", "Plugin") == "Plugin"
        )
    return False


@pytest.mark.slow
async def test_no_bytes_break_the_client() -> None:
    """Hundreds of strange answers: none raises, none is an acceptance that the bytes deny."""
    rng = random.Random(20261124)
    replies = [strange_reply(rng) for _ in range(WIRE_CASES)]
    outcomes: set[Outcome] = set()
    async with cloud(*replies) as served, caller(served) as call:
        for _ in replies:
            create = rng.random() < 0.7
            told = await (call.create(s=0.5) if create else call.list(s=0.5))
            reply = served.reply()  # a reused connection may be gone: then none was taken
            if isinstance(told, PoolRead):
                assert all(seen.name for seen in told.plugins.values())
                assert b'"PluginList"' in reply.data or b'"items"' in reply.data
                continue
            assert isinstance(told, Answer)
            assert TOKEN not in repr(told)
            assert told.outcome is not Outcome.OK or names_ours(reply)
            outcomes.add(told.outcome)

    assert WIRE_CASES * 0.5 < len(served.requests) <= WIRE_CASES
    assert {Outcome.OK, Outcome.UNREADABLE_SUCCESS, Outcome.BODY_CUT} < outcomes


def test_what_was_read_is_shown_without_inputs() -> None:
    """The inputs of a plug-in are in no repr on the way."""
    answer = {"spec": {"template": {"name": NAME, "inputs": {"accessCode": "hidden"}}}}
    plugin = read_plugin({**answer, "status": {"values": '{"password": "hidden"}'}})

    assert "hidden" not in repr(plugin) + repr(to_seen(plugin))
