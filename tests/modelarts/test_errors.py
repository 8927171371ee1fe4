"""What a refusal means: status first, digits second, text only where the table says so."""

from typing import Any

import orjson
import pytest

from jobs.outcomes import Answer, Outcome
from jobs.pacing import Limit
from tests.builders import NOON_US
from worker.modelarts.codes import BY_STATUS, KNOWN_CODES, SPECIAL, Family, family_of, meaning_of
from worker.modelarts.errors import (
    AuthFault,
    auth_fault,
    classify_status,
    limit_in,
    read_envelope,
    retry_after_s,
)
from worker.modelarts.text import clean_line

_O = Outcome
PREFIX = {Family.MODELARTS: "ModelArts", Family.GATEWAY: "APIGW", Family.IAM: "IAM"}
CODES = [
    pytest.param(one, status, id=f"{PREFIX[one.family]}.{one.digits}-{status}")
    for one in KNOWN_CODES
    for status in one.statuses
]


def classified(status: int, body: Any = b"", **headers: str) -> Answer:
    """Classify an answer; a body that is not bytes is JSON."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify_status(status, named, raw, now_us=NOON_US)


@pytest.mark.parametrize(("known", "status"), CODES)
def test_every_published_code_has_an_outcome(known: Any, status: int) -> None:
    """Each code means, with each of its statuses, what its row or else its status says."""
    code = f"{PREFIX[known.family]}.{known.digits}"
    answer = classified(status, {"error_code": code, "error_msg": "told"})

    plain = {400: _O.REFUSED_CONTENT, 401: _O.UNAUTHENTICATED, 429: _O.THROTTLED}
    missing = _O.NOT_FOUND if known.family is Family.MODELARTS else _O.UNKNOWN_REFUSAL
    default = BY_STATUS.get(status, plain.get(status, missing))
    assert answer.outcome is SPECIAL.get((known.family, known.digits, status), default)
    assert answer.outcome is not _O.UNKNOWN_REFUSAL
    assert (answer.error_code, meaning_of(code)) == (code, known.meaning)


SHAPES: list[tuple[Any, str | None, Family | None]] = [
    ({"error_code": "ModelArts.1", "error_msg": "told"}, "ModelArts.1", Family.MODELARTS),
    ({"errorCode": "APIC.0308", "errorMsg": "told"}, "APIC.0308", Family.GATEWAY),
    ({"code": "APIG.0308", "message": "told"}, "APIG.0308", Family.GATEWAY),
    ({"error": {"error_code": "IAM.0001", "error_msg": "told"}}, "IAM.0001", Family.IAM),
    ({"error": {"code": 401, "message": "told", "title": "No"}}, "401", Family.IAM),
    ({"error": {"code": "401", "message": "told", "title": "No"}}, "401", Family.IAM),
    ({"error": {"code": 402, "message": "told", "title": "No"}}, "402", None),
    ({"error": {"code": 401, "message": "told"}}, "401", None),
    ({"error_code": "CCE.0001", "error_msg": "told"}, "CCE.0001", None),
    ({"error_code": "xAPIG.0308", "error_msg": "told"}, "xAPIG.0308", None),
    ({"error_code": "a b", "error_msg": "told"}, None, None),
    (b"<html><title>x</title><script>var a</script><p>told</p></html>", None, None),
    (b"told", None, None),
]


@pytest.mark.parametrize(("body", "code", "family"), SHAPES)
def test_errors_are_read_in_every_shape(body: Any, code: str | None, family: Any) -> None:
    """Flat, nested one level, in four spellings, HTML or text: the words are found."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    envelope = read_envelope(raw, 401)

    assert (envelope.code, envelope.family) == (code, family)
    assert envelope.message.endswith("told")


@pytest.mark.parametrize("body", [b"", b"{}", b" ", b"\x00", b"<p></p>", None, b'{"a":{"b":1}}'])
def test_a_body_without_words_gets_the_rows(body: bytes | None) -> None:
    """Where the cloud says nothing the table's own words stand."""
    answer = classify_status(500, {}, body, now_us=NOON_US)

    assert answer.outcome is _O.SERVER_ERROR
    assert answer.message == "the cloud had a fault"


def test_the_same_digits_mean_different_things() -> None:
    """Status first: 0203 is a token with 401, a right with 403, and a lost write with 504."""
    modelarts = {"error_code": "ModelArts.0203", "error_msg": "told"}
    gateway = {"error_code": "APIG.0203", "error_msg": "told"}

    assert classified(401, modelarts).outcome is _O.UNAUTHENTICATED
    assert classified(403, modelarts).outcome is _O.FORBIDDEN
    assert classified(504, gateway).outcome is _O.SERVER_ERROR


