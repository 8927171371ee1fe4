"""Bad lines, one by one: each is invalid, says why, and where in the line it is."""

import io
import json
from collections.abc import Sequence

import pytest

from jobs.intake.records import jsonl_records
from jobs.intake.taking import IntakeResult, IntakeVerdict, take_in
from jobs.model import JobRequest
from jobs.store.protocol import Enqueued, IntakePosition


class NoStore:
    """A store that must not be given anything."""

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """Refuse to be used for more than an empty batch."""
        assert not requests, "a bad line was accepted"
        return []

    async def intake_position(self, source: str, digest: str) -> int:
        """Know no files."""
        return 0


def top(member: str) -> bytes:
    """Return a good line with *member* in front, at column 2."""
    return f'{{{member},"project_id":"p","pool_name":"x","plugin":{{"name":"v"}}}}'.encode()


def inner(member: str) -> bytes:
    """Return a good line with *member* first in its plug-in, at column 12."""
    return f'{{"plugin":{{{member},"name":"v"}},"project_id":"p","pool_name":"x"}}'.encode()


def project(value: str) -> bytes:
    """Return a line with that project id, in JSON, at column 2."""
    return f'{{"project_id":{value},"pool_name":"x","plugin":{{"name":"v"}}}}'.encode()


def pool(name: str) -> bytes:
    """Return a line with that pool name at column 2."""
    text = json.dumps(name, ensure_ascii=False)
    return f'{{"pool_name":{text},"project_id":"p","plugin":{{"name":"v"}}}}'.encode()


def plugin(value: str) -> bytes:
    """Return a line with that plug-in, in JSON, at column 2."""
    return f'{{"plugin":{value},"project_id":"p","pool_name":"x"}}'.encode()


def deep(levels: int) -> str:
    """Return inputs of that many levels, in JSON."""
    return '"inputs":' + '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


GOOD = top('"priority":0')
LABELS_65 = json.dumps({f"l{number}": "" for number in range(65)})

