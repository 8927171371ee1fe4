"""Masking: no secret is shown, whatever it hides in, and no foreign text does harm."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.masking import (
    MASK,
    Redactor,
    clean_text,
    is_secret_key,
    mask_text,
    masked_inputs,
)
from tests import planted

SECRET = planted.secret_input("hunter2-4711-")


@pytest.mark.parametrize(
    "key",
    [
        "password", "dbPassword", "DB_PASSWD", "passphrase", "clientSecret", "SECRET_KEY",
        "token", "X-Auth-Token", "security_token", "accesscode", "access_key", "AccessKeyId",
        "ak", "AK", "OBS_SK", "userAk", "ak/sk", "credential", "credentials", "Authorization",
        "Cookie", "set-cookie", "private_key", "privateKey", "api-key", "apiKey",
        ".dockerconfigjson", "kubeconfig", "pwd", "jwt", "imagePullSecrets",
    ],
)  # fmt: skip
def test_secret_looking_keys_are_recognised(key: str) -> None:
    """Whatever its spelling, a key that sounds like a secret is treated as one."""
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "idempotency_key", "key", "task", "ask", "risk", "masks", "name", "version", "ndots",
        "author", "keyboard", "passive", "bypass", "job", "attempts", "calls", "akin",
        "project_id", "labels",
    ],
)  # fmt: skip
def test_ordinary_keys_are_not_taken_for_secrets(key: str) -> None:
    """A log in which everything is masked explains nothing."""
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    "inputs",
    [
        {"password": SECRET},
        {"custom": {"auth": {"PASSWORD": SECRET}}},
        {"users": [{"name": "a", "userToken": SECRET}]},
        {"credentials": {"any": {"thing": SECRET}}},
        {"tokens": [SECRET, SECRET]},
        {"env": [{"name": "DB_PASSWORD", "value": SECRET}]},
        {"parameters": [{"key": "secretKey", "default": SECRET, "type": "string"}]},
        {"url": f"https://me:{SECRET}@example.com/x"},
        {"args": ["--verbose", f"--token={SECRET}"]},
        {"config": f"a: 1\npassword: {SECRET}\nb: 2"},
        {"config": json.dumps({"db": {"password": SECRET}})},
        {"sk": 471100},
    ],
)
def test_inputs_are_shown_without_their_secrets(inputs: dict[str, Any]) -> None:
    """Plug-in inputs on any surface keep their shape and lose their secrets."""
    shown = masked_inputs(inputs)

    assert SECRET not in json.dumps(shown)
    assert "471100" not in json.dumps(shown)
    assert MASK in json.dumps(shown)
    assert shown.keys() == inputs.keys()


def test_inputs_keep_what_is_no_secret() -> None:
    """What is not secret is shown as it is."""
    inputs = {
        "custom": {"ndots": "5", "deep": [1, 2.5, True, None, {"a": "b"}]},
        "env": [{"name": "MODE", "value": "fast"}],
        "note": "接受 ünïcode",
    }

    assert masked_inputs(inputs) == inputs


def test_inputs_without_end_are_cut() -> None:
    """Nesting deeper than any accepted input is masked unread."""
    inputs: dict[str, Any] = {"leaf": "deep-down"}
    for _ in range(200):
        inputs = {"x": inputs}

    assert "deep-down" not in json.dumps(masked_inputs(inputs))


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@example.com/path",
        f"postgresql://me:{SECRET}@db:5432/q failed",
        f"GET /x?token={SECRET}&y=1",
        f"password={SECRET}",
        f"detail: password={SECRET}",
        f"error=1 secret = '{SECRET}'",
        f'{{"accessKey": "{SECRET}", "a": 1}}',
        f'{{"password":"{SECRET}',
        f"{{'X-Auth-Token': '{SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature={SECRET}",
        f"x-sdk-date: 1\nAuthorization: SDK-HMAC-SHA256 Access={SECRET}, Signature=x",
        f"1 error [type=int, input_value='{SECRET}', input_type=str]",
        f"https://example.com/?a=b: token: {SECRET}",
    ],
)
def test_secrets_in_free_text_are_masked_by_their_shape(text: str) -> None:
    """Also a secret nobody registered is hidden where its surroundings give it away."""
    assert SECRET not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "https://example.com:8443/v2/x?limit=5",
        "verify aksk signature fail",
        "job=job-42 cause: throttled",
        "2026-11-24T12:00:00Z",
        "a@b.example: not found",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    """Masking does not spoil messages."""
    assert mask_text(text) == text


@given(st.text(alphabet="ab:=\"'\\@/ token", max_size=60))
@example("ak:'\\")
@example("token='a'b")
def test_masking_twice_is_masking_once(text: str) -> None:
    """What is masked stays masked and is not eaten further."""
    once = mask_text(text)

    assert mask_text(once) == once


def test_hostile_text_does_not_slow_the_search() -> None:
    """A long run of nearly matching characters is passed in one go."""
    for text in ("a" * 100_000, "a." * 50_000 + "=", '"' * 50_000, "token='" + "\\" * 50_000):
        assert mask_text(text)


class TestKnownValues:
    """A registered value is hidden wherever it turns up, in every form a text may give it."""

    def test_it_is_hidden_anywhere_in_a_text(self) -> None:
        """Also without any surroundings that give it away."""
        assert Redactor([SECRET]).text(f"x{SECRET}y") == f"x{MASK}y"

    @pytest.mark.parametrize(
        "shown",
        ["p%40ss%2Fw%C3%B6rd", 'p@ss/w\\"ö', "p@ss/w\\xf6"],
    )
    def test_it_is_hidden_in_urls_and_quotes(self, shown: str) -> None:
        """Encoding does not bring it back."""
        known = ["p@ss/wörd", 'p@ss/w"ö', "p@ss/wö"]

        assert MASK in Redactor(known).text(f"<{shown}>")
        assert "ss" not in Redactor(known).text(f"<{shown}>")

    def test_a_longer_value_wins_over_its_own_beginning(self) -> None:
        """No rest of a secret stays when another is its prefix."""
        assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == MASK

    def test_very_short_values_are_not_searched_for(self) -> None:
        """A three-letter password would blank out ordinary words."""
        assert Redactor(["job"]).text("job-42") == "job-42"

    def test_it_is_not_in_the_redactors_own_repr(self) -> None:
        """The one object that holds the secrets does not show them."""
        assert SECRET not in repr(Redactor([SECRET]))

    def test_without_values_it_still_masks_by_shape(self) -> None:
        """An empty registry is no reason to show a password."""
        assert Redactor().text(f"password={SECRET}") == f"password={MASK}"
        assert not Redactor().finds(SECRET.encode())


@pytest.mark.parametrize(
    ("foreign", "harmless"),
    [
        ("plain text", "plain text"),
        ("  two \t words\n", "two words"),
        ("a\r\nlevel=error forged", "a level=error forged"),
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("lone \x1b escape", "lone escape"),
        ("bell\x07 nul\x00 c1\x9b31m", "bell nul c1 31m"),
        ("line\u2028sep\u2029x", "line sep x"),
        ("bidi \u202egnp.exe\u202c \u2066x\u2069", "bidi gnp.exe x"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("half \ud83d", "half \ufffd"),
        ("实例 ünï 🙂", "实例 ünï 🙂"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(foreign: str, harmless: str) -> None:
    """Nothing from the cloud can drive a terminal, forge a line or reorder what is read."""
    assert clean_text(foreign) == harmless


def test_long_text_is_cut_and_says_so() -> None:
    """A message is at most 300 characters, and its end shows that something is missing."""
    cut = clean_text("x" * 1_000)

    assert len(cut) == 300
    assert cut.endswith("…")


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=80), st.integers(1, 40))
def test_any_text_becomes_printable(text: str, limit: int) -> None:
    """Whatever comes in, one line without controls comes out, within the limit, and stays so."""
    line = clean_text(text, limit)

    assert len(line) <= limit
    assert not any(
        ord(mark) < 32 or 0x7F <= ord(mark) < 0xA0 or mark in "\u2028\u2029\u202e\u2066\ud800"
        for mark in line
    )
    line.encode()
    assert clean_text(line, limit) == line


@pytest.mark.parametrize("text", ["--cli-auth-encrypt=false", "`auth=true`", "cloud.auth = none"])
def test_a_yes_or_no_is_no_secret(text: str) -> None:
    """An advice such as "set this to false" stays readable."""
    assert mask_text(text) == text
    assert mask_text(text + " token=abc") == text + " token=***"