TEXTS = [
    ("limit:10,time:1 minute", Limit(count=10, window_s=60.0)),
    ("ratelimit,limit:200,time:1 second", Limit(count=200, window_s=1.0)),
    ("limit:5,time:2 hour", Limit(count=5, window_s=7200.0)),
    ("limit:5,time:1 day", Limit(count=5, window_s=86_400.0)),
    ("Limit: 5, time: 10 seconds", Limit(count=5, window_s=10.0)),
    ("limit:0,time:1 second", None),
    ("limit:5,time:0 second", None),
    ("limit:5,time:9 day", None),
    ("limit:5,time:1 month", None),
    ("limit:\u0665,time:1 second", None),
    ("limit:99999999999999,time:1 second", None),
    ("told", None),
]


@pytest.mark.parametrize(("text", "limit"), TEXTS)
def test_a_limit_is_believed_when_it_makes_sense(text: str, limit: Limit | None) -> None:
    """A limit of nothing, or over days, would stop everything for ever and is not believed."""
    assert limit_in(text) == limit


def test_a_limit_from_nobody_we_know_is_learned_but_proves_nothing() -> None:
    """Its text teaches the limiter; that nothing was accepted it does not prove."""
    answer = classified(429, b"over ratelimit,limit:5,time:1 second")

    assert (answer.outcome, answer.limit) == (_O.THROTTLED_BLINDLY, Limit(count=5, window_s=1.0))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 17 ", 17.0),
        ("999999999999999999999999", 86_400.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2099 11:00:00 GMT", 86_400.0),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0661", None),
        ("0 0 0 0 0 0", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """Both forms of the standard are read, and bounded to a day."""
    assert retry_after_s(value, NOON_US) == seconds


FAULTS = [
    (
        "APIG.0301",
        "Incorrect IAM authentication information: verify aksk signature fail",
        "signature",
    ),
    ("APIGW.0301", "AK access failed to reach the limit,forbidden", "locked"),
    ("APIG.0301", "decrypt token fail", "bad-token"),
    ("APIG.0301", "token expires, expires_at: 2026", "expired"),
    ("APIG.0301", "x-auth-token not found", "missing"),
    ("APIG.0301", "Get secretKey failed", "unknown-key"),
    ("APIG.0301", "told", "other"),
    ("APIG.0307", "The token must be updated.", "expired"),
    ("APIG.0303", "told", "signature"),
    ("ModelArts.0202", "told", "expired"),
    ("ModelArts.50001000", "token is invalid", "bad-token"),
]


@pytest.mark.parametrize(("code", "message", "fault"), FAULTS)
def test_the_message_decides_what_a_refused_credential_needs(
    code: str, message: str, fault: str
) -> None:
    """Only an expired token is worth a refresh; a bad signature must stop the next call."""
    answer = classified(401, {"error_code": code, "error_msg": message})

    assert answer.outcome is _O.UNAUTHENTICATED
    assert auth_fault(answer) is AuthFault(fault)


ECHOED = [
    "verify aksk signature fail, canonical request: POST|/v2/|x-sdk-date:hidden|hidden",
    'cannot parse {"apiVersion":"v2","spec":{"template":{"inputs":{"accessCode":"hidden"}}}}',
    'bad field {\\"kind\\":1, \\"inputs\\":{\\"a\\":\\"hidden\\"}}',
    'in {"values": "hidden"}',
]


@pytest.mark.parametrize("message", ECHOED)
def test_a_message_ends_where_it_begins_to_repeat_us(message: str) -> None:
    """What we sent, inputs or headers, does not come back through an error text."""
    known = classified(400, {"error_code": "ModelArts.50004000", "error_msg": message})
    unknown = classified(502, message.encode())

    assert "hidden" not in known.message + unknown.message
    assert known.message


def test_foreign_text_becomes_one_clean_line() -> None:
    """No control, colour or direction character survives, and nothing is longer than 300."""
    raw = "\x1b[31mred\x9b\r\nnext\u2028line\u202e\u2066\ud800\x00 end\u200b " + "x" * 5000
    line = clean_line(raw)

    assert line.startswith("[31mred next line end x")
    assert len(line) == 300
    assert line.isprintable()


@pytest.mark.parametrize("code", ["", "ModelArts.", "ModelArts.1x", "APIG.\u0661", "a" * 500])
def test_a_code_that_only_looks_known_is_nobodys(code: str) -> None:
    """A known prefix with something else behind it proves nothing."""
    assert family_of(code) is None