# what it is: line, path of the problem, column, words of the message
BAD: dict[str, tuple[bytes, str, int | None, str]] = {
    # not JSON at all
    "a word": (b"nope", "", 1, "a word without quotes"),
    "yaml": (b"project_id: p", "", 1, "a word without quotes"),
    "csv": (b"p,x,v", "", 1, "a word without quotes"),
    "xml": (b"<job/>", "", 1, "< may not stand here"),
    "null byte": (b"\x00", "", 1, "U+0000"),
    "escape byte": (b"\x1b[31m", "", 1, "U+001B"),
    "cut": (GOOD[:-1], "", len(GOOD), "a '}' is missing"),
    "cut in a text": (b'{"project_id":"p', "", 15, "is not closed"),
    "cut after a key": (b'{"project_id"', "", 14, "a '}' is missing"),
    "two objects": (GOOD + GOOD, "", len(GOOD) + 1, "something follows"),
    "trailing comma": (GOOD[:-1] + b",}", "", len(GOOD) + 1, "a comma stands before '}'"),
    "comma at the end": (GOOD + b",", "", len(GOOD) + 1, "something follows"),
    "single quotes": (b"{'project_id':'p'}", "", 2, "is not a quote in JSON"),
    "typographic quotes": ("{“project_id”:1}".encode(), "", 2, "is not a quote in JSON"),
    "bare key": (b'{project_id:"p"}', "", 2, "a field name must stand here"),
    "missing colon": (b'{"project_id" "p"}', "", 15, "a ':' is missing"),
    "missing comma": (b'{"a":1 "b":2}', "", 8, "a ',' or '}' is missing"),
    "missing value": (top('"priority":'), "", 13, "a value is missing"),
    "comment": (GOOD + b" // x", "", len(GOOD) + 2, "no comments"),
    "hash comment": (b"# jobs", "", 1, "no comments"),
    "byte order mark inside": (b"\xef\xbb\xbf" + b"\xef\xbb\xbf" + GOOD, "", 1, "U+FEFF"),
    "latin-1": (b'{"a":"M\xfcller"}', "", 8, "byte 8 (0xFC) is not UTF-8"),
    "cut utf-8": (b'{"a":"\xc3"}', "", 7, "byte 7 (0xC3) is not UTF-8"),
    "overlong utf-8": (b'{"a":"\xc0\xaf"}', "", 7, "byte 7 (0xC0) is not UTF-8"),
    "surrogate in utf-8": (b'{"a":"\xed\xa0\x80"}', "", 7, "byte 7 (0xED) is not UTF-8"),
    "half surrogate": (project('"\\ud800"'), "", 15, "half of a surrogate pair"),
    "raw tab in a text": (project('"a\tb"'), "", 17, "U+0009"),
    "bad escape": (project('"\\x41"'), "", 16, "is no escape in JSON"),
    "windows path": (project('"C:\\pool"'), "", 18, "is no escape in JSON"),
    "NaN": (top('"priority":NaN'), "", 13, "NaN is not a JSON value"),
    "Infinity": (top('"deadline":Infinity'), "", 13, "Infinity is not a JSON value"),
    "minus Infinity": (top('"deadline":-Infinity'), "", 13, "-Infinity is not a JSON value"),
    "python True": (top('"priority":True'), "", 13, "True is not a JSON value"),
    "python None": (top('"region":None'), "", 11, "None is not a JSON value"),
    "leading zero": (top('"priority":007'), "", 13, "writes a number"),
    "plus sign": (top('"priority":+1'), "", 13, "writes a number"),
    "hexadecimal": (top('"priority":0x1F'), "", 13, "writes a number"),
    "endless number": (top('"deadline":1e999'), "", 13, "a number is too large"),
    "large integer": (inner('"inputs":{"a":18446744073709551616}'), "", 26, "into 64 bits"),
    "small integer": (inner('"inputs":{"a":-9223372036854775809}'), "", 26, "into 64 bits"),
    "many digits": (top('"priority":' + "9" * 5000), "", 13, "into 64 bits"),
    "key twice": (top('"priority":1,"priority":2'), "", 15, "'priority' is there twice"),
    "key twice, far apart": (GOOD[:-1] + b',"priority":0}', "", 70, "'priority' is there twice"),
    "key twice, escaped": (top('"priority":1,"prior\\u0069ty":2'), "", 15, "there twice"),
    "key twice, in inputs": (inner('"inputs":{"a":1,"a":1}'), "", 28, "'a' is there twice"),
    "key twice, same value": (top('"region":"a","region":"a"'), "", 15, "there twice"),
    "key twice, empty": (inner('"inputs":{"":1,"":2}'), "", 27, "'' is there twice"),
    "deep": (b"[" * 5000, "", 23, "more than 22 levels"),
    "deep objects": (b'{"a":' * 5000, "", 111, "more than 22 levels"),
    "too long": (GOOD[:-1] + b" " * 262_144 + b"}", "", None, "longer than 256 KiB"),
    # JSON, but no request
    "a list": (b"[]", "", None, "a job request is a JSON object, not a list"),
    "a text": (b'"job"', "", None, "not text"),
    "a number": (b"42", "", None, "not the number 42"),
    "true": (b"true", "", None, "not true"),
    "null": (b"null", "", None, "not null"),
    "a list of requests": (b"[" + GOOD + b"]", "", None, "not a list"),
    "empty object": (b"{}", "project_id", None, "project_id is missing"),
    "only a reason": (b'{"_problem":"old"}', "project_id", None, "project_id is missing"),
    "set aside": (b'{"_problem":"old","_raw":"x"}', "_raw", 19, "is not a JSON object"),
    # missing and unknown fields
    "no project": (b'{"pool_name":"x","plugin":{"name":"v"}}', "project_id", None, "is missing"),
    "no pool": (b'{"project_id":"p","plugin":{"name":"v"}}', "pool_name", None, "is missing"),
    "no plug-in": (b'{"project_id":"p","pool_name":"x"}', "plugin", None, "plugin is missing"),
    "no name": (plugin("{}"), "plugin.name", None, "plugin.name is missing"),
    "null project": (project("null"), "project_id", 2, "must be text, not null"),
    "unknown field": (top('"x":1'), "x", 2, "unknown field 'x'"),
    "unknown in plug-in": (inner('"x":1'), "plugin.x", 12, "unknown field 'x' in plugin"),
    "camel case": (top('"idempotencyKey":"k"'), "idempotencyKey", 2, "unknown field"),
    "internal field": (top('"state":"succeeded"'), "state", 2, "unknown field 'state'"),
    "source": (top('"source":"http"'), "source", 2, "unknown field 'source'"),
    "fingerprint": (top('"fingerprint":"0"'), "fingerprint", 2, "unknown field"),
    "reason in plug-in": (inner('"_problem":"x"'), "plugin._problem", 12, "unknown field"),
    "field with escape code": (top('"a\\u001b[31m":1'), "a\\x1b[31m", None, "'a\\x1b[31m'"),
    "long unknown field": (top(f'"{"y" * 500}":1'), "y" * 60 + "…", None, "…'"),
    "version on top": (top('"version":"1"'), "version", 2, "belongs inside plugin"),
    "key in plug-in": (inner('"deadline":"1m"'), "plugin.deadline", 12, "outside of plugin"),
    # wrong types
    "number as project": (project("5"), "project_id", 2, "must be text, not the number 5"),
    "list as project": (project('["p"]'), "project_id", 2, "must be text, not a list"),
    "text as plug-in": (plugin('"v"'), "plugin", 2, "must be an object such as"),
    "list as plug-in": (plugin("[]"), "plugin", 2, "must be an object such as"),
    "null as plug-in": (plugin("null"), "plugin", 2, "not null"),
    "number as version": (inner('"version":1.10'), "plugin.version", 12, "must be text"),
    "integer as version": (inner('"version":2'), "plugin.version", 12, "must be text"),
    "true as version": (inner('"version":true'), "plugin.version", 12, "not true"),
    "text as inputs": (inner('"inputs":"a=b"'), "plugin.inputs", 12, "an object, not text"),
    "list as inputs": (inner('"inputs":[]'), "plugin.inputs", 12, "an object, not a list"),
    "unknown base": (inner('"base":"none"'), "plugin.base", 12, "one of current, template"),
    "upper-case base": (inner('"base":"CURRENT"'), "plugin.base", 12, "not 'CURRENT'"),
    "number as base": (inner('"base":1'), "plugin.base", 12, "not the number 1"),
    "text as priority": (top('"priority":"5"'), "priority", 2, "whole number"),
    "fraction as priority": (top('"priority":0.5'), "priority", 2, "whole number"),
    "5.0 as priority": (top('"priority":5.0'), "priority", 2, "whole number"),
    "true as priority": (top('"priority":true'), "priority", 2, "not true"),
    "priority above": (top('"priority":1001'), "priority", 2, "not the number 1001"),
    "priority below": (top('"priority":-1001'), "priority", 2, "not the number -1001"),
    "number as key": (top('"idempotency_key":7'), "idempotency_key", 2, "not the number 7"),
    "list as labels": (top('"labels":[]'), "labels", 2, "an object of texts, not a list"),
    "number as label": (top('"labels":{"a":1}'), "labels.a", 12, "text, not the number 1"),
    "null as label": (top('"labels":{"a":null}'), "labels.a", 12, "text, not null"),
    # limits
    "empty key": (top('"idempotency_key":""'), "idempotency_key", 2, "has 0 characters"),
    "long key": (top(f'"idempotency_key":"{"k" * 256}"'), "idempotency_key", 2, "has 256"),
    "key with umlaut": (top('"idempotency_key":"ü"'), "idempotency_key", 2, "holds U+00FC"),
    "key with line break": (top('"idempotency_key":"a\\n"'), "idempotency_key", 2, "U+000A"),
    "key with DEL": (top('"idempotency_key":"a\\u007f"'), "idempotency_key", 2, "U+007F"),
    "too many labels": (top(f'"labels":{LABELS_65}'), "labels", 2, "65 labels are more than 64"),
    "empty label name": (top('"labels":{"":"x"}'), "labels", 2, "has 0 characters"),
    "long label name": (top(f'"labels":{{"{"n" * 129}":""}}'), "labels", 2, "has 129"),
    "long label": (top(f'"labels":{{"a":"{"v" * 257}"}}'), "labels", 2, "has 257 characters"),
    "label with line break": (top('"labels":{"a":"x\\ny"}'), "labels", 2, "U+000A"),
    "label name with escape": (top('"labels":{"a\\u001b":""}'), "labels", 2, "U+001B"),
    "label with direction mark": (top('"labels":{"a":"\\u202e"}'), "labels", 2, "U+202E"),
    "21 levels of inputs": (inner(deep(21)), "", 121, "more than 22 levels"),
    "large inputs": (
        inner('"inputs":{"a":"' + "x" * 65_536 + '"}'),
        "plugin.inputs",
        12,
        "are 65544 bytes of JSON; at most 65536",
    ),
    # times
    "no offset": (top('"not_before":"2026-11-24T01:00:00"'), "not_before", 2, "has no offset"),
    "only a date": (top('"not_before":"2026-11-24"'), "not_before", 2, "is no time"),
    "no seconds": (top('"not_before":"2026-11-24T01:00Z"'), "not_before", 2, "is no time"),
    "no such day": (top('"not_before":"2026-02-30T01:00:00Z"'), "not_before", 2, "is no time: day"),
    "no such hour": (top('"not_before":"2026-11-24T24:01:00Z"'), "not_before", 2, "is no time"),
    "leap second": (top('"not_before":"2026-06-30T23:59:60Z"'), "not_before", 2, "is no time"),
    "no such offset": (top('"not_before":"2026-11-24T01:00:00+25:00"'), "not_before", 2, "no time"),
    "zone name": (top('"not_before":"2026-11-24T01:00:00 CET"'), "not_before", 2, "is no time"),
    "seconds since 1970": (top('"not_before":1795482000'), "not_before", 2, "is no time"),
    "words as time": (top('"not_before":"tomorrow"'), "not_before", 2, "'tomorrow' is no time"),
    "no unit known": (top('"deadline":"5x"'), "deadline", 2, "'5x' is not a duration"),
    "negative deadline": (top('"deadline":-5'), "deadline", 2, "negative"),
    "short deadline": (top('"deadline":"999ms"'), "deadline", 2, "999ms is out of range"),
    "zero deadline": (top('"deadline":0'), "deadline", 2, "0s is out of range"),
    "long deadline": (top('"deadline":"31d"'), "deadline", 2, "31d is out of range"),
    "true as deadline": (top('"deadline":true'), "deadline", 2, "is not a duration"),
    "list as deadline": (top('"deadline":[45]'), "deadline", 2, "must be a duration"),
    # names
    "empty project": (project('""'), "project_id", 2, "project_id is empty"),
    "dotted project": (project('"a.b"'), "project_id", 2, "'.' may not stand"),
    "long project": (project(f'"{"p" * 65}"'), "project_id", 2, "has 65 characters"),
    "empty pool": (pool(""), "pool_name", 2, "is empty"),
    "dot": (pool("."), "pool_name", 2, "may not begin with '.'"),
    "dot dot": (pool(".."), "pool_name", 2, "may not begin with '.'"),
    "dots inside": (pool("a..b"), "pool_name", 2, "'..' may not stand"),
    "path": (pool("../../x"), "pool_name", 2, "'/' may not stand"),
    "slash": (pool("a/b"), "pool_name", 2, "'/' may not stand"),
    "backslash": (pool("a\\b"), "pool_name", 2, "'\\' may not stand"),
    "percent": (pool("%2e%2e"), "pool_name", 2, "'%' may not stand"),
    "question mark": (pool("a?b"), "pool_name", 2, "'?' may not stand"),
    "fragment": (pool("a#b"), "pool_name", 2, "'#' may not stand"),
    "semicolon": (pool("a;b"), "pool_name", 2, "';' may not stand"),
    "at sign": (pool("a@b"), "pool_name", 2, "'@' may not stand"),
    "space": (pool("a b"), "pool_name", 2, "U+0020 (SPACE)"),
    "no-break space": (pool("a\u00a0b"), "pool_name", 2, "U+00A0 (NO-BREAK SPACE)"),
    "line break": (pool("a\n"), "pool_name", 2, "U+000A (a control character)"),
    "carriage return": (pool("a\rb"), "pool_name", 2, "U+000D"),
    "null character": (pool("a\0"), "pool_name", 2, "U+0000"),
    "delete character": (pool("a\x7f"), "pool_name", 2, "U+007F"),
    "zero width space": (pool("a\u200b"), "pool_name", 2, "ZERO WIDTH SPACE"),
    "direction mark": (pool("a\u202eb"), "pool_name", 2, "RIGHT-TO-LEFT OVERRIDE"),
    "cyrillic": (pool("p\u043e\u043el"), "pool_name", 2, "CYRILLIC SMALL LETTER O"),
    "greek": (pool("p\u03bfol"), "pool_name", 2, "GREEK SMALL LETTER OMICRON"),
    "full width": (pool("\uff50ool"), "pool_name", 2, "FULLWIDTH LATIN SMALL LETTER P"),
    "full width stop": (pool("a\uff0e\uff0e"), "pool_name", 2, "FULLWIDTH FULL STOP"),
    "division slash": (pool("a\u2215b"), "pool_name", 2, "DIVISION SLASH"),
    "arabic digit": (pool("a\u0661"), "pool_name", 2, "ARABIC-INDIC DIGIT ONE"),
    "emoji": (pool("a\U0001f600"), "pool_name", 2, "GRINNING FACE"),
    "dash first": (pool("-rf"), "pool_name", 2, "may not begin with '-'"),
    "long pool": (pool("p" * 129), "pool_name", 2, "has 129 characters, more than 128"),
    "path as plug-in": (plugin('{"name":"../x"}'), "plugin.name", 12, "'/' may not stand"),
    "empty plug-in name": (plugin('{"name":""}'), "plugin.name", 12, "plugin.name is empty"),
    "empty version": (inner('"version":""'), "plugin.version", 12, "plugin.version is empty"),
    "version with space": (inner('"version":"1 0"'), "plugin.version", 12, "U+0020"),
    "version with v/": (inner('"version":"v/1"'), "plugin.version", 12, "'/' may not stand"),
    "region with dot": (top('"region":"evil.example"'), "region", 2, "'.' may not stand"),
    "region with host": (top('"region":"x@evil"'), "region", 2, "'@' may not stand"),
    "upper-case region": (top('"region":"CN-North-4"'), "region", 2, "'C' may not stand"),
    "empty region": (top('"region":""'), "region", 2, "region is empty"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_line_is_invalid_and_says_why(what: str) -> None:
    """The problem names the field, the place in the line and the reason; nothing is stored."""
    line, path, column, fragment = BAD[what]
    results: list[IntakeResult] = []
    records = jsonl_records(io.BytesIO(b"\n\n" + line + b"\n"))

    await take_in(NoStore(), records, source="cli", on_result=results.append)

    [result] = results
    first = result.problems[0]
    assert result.verdict is IntakeVerdict.INVALID
    assert (result.number, result.line) == (1, 3)
    assert (first.path, first.column) == (path, column)
    assert fragment in first.message
    assert first.message.isprintable(), "a message never plays tricks on a terminal"
    assert len(str(first)) < 300


def test_the_good_line_is_good() -> None:
    """The lines above are bad for the one reason they name."""
    assert json.loads(GOOD)["plugin"] == {"name": "v"}
    for good in (top('"x":1'), inner('"x":1'), project('"p"'), pool("x"), plugin('{"name":"v"}')):
        assert {"project_id", "pool_name", "plugin"} <= set(json.loads(good))


def test_the_table_is_large() -> None:
    """A table that shrinks by accident is noticed."""
    assert len(BAD) >= 150
